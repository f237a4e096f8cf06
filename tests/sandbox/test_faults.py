"""Faults that a request asks for itself, by its header."""

import time

import httpx
import pytest
from openapi_schema_validator import OAS31Validator

from consumer.sandbox.faults import ERROR_BODIES, parse_fault
from consumer.sandbox.server import RunningSandbox
from tests.contracts import BREAKS_CONTRACT, contract
from tests.sandbox.company import Clock


PEOPLE = "/rest/v1.0/companies/4281001/people"
NEW = {"person": {"last_name": "Rao"}}
IN_CONTRACT = list(ERROR_BODIES)[:8]


def fault(text: str) -> dict[str, str]:
    return {"X-Sandbox-Fault": text}


def created(sandbox: RunningSandbox) -> bool:
    return any(person["last_name"] == "Rao" for person in sandbox.state.people())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "there is no fault ''"),
        ("lateness=2", "there is no fault 'lateness'"),
        ("latency=x", "seconds are a number"),
        ("latency=", "seconds are a number"),
        ("latency=2..1", "seconds are a number"),
        ("latency=-1", "seconds are a number"),
        ("latency=nan", "seconds are a number"),
        ("latency=3601", "seconds are a number"),
        ("status=99", "status is 200 to 599"),
        ("status=x", "status is 200 to 599"),
        ("body=nonsense", "there is no body 'nonsense'"),
        ("status=503; retry-after=soon", "whole seconds"),
        ("retry-after=5", "only with status or body"),
        ("after-effect", "only with status or body"),
        ("reset; reset", "reset is there twice"),
        ("reset; status=503", "reset and status do not go together"),
        ("partial-page; expired-token", "expired-token and partial-page do not go together"),
        ("reset=1", "one value too many"),
    ],
)
def test_a_fault_that_is_none_is_told_with_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_fault(text)


def test_a_header_that_is_wrong_is_a_bad_request_in_words(procore: httpx.Client) -> None:
    answer = httpx.get(f"{procore.base_url}{PEOPLE}", headers=fault("rest"))
    assert answer.status_code == 400
    assert answer.text.startswith("X-Sandbox-Fault: there is no fault 'rest'")


def test_a_latency_delays_one_answer_only_and_changes_nothing_else(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    before = time.monotonic()
    assert procore.post(PEOPLE, json=NEW, headers=fault("latency=0.05..0.06")).status_code == 201
    assert time.monotonic() - before >= 0.05
    assert created(sandbox)


def test_a_request_that_has_arrived_takes_effect_whatever_becomes_of_its_caller(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        procore.post(PEOPLE, json=NEW, headers=fault("latency=0.3"), timeout=0.1)
    assert not created(sandbox)
    deadline = time.monotonic() + 10
    while not created(sandbox) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert created(sandbox)


def test_an_injected_status_has_no_effect_and_keeps_the_contract(
    procore: httpx.Client, smartbarrel: httpx.Client, sandbox: RunningSandbox
) -> None:
    """The checked clients would complain of a header or body that is missing."""
    busy = procore.post(PEOPLE, json=NEW, headers=fault("status=503; retry-after=5"))
    assert (busy.status_code, busy.headers["Retry-After"]) == (503, "5")
    assert busy.json() == {"message": "Service Unavailable"}
    broken = smartbarrel.get("/workers", headers=fault("status=502"))
    assert broken.json() == {"error": {"code": "internal_error", "message": "Bad Gateway"}}
    unnamed = smartbarrel.get("/workers", headers=fault("status=599"))
    assert unnamed.json() == {"error": {"code": "internal_error", "message": "Internal Server Error"}}
    assert [request.path for request in sandbox.state.requests()] == ["/oauth/token"]


def test_an_injected_rate_limit_says_that_nothing_is_left(
    procore: httpx.Client, smartbarrel: httpx.Client, clock: Clock
) -> None:
    refused = procore.get(PEOPLE, headers=fault("status=429"))
    assert refused.headers["X-Rate-Limit-Remaining"] == "0"
    assert int(refused.headers["X-Rate-Limit-Reset"]) == clock.now + 1
    assert "Retry-After" not in refused.headers
    refused = smartbarrel.get("/workers", headers=fault("status=429; retry-after=7"))
    assert (refused.headers["Retry-After"], refused.json()["error"]["code"]) == ("7", "rate_limited")
    assert procore.get(PEOPLE).status_code == 200


def test_an_injected_answer_is_counted_as_a_request(procore: httpx.Client) -> None:
    left = "X-Rate-Limit-Remaining"
    first = procore.get(PEOPLE, headers=fault("status=500"))
    assert int(procore.get(PEOPLE).headers[left]) == int(first.headers[left]) - 1


def test_a_reset_closes_the_connection_without_an_answer_or_an_effect(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        procore.post(PEOPLE, json=NEW, headers=fault("reset"))
    assert not created(sandbox)
    assert procore.get(PEOPLE).status_code == 200


def test_a_reset_after_the_effect_leaves_the_effect_alone(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        procore.post(PEOPLE, json=NEW, headers=fault("reset-after"))
    assert created(sandbox)
    assert [write.status for write in sandbox.state.writes()] == [201]


def test_an_answer_can_come_too_late_for_whoever_waits(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    with pytest.raises(httpx.ReadTimeout):
        procore.post(PEOPLE, json=NEW, headers=fault("timeout-after-effect"), timeout=0.2)
    assert created(sandbox)


def test_a_late_answer_is_the_true_one(procore: httpx.Client) -> None:
    before = time.monotonic()
    answer = procore.post(PEOPLE, json=NEW, headers=fault("timeout-after-effect=0.05"))
    assert time.monotonic() - before >= 0.05
    assert (answer.status_code, answer.json()["last_name"]) == (201, "Rao")


def test_an_answer_after_the_effect_replaces_the_true_one(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    answer = procore.post(PEOPLE, json=NEW, headers=fault("status=503; retry-after=1; after-effect"))
    assert answer.status_code == 503
    assert created(sandbox)


def test_a_token_can_expire_early(procore: httpx.Client, sandbox: RunningSandbox) -> None:
    answer = procore.post(PEOPLE, json=NEW, headers=fault("expired-token"))
    assert (answer.status_code, answer.json()["reason"]) == (401, "token_expired")
    assert not created(sandbox)


def test_a_partial_page_lacks_items_while_the_total_keeps_the_truth(
    procore: httpx.Client, smartbarrel: httpx.Client
) -> None:
    people = procore.get(PEOPLE, headers=fault("partial-page"))
    assert (len(people.json()), people.headers["Total"]) == (1, "3")
    sheets = smartbarrel.get("/timesheets", headers=fault("partial-page")).json()
    assert (len(sheets["data"]), sheets["meta"]["total"]) == (1, 2)


def test_an_empty_page_is_as_without_access(procore: httpx.Client, smartbarrel: httpx.Client) -> None:
    people = procore.get(PEOPLE, params={"per_page": 1}, headers=fault("empty-page"))
    assert (people.status_code, people.json(), people.headers["Total"]) == (200, [], "0")
    assert "next" not in people.links
    workers = smartbarrel.get("/workers", headers=fault("empty-page")).json()
    assert workers == {"data": [], "meta": {"page": 1, "per_page": 50, "total": 0}}


def test_what_is_no_list_loses_nothing_by_a_short_page(
    procore: httpx.Client, smartbarrel: httpx.Client, sandbox: RunningSandbox
) -> None:
    assert procore.post(PEOPLE, json=NEW, headers=fault("empty-page")).json()["last_name"] == "Rao"
    items = [{"project_id": 2790001, "date": "2026-03-02", "hours": hours} for hours in (1, 2)]
    booked = procore.post(
        "/rest/v1.0/companies/4281001/timesheets",
        json={"timecard_entries": items},
        headers=fault("partial-page"),
    )
    assert len(booked.json()) == 2
    worker = sandbox.state.workers()[0]
    assert smartbarrel.get(f"/workers/{worker['id']}", headers=fault("partial-page")).json() == worker
    refused = procore.get(f"{PEOPLE}?page=0", headers=fault("empty-page"), extensions=BREAKS_CONTRACT)
    assert refused.status_code == 400


@pytest.mark.parametrize("name", IN_CONTRACT)
def test_each_error_body_of_the_contract_can_be_had(
    procore: httpx.Client, sandbox: RunningSandbox, name: str
) -> None:
    answer = procore.post(PEOPLE, json=NEW, headers=fault(f"body={name}"))
    assert (answer.status_code, answer.json()) == (422, ERROR_BODIES[name])
    assert not created(sandbox)


def test_the_error_bodies_are_one_of_each_shape_that_the_contract_has() -> None:
    schemas = contract("procore")["components"]["schemas"]
    shapes = [schemas[one["$ref"].rpartition("/")[2]] for one in schemas["Error"]["oneOf"]]
    fitting = [
        [number for number, shape in enumerate(shapes) if OAS31Validator(shape).is_valid(ERROR_BODIES[name])]
        for name in IN_CONTRACT
    ]
    assert sorted(fitting) == [[number] for number in range(8)]


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("html", "text/html; charset=utf-8", ERROR_BODIES["html"]),
        ("empty", "text/html; charset=utf-8", ""),
    ],
)
def test_what_stands_before_procore_may_answer_without_json(
    sandbox: RunningSandbox, name: str, kind: str, text: str
) -> None:
    answer = httpx.get(f"{sandbox.address.procore_url}{PEOPLE}", headers=fault(f"status=502; body={name}"))
    assert (answer.status_code, answer.headers["Content-Type"], answer.text) == (502, kind, text)


def test_the_login_server_fails_too(sandbox: RunningSandbox) -> None:
    login = httpx.Client(base_url=sandbox.address.procore_login_url)
    with login, pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        login.post("/oauth/token", headers=fault("reset"))
    assert sandbox.state.requests() == []
