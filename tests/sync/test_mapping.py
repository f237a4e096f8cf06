"""What an event means for the other system: gates, requirements, fingerprints, ids and fields."""

import dataclasses
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.model import reasons
from consumer.model.events import Named, ShiftStatus, TimesheetEvent, UserEvent
from consumer.model.results import Reason
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry
from consumer.sync.fingerprint import fingerprint
from consumer.sync.mapping import (
    Booking,
    Codes,
    NotDue,
    WorkerFields,
    external_id,
    hours_text,
    origin_id,
    procore_id,
    revision_of,
    shift_detail,
    shift_fingerprint,
    shift_not_due,
    shift_times,
    timecard_fields,
    user_fingerprint,
    user_warnings,
    worker_fields,
)
from tests.sync.people import ASKED_AT, CONTRACTOR, MARIA, SHIFT, maria, priya, shift
from tests.upstream.site import COMPANY


SETTINGS = CompanySettings(COMPANY)
EMPTY = st.sampled_from([None, ""])


def codes_of(outcome: WorkerFields | NotDue | None) -> list[str]:
    assert isinstance(outcome, NotDue)
    return [reason.code for reason in outcome.reasons]


# ------------------------------------------------------------------ users


def test_a_complete_employee_is_a_worker_with_procores_values() -> None:
    assert worker_fields(MARIA, SETTINGS) == WorkerFields(
        first_name="Maria",
        last_name="Delgado",
        email="maria.delgado@example.com",
        phone_number="+15125550101",
        payroll_id="20301",
        external_id="procore:8800101",
    )


REQUIRED = {
    "first_name": reasons.MISSING_FIRST_NAME,
    "last_name": reasons.MISSING_LAST_NAME,
    "email": reasons.MISSING_EMAIL,
    "mobile_phone": reasons.MISSING_PHONE,
}


@given(st.dictionaries(st.sampled_from(sorted(REQUIRED)), EMPTY, min_size=1))
def test_all_that_is_missing_is_said_at_once(missing: dict[str, Any]) -> None:
    expected = {REQUIRED[name] for name in missing}
    outcome = worker_fields(maria(**missing), SETTINGS)
    assert isinstance(outcome, NotDue)
    assert len(outcome.reasons) == len(expected)
    assert set(outcome.reasons) == expected


def test_an_unusable_phone_is_said_together_with_what_is_missing() -> None:
    outcome = worker_fields(maria(email=None, mobile_phone="555-0101"), SETTINGS)
    assert codes_of(outcome) == ["missing_email", "unusable_phone"]


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_nothing_but_white_space_is_missing(name: str) -> None:
    blank: Any = " \t"
    assert codes_of(worker_fields(replace(MARIA, **{name: blank}), SETTINGS)) == [REQUIRED[name].code]


def test_an_employee_id_of_white_space_is_none_and_warned_about() -> None:
    user = maria(employee_id="  ")
    fields = worker_fields(user, SETTINGS)
    assert isinstance(fields, WorkerFields)
    assert fields.payroll_id is None
    assert user_warnings(user) == (reasons.MISSING_EMPLOYEE_ID,)


GATES: list[tuple[dict[str, Any], CompanySettings, Reason]] = [
    ({}, replace(SETTINGS, user_sync=False), reasons.USER_SYNC_OFF),
    ({"is_employee": False}, SETTINGS, reasons.NOT_AN_EMPLOYEE),
    ({"is_active": False}, SETTINGS, reasons.USER_INACTIVE),
]


@pytest.mark.parametrize(("fields", "settings", "reason"), GATES)
@pytest.mark.parametrize("also_missing", [{}, {"email": None, "first_name": None, "mobile_phone": None}])
def test_a_gate_is_the_only_reason_whatever_else_is_missing(
    fields: dict[str, Any], settings: CompanySettings, reason: Reason, also_missing: dict[str, Any]
) -> None:
    """Nobody needs to hear about the phone of a person who is no employee."""
    assert worker_fields(maria(**fields, **also_missing), settings) == NotDue((reason,))


def test_a_missing_employee_id_is_a_warning_and_no_reason() -> None:
    user = maria(employee_id=None)
    fields = worker_fields(user, SETTINGS)
    assert isinstance(fields, WorkerFields)
    assert fields.payroll_id is None
    assert user_warnings(user) == (reasons.MISSING_EMPLOYEE_ID,)
    assert user_warnings(MARIA) == ()


def test_the_users_country_comes_before_the_companys_region() -> None:
    settings = replace(SETTINGS, default_region="GB")
    british = worker_fields(maria(mobile_phone="020 7946 0123"), settings)
    american = worker_fields(maria(country_code="US"), settings)
    assert isinstance(british, WorkerFields)
    assert british.phone_number == "+442079460123"
    assert isinstance(american, WorkerFields)
    assert american.phone_number == "+15125550101"


def test_runs_of_white_space_in_a_name_are_one_space() -> None:
    fields = worker_fields(maria(first_name="Ana  Maria", last_name="de\nla Cruz"), SETTINGS)
    assert isinstance(fields, WorkerFields)
    assert (fields.first_name, fields.last_name) == ("Ana Maria", "de la Cruz")


# ------------------------------------------------------------------ fingerprints


IRRELEVANT_OF_USER: dict[str, Any] = {
    "company_id": 99,
    "user_id": 1,
    "asked_at": ASKED_AT + timedelta(days=1),
    "run_id": "run-2",
    "force": True,
    "work_classification_id": 57801,
    "work_classification_name": "Carpenter",
}
"""The link says whose fingerprint it is, and nothing is made of a classification unless the company asks."""
RELEVANT_OF_USER: dict[str, Any] = {
    "first_name": "Marie",
    "last_name": "Delgada",
    "email": "md@example.com",
    "mobile_phone": "(512) 555-0102",
    "country_code": "CA",
    "employee_id": "20302",
    "is_employee": False,
    "is_active": False,
}
RELEVANT_SETTINGS: dict[str, Any] = {"user_sync": False, "default_region": "GB"}


def test_every_field_of_a_user_is_known_as_relevant_or_not() -> None:
    fields = {field.name for field in dataclasses.fields(UserEvent)}
    assert fields == RELEVANT_OF_USER.keys() | IRRELEVANT_OF_USER.keys()


@given(
    st.sets(st.sampled_from(sorted(RELEVANT_OF_USER))), st.sets(st.sampled_from(sorted(RELEVANT_SETTINGS)))
)
def test_users_have_equal_fingerprints_if_and_only_if_all_that_counts_is_equal(
    fields: set[str], settings: set[str]
) -> None:
    other = maria(**{name: RELEVANT_OF_USER[name] for name in fields})
    others = replace(SETTINGS, **{name: RELEVANT_SETTINGS[name] for name in settings})
    is_equal = user_fingerprint(other, others) == user_fingerprint(MARIA, SETTINGS)
    assert is_equal == (not fields and not settings)


@pytest.mark.parametrize("name", sorted(IRRELEVANT_OF_USER))
def test_what_decides_nothing_does_not_change_a_users_fingerprint(name: str) -> None:
    other = replace(MARIA, **{name: IRRELEVANT_OF_USER[name]})
    assert user_fingerprint(other, SETTINGS) == user_fingerprint(MARIA, SETTINGS)


def test_the_deactivation_policy_concerns_inactive_users_only() -> None:
    """Or turning it on would send everybody once more."""
    asked = replace(SETTINGS, deactivate_workers=True)
    assert user_fingerprint(MARIA, asked) == user_fingerprint(MARIA, SETTINGS)
    gone = maria(is_active=False)
    assert user_fingerprint(gone, asked) != user_fingerprint(gone, SETTINGS)


def test_a_value_that_moves_to_another_field_changes_the_fingerprint() -> None:
    swapped = maria(first_name="Delgado", last_name="Maria")
    assert user_fingerprint(swapped, SETTINGS) != user_fingerprint(MARIA, SETTINGS)


IRRELEVANT_OF_SHIFT: dict[str, Any] = {
    "company_id": 99,
    "timesheet_id": "another",
    "revision": 7,
    "force": True,
    "project": Named("another", "Another"),
    "time_in": SHIFT.time_in + timedelta(hours=1),
    "time_out": None,
    "break_minutes": 60,
    "status": ShiftStatus.OPEN,
    "deleted": True,
    "updated_at": SHIFT.updated_at + timedelta(hours=1),
    "run_id": "run-2",
}
"""The link says whose fingerprint it is; a shift that is not due never gets one."""
RELEVANT_OF_SHIFT: dict[str, Any] = {
    "procore_project_id": 2790002,
    "worker": priya(id="another"),
    "work_date": date(2026, 2, 25),
    "total_hours": Decimal("7.75"),
    "cost_code_segment_1": "FL2",
    "cost_code_segment_2": None,
    "location": "North",
}


def test_every_field_of_a_shift_is_known_as_relevant_or_not() -> None:
    fields = {field.name for field in dataclasses.fields(TimesheetEvent)}
    assert fields == RELEVANT_OF_SHIFT.keys() | IRRELEVANT_OF_SHIFT.keys()


@given(st.sets(st.sampled_from(sorted(RELEVANT_OF_SHIFT))), st.sampled_from([None, 8800101]))
def test_shifts_have_equal_fingerprints_if_and_only_if_all_that_counts_is_equal(
    fields: set[str], user_id: int | None
) -> None:
    other = replace(SHIFT, **{name: RELEVANT_OF_SHIFT[name] for name in fields})
    is_equal = shift_fingerprint(other, user_id, SETTINGS) == shift_fingerprint(SHIFT, None, SETTINGS)
    assert is_equal == (not fields and user_id is None)


@pytest.mark.parametrize(
    "change", [{"payroll_id": "20301"}, {"contractor": CONTRACTOR}], ids=["payroll id", "contractor"]
)
def test_what_a_worker_is_found_by_counts_while_no_user_is_known(change: dict[str, Any]) -> None:
    other = shift(worker=priya(**change))
    assert shift_fingerprint(other, None, SETTINGS) != shift_fingerprint(SHIFT, None, SETTINGS)
    assert shift_fingerprint(other, 8800101, SETTINGS) == shift_fingerprint(SHIFT, 8800101, SETTINGS)


@pytest.mark.parametrize("name", sorted(IRRELEVANT_OF_SHIFT))
def test_what_decides_nothing_does_not_change_a_shifts_fingerprint(name: str) -> None:
    other = replace(SHIFT, **{name: IRRELEVANT_OF_SHIFT[name]})
    assert shift_fingerprint(other, None, SETTINGS) == shift_fingerprint(SHIFT, None, SETTINGS)


STARTS = replace(SETTINGS, time_entry=TimeEntry.START_STOP)


@pytest.mark.parametrize("name", ["time_in", "time_out", "break_minutes"])
def test_with_start_and_stop_the_times_count_and_the_total_does_not(name: str) -> None:
    changed: dict[str, Any] = {
        "time_in": SHIFT.time_in + timedelta(minutes=15),
        "time_out": SHIFT.time_in + timedelta(hours=9),
        "break_minutes": 45,
    }
    other = replace(SHIFT, **{name: changed[name]})
    assert shift_fingerprint(other, None, STARTS) != shift_fingerprint(SHIFT, None, STARTS)
    total = replace(SHIFT, total_hours=Decimal("7.75"))
    assert shift_fingerprint(total, None, STARTS) == shift_fingerprint(SHIFT, None, STARTS)


def test_a_projects_own_time_entry_setting_goes_before_the_companys() -> None:
    own = replace(SETTINGS, project_time_entry=(ProjectTimeEntry(2790001, TimeEntry.START_STOP),))
    assert shift_fingerprint(SHIFT, None, own) == shift_fingerprint(SHIFT, None, STARTS)
    elsewhere = shift(procore_project_id=2790002)
    assert shift_fingerprint(elsewhere, None, own) == shift_fingerprint(elsewhere, None, SETTINGS)


@pytest.mark.parametrize(
    ("user_id", "user_sync", "counts"), [(None, True, True), (8800101, True, False), (8800101, False, True)]
)
def test_a_position_counts_unless_the_worker_is_a_synced_user(
    user_id: int | None, user_sync: bool, counts: bool
) -> None:
    settings = replace(SETTINGS, user_sync=user_sync)
    rodbuster = shift(worker=priya(position=Named("1dc6e030-e6ca-4429-b36b-527c7f87815c", "Rodbuster")))
    same = shift_fingerprint(rodbuster, user_id, settings) == shift_fingerprint(SHIFT, user_id, settings)
    assert same != counts


def test_start_and_stop_are_moments_in_utc_whatever_zone_they_come_in() -> None:
    """A night shift through the end of daylight saving in Texas: 23:00 to 07:00, nine hours on the clock."""
    texas = ZoneInfo("America/Chicago")
    night = replace(
        SHIFT,
        work_date=date(2026, 10, 31),
        time_in=datetime(2026, 10, 31, 23, 0, tzinfo=texas),
        time_out=datetime(2026, 11, 1, 7, 0, tzinfo=texas),
        break_minutes=30,
        total_hours=Decimal("8.50"),
    )
    booking = Booking(2790001, 25130001, Codes())
    fields = timecard_fields(night, booking, shift_times(night, TimeEntry.START_STOP))
    assert {name: fields.get(name) for name in ("date", "time_in", "time_out", "lunch_time", "hours")} == {
        "date": "2026-10-31",
        "time_in": "2026-11-01T04:00:00Z",
        "time_out": "2026-11-01T13:00:00Z",
        "lunch_time": "30",
        "hours": None,
    }


def test_hours_written_in_another_way_are_the_same_hours() -> None:
    same = [
        shift_fingerprint(shift(total_hours=Decimal(text)), None, SETTINGS)
        for text in ("8", "8.0", "8.00", "0.8E+1")
    ]
    assert len(set(same)) == 1


PLAIN = st.none() | st.booleans() | st.integers() | st.text() | st.dates()


@given(st.lists(PLAIN, max_size=5), st.lists(PLAIN, max_size=5))
def test_fingerprints_of_lists_of_values_are_equal_if_and_only_if_the_lists_are(
    one: list[Any], other: list[Any]
) -> None:
    same = [(type(value), value) for value in one] == [(type(value), value) for value in other]
    assert (fingerprint(*one) == fingerprint(*other)) == same
    assert fingerprint(*one) == fingerprint(*list(one))


def test_a_value_without_a_plain_form_has_no_fingerprint() -> None:
    with pytest.raises(TypeError, match="a object has no fingerprint"):
        fingerprint(object())


# ------------------------------------------------------------------ ids and revisions


MOMENTS = st.datetimes(
    min_value=datetime.fromisoformat("1970-01-02"),
    max_value=datetime.fromisoformat("2200-01-01"),
    timezones=st.just(UTC),
)


@given(MOMENTS, MOMENTS)
def test_revisions_are_ordered_as_their_moments_are(one: datetime, other: datetime) -> None:
    assert (revision_of(one) < revision_of(other)) == (one < other)
    assert (revision_of(one) == revision_of(other)) == (one == other)


def test_a_revision_is_in_microseconds_since_1970_in_whatever_zone_it_is_told() -> None:
    assert revision_of(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
    there = datetime(2026, 3, 2, 6, tzinfo=timezone(timedelta(hours=-6)))
    assert revision_of(there) == revision_of(datetime(2026, 3, 2, 12, tzinfo=UTC))


@given(st.integers(min_value=1, max_value=2**63 - 1))
def test_an_external_id_leads_back_to_its_user(user_id: int) -> None:
    assert external_id(user_id) == f"procore:{user_id}"
    assert procore_id(external_id(user_id)) == user_id


@pytest.mark.parametrize(
    "value", [None, "", "procore:", "procore:abc", "procore:-1", "8800101", "viewpoint:12", "PROCORE:12"]
)
def test_another_external_id_leads_to_no_user(value: str | None) -> None:
    assert procore_id(value) is None


def test_an_external_id_with_a_digit_that_is_no_number_leads_to_no_user() -> None:
    assert procore_id("procore:8\u00b2") is None


def test_an_origin_id_is_the_smartbarrel_id_with_its_prefix() -> None:
    assert origin_id("5b7e6c1e") == "sb:5b7e6c1e"


# ------------------------------------------------------------------ shifts


def test_an_approved_shift_of_the_companys_own_on_a_linked_project_is_due() -> None:
    assert shift_not_due(SHIFT, SETTINGS) is None


@pytest.mark.parametrize("status", [one for one in ShiftStatus if one is not ShiftStatus.APPROVED])
def test_only_approved_shifts_are_due_unless_the_company_wants_all(status: ShiftStatus) -> None:
    assert codes_of(shift_not_due(shift(status=status), SETTINGS)) == ["not_approved"]
    assert shift_not_due(shift(status=status), replace(SETTINGS, only_approved_shift=False)) is None


def test_a_subcontractors_shift_is_due_only_if_the_company_includes_them() -> None:
    theirs = shift(worker=priya(contractor=CONTRACTOR))
    assert codes_of(shift_not_due(theirs, SETTINGS)) == ["sub_worker"]
    assert shift_not_due(theirs, replace(SETTINGS, include_sub_workers=True)) is None


def test_a_shift_on_an_unlinked_project_is_not_due() -> None:
    assert codes_of(shift_not_due(shift(procore_project_id=None), SETTINGS)) == ["project_not_linked"]


def test_an_open_shift_is_not_due_whatever_else_holds_it_back() -> None:
    still_open = shift(time_out=None, status=ShiftStatus.OPEN, procore_project_id=None)
    assert codes_of(shift_not_due(still_open, SETTINGS)) == ["shift_open"]


def test_a_deleted_shift_is_not_due_whatever_else_holds_it_back() -> None:
    assert codes_of(shift_not_due(shift(deleted=True, time_out=None), SETTINGS)) == ["shift_deleted"]


def test_all_that_holds_a_shift_back_is_said_at_once() -> None:
    held = shift(status=ShiftStatus.SUBMITTED, worker=priya(contractor=CONTRACTOR), procore_project_id=None)
    assert codes_of(shift_not_due(held, SETTINGS)) == ["not_approved", "sub_worker", "project_not_linked"]


def test_a_timecard_has_its_shifts_hours_party_and_origin() -> None:
    booking = Booking(2790001, 25130001, Codes(348001, 97120301, 1550402))
    assert timecard_fields(SHIFT, booking, shift_times(SHIFT, TimeEntry.TOTAL_HOURS)) == {
        "date": "2026-02-24",
        "hours": "8.00",
        "party_id": 25130001,
        "description": "Created By SmartBarrel",
        "billable": True,
        "origin_id": f"sb:{SHIFT.timesheet_id}",
        "sub_job_id": 348001,
        "cost_code_id": 97120301,
        "location_id": 1550402,
    }


@given(
    st.builds(
        Codes,
        sub_job_id=st.none() | st.integers(1),
        cost_code_id=st.none() | st.integers(1),
        location_id=st.none() | st.integers(1),
    )
)
def test_a_code_that_a_shift_does_not_have_is_never_sent_as_null_to_a_new_entry(codes: Codes) -> None:
    """The contract has no null there."""
    fields = timecard_fields(SHIFT, Booking(2790001, 25130001, codes), {})
    sent = {name: fields[name] for name in ("sub_job_id", "cost_code_id", "location_id") if name in fields}
    assert sent == {name: value for name, value in dataclasses.asdict(codes).items() if value is not None}


@given(st.decimals(min_value=0, max_value=24, places=2))
def test_hours_are_a_decimal_text_with_two_places_and_nothing_lost(hours: Decimal) -> None:
    written = hours_text(hours)
    assert Decimal(written) == hours
    assert len(written.partition(".")[2]) == 2


def test_a_shift_is_told_in_a_few_words() -> None:
    assert shift_detail(SHIFT) == "2026-02-24, 8.00 h, Harbor Point Tower"
