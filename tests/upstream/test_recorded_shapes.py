"""What real answers look like, as the reference has them recorded, is read through the client.

People, numbers and words are invented; keys, types and nulls are as they were seen.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from consumer.exceptions import Misconfigured, NotFound, Rejected, Transient
from consumer.model.events import UserEvent
from consumer.sandbox.faults import ERROR_BODIES
from consumer.upstream.http import classify
from consumer.upstream.procore import Procore
from consumer.upstream.procore_answers import Person, cost_code, person, timecard, user_event
from tests.upstream.site import Site


ASKED = datetime(2026, 3, 2, 12, tzinfo=UTC)
BIG = 2**40 + 7
"""An id beyond 32 bits."""

LISTED_USER: dict[str, Any] = {
    "id": 8780450,
    "name": "Ada Rao",
    "first_name": "Ada",
    "initials": "AR",
    "last_name": "Rao",
    "business_id": None,
    "address": None,
    "avatar": "https://example.com/a.png",
    "business_phone": None,
    "business_phone_extension": None,
    "city": None,
    "contact_id": 25212255,
    "country_code": "US",
    "email_address": "ada.rao@example.com",
    "employee_id": "11986",
    "erp_integrated_accountant": False,
    "fax_number": None,
    "is_active": True,
    "is_employee": True,
    "job_title": "Engineer II",
    "mobile_phone": None,
    "origin_id": None,
    "state_code": None,
    "zip": None,
    "last_activated_at": None,
    "work_classification_id": None,
    "vendor": {"id": 19174982, "name": "Granite"},
}
SHOWN_USER: dict[str, Any] = {
    **{key: value for key, value in LISTED_USER.items() if value is not None},
    "email_signature": "",
    "default_permission_template_id": 5,
    "is_insurance_manager": False,
    "add_to_new_projects": False,
    "locale": "en",
    "created_at": "2025-01-01T00:00:00Z",
}
LISTED_PERSON: dict[str, Any] = {
    "id": 25138567,
    "first_name": "Ada",
    "last_name": "Rao",
    "employee_id": "11986",
    "work_classification_id": None,
    "is_employee": True,
    "user_id": 8780450,
    "origin_id": None,
    "contact_id": 25212255,
    "contact": {"is_active": True, "email": "ada.rao@example.com"},
    "name": "Ada Rao",
    "user_uuid": "a680cd90-0000-4000-8000-000000000000",
}
NULLS = (
    *("approved_by", "clock_in", "clock_in_time", "clock_out", "clock_out_time", "completed_by"),
    *("crew", "deleted_at", "injured", "line_item_type_id", "location", "lunch_clock_in"),
    *("lunch_clock_out", "lunch_start_time", "lunch_stop_time", "lunch_time", "origin_data"),
    *("origin_id", "time_in", "procore_signature_id", "reviewed_by", "signature", "sub_job"),
    *("sub_job_id", "time_out", "timesheet", "timesheet_status", "work_classification"),
    "work_classification_id",
)
ENTRY: dict[str, Any] = {
    **dict.fromkeys(NULLS),
    "id": 77001,
    "approval_status": "pending",
    "billable": False,
    "company_id": 4281001,
    "cost_code": {"id": 501, "full_code": "03-300", "name": "Concrete"},
    "cost_code_id": 501,
    "created_at": "2025-02-03T08:00:00Z",
    "custom_fields": {},
    "date": "2025-02-02",
    "datetime": "2025-02-02T18:00:00Z",
    "description": "Pour",
    "hours": "2.0",
    "in_progress": False,
    "party": {"id": 25138567, "name": "Ada Rao", "user_id": 8780450},
    "party_id": 25138567,
    "project": {"id": 2790001, "name": "Tower"},
    "project_id": 2790001,
    "timecard_time_type": {"id": 980894, "global": None, "time_type": "Hourly"},
    "updated_at": "2025-02-03T08:00:00Z",
    "wbs_code": {"id": 9, "flat_code": "03-300.L"},
    "wbs_code_id": 9,
}


def user(item: dict[str, Any]) -> UserEvent:
    return user_event(4281001, item, ASKED)


# ------------------------------------------------------------------ users and people


def test_a_user_whose_nulls_are_left_out_is_the_one_whose_nulls_are_there() -> None:
    """The single answer omits what the list has as null: absent never means unchanged."""
    assert user(SHOWN_USER) == user(LISTED_USER)
    listed = user(LISTED_USER)
    assert (listed.user_id, listed.employee_id, listed.mobile_phone) == (8780450, "11986", None)
    assert (listed.is_active, listed.is_employee, listed.work_classification_id) == (True, True, None)


def test_a_user_of_whom_next_to_nothing_is_known_can_be_read() -> None:
    least = user({"id": BIG, "last_name": "Rao"})
    assert (least.user_id, least.first_name, least.is_employee, least.is_active) == (BIG, None, False, True)


def test_a_person_who_is_no_user_is_a_contact() -> None:
    ada = Person(25138567, 8780450, "Ada", "Rao", "11986", None, is_employee=True)
    assert person(LISTED_PERSON) == ada
    assert person(LISTED_PERSON | {"user_id": None, "user_uuid": None}).user_id is None
    assert person({key: value for key, value in LISTED_PERSON.items() if key != "user_id"}).user_id is None


def test_ids_are_read_whole_whatever_their_width() -> None:
    assert person(LISTED_PERSON | {"id": BIG, "user_id": BIG + 1}).user_id == BIG + 1
    entry = timecard(ENTRY | {"id": BIG, "party_id": BIG + 2, "cost_code_id": BIG + 3})
    assert (entry.id, entry.party_id, entry.cost_code_id) == (BIG, BIG + 2, BIG + 3)


# ------------------------------------------------------------------ timecards


def test_a_recorded_entry_is_read_with_its_hours_exact() -> None:
    entry = timecard(ENTRY)
    assert (entry.hours, entry.date, entry.approval_status) == (Decimal(2), date(2025, 2, 2), "pending")
    assert (entry.party_id, entry.project_id, entry.cost_code_id) == (25138567, 2790001, 501)
    assert (entry.origin_id, entry.sub_job_id, entry.location_id) == (None, None, None)


@pytest.mark.parametrize("hours", ["2.0", "2.00", "2", 2, 2.0])
def test_hours_are_the_same_as_text_and_as_number(hours: object) -> None:
    assert timecard(ENTRY | {"hours": hours}).hours == Decimal(2)


@pytest.mark.parametrize("origin", [4711, "4711"])
def test_an_origin_id_is_a_text_however_it_comes(origin: object) -> None:
    assert timecard(ENTRY | {"origin_id": origin}).origin_id == "4711"
    assert person(LISTED_PERSON | {"origin_id": origin}).origin_id == "4711"


@pytest.mark.parametrize(
    "fields",
    [
        {"timecard_time_type": {"id": 980894, "name": "Hourly", "abbreviated_time_type": "REG"}},
        {"timecard_time_type": None},
        {"client_local_id": None, "crew_id": None, "pay_period_id": 5},
    ],
)
def test_what_the_client_has_no_need_of_may_come_in_any_form(fields: dict[str, Any]) -> None:
    assert timecard(ENTRY | fields) == timecard(ENTRY)


@pytest.mark.parametrize("lunch", [30, "30"])
def test_a_break_is_minutes_as_a_number_or_as_text(lunch: object) -> None:
    assert timecard(ENTRY | {"lunch_time": lunch}).lunch_minutes == 30
    assert timecard(ENTRY | {"lunch_time": None}).lunch_minutes is None


def test_an_entry_without_a_party_is_nobody_s() -> None:
    assert timecard(ENTRY | {"party": None, "party_id": None}).party_id is None
    assert timecard({k: v for k, v in ENTRY.items() if not k.startswith("party")}).party_id is None


@pytest.mark.parametrize("absent", ["hours", "location", "origin_id", "description", "sub_job_id"])
def test_an_entry_s_absent_key_is_as_null(absent: str) -> None:
    without = {key: value for key, value in ENTRY.items() if key != absent}
    assert timecard(without) == timecard(ENTRY | {absent: None})


def test_an_entry_whose_status_is_not_said_is_pending() -> None:
    assert timecard(ENTRY | {"approval_status": None}).approval_status == "pending"
    assert timecard({k: v for k, v in ENTRY.items() if k != "approval_status"}).approval_status == "pending"


def test_an_entry_s_place_is_that_of_its_location() -> None:
    assert timecard(ENTRY | {"location": {"id": BIG, "name": "Roof"}}).location_id == BIG


def test_a_cost_code_belongs_to_its_sub_job_or_to_the_project() -> None:
    code = {"id": BIG, "full_code": "03-300", "biller_type": "SubJob", "biller_id": BIG + 1}
    assert cost_code(code).sub_job_id == BIG + 1
    assert cost_code(code | {"biller_type": "Project"}).sub_job_id is None


# ------------------------------------------------------------------ errors


def words(status: int, body: object) -> tuple[str, ...]:
    content = {"content": body} if isinstance(body, str) else {"json": body}
    error = classify("procore", "createTimecardEntry", httpx.Response(status, **content), 0.0)
    assert error is not None
    return error.words


SAID: dict[str, tuple[str, ...]] = {
    "message": ("You do not have the required permissions.",),
    "text": ("The access token is invalid",),
    "list": ("App is not connected to this company.",),
    "fields": ("last_name can't be blank", "origin_id has already been taken"),
    "reason": ("Cost code not found",),
    "details": ("Validation failed", "party_id is invalid"),
    "flat": ("Forbidden", "tool_disabled"),
    "string": ("invalid_token", "The access token expired"),
    "item": ("id Entity with this ID not found",),
    "html": (),
    "empty": (),
}


@pytest.mark.parametrize("shape", ERROR_BODIES)
def test_each_error_body_keeps_its_reason_word_for_word(shape: str) -> None:
    assert words(422, ERROR_BODIES[shape]) == SAID[shape]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            {"id": 0, "name": "Nobody", "errors": {"id": ["Entity with this ID not found"]}},
            ["id Entity with this ID not found"],
        ),
        (
            {"entities": [], "errors": [{"id": 0, "name": "N", "errors": {"id": ["not found", "is old"]}}]},
            ["id not found", "id is old"],
        ),
        ({"errors": [{"message": "Too many"}, "Too late"]}, ["Too many", "Too late"]),
        (
            {"code": 422, "message": "Invalid", "fields": "last_name", "reason": "is blank"},
            ["Invalid", "last_name", "is blank"],
        ),
        ({"code": 422, "message": "Invalid", "fields": None, "reason": None}, ["Invalid"]),
        ({"error": {"code": 500, "message": "Internal Server Error"}}, ["Internal Server Error"]),
    ],
)
def test_the_shapes_of_sync_actions_webhooks_and_the_generic_schema_keep_their_reasons(
    body: object, said: list[str]
) -> None:
    assert words(422, body) == tuple(said)


def test_an_item_s_input_is_not_taken_for_words() -> None:
    """A sync action repeats what was sent, which may be personal."""
    item = {"id": 0, "last_name": "Rao", "email_address": "a@example.com", "errors": {"id": ["not found"]}}
    assert "Rao" not in str(words(422, {"errors": [item]}))


# ------------------------------------------------------------------ through the client


def procore(site: Site, fault: str) -> Procore:
    """The client, all of whose requests to the API have a fault."""
    site.api.headers["X-Sandbox-Fault"] = fault
    return site.procore


def test_an_empty_200_is_no_empty_directory_but_one_without_access(site: Site) -> None:
    """Whoever set the company up is in it, so nobody is not what there is."""
    with pytest.raises(Misconfigured):
        site.run(procore(site, "empty-page").people())


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("status=422; body=reason", Rejected, ("Cost code not found",)),
        ("status=404", NotFound, ("Not Found",)),
        ("status=502", Transient, ("Bad Gateway",)),
    ],
)
def test_a_refusal_comes_through_the_wire_with_its_words(
    site: Site, fault: str, kind: type[Exception], said: tuple[str, ...]
) -> None:
    client = procore(site, fault)
    with pytest.raises(kind) as caught:
        site.run(client.sub_jobs(2790001))
    assert getattr(caught.value, "words", None) == said
