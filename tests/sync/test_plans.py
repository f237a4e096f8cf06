"""A plan says what would be done and why, changes nothing, and is what is done."""

from collections.abc import Callable

import pytest

from consumer.engine.handler import Handled
from consumer.model.events import Named, TimesheetEvent, UserEvent
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from consumer.sync.plan import Plan
from tests.sync.booked import entry_id, marias
from tests.sync.conftest import Office
from tests.sync.people import maria, priya, shift
from tests.upstream.site import COMPANY, TOWER, Json, classification, position_id, worker, worker_id


OpenOffice = Callable[..., Office]


def plan_of(office: Office, event: UserEvent | TimesheetEvent) -> Plan:
    """The plan, which must not be an ending that needs no call."""
    before = office.site.writes()
    if isinstance(event, UserEvent):
        plan: Plan | Handled = office.site.run(office.users.plan(event))
    else:
        plan = office.site.run(office.timesheets.plan(event))
    assert office.site.writes() == before, "a plan changes nothing"
    assert not isinstance(plan, Handled)
    return plan


def words(plan: Plan) -> list[str]:
    return [step.words for step in plan.steps]


# ------------------------------------------------------------------ users


def test_a_new_worker_is_planned_with_all_that_would_be_sent(office: Office) -> None:
    plan = plan_of(office, maria())
    assert plan.handled.outcome is Outcome.CREATED
    (step,) = plan.steps
    assert step.words == "create a worker in SmartBarrel"
    assert step.fields["phone_number"] == "+15125550101"
    assert list(plan.why) == ["No worker in SmartBarrel has this external ID, payroll ID or phone number."]


@pytest.mark.parametrize(
    ("value", "rung"),
    [
        ({"external_id": "procore:8800101"}, "external ID"),
        ({"payroll_id": "20301"}, "payroll ID"),
        ({"phone_number": "+15125550101"}, "phone number"),
    ],
)
def test_a_plan_names_the_rung_that_matched(open_office: OpenOffice, value: Json, rung: str) -> None:
    office = open_office(workers=[worker(7, "M.", "Delgado", **value)])
    plan = plan_of(office, maria())
    assert list(plan.why) == [f"Worker {worker_id(7)}, M. Delgado: matched by {rung}."]
    assert words(plan) == [f"change worker {worker_id(7)} in SmartBarrel"]


def test_a_linked_worker_is_planned_by_the_link(office: Office) -> None:
    office.sync(maria())
    plan = plan_of(office, maria(minutes=5, last_name="Ruiz"))
    assert [sentence.rpartition(" matched by ")[2] for sentence in plan.why] == ["link."]


def test_a_linked_worker_who_is_gone_is_planned_anew(office: Office) -> None:
    office.sync(maria())
    office.site.delete_worker(office.site.state.workers()[0]["id"])
    event = maria(minutes=5, last_name="Ruiz")
    plan = plan_of(office, event)
    assert (words(plan), plan.handled.outcome) == (["create a worker in SmartBarrel"], Outcome.CREATED)
    assert office.sync(event).outcome is Outcome.CREATED


@pytest.mark.parametrize("theirs", [{"external_id": "procore:5"}, {}], ids=["a user's", "nobody's"])
def test_a_phone_that_is_not_free_for_a_linked_worker_is_foretold(
    open_office: OpenOffice, theirs: Json
) -> None:
    office = open_office(workers=[worker(8, "Tomas", "Okafor", phone_number="+15125550188", **theirs)])
    office.sync(maria())
    event = maria(minutes=5, mobile_phone="(512) 555-0188")
    ending = office.site.run(office.users.plan(event))
    handled = office.sync(event)
    assert isinstance(ending, Handled)
    assert (ending.outcome, ending.reasons) == (handled.outcome, handled.reasons)
    assert "Tomas Okafor" in handled.reasons[0].message


@pytest.mark.parametrize("is_linked", [False, True])
def test_an_inactive_worker_is_planned_with_the_warning(open_office: OpenOffice, is_linked: bool) -> None:
    office = open_office(workers=[worker(7, "Maria", "Delgado", status="inactive", payroll_id="20301")])
    if is_linked:
        office.sync(maria())
    for event in (maria(minutes=5), maria(minutes=10, last_name="Ruiz")):
        plan = plan_of(office, event)
        handled = office.sync(event)
        assert (plan.handled.outcome, plan.handled.warnings) == (handled.outcome, handled.warnings)
        assert [warning.code for warning in handled.warnings] == ["worker_inactive"]


def test_a_position_that_is_to_be_made_comes_first(open_office: OpenOffice) -> None:
    settings = CompanySettings(COMPANY, sync_classifications=True)
    office = open_office(settings, classifications=[classification(1, "Carpenter")])
    plan = plan_of(office, maria(work_classification_id=57801))
    assert words(plan) == ["create position Carpenter in SmartBarrel", "create a worker in SmartBarrel"]


def test_who_is_not_for_syncing_has_reasons_instead_of_a_plan(office: Office) -> None:
    ending = office.site.run(office.users.plan(maria(email=None, mobile_phone=None)))
    assert isinstance(ending, Handled)
    assert [reason.code for reason in ending.reasons] == ["missing_email", "missing_phone"]


# ------------------------------------------------------------------ shifts


def test_a_first_shift_is_planned_from_the_contact_to_the_classification(office: Office) -> None:
    plan = plan_of(office, shift(worker=priya(position=Named(position_id(7), "Carpenter"))))
    assert words(plan) == [
        "create the classification Carpenter in Procore",
        "put the company's classifications on the project",
        "create a contact in Procore",
        "create a time card in Procore",
        "put the classification Carpenter on the time card",
    ]
    assert plan.handled.outcome is Outcome.CREATED


def test_a_changed_shift_is_planned_on_its_time_card(office: Office) -> None:
    office.sync(marias())
    plan = plan_of(office, marias(revision=2, location="North"))
    assert words(plan) == [f"change time card {entry_id(office)} in Procore"]
    assert "The worker is Procore user 8800101, person 25130001." in plan.why


def test_a_locked_time_card_is_planned_to_be_left(office: Office) -> None:
    office.sync(marias())
    office.site.state.edit_timecard_entry(entry_id(office), approval_status="approved")
    plan = plan_of(office, marias(revision=2, location="North"))
    assert (words(plan), plan.handled.outcome) == ([], Outcome.SKIPPED)
    assert [reason.code for reason in plan.handled.reasons] == ["locked"]


def test_what_agrees_already_is_planned_as_unchanged(office: Office) -> None:
    office.sync(marias())
    office.restart(lose_links=True)
    plan = plan_of(office, marias())
    assert (words(plan), plan.handled.outcome) == ([], Outcome.UNCHANGED)


@pytest.mark.parametrize(
    ("before", "event"),
    [
        (shift(location="Nowhere"), shift(2, location="Nowhere", worker=priya(last_name="Nair-Smith"))),
        (marias(location="North"), marias(revision=2)),
        (marias(location="North"), marias(revision=2, location="Nowhere")),
    ],
    ids=["the contact alone", "a code that it lost", "a code that is unknown now"],
)
def test_what_is_done_for_a_shift_that_was_synced_is_what_was_planned(
    office: Office, before: TimesheetEvent, event: TimesheetEvent
) -> None:
    office.sync(before)
    plan = plan_of(office, event)
    made = len(office.site.writes())
    handled = office.sync(event)
    assert len(office.site.writes()) - made == len(plan.steps)
    assert (handled.outcome, handled.warnings) == (plan.handled.outcome, plan.handled.warnings)
    assert handled.outcome is (Outcome.UPDATED if plan.steps else Outcome.UNCHANGED)


def test_a_classification_that_the_time_card_has_is_not_planned_to_be_activated(
    open_office: OpenOffice,
) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    event = shift(worker=priya(position=Named(position_id(7), "Carpenter")))
    office.sync(event)
    office.site.deactivate_classification(TOWER, 57801)
    office.restart(lose_links=True)
    plan = plan_of(office, event)
    assert (words(plan), plan.handled.outcome) == ([], Outcome.UNCHANGED)


EVENTS: list[UserEvent | TimesheetEvent] = [
    maria(),
    maria(first_name="Mary"),
    marias(),
    marias(location="Nowhere"),
    shift(),
    shift(worker=priya(payroll_id="20301")),
    shift(worker=priya(position=Named(position_id(7), "Carpenter"))),
]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("times", [0, 1])
def test_what_is_done_is_what_was_planned(
    office: Office, event: UserEvent | TimesheetEvent, times: int
) -> None:
    """One call for each step, and the outcome foretold; and a second time, when the first is forgotten."""
    for _ in range(times):
        office.sync(event)
        office.restart(lose_links=True)
    plan = plan_of(office, event)
    before = len(office.site.writes())
    handled = office.sync(event)
    # What a new classification needs besides is no step of its own: the position is told of it.
    made = [one for one in office.site.writes()[before:] if not one.path.endswith(position_id(7))]
    assert len(made) == len(plan.steps)
    assert (handled.outcome, handled.reasons) == (plan.handled.outcome, plan.handled.reasons)
