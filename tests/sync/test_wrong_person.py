"""Hours never land on somebody else because of an employee ID, nor stay as a lost answer made them."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from consumer.exceptions import Transient
from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.sync.booked import MARIA, contacts, entries
from tests.sync.conftest import Office
from tests.sync.people import CONTRACTOR, priya, shift
from tests.upstream.site import COMPANY, timesheet_id, worker_id


OpenOffice = Callable[..., Office]
MARIA_USER = "8800101"
MARIA_EMPLOYEE_ID = "20301"


def test_a_payroll_id_that_went_to_a_new_hire_does_not_lead_to_its_former_owners_contact(
    office: Office,
) -> None:
    office.sync(shift())
    (former,) = contacts(office)
    bob = priya(id=worker_id(2), first_name="Bob", last_name="Hale")
    assert office.sync(shift(number=2, worker=bob)).outcome is Outcome.CREATED
    (booked,) = (entry for entry in entries(office) if timesheet_id(2) in entry["origin_id"])
    assert booked["party_id"] != former["id"]


def test_a_payroll_id_mistyped_as_another_workers_user_books_nothing_and_says_whose_it_is(
    office: Office,
) -> None:
    office.link(Link(COMPANY, LinkKind.USER, MARIA_USER, worker_id(9), 1, "f"))
    handled = office.sync(shift(worker=priya(payroll_id=MARIA_EMPLOYEE_ID)))
    assert handled.outcome is Outcome.FAILED
    assert [reason.code for reason in handled.reasons] == ["employee_id_of_another"]
    assert entries(office) == []


def test_a_change_whose_answer_was_lost_is_compared_again_even_by_an_event_like_the_last_answered_one(
    office: Office,
) -> None:
    office.sync(shift())
    half = shift(revision=2, total_hours=Decimal("4.00"))
    office.site.lose_answer("PATCH", "/timecard_entries")
    with pytest.raises(Transient):
        office.sync(half)
    # As the engine does when it gives an event up.
    office.links.add_pending(office.timesheets.in_doubt(half))
    assert office.sync(shift(revision=3)).outcome is Outcome.UPDATED
    assert [entry["hours"] for entry in entries(office)] == ["8.0"]


def test_hours_leave_the_person_of_a_mistyped_payroll_id_once_it_is_corrected(office: Office) -> None:
    office.sync(shift(worker=priya(payroll_id=MARIA_EMPLOYEE_ID)))
    assert [entry["party_id"] for entry in entries(office)] == [MARIA]
    handled = office.sync(shift(revision=2, worker=priya(payroll_id="777")))
    assert handled.outcome is Outcome.UPDATED
    (contact,) = contacts(office)
    assert [entry["party_id"] for entry in entries(office)] == [contact["id"]]
    assert contact["employee_id"] == "777"


@pytest.mark.parametrize("was_booked", [False, True])
def test_a_subcontractors_worker_is_not_booked_on_an_employee_with_the_same_payroll_id(
    open_office: OpenOffice, was_booked: bool
) -> None:
    """Their employer counts on its own. That they were taken for ours before does not stay."""
    office = open_office(CompanySettings(COMPANY, include_sub_workers=True))
    if was_booked:
        office.sync(shift(worker=priya(payroll_id=MARIA_EMPLOYEE_ID)))
    theirs = priya(payroll_id=MARIA_EMPLOYEE_ID, contractor=CONTRACTOR)
    office.sync(shift(revision=2, worker=theirs))
    office.sync(shift(number=2, worker=theirs))
    (contact,) = contacts(office)
    assert {entry["party_id"] for entry in entries(office)} == {contact["id"]}


def test_a_payroll_id_is_the_same_with_spaces_around_it_and_missing_if_it_is_blank(office: Office) -> None:
    office.sync(shift(worker=priya(payroll_id=f" {MARIA_EMPLOYEE_ID}")))
    assert contacts(office) == []
    office.sync(shift(number=2, worker=priya(id=worker_id(2), payroll_id=" ")))
    (contact,) = contacts(office)
    assert contact["employee_id"] is None
