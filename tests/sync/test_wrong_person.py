"""Hours never land on somebody else because of an employee ID, nor stay as a lost answer made them."""

from collections.abc import Callable
from decimal import Decimal

import httpx
import pytest

from consumer.exceptions import Transient
from consumer.model import reasons
from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.sync.booked import MARIA, contacts, entries
from tests.sync.conftest import Office
from tests.sync.people import CONTRACTOR, priya, shift
from tests.upstream.site import COMPANY, Json, person, timesheet_id, worker, worker_id


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
    open_office: OpenOffice,
) -> None:
    office = open_office(workers=[worker(9, "Maria", "Delgado", external_id=f"procore:{MARIA_USER}")])
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
    assert contact["employee_id"] is None, "or the two would be mistaken for each other"


def test_another_workers_payroll_id_is_not_written_to_a_contact_and_that_is_told(
    open_office: OpenOffice,
) -> None:
    office = open_office(workers=[worker(9, "Maria", "Delgado", external_id=f"procore:{MARIA_USER}")])
    office.link(Link(COMPANY, LinkKind.USER, MARIA_USER, worker_id(9), 1, "f"))
    office.sync(shift())
    for number in (2, 3):
        handled = office.sync(shift(number=number, worker=priya(payroll_id=MARIA_EMPLOYEE_ID)))
        assert handled.outcome is Outcome.CREATED
        assert handled.warnings == (reasons.employee_id_left_out(MARIA_EMPLOYEE_ID, "Maria Delgado"),)
    (contact,) = contacts(office)
    assert contact["employee_id"] is None
    assert {entry["party_id"] for entry in entries(office)} == {contact["id"]}
    assert office.site.writes("PATCH") == []


def test_a_subcontractors_worker_whose_number_two_users_have_gets_a_contact_without_it(
    open_office: OpenOffice,
) -> None:
    twins = [person(number, "Maria", "Delgado", employee_id="20301") for number in (1, 2)]
    office = open_office(CompanySettings(COMPANY, include_sub_workers=True), people=twins)
    handled = office.sync(shift(worker=priya(payroll_id="20301", contractor=CONTRACTOR)))
    assert [warning.code for warning in handled.warnings] == ["employee_id_left_out"]
    assert [one["employee_id"] for one in contacts(office)] == [None]


def test_a_payroll_id_is_the_same_with_spaces_around_it_and_missing_if_it_is_blank(office: Office) -> None:
    office.sync(shift(worker=priya(payroll_id=f" {MARIA_EMPLOYEE_ID}")))
    assert contacts(office) == []
    office.sync(shift(number=2, worker=priya(id=worker_id(2), payroll_id=" ")))
    (contact,) = contacts(office)
    assert contact["employee_id"] is None


# ------------------------------------------------------------------ links that are not true any more


def linked_office(open_office: OpenOffice, *workers: Json) -> Office:
    """Maria was linked to worker 1 once; ``workers`` is whom SmartBarrel has now."""
    office = open_office(workers=list(workers))
    office.link(Link(COMPANY, LinkKind.USER, MARIA_USER, worker_id(1), 1, "f"))
    return office


def asked(office: Office) -> int:
    """How often SmartBarrel was asked for a worker."""
    return sum("/workers/" in one.url.path for one in office.site.wire.seen)


def test_a_shift_without_an_external_id_is_the_linked_users_if_smartbarrel_says_so_too(
    open_office: OpenOffice,
) -> None:
    """It may have been written before the link was made. One question is enough for many shifts."""
    office = linked_office(open_office, worker(1, "Maria", "Delgado", external_id=f"procore:{MARIA_USER}"))
    for number in range(1, 4):
        office.sync(shift(number=number))
    assert {entry["party_id"] for entry in entries(office)} == {MARIA}
    assert asked(office) == 1


def test_smartbarrel_is_not_asked_about_a_worker_whose_shift_has_an_external_id(
    open_office: OpenOffice,
) -> None:
    office = linked_office(open_office)
    office.sync(shift(worker=priya(external_id=f"procore:{MARIA_USER}")))
    assert asked(office) == 0


def test_the_shifts_of_a_worker_who_was_unlinked_by_hand_leave_the_user(open_office: OpenOffice) -> None:
    """Somebody has given the worker to another person. The user's link stands until the user changes."""
    office = linked_office(open_office, worker(1, "Priya", "Nair"))
    office.sync(shift())
    (contact,) = contacts(office)
    assert [entry["party_id"] for entry in entries(office)] == [contact["id"]]
    before = len(office.site.wire.seen)
    assert office.sync(shift(revision=2)).outcome is Outcome.UNCHANGED
    assert len(office.site.wire.seen) == before, "what was found a moment ago is known"


def test_a_worker_whom_smartbarrel_gives_to_another_user_is_that_user(open_office: OpenOffice) -> None:
    office = linked_office(open_office, worker(1, "Priya", "Nair", external_id="procore:8800199"))
    office.site.put_person(person(99, "Priya", "Nair"))
    office.sync(shift())
    assert [entry["party_id"] for entry in entries(office)] == [25130099]


def test_the_shifts_of_a_worker_who_is_gone_in_smartbarrel_stay_the_users(open_office: OpenOffice) -> None:
    office = linked_office(open_office)
    office.sync(shift())
    assert [entry["party_id"] for entry in entries(office)] == [MARIA]


@pytest.mark.parametrize(
    "former", [[], [worker(1, "Tomas", "Okafor")]], ids=["deleted", "another person's now"]
)
def test_a_worker_who_was_made_anew_by_hand_is_the_user_with_their_payroll_id(
    open_office: OpenOffice, former: list[Json]
) -> None:
    office = linked_office(open_office, *former)
    anew = priya(id=worker_id(2), first_name="Maria", last_name="Delgado", payroll_id=MARIA_EMPLOYEE_ID)
    assert office.sync(shift(worker=anew)).outcome is Outcome.CREATED
    assert [entry["party_id"] for entry in entries(office)] == [MARIA]


@pytest.mark.parametrize("payroll_id", [None, MARIA_EMPLOYEE_ID])
def test_a_key_that_smartbarrel_refuses_holds_no_shift_up_and_the_link_is_followed(
    open_office: OpenOffice, payroll_id: str | None
) -> None:
    office = linked_office(open_office)
    office.site.wire.servers["smartbarrel.test"] = httpx.MockTransport(lambda _: httpx.Response(401))
    whose = 1 if payroll_id is None else 2
    handled = office.sync(shift(worker=priya(id=worker_id(whose), payroll_id=payroll_id)))
    if payroll_id is None:
        assert [entry["party_id"] for entry in entries(office)] == [MARIA]
    else:
        assert [reason.code for reason in handled.reasons] == ["employee_id_of_another"]


def test_smartbarrel_that_does_not_answer_is_asked_again(open_office: OpenOffice) -> None:
    office = linked_office(open_office, worker(1, "Priya", "Nair"))
    office.site.lose_answer("GET", "/workers/")
    with pytest.raises(Transient):
        office.sync(shift())
    assert entries(office) == []
    assert office.sync(shift()).outcome is Outcome.CREATED
