"""Procore: tokens, the company header, rate limits and pages."""

from collections.abc import Callable

import httpx
import pytest

from consumer.sandbox.limits import RateBudget
from consumer.sandbox.server import RunningSandbox
from tests.contracts import BREAKS_CONTRACT
from tests.sandbox.company import Clock


PEOPLE = "/rest/v1.0/companies/4281001/people"
USERS = "/rest/v1.3/companies/4281001/users"


def credentials(sandbox: RunningSandbox, **changes: str) -> dict[str, str]:
    address = sandbox.address
    return {
        "grant_type": "client_credentials",
        "client_id": address.client_id,
        "client_secret": address.client_secret,
    } | changes


@pytest.mark.parametrize("form", ["json", "data"])
def test_the_login_server_gives_a_token_for_90_minutes(
    sandbox: RunningSandbox, open_client: Callable[..., httpx.Client], form: str
) -> None:
    login = open_client(sandbox.address.procore_login_url)
    answer = login.post("/oauth/token", **{form: credentials(sandbox)})  # type: ignore[arg-type]
    token = answer.json()
    assert (answer.status_code, token["expires_in"], token["created_at"]) == (200, 5400, 1772452800)
    headers = {"Authorization": f"Bearer {token['access_token']}", "Procore-Company-Id": "4281001"}
    assert open_client(sandbox.address.procore_url, headers).get(PEOPLE).status_code == 200


@pytest.mark.parametrize("wrong", ["client_id", "client_secret"])
def test_wrong_credentials_are_refused(
    sandbox: RunningSandbox, open_client: Callable[..., httpx.Client], wrong: str
) -> None:
    login = open_client(sandbox.address.procore_login_url)
    answer = login.post("/oauth/token", json=credentials(sandbox, **{wrong: "nobody"}))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


def test_another_grant_type_is_refused(
    sandbox: RunningSandbox, open_client: Callable[..., httpx.Client]
) -> None:
    login = open_client(sandbox.address.procore_login_url)
    body = credentials(sandbox, grant_type="password")
    answer = login.post("/oauth/token", json=body, extensions=BREAKS_CONTRACT)
    assert (answer.status_code, answer.json()["error"]) == (401, "unsupported_grant_type")


def test_tokens_come_from_the_login_server_only(sandbox: RunningSandbox) -> None:
    url = f"{sandbox.address.procore_url}/oauth/token"
    assert httpx.post(url, json=credentials(sandbox)).status_code == 401


def test_a_token_expires(procore: httpx.Client, clock: Clock) -> None:
    clock.now += 5399
    assert procore.get(PEOPLE).status_code == 200
    clock.now += 1
    answer = procore.get(PEOPLE)
    assert (answer.status_code, answer.json()["reason"]) == (401, "token_expired")


def test_an_unknown_token_is_refused(procore: httpx.Client) -> None:
    answer = procore.get(PEOPLE, headers={"Authorization": "Bearer nonsense"})
    assert (answer.status_code, answer.json()) == (401, {"errors": "The access token is invalid"})


def test_the_company_header_is_required(procore: httpx.Client) -> None:
    del procore.headers["Procore-Company-Id"]
    answer = procore.get(PEOPLE, extensions=BREAKS_CONTRACT)
    assert (answer.status_code, answer.json()) == (400, {"message": "Missing Procore-Company-Id header!"})


@pytest.mark.parametrize(
    ("header", "path"),
    [
        ("99", PEOPLE),
        ("4281001", "/rest/v1.0/companies/99/people"),
        ("4281001", "/rest/v1.0/projects?company_id=99"),
    ],
)
def test_a_company_that_the_app_is_not_connected_to_is_refused(
    procore: httpx.Client, header: str, path: str
) -> None:
    answer = procore.get(path, headers={"Procore-Company-Id": header})
    assert answer.status_code == 403
    assert answer.json() == {"errors": ["App is not connected to this company."]}


def test_an_unknown_path_is_not_found(procore: httpx.Client) -> None:
    answer = procore.get("/rest/v1.0/sub_job", extensions=BREAKS_CONTRACT)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not found"})


def test_pages_come_with_total_and_links(procore: httpx.Client) -> None:
    """Three active people, two on a page."""
    first = procore.get(PEOPLE, params={"per_page": 2, "filters[search]": "a"})
    assert [person["id"] for person in first.json()] == [25130001, 25130002]
    assert (first.headers["Total"], first.headers["Per-Page"]) == ("3", "2")
    assert set(first.links) == {"first", "next", "last"}
    second = procore.get(first.links["next"]["url"])
    assert [person["id"] for person in second.json()] == [25130004]
    assert set(second.links) == {"first", "prev", "last"}
    assert second.links["last"]["url"] == first.links["last"]["url"] == str(second.url)


def test_a_page_after_the_last_is_empty(procore: httpx.Client) -> None:
    answer = procore.get(PEOPLE, params={"page": 9})
    assert (answer.status_code, answer.json(), answer.headers["Total"]) == (200, [], "3")


@pytest.mark.parametrize("parameter", [{"page": "0"}, {"page": "x"}, {"per_page": "-1"}])
def test_a_page_that_cannot_be_is_refused(procore: httpx.Client, parameter: dict[str, str]) -> None:
    assert procore.get(PEOPLE, params=parameter, extensions=BREAKS_CONTRACT).status_code == 400


def rate(answer: httpx.Response) -> tuple[int, int, int]:
    names = ("Limit", "Remaining", "Reset")
    limit, remaining, reset = (int(answer.headers[f"X-Rate-Limit-{name}"]) for name in names)
    return limit, remaining, reset


def test_the_spike_limit_refuses_until_its_window_has_rolled_on(
    run: Callable[..., RunningSandbox],
    procore_of: Callable[[RunningSandbox], httpx.Client],
    clock: Clock,
) -> None:
    procore = procore_of(run(budget=RateBudget(hourly=600, spike=3)))
    assert rate(procore.get(USERS)) == (3, 2, 1772452810)
    clock.now += 4
    assert [rate(procore.get(USERS))[1] for _ in range(2)] == [1, 0]
    refused = procore.get(USERS)
    assert (refused.status_code, rate(refused)) == (429, (3, 0, 1772452810))
    assert refused.json()["message"].startswith("You have surpassed the max number of requests")
    clock.now += 6
    assert rate(procore.get(USERS)) == (3, 0, 1772452814)


def test_the_hourly_limit_is_reported_when_it_is_nearer_and_survives_a_restart(
    run: Callable[..., RunningSandbox],
    procore_of: Callable[[RunningSandbox], httpx.Client],
    clock: Clock,
) -> None:
    budget = RateBudget(hourly=3, spike=25)
    first = run(budget=budget)
    assert rate(procore_of(first).get(USERS)) == (3, 2, 1772456400)
    first.close()
    procore = procore_of(run(budget=budget))
    assert [rate(procore.get(USERS))[1] for _ in range(2)] == [1, 0]
    assert procore.get(USERS).status_code == 429
    clock.now = 1772456400.0
    assert procore.get(USERS).status_code == 200


def test_refusals_carry_the_rate_limit_too(procore: httpx.Client) -> None:
    before = rate(procore.get(f"{USERS}/8800101"))[1]
    missing = procore.get(f"{USERS}/1")
    assert (missing.status_code, rate(missing)[1]) == (404, before - 1)
