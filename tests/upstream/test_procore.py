"""The Procore client against the sandbox; every exchange is checked against the contract."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.exceptions import (
    Misconfigured,
    NotFound,
    RateLimited,
    Rejected,
    Transient,
    UpstreamError,
)
from consumer.model.events import UserEvent
from consumer.sandbox.limits import RateBudget
from consumer.secret import Secret
from consumer.upstream.procore import Procore
from consumer.upstream.procore_answers import Project, person, project, text, user_event
from tests.upstream.site import (
    COMPANY,
    CONCRETE_1,
    FLOOR_1,
    FLOOR_2,
    GENERAL,
    NORTH,
    ROOF,
    SECRET,
    TOWER,
    YARD,
    Mishap,
    Site,
    user,
)
from tests.upstream.site import person as person_data


DAY = date(2026, 2, 24)
ASKED_AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
MARIA = 25130001
ENTRY: dict[str, object] = {
    "date": "2026-02-24",
    "hours": "8.00",
    "party_id": MARIA,
    "description": "Created By SmartBarrel",
    "billable": True,
    "origin_id": "sb:5b7e6c1e",
    "sub_job_id": FLOOR_1,
    "cost_code_id": CONCRETE_1,
    "location_id": ROOF,
}


def token_requests(site: Site) -> int:
    return sum(request.url.path == "/oauth/token" for request in site.wire.seen)


async def all_users(procore: Procore) -> list[list[UserEvent]]:
    return [list(page) async for page in procore.users()]


# ------------------------------------------------------------------ token


def test_concurrent_calls_share_one_token(site: Site) -> None:
    async def calls() -> None:
        await asyncio.gather(*(site.procore.sub_jobs(TOWER) for _ in range(10)))

    site.run(calls())
    assert token_requests(site) == 1
    assert (
        len(
            {request.headers["Authorization"] for request in site.wire.seen if "sub_jobs" in str(request.url)}
        )
        == 1
    )


def test_a_token_that_was_refused_is_renewed_once_for_all_who_held_it(site: Site) -> None:
    site.run(site.procore.sub_jobs(TOWER))
    site.clock.now += 5401  # the token's life is over, which this client has no clock for

    async def calls() -> list[Any]:
        return await asyncio.gather(*(site.procore.sub_jobs(TOWER) for _ in range(10)))

    assert all(len(found) == 2 for found in site.run(calls()))
    assert token_requests(site) == 2


def test_a_call_that_is_refused_with_a_new_token_too_is_a_matter_of_configuration(site: Site) -> None:
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        if request.url.path == "/oauth/token":
            token = {"access_token": f"t{len(asked)}", "token_type": "bearer", "expires_in": 5400}
            return httpx.Response(200, json=token)
        return httpx.Response(401, json={"errors": "The access token is invalid"})

    site.wire.servers = dict.fromkeys(site.wire.servers, httpx.MockTransport(refuse))
    with pytest.raises(Misconfigured) as caught:
        site.run(site.procore.sub_jobs(TOWER))
    assert caught.value.words == ("The access token is invalid",)
    assert asked == ["/oauth/token", "/rest/v1.0/sub_jobs"] * 2


def test_a_token_is_renewed_before_its_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("consumer.upstream.procore_tokens.time.monotonic", lambda: now)
    first = site.run(site.tokens.get())
    now += 5400 - 61
    assert site.run(site.tokens.get()) == first
    now += 1
    assert site.run(site.tokens.get()) != first


def test_wrong_credentials_are_a_matter_of_configuration(site: Site) -> None:
    procore = Procore(site.api, site.new_tokens("another-secret"), COMPANY)
    with pytest.raises(Misconfigured) as caught:
        site.run(procore.sub_jobs(TOWER))
    assert caught.value.words == ("invalid_client", "Client authentication failed")
    assert "another-secret" not in f"{caught.value!r} {caught.value.words}"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 302])
def test_a_login_server_that_refuses_is_a_matter_of_configuration_whatever_its_status(
    site: Site, status: int
) -> None:
    """A wrong login address (404) must hold the company's records, not fail them one by one."""
    answer = httpx.Response(status, json={"error": "invalid_client"})
    site.wire.servers["login.test"] = httpx.MockTransport(lambda _: answer)
    with pytest.raises(Misconfigured):
        site.run(site.procore.sub_jobs(TOWER))


def test_a_login_server_that_does_not_answer_is_transient_and_asked_again(site: Site) -> None:
    site.lose_answer("POST", "/oauth/token")
    with pytest.raises(Transient):
        site.run(site.procore.sub_jobs(TOWER))
    assert len(site.run(site.procore.sub_jobs(TOWER))) == 2


def test_a_company_that_the_app_is_not_connected_to_is_a_matter_of_configuration(site: Site) -> None:
    with pytest.raises(Misconfigured) as caught:
        site.run(Procore(site.api, site.tokens, 99).people())
    assert caught.value.words == ("App is not connected to this company.",)
    assert token_requests(site) == 1, "403 says nothing about the token"


def test_a_spent_budget_is_rate_limited_until_its_reset(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    site = build(budget=RateBudget(hourly=600, spike=2))
    monkeypatch.setattr("consumer.upstream.http.time.time", lambda: site.clock.now + 4)
    site.run(site.procore.people())
    with pytest.raises(RateLimited) as caught:
        site.run(site.procore.people())
    assert caught.value.retry_after_s == 6.0


def test_every_call_names_the_company(site: Site) -> None:
    async def calls() -> None:
        await all_users(site.procore)
        await site.procore.people()
        for project_call in (site.procore.sub_jobs, site.procore.locations):
            await project_call(TOWER)
        await site.procore.cost_codes(TOWER, None)
        await site.procore.timecards({MARIA}, DAY, DAY)
        made = await site.procore.create_timecard(TOWER, ENTRY)
        await site.procore.timecard(made.id)
        await site.procore.update_timecard(made.id, TOWER, ENTRY)
        await site.procore.create_contact(
            first_name="Priya", last_name="Nair", employee_id=None, origin_id="sb:w"
        )

    site.run(calls())
    named = [request.headers.get("Procore-Company-Id") for request in site.wire.seen]
    assert named == [None, *[str(COMPANY)] * (len(named) - 1)], "all but the token's"


# ------------------------------------------------------------------ directory


def test_users_are_read_over_all_pages_active_ones_first(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 2)
    site = build(
        users=[user(number, "Ada", f"Number{number}", is_active=number % 3 > 0) for number in range(1, 9)],
        people=[],
    )
    pages = site.run(all_users(site.procore))
    numbers = [[event.user_id - 8800100 for event in page] for page in pages]
    assert numbers == [[1, 2], [4, 5], [7, 8], [3, 6]]
    assert [event.is_active for page in pages for event in page] == [True] * 6 + [False] * 2


def test_a_user_is_as_of_the_moment_at_which_their_page_was_asked_for(site: Site) -> None:
    before = datetime.now(UTC)
    ((event,), _) = site.run(all_users(site.procore))
    assert before <= event.asked_at <= datetime.now(UTC)
    assert event.asked_at.utcoffset() == timedelta(0)


def test_an_account_that_sees_nobody_lacks_access(build: Callable[..., Site]) -> None:
    """Whoever set the company up is a user: a sync of nobody must not look whole, nor a worker unknown."""
    site = build(users=[], people=[])
    for call in (all_users(site.procore), site.procore.people(), site.procore.probe()):
        with pytest.raises(Misconfigured) as caught:
            site.run(call)
        assert caught.value.words == ("The list is empty: the account has no access.",)


ABSENT = object()


@pytest.mark.parametrize("nothing", [ABSENT, None, "", "   "], ids=["absent", "null", "empty", "blank"])
@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("first_name", "first_name"),
        ("email_address", "email"),
        ("mobile_phone", "mobile_phone"),
        ("country_code", "country_code"),
        ("employee_id", "employee_id"),
    ],
)
def test_null_absent_and_empty_all_mean_that_a_user_has_none(key: str, name: str, nothing: object) -> None:
    item = {**user(1, "Maria", "Delgado", country_code="US"), key: nothing}
    if nothing is ABSENT:
        del item[key]
    assert getattr(user_event(COMPANY, item, ASKED_AT), name) is None


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_user_without_an_email_comes_through_the_wire_as_one_without(
    build: Callable[..., Site], nothing: str | None
) -> None:
    site = build(users=[user(1, "Maria", "Delgado", email_address=nothing)], people=[])
    ((event,), _) = site.run(all_users(site.procore))
    assert event.email is None


def test_a_user_has_what_procore_says_without_white_space_around_it() -> None:
    item = user(
        1, " Maria\t", "Delgado ", employee_id=" 20301 ", country_code="US", work_classification_id=57801
    )
    assert user_event(COMPANY, item, ASKED_AT) == UserEvent(
        company_id=COMPANY,
        user_id=8800101,
        asked_at=ASKED_AT,
        first_name="Maria",
        last_name="Delgado",
        email=item["email_address"].strip(),
        mobile_phone="(512) 555-0101",
        country_code="US",
        employee_id="20301",
        is_employee=True,
        is_active=True,
        work_classification_id=57801,
    )


def test_a_user_on_the_list_of_inactive_ones_is_inactive_even_if_the_item_does_not_say_so(site: Site) -> None:
    """No answer of that list is on record: what its items carry is not known, that they are inactive is."""
    item = user(3, "Lena", "Brandt")
    del item["is_active"]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[item] if request.url.path.endswith("inactive") else [])

    site.run(site.tokens.get())
    site.wire.servers["procore.test"] = httpx.MockTransport(answer)
    _, (event,) = site.run(all_users(site.procore))
    assert not event.is_active


@given(st.none() | st.text())
def test_text_is_none_or_has_something_other_than_white_space(value: str | None) -> None:
    assert text(value) == ((value or "").strip() or None)


def test_people_are_users_and_contacts_active_and_inactive(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 1)
    gone = {"contact": {"is_active": False, "email": None}}
    site = build(
        people=[
            person_data(1, "Maria", "Delgado"),
            person_data(4, "Priya", "Nair", user_id=None, origin_id="sb:known", employee_id=None),
            person_data(5, "Joan", "Idle", user_id=None, **gone),
        ]
    )
    people = site.run(site.procore.people())
    assert [(one.id, one.user_id, one.origin_id, one.employee_id) for one in people] == [
        (MARIA, 8800101, None, "20301"),
        (25130004, None, "sb:known", None),
        (25130005, None, None, "20305"),
    ]


Change = Callable[[httpx.Request, httpx.Response], httpx.Response]


def tamper(site: Site, change: Change) -> None:
    """Let Procore's answers to list calls be changed on their way."""
    server = site.wire.servers["procore.test"]

    async def answer(request: httpx.Request) -> httpx.Response:
        response = await server.handle_async_request(request)
        await response.aread()
        return change(request, response)

    site.wire.servers["procore.test"] = httpx.MockTransport(answer)


def list_calls(site: Site) -> list[str]:
    return [
        f"{request.url.path.rpartition('/')[2]} {request.url.params['page']}"
        for request in site.wire.seen
        if "page" in request.url.params
    ]


def whole(site: Site, what: str) -> Sequence[object]:
    if what == "people":
        return site.run(site.procore.people())
    if what == "projects":
        return site.run(site.procore.projects())
    return [event for page in site.run(all_users(site.procore)) for event in page]


LISTS = pytest.mark.parametrize("what", ["users", "people", "projects"])


@LISTS
def test_a_list_that_is_empty_although_it_says_otherwise_is_no_list(site: Site, what: str) -> None:
    def emptied(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, json=[], headers={"Total": response.headers["Total"]})

    tamper(site, emptied)
    with pytest.raises(Transient):
        whole(site, what)
    assert list_calls(site) == [f"{what} 1"] * 2


@LISTS
def test_a_list_that_lacks_a_page_is_no_list(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """A proxy that loses the Link header makes the first page look like the last."""
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 1)
    everybody = [(1, "Maria", "Delgado"), (2, "Tomas", "Okafor")]
    site = build(users=[user(*one) for one in everybody], people=[person_data(*one) for one in everybody])

    def unlinked(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        return httpx.Response(200, content=response.content, headers={"Total": response.headers["Total"]})

    tamper(site, unlinked)
    with pytest.raises(Transient):
        whole(site, what)
    assert list_calls(site) == [f"{what} 1"] * 2


@LISTS
def test_a_list_that_does_not_say_how_long_it_is_is_taken_as_it_comes(site: Site, what: str) -> None:
    def silent(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        del response.headers["Total"]
        return response

    tamper(site, silent)
    assert len(whole(site, what)) == (2 if what == "projects" else 1)


@LISTS
def test_a_server_that_gives_fewer_rows_to_a_page_than_asked_for_is_followed_by_its_links(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr("consumer.sandbox.procore_wire.MAX_PER_PAGE", 1)
    everybody = [(1, "Maria", "Delgado"), (2, "Tomas", "Okafor")]
    site = build(users=[user(*one) for one in everybody], people=[person_data(*one) for one in everybody])
    assert len(whole(site, what)) == 2
    assert list_calls(site)[:2] == [f"{what} 1", f"{what} 2"]


def test_a_user_who_moved_between_pages_is_read_all_the_same_and_nobody_twice(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 2)
    site = build(users=[user(number, "Ada", f"Number{number}") for number in range(1, 7)])

    # The fifth moves to the first page after that one was read, so that no page has them any more.
    moved = {2: (2, 3), 3: (4, 6)}

    def answer(_: httpx.Request, response: httpx.Response) -> httpx.Response:
        numbers = moved.get(len(list_calls(site)))
        if numbers is None:
            return response
        items = [user(number, "Ada", f"Number{number}") for number in numbers]
        headers = {name: response.headers[name] for name in ("Link", "Total")}
        return httpx.Response(200, json=items, headers=headers)

    tamper(site, answer)
    events = [event for page in site.run(all_users(site.procore)) for event in page]
    assert [event.user_id - 8800100 for event in events] == [1, 2, 3, 4, 6, 5]


def test_people_are_read_on_at_the_page_that_failed(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 1)
    people = [person_data(number, "Ada", f"Number{number}", user_id=None) for number in range(1, 5)]
    site = build(people=people)
    go_on = site.procore.people_reading()
    site.wire.mishaps.append(Mishap(lambda request: request.url.params.get("page") == "3"))
    with pytest.raises(Transient):
        site.run(go_on())
    assert [one.last_name for one in site.run(go_on())] == [f"Number{number}" for number in range(1, 5)]
    assert list_calls(site) == [*(f"people {number}" for number in (1, 2, 3, 3, 4)), "inactive 1"]


def test_a_project_has_its_time_zone_whether_it_is_active_or_not(site: Site) -> None:
    assert [(one.id, one.name) for one in site.run(site.procore.projects())] == [
        (TOWER, "Harbor Point Tower"),
        (YARD, "Yard"),
    ]
    (request,) = [one for one in site.wire.seen if one.url.path == "/rest/v1.0/projects"]
    assert request.url.params["company_id"] == str(COMPANY)
    assert request.url.params["filters[by_status]"] == "All"


@pytest.mark.parametrize("nothing", [ABSENT, None, ""], ids=["absent", "null", "empty"])
def test_a_project_without_a_time_zone_has_none(nothing: object) -> None:
    item = {"id": TOWER, "name": "Harbor Point Tower", "time_zone": nothing}
    if nothing is ABSENT:
        del item["time_zone"]
    assert project(item) == Project(TOWER, "Harbor Point Tower", None)
    assert project({**item, "time_zone": "US/Pacific"}).time_zone == "US/Pacific"


def test_a_person_without_a_last_name_has_an_empty_one() -> None:
    assert person({"id": 1, "user_id": None, "last_name": None, "is_employee": True}).last_name == ""


def test_a_contact_is_created_as_an_employee_with_its_origin(site: Site) -> None:
    made = site.run(
        site.procore.create_contact(
            first_name="Priya", last_name="Nair", employee_id="7001", origin_id="sb:worker-1"
        )
    )
    (stored,) = [one for one in site.state.people() if one["id"] == made.id]
    assert (stored["first_name"], stored["last_name"]) == ("Priya", "Nair")
    assert (stored["employee_id"], stored["origin_id"], stored["is_employee"]) == (
        "7001",
        "sb:worker-1",
        True,
    )
    assert (made.user_id, made.origin_id) == (None, "sb:worker-1")
    assert site.run(site.procore.people())[-1] == made


def test_a_contact_without_employee_id_is_sent_without_one(site: Site) -> None:
    made = site.run(
        site.procore.create_contact(
            first_name="Priya", last_name="Nair", employee_id=None, origin_id="sb:worker-1"
        )
    )
    assert made.employee_id is None


def test_a_second_contact_with_an_origin_is_refused_in_procores_words(site: Site) -> None:
    async def twice() -> None:
        for _ in range(2):
            await site.procore.create_contact(
                first_name="Priya", last_name="Nair", employee_id=None, origin_id="sb:worker-1"
            )

    with pytest.raises(Rejected) as caught:
        site.run(twice())
    assert caught.value.words == ("origin_id has already been taken",)


# ------------------------------------------------------------------ timecards


def test_a_timecard_is_read_as_it_was_created(site: Site) -> None:
    made = site.run(site.procore.create_timecard(TOWER, ENTRY))
    assert made.id > 2**32, "ids may exceed 32 bits"
    assert (made.project_id, made.party_id, made.date, made.hours) == (TOWER, MARIA, DAY, Decimal(8))
    assert (made.sub_job_id, made.cost_code_id, made.location_id) == (FLOOR_1, CONCRETE_1, ROOF)
    assert (made.description, made.origin_id) == ("Created By SmartBarrel", "sb:5b7e6c1e")
    assert made.approval_status == "pending"
    assert site.run(site.procore.timecard(made.id)) == made
    assert site.run(site.procore.timecards({MARIA}, DAY, DAY)) == [made]


def test_a_timecard_without_codes_and_origin_has_none(site: Site) -> None:
    made = site.run(site.procore.create_timecard(TOWER, {"date": "2026-02-24", "hours": "0.25"}))
    assert made.hours == Decimal("0.25")
    assert (made.party_id, made.sub_job_id, made.cost_code_id, made.location_id) == (None, None, None, None)
    assert (made.description, made.origin_id) == (None, None)


def test_a_persons_timecards_are_those_of_one_day_open_ones_included(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 2)
    site = build(people=[person_data(1, "Maria", "Delgado"), person_data(2, "Tomas", "Okafor")])

    async def fill() -> list[int]:
        made = [
            await site.procore.create_timecard(
                TOWER, {"date": "2026-02-24", "hours": "1.00", "party_id": MARIA}
            )
            for _ in range(3)
        ]
        still_open = {"date": "2026-02-24", "time_in": "2026-02-24T14:00:00Z", "party_id": MARIA}
        made.append(await site.procore.create_timecard(TOWER, still_open))
        await site.procore.create_timecard(TOWER, {"date": "2026-02-25", "hours": "1.00", "party_id": MARIA})
        await site.procore.create_timecard(
            TOWER, {"date": "2026-02-24", "hours": "1.00", "party_id": MARIA + 1}
        )
        return [entry.id for entry in made]

    expected = site.run(fill())
    found = site.run(site.procore.timecards({MARIA}, DAY, DAY))
    assert [entry.id for entry in found] == expected
    assert found[-1].hours is None


def test_a_timecard_is_changed(site: Site) -> None:
    made = site.run(site.procore.create_timecard(TOWER, ENTRY))
    changes = {**ENTRY, "hours": "6.50", "sub_job_id": FLOOR_2, "cost_code_id": GENERAL, "location_id": NORTH}
    changed = site.run(site.procore.update_timecard(made.id, TOWER, changes))
    assert (changed.id, changed.hours, changed.location_id) == (made.id, Decimal("6.5"), NORTH)
    assert site.run(site.procore.timecard(made.id)) == changed


def test_a_timecard_that_is_not_there_is_not_found(site: Site) -> None:
    for call in (site.procore.timecard(1), site.procore.update_timecard(1, TOWER, ENTRY)):
        with pytest.raises(NotFound):
            site.run(call)


@pytest.mark.parametrize("status", ["approved", "completed"])
def test_a_locked_timecard_refuses_in_procores_words(site: Site, status: str) -> None:
    made = site.run(site.procore.create_timecard(TOWER, ENTRY))
    site.state.edit_timecard_entry(made.id, approval_status=status)
    with pytest.raises(Rejected) as caught:
        site.run(site.procore.update_timecard(made.id, TOWER, ENTRY))
    assert caught.value.words == (f"Timecard entry is {status} and cannot be edited",)
    assert site.run(site.procore.timecard(made.id)).approval_status == status


def test_every_field_that_is_wrong_is_named_in_procores_words(site: Site) -> None:
    with pytest.raises(Rejected) as caught:
        site.run(site.procore.create_timecard(TOWER, {**ENTRY, "cost_code_id": 1, "party_id": 2}))
    assert set(caught.value.words) == {"cost_code_id is not available on this project", "party_id is invalid"}


# ------------------------------------------------------------------ reference data


def test_sub_jobs_cost_codes_and_locations_are_read_over_all_pages(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 1)
    sub_jobs = site.run(site.procore.sub_jobs(TOWER))
    assert [(one.id, one.code) for one in sub_jobs] == [(FLOOR_1, "FL1"), (FLOOR_2, "FL2")]
    codes = site.run(site.procore.cost_codes(TOWER, None))
    assert [(one.full_code, one.sub_job_id) for one in codes] == [
        ("03-300", FLOOR_1),
        ("03-300", FLOOR_2),
        ("03-100", None),
    ]
    of_floor = site.run(site.procore.cost_codes(TOWER, FLOOR_1))
    assert [one.id for one in of_floor] == [CONCRETE_1]
    assert [one.name for one in site.run(site.procore.locations(TOWER))] == ["North", "North>Roof"]


def test_a_project_that_is_not_there_is_not_found(site: Site) -> None:
    with pytest.raises(NotFound):
        site.run(site.procore.locations(1))


@pytest.mark.parametrize("before", [True, False], ids=["before its effect", "after its effect"])
def test_a_call_without_an_answer_is_transient(site: Site, before: bool) -> None:
    site.lose_answer("POST", "/timecard_entries", after_effect=not before)
    with pytest.raises(Transient) as caught:
        site.run(site.procore.create_timecard(TOWER, ENTRY))
    assert isinstance(caught.value, UpstreamError)
    assert caught.value.words == ("ReadTimeout",)
    assert len(site.state.timecard_entries()) == (0 if before else 1)


def test_a_client_secret_that_was_changed_in_its_file_is_used_for_the_next_token(
    site: Site, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text("of-yesterday")
    procore = Procore(site.api, site.new_tokens(Secret("of-yesterday", path)), COMPANY)
    with pytest.raises(Misconfigured):
        site.run(procore.sign_in())
    path.write_text(f"{SECRET}\n")
    site.run(procore.sign_in())
