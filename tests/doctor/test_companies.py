"""What is said of upstreams that answer in unexpected ways."""

import asyncio
from collections.abc import Callable, Sequence

import httpx
import pytest

from consumer.config import Config
from consumer.doctor.companies import company_findings
from consumer.doctor.findings import Finding, Level
from consumer.upstreams import Addresses, closing_after, connect_upstreams


CONFIG = Config.model_validate(
    {
        "procore_client_id": "client",
        "procore_client_secret": "secret",
        "smartbarrel_url": "http://barrel.example.com",
        "smartbarrel_api_key": "key",
        "companies": [{"company_id": 7, "name": "Seven", "smartbarrel_company_id": "seven"}],
    }
)
WHERE = Addresses("http://api.example.com", "http://login.example.com", "http://barrel.example.com")
TOKEN = {"access_token": "token", "expires_in": 5400}
PERSON = {"id": 1, "last_name": "Örnek", "is_employee": True, "user_id": 2, "name": "Ayşe Örnek"}
NONE = {"data": [], "meta": {"page": 1, "per_page": 200, "total": 0}}

Answer = Callable[[httpx.Request], httpx.Response]


def json_of(value: object) -> Answer:
    return lambda _: httpx.Response(200, json=value)


def status(number: int, **headers: str) -> Answer:
    return lambda _: httpx.Response(
        number, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


NOBODY, GRANTED, EMPTY = json_of([]), json_of(TOKEN), json_of(NONE)


def examined(api: Answer = NOBODY, login: Answer = GRANTED, barrel: Answer = EMPTY) -> Sequence[Finding]:
    """What is found of one company whose upstreams answer in these ways."""
    by_host = {"api.example.com": api, "login.example.com": login, "barrel.example.com": barrel}
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != "/oauth/token":
            asked.append(request.method)
        return by_host[request.url.host](request)

    upstreams = connect_upstreams(WHERE, CONFIG.companies, CONFIG, httpx.MockTransport(answer))
    found = asyncio.run(closing_after(company_findings(upstreams.companies[7]), upstreams))
    assert set(asked) <= {"GET"}, "nothing is written"
    return found


def only(found: Sequence[Finding], level: Level) -> Finding:
    (one,) = (finding for finding in found if finding.level is level)
    return one


@pytest.mark.parametrize(
    ("login", "what", "remedy"),
    [
        (status(401), "HTTP 401", "CREWSYNC_PROCORE_CLIENT_SECRET"),
        (status(400), "HTTP 400", "CREWSYNC_PROCORE_CLIENT_SECRET"),
        (status(404), "HTTP 404", "CREWSYNC_PROCORE_LOGIN_URL"),
        (status(302, location="http://elsewhere.example.com"), "HTTP 302", "CREWSYNC_PROCORE_LOGIN_URL"),
        (status(502), "HTTP 502", "run this again"),
        (status(429, retry_after="9"), "HTTP 429", "run this again"),
        (json_of({"token": "other"}), "not what it should be", "CREWSYNC_PROCORE_LOGIN_URL"),
        (lambda _: httpx.Response(200, text="<html>"), "not what it should be", "CREWSYNC_PROCORE_LOGIN_URL"),
    ],
    ids=["refused", "refused with 400", "no such page", "moved", "down", "limited", "other JSON", "a page"],
)
def test_without_a_token_procore_is_asked_for_nothing_more(login: Answer, what: str, remedy: str) -> None:
    finding = only(examined(login=login), Level.FAIL)
    assert finding.what.startswith("Seven (7): Procore gives no access token (")
    assert what in finding.what
    assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("barrel", "level", "what", "remedy"),
    [
        (status(401), Level.FAIL, "refuses the API key", "CREWSYNC_SMARTBARREL_API_KEY"),
        (status(404), Level.FAIL, "does not open this company", "smartbarrel_company_id"),
        (status(503), Level.FAIL, "is out of order (HTTP 503)", "run this again"),
        (status(429, retry_after="9"), Level.WARN, "its rate limit is spent", "run this again"),
        (json_of([]), Level.FAIL, "cannot be understood", "CREWSYNC_SMARTBARREL_URL"),
        (json_of({"data": 5}), Level.FAIL, "cannot be understood", "CREWSYNC_SMARTBARREL_URL"),
        (lambda _: httpx.Response(200, text="<html>"), Level.FAIL, "cannot be underst", "SMARTBARREL_URL"),
    ],
    ids=["wrong key", "no company", "down", "limited", "a list", "another object", "a page"],
)
def test_one_answer_to_all_questions_is_one_finding(
    barrel: Answer, level: Level, what: str, remedy: str
) -> None:
    (finding,) = (one for one in examined(barrel=barrel) if "SmartBarrel" in one.what)
    assert finding.level is level
    assert what in finding.what
    assert remedy in finding.remedy


def api(request: httpx.Request) -> httpx.Response:
    """A Procore with people, but no projects."""
    return httpx.Response(200, json=[] if "people" not in request.url.path else [PERSON])


def test_no_project_is_a_warning_and_no_user_a_failure() -> None:
    found = examined(api)
    assert "Procore shows no projects" in only(found, Level.WARN).what
    assert "Procore shows no users: hidden from the account" in only(found, Level.FAIL).what
    assert "Procore shows people, timecards" in found[0].what


def test_a_refusal_of_one_list_is_told_beside_what_can_be_read() -> None:
    def partly(request: httpx.Request) -> httpx.Response:
        return api(request) if "timecard" not in request.url.path else httpx.Response(403)

    refused = [one for one in examined(partly) if "timecards" in one.what]
    assert [(one.level, "Timesheets tool" in one.remedy) for one in refused] == [(Level.FAIL, True)]
