"""SmartBarrel shifts become Procore timecard entries: one each, on the right person and codes."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from consumer.engine.handler import Handled, Subject
from consumer.model import reasons
from consumer.model.events import Named
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from consumer.sync.mapping import shift_fingerprint
from tests.sync.booked import (
    ENTRY,
    MARIA,
    MARIAS,
    contacts,
    entries,
    entry_id,
    link_of,
    marias,
    requests,
)
from tests.sync.conftest import Office
from tests.sync.people import CONTRACTOR, SHIFT, maria, priya, shift
from tests.upstream.site import (
    COMPANY,
    CONCRETE_2,
    FLOOR_2,
    GENERAL,
    NORTH,
    ROOF,
    TOWER,
    YARD,
    Json,
    person,
    timesheet_id,
    worker_id,
)


SETTINGS = CompanySettings(COMPANY)
DETAIL = "2026-02-24, 8.00 h, Harbor Point Tower"


# ------------------------------------------------------------------ created, updated, unchanged


def test_a_users_shift_is_booked_on_the_person_whom_the_user_is(office: Office) -> None:
    handled = office.sync(marias())
    assert (handled.outcome, handled.reasons, handled.warnings) == (Outcome.CREATED, (), ())
    assert entries(office) == [ENTRY]
    assert contacts(office) == []
    assert handled.detail == DETAIL
    digest = shift_fingerprint(marias(), 8800101, CompanySettings(COMPANY))
    target = str(entry_id(office))
    assert handled.links == (Link(COMPANY, LinkKind.TIMESHEET, timesheet_id(1), target, 1, digest),)


def test_a_worker_is_the_user_to_whom_the_user_sync_has_linked_them(office: Office) -> None:
    """The shift may have been written before SmartBarrel knew the external id."""
    office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(1), 1, "digest"))
    office.sync(shift())
    assert entries(office) == [ENTRY]
    assert contacts(office) == []


def test_a_worker_whose_link_has_moved_to_somebody_else_is_not_that_user_any_more(office: Office) -> None:
    office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(1), 1, "digest"))
    office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(2), 2, "digest"))
    office.sync(shift())
    (contact,) = contacts(office)
    assert entries(office)[0]["party_id"] == contact["id"]


def test_nothing_is_asked_or_sent_for_a_shift_that_is_as_it_was(office: Office) -> None:
    office.sync(marias())
    before = requests(office)
    handled = office.sync(marias(revision=2, break_minutes=45))
    assert (handled.outcome, requests(office) - before) == (Outcome.UNCHANGED, 0)
    assert link_of(office).revision == 2
    assert handled.detail == DETAIL


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"total_hours": Decimal("7.75")}, {"hours": "7.75"}),
        ({"work_date": date(2026, 2, 25)}, {"date": "2026-02-25"}),
        (
            {"cost_code_segment_1": "FL2"},
            {"sub_job_id": FLOOR_2, "cost_code_id": CONCRETE_2},
        ),
        ({"location": "North"}, {"location_id": NORTH}),
    ],
    ids=["hours", "day", "codes", "location"],
)
def test_a_changed_shift_changes_its_entry(office: Office, change: Json, changed: Json) -> None:
    office.sync(marias())
    handled = office.sync(marias(revision=2, **change))
    assert (handled.outcome, handled.warnings) == (Outcome.UPDATED, ())
    assert entries(office) == [ENTRY | changed]
    assert link_of(office).revision == 2


def test_a_shift_that_moves_to_another_project_takes_its_entry_along(office: Office) -> None:
    bare: Json = {"cost_code_segment_1": None, "cost_code_segment_2": None}
    office.sync(marias(**bare))
    handled = office.sync(marias(revision=2, **bare, procore_project_id=YARD))
    assert handled.outcome is Outcome.UPDATED
    assert [entry["project_id"] for entry in entries(office)] == [YARD]


@pytest.mark.parametrize(
    ("before", "change", "keeps"),
    [
        ({"location": "North>Roof"}, {"location": None}, "location"),
        ({}, {"cost_code_segment_2": None}, "cost code"),
        ({}, {"cost_code_segment_1": None, "cost_code_segment_2": "03-100"}, "sub job"),
        ({}, {"cost_code_segment_1": None, "cost_code_segment_2": None}, "sub job and cost code"),
    ],
    ids=["location", "cost code", "sub job", "both"],
)
def test_a_code_that_a_shift_lost_is_off_its_entry_or_warned_about(
    office: Office, before: Json, change: Json, keeps: str
) -> None:
    """Procore's contract has no way to take a code off; then somebody has to be told."""
    office.sync(marias(**before))
    handled = office.sync(marias(revision=2, **{**before, **change}))
    (entry,) = office.site.state.timecard_entries()
    wanted = office.site.run(office.company.codes.resolve(marias(**{**before, **change}), TOWER))
    ids = {name: getattr(wanted.codes, name) for name in ("sub_job_id", "cost_code_id", "location_id")}  # type: ignore[union-attr]
    if {name: entry[name] for name in ids} == ids:
        assert handled.warnings == ()
    else:
        assert [warning.code for warning in handled.warnings] == ["left_over"]
        assert keeps in handled.warnings[0].message


def test_a_code_that_a_shift_lost_is_told_by_each_sync_and_nothing_is_sent_for_it(office: Office) -> None:
    office.sync(marias(location="North"))
    before = len(office.site.writes())
    for _ in range(3):
        handled = office.sync(marias(revision=2))
        assert handled.outcome is Outcome.UNCHANGED
        assert handled.warnings == (reasons.left_over(["location"]),)
    assert len(office.site.writes()) == before
    office.site.state.edit_timecard_entry(entry_id(office), location_id=None)
    assert office.sync(marias(revision=2)).warnings == ()
    before = requests(office)
    assert office.sync(marias(revision=2)).outcome is Outcome.UNCHANGED
    assert requests(office) == before, "once it is off, the two agree"


def test_an_unknown_location_is_left_out_with_a_warning(office: Office) -> None:
    handled = office.sync(marias(location="Basement"))
    assert handled.outcome is Outcome.CREATED
    assert handled.warnings == (reasons.location_not_in_project("Basement"),)
    assert entries(office) == [ENTRY]


def test_an_entry_that_is_in_step_already_is_only_linked(office: Office) -> None:
    office.sync(marias(location="North>Roof"))
    office.restart(lose_links=True)
    before = len(office.site.writes())
    handled = office.sync(marias(location="North>Roof"))
    assert (handled.outcome, len(office.site.writes()) - before) == (Outcome.UNCHANGED, 0)
    assert link_of(office).target_id == str(entry_id(office))
    assert entries(office) == [ENTRY | {"location_id": ROOF}]


# ------------------------------------------------------------------ people


def test_a_worker_whom_procore_does_not_know_becomes_a_contact_once(office: Office) -> None:
    handled = office.sync(shift(worker=priya(payroll_id="7001")))
    (contact,) = contacts(office)
    assert handled.outcome is Outcome.CREATED
    assert (contact["first_name"], contact["last_name"], contact["employee_id"]) == ("Priya", "Nair", "7001")
    assert (contact["is_employee"], contact["origin_id"]) == (True, f"sb:{worker_id(1)}")
    assert entries(office) == [ENTRY | {"party_id": contact["id"]}]
    assert [link.kind for link in handled.links] == [LinkKind.CONTACT, LinkKind.TIMESHEET]
    office.sync(shift(number=2, worker=priya(payroll_id="7001"), work_date=date(2026, 2, 25)))
    assert len(contacts(office)) == 1


def test_a_contact_is_made_once_for_shifts_that_follow_before_anything_is_committed(office: Office) -> None:
    """The links are not known yet, but the directory is."""

    async def shifts() -> list[Handled]:
        return [await office.timesheets.handle(shift(number=number)) for number in range(1, 4)]

    outcomes = office.site.run(shifts())
    assert [handled.outcome for handled in outcomes] == [Outcome.CREATED] * 3
    (contact,) = contacts(office)
    assert {entry["party_id"] for entry in entries(office)} == {contact["id"]}


def test_different_workers_become_different_contacts_at_the_same_time(office: Office) -> None:
    async def shifts() -> None:
        await asyncio.gather(
            *(
                office.handle(shift(number=n, worker=priya(id=worker_id(n), last_name=f"N{n}")))
                for n in range(1, 9)
            )
        )

    office.site.run(shifts())
    assert sorted(one["last_name"] for one in contacts(office)) == [f"N{n}" for n in range(1, 9)]
    assert len({entry["party_id"] for entry in entries(office)}) == 8


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize(
    "known",
    [{"origin_id": f"sb:{worker_id(1)}", "employee_id": None}, {"employee_id": "7001"}],
    ids=["origin", "employee id"],
)
def test_a_contact_who_is_there_is_used_active_or_not(
    open_office: Callable[..., Office], known: Json, is_active: bool
) -> None:
    there = person(4, "Priya", "Nair", user_id=None, contact={"is_active": is_active, "email": None}, **known)
    office = open_office(people=[person(1, "Maria", "Delgado"), there])
    office.sync(shift(worker=priya(payroll_id="7001")))
    assert [one["id"] for one in contacts(office)] == [25130004]
    assert entries(office)[0]["party_id"] == 25130004
    assert link_of(office, LinkKey(COMPANY, LinkKind.CONTACT, worker_id(1))).target_id == "25130004"


def test_a_worker_with_a_users_employee_id_is_that_user(office: Office) -> None:
    office.sync(shift(worker=priya(payroll_id="20301")))
    assert entries(office) == [ENTRY]
    assert contacts(office) == []


def test_a_contacts_worker_who_turns_out_to_be_a_user_is_booked_on_the_user(office: Office) -> None:
    """Both the old shift, at its next revision, and the new ones."""
    office.sync(shift())
    (contact,) = contacts(office)
    linked = priya(external_id="procore:8800101")
    handled = office.sync(shift(revision=2, worker=linked))
    assert handled.outcome is Outcome.UPDATED
    office.sync(shift(number=2, worker=linked))
    assert {entry["party_id"] for entry in entries(office)} == {MARIA}
    assert contact["id"] != MARIA


def test_a_contacts_worker_who_later_is_a_user_with_the_same_employee_id_is_relinked(
    open_office: Callable[..., Office],
) -> None:
    """With user sync off nobody gives the worker an external id; the employee id alone tells."""
    office = open_office(settings=replace(SETTINGS, user_sync=False), users=[])
    numbered = priya(payroll_id="7001")
    office.sync(shift(worker=numbered))
    (contact,) = contacts(office)
    user_person = {**contact, "id": 25139999, "user_id": 8800199, "origin_id": None}
    office.site.put_person(user_person)
    office.restart()
    office.sync(shift(number=2, worker=numbered))
    assert office.sync(shift(revision=2, worker=numbered)).outcome is Outcome.UNCHANGED
    booked = [entry["party_id"] for entry in entries(office)]
    assert booked == [contact["id"], 25139999], "what was booked before stays where it is"


def test_a_user_whom_procore_does_not_list_is_told_and_nothing_is_booked(office: Office) -> None:
    handled = office.sync(shift(worker=priya(external_id="procore:1")))
    assert (handled.outcome, handled.reasons) == (Outcome.FAILED, (reasons.person_not_found("Priya Nair"),))
    assert office.site.writes() == []


# ------------------------------------------------------------------ not due, stale, locked


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"deleted": True}, "shift_deleted"),
        ({"time_out": None}, "shift_open"),
        ({"procore_project_id": None}, "project_not_linked"),
        ({"worker": priya(contractor=CONTRACTOR)}, "sub_worker"),
    ],
)
def test_a_shift_that_is_not_due_is_skipped_without_a_request(
    office: Office, fields: Json, code: str
) -> None:
    handled = office.sync(shift(**fields))
    assert (handled.outcome, [reason.code for reason in handled.reasons]) == (Outcome.SKIPPED, [code])
    assert requests(office) == 0


def test_a_deleted_shift_leaves_its_entry(office: Office) -> None:
    office.sync(marias())
    assert office.sync(marias(revision=2, deleted=True)).outcome is Outcome.SKIPPED
    assert entries(office) == [ENTRY]


def test_an_older_revision_changes_nothing(office: Office) -> None:
    office.sync(marias(revision=3))
    before = requests(office)
    handled = office.sync(marias(revision=2, total_hours=Decimal(1)))
    assert (handled.outcome, handled.links, requests(office) - before) == (Outcome.STALE, (), 0)


@pytest.mark.parametrize(
    "decided",
    [{"deleted": True}, {"procore_project_id": None}, {"cost_code_segment_1": "FL9"}],
    ids=["deleted", "not linked", "failed"],
)
@pytest.mark.parametrize("was_booked", [True, False])
def test_a_revision_that_was_decided_against_is_noted_so_that_an_older_one_is_stale(
    office: Office, decided: Json, was_booked: bool
) -> None:
    """An older event that was parked and is redriven must not bring a deleted shift back."""
    if was_booked:
        office.sync(marias(revision=1))
    assert office.sync(marias(revision=3, **decided)).outcome in {Outcome.SKIPPED, Outcome.FAILED}
    assert office.sync(marias(revision=2, total_hours=Decimal(1))).outcome is Outcome.STALE
    assert entries(office) == ([ENTRY] if was_booked else [])
    assert office.sync(marias(revision=4)).outcome in {Outcome.CREATED, Outcome.UNCHANGED}
    assert entries(office) == [ENTRY]


@pytest.mark.parametrize("status", ["approved", "completed"])
@pytest.mark.parametrize("loses_links", [False, True])
def test_a_locked_entry_is_left_alone_and_both_values_are_told(
    office: Office, status: str, loses_links: bool
) -> None:
    office.sync(marias())
    office.site.state.edit_timecard_entry(entry_id(office), approval_status=status)
    office.restart(lose_links=loses_links)
    before = len(office.site.writes())
    handled = office.sync(marias(revision=2, total_hours=Decimal("9.5")))
    assert handled.outcome is Outcome.SKIPPED
    (reason,) = handled.reasons
    assert reason.code == "locked"
    assert all(part in reason.message for part in (status, "8.00", "9.50"))
    assert len(office.site.writes()) == before
    assert office.sync(marias(revision=1, total_hours=Decimal(1))).outcome is Outcome.STALE


def test_a_locked_entry_that_agrees_is_unchanged(office: Office) -> None:
    office.sync(marias())
    office.site.state.edit_timecard_entry(entry_id(office), approval_status="approved")
    office.restart(lose_links=True)
    assert office.sync(marias()).outcome is Outcome.UNCHANGED


def test_an_entry_that_is_unlocked_again_takes_the_next_revision(office: Office) -> None:
    office.sync(marias())
    office.site.state.edit_timecard_entry(entry_id(office), approval_status="approved")
    office.sync(marias(revision=2, total_hours=Decimal("9.5")))
    office.site.state.edit_timecard_entry(entry_id(office), approval_status="pending")
    assert office.sync(marias(revision=3, total_hours=Decimal("9.5"))).outcome is Outcome.UPDATED
    assert entries(office) == [ENTRY | {"hours": "9.5"}]


@pytest.mark.parametrize(
    ("sub_job", "cost_code"), [("FL9", "03-300"), ("FL1", "03-999"), (None, "03-300"), ("FL1", "03-100")]
)
@pytest.mark.parametrize("was_booked", [True, False])
def test_a_code_that_is_not_in_the_project_fails_with_both_names_and_books_nothing(
    office: Office, sub_job: str | None, cost_code: str, was_booked: bool
) -> None:
    if was_booked:
        office.sync(marias())
    before = entries(office), len(office.site.writes())
    handled = office.sync(
        shift(revision=2, worker=MARIAS, cost_code_segment_1=sub_job, cost_code_segment_2=cost_code)
    )
    assert handled.outcome is Outcome.FAILED
    assert handled.reasons == (reasons.code_not_in_project(sub_job, cost_code),)
    assert (entries(office), len(office.site.writes())) == before


def test_no_contact_is_made_for_a_shift_that_cannot_be_booked(office: Office) -> None:
    office.sync(shift(cost_code_segment_1="FL9"))
    assert contacts(office) == []


def test_a_subcontractors_worker_is_a_contact_if_the_company_includes_them(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(settings=replace(SETTINGS, include_sub_workers=True))
    office.sync(shift(worker=priya(contractor=CONTRACTOR)))
    (contact,) = contacts(office)
    assert contact["is_employee"] is True, "Procore shows nobody else on timesheets"
    assert entries(office)[0]["party_id"] == contact["id"]


def test_an_unknown_company_is_parked(office: Office) -> None:
    handled = office.sync(shift(company_id=99))
    assert (handled.outcome, handled.reasons) == (Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))
    assert requests(office) == 0


def test_a_shift_is_named_in_the_log_by_its_worker(office: Office) -> None:
    subject = office.timesheets.subject(shift(run_id="run-1"))
    assert subject == Subject(timesheet_id(1), "Priya Nair", SHIFT.updated_at, "run-1")


def test_a_user_who_was_synced_and_their_shift_meet_in_one_person(office: Office) -> None:
    office.sync(maria())
    (made,) = office.site.state.workers()
    office.sync(shift(worker=priya(id=made["id"], first_name="Maria", last_name="Delgado")))
    assert entries(office)[0]["party_id"] == MARIA
    assert contacts(office) == []


def test_a_project_without_a_code_in_smartbarrel_is_booked_without_one(office: Office) -> None:
    handled = office.sync(
        marias(
            project=Named("p", "Harbor Point Tower"), cost_code_segment_1=None, cost_code_segment_2="03-100"
        )
    )
    assert handled.outcome is Outcome.CREATED
    assert entries(office) == [ENTRY | {"sub_job_id": None, "cost_code_id": GENERAL}]
