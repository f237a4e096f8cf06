"""SmartBarrel: workers, positions and timesheets, as this project's assumed contract has them."""

from typing import Any

import httpx
import pytest

from consumer.sandbox.server import RunningSandbox
from tests.contracts import BREAKS_CONTRACT
from tests.sandbox.company import Clock


EMEKA = "4d1f9c33-2c0a-4a9b-8d57-1a6b0c5e9f02"
CARPENTER = "6a0f7d0c-93c1-4a53-9f62-0e5f2f0f7b01"
NOBODY = "00000000-0000-4000-8000-000000000000"
MARIA = {
    "first_name": "Maria",
    "last_name": "Delgado",
    "email": "maria.delgado@example.com",
    "phone_number": "+15125550143",
    "payroll_id": "20315",
    "position_id": CARPENTER,
    "external_id": "procore:8800101",
}


def create(smartbarrel: httpx.Client, key: str = "k", **request: Any) -> httpx.Response:
    return smartbarrel.post("/workers", headers={"Idempotency-Key": key}, **({"json": MARIA} | request))


def create_position(smartbarrel: httpx.Client, key: str = "k", **fields: Any) -> httpx.Response:
    return smartbarrel.post("/positions", headers={"Idempotency-Key": key}, json=fields)


def names(answer: httpx.Response) -> list[str]:
    return [item.get("first_name") or item["name"] for item in answer.json()["data"]]


def complaint(answer: httpx.Response) -> tuple[int, dict[str, Any]]:
    return answer.status_code, answer.json()["error"]


def test_a_missing_or_wrong_key_is_refused(smartbarrel: httpx.Client) -> None:
    wrong = smartbarrel.get("/workers", headers={"Authorization": "Bearer nonsense"})
    missing = smartbarrel.get("/workers", headers={"Authorization": ""}, extensions=BREAKS_CONTRACT)
    assert wrong.status_code == missing.status_code == 401
    assert wrong.json()["error"]["code"] == "unauthorized"


def test_another_company_is_refused(smartbarrel: httpx.Client, sandbox: RunningSandbox) -> None:
    answer = smartbarrel.get(f"{sandbox.address.smartbarrel_url}/api/v1/companies/other/workers")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")


def test_a_created_worker_is_shown_and_listed(smartbarrel: httpx.Client, sandbox: RunningSandbox) -> None:
    answer = create(smartbarrel)
    worker = answer.json()
    assert answer.status_code == 201
    assert {key: worker[key] for key in MARIA} == MARIA
    assert (worker["company_id"], worker["status"], worker["contractor"]) == ("granite-ridge", "active", None)
    assert smartbarrel.get(f"/workers/{worker['id']}").json() == worker
    assert worker in smartbarrel.get("/workers").json()["data"]
    assert worker in sandbox.state.workers()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["Emeka", "Maria"]),
        ({"external_id": "procore:8800101"}, ["Maria"]),
        ({"payroll_id": "7001"}, ["Emeka"]),
        ({"phone_number": "+15125550143"}, ["Maria"]),
        ({"email": "MARIA.Delgado@example.com"}, ["Maria"]),
        ({"status": "inactive"}, []),
        ({"payroll_id": "7001", "phone_number": "+15125550143"}, []),
    ],
)
def test_filters_of_workers_are_exact_and_all_hold(
    smartbarrel: httpx.Client, parameters: dict[str, str], expected: list[str]
) -> None:
    create(smartbarrel)
    answer = smartbarrel.get("/workers", params=parameters)
    assert names(answer) == expected
    assert answer.json()["meta"] == {"page": 1, "per_page": 50, "total": len(expected)}


def test_workers_come_in_order_of_creation_on_pages(smartbarrel: httpx.Client, clock: Clock) -> None:
    for number in range(3):
        clock.now += 1
        fields = {"first_name": f"W{number}", "phone_number": f"+1512555017{number}"}
        body = MARIA | fields | {"payroll_id": None, "external_id": None}
        create(smartbarrel, f"k{number}", json=body)
    pages = [smartbarrel.get("/workers", params={"page": page, "per_page": 3}) for page in (1, 2, 3)]
    assert [names(page) for page in pages] == [["Emeka", "W0", "W1"], ["W2"], []]
    assert pages[2].json()["meta"] == {"page": 3, "per_page": 3, "total": 4}


@pytest.mark.parametrize(
    "parameter",
    [{"per_page": "201"}, {"page": "0"}, {"phone_number": "5125550143"}, {"email": "x"}, {"status": "gone"}],
)
def test_a_parameter_that_cannot_be_is_refused(smartbarrel: httpx.Client, parameter: dict[str, str]) -> None:
    answer = smartbarrel.get("/workers", params=parameter, extensions=BREAKS_CONTRACT)
    status, error = complaint(answer)
    assert (status, error["fields"][0]["field"]) == (422, next(iter(parameter)))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("phone_number", "Phone number already in use"),
        ("payroll_id", "Payroll ID already in use"),
        ("external_id", "External ID already in use"),
    ],
)
def test_a_value_that_another_worker_has_is_refused_and_the_worker_is_named(
    smartbarrel: httpx.Client, sandbox: RunningSandbox, field: str, message: str
) -> None:
    first = create(smartbarrel).json()
    others = {"phone_number": "+15125550199", "payroll_id": "1", "external_id": "procore:1"}
    body = MARIA | others | {field: MARIA[field]}
    expected = {"code": "duplicate", "field": field, "message": message, "worker_id": first["id"]}
    assert complaint(create(smartbarrel, "other", json=body)) == (409, expected)
    assert complaint(smartbarrel.patch(f"/workers/{EMEKA}", json={field: MARIA[field]})) == (409, expected)
    assert len(sandbox.state.workers()) == 2


def test_many_workers_may_have_no_payroll_id(smartbarrel: httpx.Client) -> None:
    for number in range(2):
        body = MARIA | {"payroll_id": None, "external_id": None, "phone_number": f"+1512555017{number}"}
        assert create(smartbarrel, str(number), json=body).status_code == 201


@pytest.mark.parametrize(
    ("changes", "message", "fields"),
    [
        ({"phone_number": None}, "Missing phone number", ["phone_number"]),
        ({"phone_number": ""}, "Missing phone number", ["phone_number"]),
        ({"phone_number": "512-555-0143"}, "Phone number is not valid", ["phone_number"]),
        ({"email": "no at sign", "last_name": " "}, "Missing last name", ["last_name", "email"]),
        ({"first_name": None, "email": None}, "Missing first name", ["first_name", "email"]),
        ({"payroll_id": ""}, "Payroll ID is not valid", ["payroll_id"]),
        ({"position_id": "carpenter"}, "Position not found", ["position_id"]),
        ({"status": "gone"}, "Status is not valid", ["status"]),
        ({"contractor": {}}, "Unknown field", ["contractor"]),
    ],
)
def test_a_worker_that_breaks_a_rule_is_refused_with_all_fields(
    smartbarrel: httpx.Client,
    sandbox: RunningSandbox,
    changes: dict[str, Any],
    message: str,
    fields: list[str],
) -> None:
    answer = create(smartbarrel, json=MARIA | changes, extensions=BREAKS_CONTRACT)
    status, error = complaint(answer)
    assert (status, error["code"], error["message"]) == (422, "invalid", message)
    assert [item["field"] for item in error["fields"]] == fields
    assert len(sandbox.state.workers()) == 1


def test_an_unknown_position_is_refused(smartbarrel: httpx.Client) -> None:
    status, error = complaint(create(smartbarrel, json=MARIA | {"position_id": NOBODY}))
    assert (status, error["fields"]) == (422, [{"field": "position_id", "message": "Position not found"}])


def test_a_missing_phone_number_is_told_in_smartbarrels_words(smartbarrel: httpx.Client) -> None:
    body = {key: value for key, value in MARIA.items() if key != "phone_number"}
    status, error = complaint(create(smartbarrel, json=body, extensions=BREAKS_CONTRACT))
    assert (status, error["message"]) == (422, "Missing phone number")


def test_the_same_key_and_body_answer_the_first_creation_again(
    smartbarrel: httpx.Client, sandbox: RunningSandbox
) -> None:
    first = create(smartbarrel)
    smartbarrel.patch(f"/workers/{first.json()['id']}", json={"first_name": "Mary"})
    again = create(smartbarrel, json=dict(reversed(MARIA.items())))
    assert (again.status_code, again.json()) == (201, first.json())
    assert len(sandbox.state.workers()) == 2


def test_the_same_key_with_another_body_is_refused(smartbarrel: httpx.Client) -> None:
    create(smartbarrel)
    status, error = complaint(create(smartbarrel, json=MARIA | {"first_name": "Mary"}))
    assert (status, error["code"]) == (409, "idempotency_key_reused")
    status, error = complaint(create_position(smartbarrel, name="Welder"))
    assert (status, error["code"]) == (409, "idempotency_key_reused")


def test_a_refused_request_does_not_use_up_its_key(smartbarrel: httpx.Client) -> None:
    create(smartbarrel, json=MARIA | {"phone_number": "x"}, extensions=BREAKS_CONTRACT)
    assert create(smartbarrel).status_code == 201


def test_a_creation_needs_a_key(smartbarrel: httpx.Client) -> None:
    status, error = complaint(smartbarrel.post("/workers", json=MARIA, extensions=BREAKS_CONTRACT))
    assert (status, error["fields"][0]["field"]) == (422, "Idempotency-Key")


def test_an_update_leaves_what_is_absent_and_null_clears(smartbarrel: httpx.Client, clock: Clock) -> None:
    worker = create(smartbarrel).json()
    clock.now += 5
    answer = smartbarrel.patch(f"/workers/{worker['id']}", json={"payroll_id": None, "status": "inactive"})
    changed = answer.json()
    assert answer.status_code == 200
    assert changed["updated_at"] == "2026-03-02T12:00:05.000000Z"
    assert changed == worker | {
        "payroll_id": None,
        "status": "inactive",
        "updated_at": changed["updated_at"],
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "Body has no field"),
        ({"last_name": None}, "Missing last name"),
        ([], "Body is not a JSON object"),
    ],
)
def test_an_update_that_breaks_a_rule_is_refused(
    smartbarrel: httpx.Client, body: object, message: str
) -> None:
    answer = smartbarrel.patch(f"/workers/{EMEKA}", json=body, extensions=BREAKS_CONTRACT)
    assert complaint(answer)[1]["message"] == message


def test_what_is_unknown_is_not_found(smartbarrel: httpx.Client) -> None:
    answers = [
        smartbarrel.get(f"/workers/{NOBODY}"),
        smartbarrel.patch(f"/workers/{NOBODY}", json={"status": "active"}),
        smartbarrel.patch(f"/positions/{NOBODY}", json={"status": "active"}),
        smartbarrel.get("/timesheets", params={"project_id": NOBODY}),
    ]
    assert [answer.status_code for answer in answers] == [404] * 4


def test_a_created_position_is_listed_after_the_earlier_ones(smartbarrel: httpx.Client) -> None:
    answer = create_position(smartbarrel, name="Welder", external_id="procore:5")
    assert answer.status_code == 201
    assert answer.json() | {"id": ""} == {
        "id": "",
        "name": "Welder",
        "code": None,
        "external_id": "procore:5",
        "status": "active",
    }
    assert names(smartbarrel.get("/positions")) == ["Carpenter", "Welder"]
    assert names(smartbarrel.get("/positions", params={"external_id": "procore:5"})) == ["Welder"]
    assert names(smartbarrel.get("/positions", params={"name": "wELDER"})) == ["Welder"]
    assert create_position(smartbarrel, name="Welder", external_id="procore:5").json() == answer.json()


def test_names_of_positions_are_unique_without_regard_to_case(smartbarrel: httpx.Client) -> None:
    welder = create_position(smartbarrel, name="Électricien").json()
    expected = {
        "code": "duplicate",
        "field": "name",
        "message": "Position name already in use",
        "position_id": welder["id"],
    }
    assert complaint(create_position(smartbarrel, "other", name="éLECTRICIEN")) == (409, expected)
    assert complaint(smartbarrel.patch(f"/positions/{CARPENTER}", json={"name": "éLECTRICIEN"})) == (
        409,
        expected,
    )


def test_a_position_may_change_the_case_of_its_own_name(smartbarrel: httpx.Client) -> None:
    answer = smartbarrel.patch(f"/positions/{CARPENTER}", json={"name": "CARPENTER", "status": "inactive"})
    assert (answer.json()["name"], answer.json()["status"]) == ("CARPENTER", "inactive")


def test_a_position_needs_a_name(smartbarrel: httpx.Client) -> None:
    answer = smartbarrel.post(
        "/positions", headers={"Idempotency-Key": "k"}, json={"code": "X"}, extensions=BREAKS_CONTRACT
    )
    assert complaint(answer)[1]["message"] == "Missing name"


def test_timesheets_come_in_order_of_change_with_their_worker_as_of_now(
    smartbarrel: httpx.Client,
) -> None:
    smartbarrel.patch(f"/workers/{EMEKA}", json={"last_name": "Berg"})
    listed = smartbarrel.get("/timesheets").json()["data"]
    assert [(item["date"], item["deleted"]) for item in listed] == [
        ("2026-02-23", True),
        ("2026-02-24", False),
    ]
    assert listed[0]["worker"] == {
        "id": EMEKA,
        "first_name": "Emeka",
        "last_name": "Berg",
        "payroll_id": "7001",
        "external_id": None,
        "position": {"id": CARPENTER, "name": "Carpenter"},
        "contractor": {"id": "9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "name": "Lakeside Electric"},
    }


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"updated_since": "2026-02-24T23:00:00Z"}, ["2026-02-24"]),
        ({"updated_since": "2026-02-24T23:00:00.001Z"}, []),
        ({"date_from": "2026-02-24"}, ["2026-02-24"]),
        ({"date_to": "2026-02-23"}, ["2026-02-23"]),
        ({"project_id": "e81d3f70-0c5b-4c6c-8f2a-6b9a4d2c1e03", "per_page": "1"}, ["2026-02-23"]),
    ],
)
def test_timesheets_are_filtered(
    smartbarrel: httpx.Client, parameters: dict[str, str], expected: list[str]
) -> None:
    listed = smartbarrel.get("/timesheets", params=parameters).json()["data"]
    assert [item["date"] for item in listed] == expected


def test_a_timesheet_appears_as_updated_when_its_worker_exists(
    smartbarrel: httpx.Client, clock: Clock
) -> None:
    """Nobody clocks in without a worker's record; a reader of what is new must not miss the timesheet."""
    assert smartbarrel.get("/timesheets").json()["meta"]["total"] == 2
    since = {"updated_since": "2026-03-02T12:00:00Z"}
    clock.now += 60
    worker = create(smartbarrel).json()
    (new,) = smartbarrel.get("/timesheets", params=since).json()["data"]
    assert (new["worker"]["id"], new["revision"]) == (worker["id"], 1)
    assert smartbarrel.get("/timesheets").json()["meta"]["total"] == 3


def test_an_edited_timesheet_has_the_next_revision(
    smartbarrel: httpx.Client, sandbox: RunningSandbox
) -> None:
    identifier = "5b7e6c1e-9d0b-4a57-8f33-2f1f6b0c9a41"
    sandbox.state.edit_timesheet(identifier, total_hours="9.50")
    last = smartbarrel.get("/timesheets").json()["data"][-1]
    assert (last["id"], last["revision"], last["total_hours"]) == (identifier, 2, "9.50")
    assert last["updated_at"] > "2026-02-24T23:00:00Z"
