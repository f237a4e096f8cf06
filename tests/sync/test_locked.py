"""Approved and completed time cards stay as they are, and the log says what differs, and only that."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from consumer.model.events import Named
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings, TimeEntry
from tests.sync.booked import entry_id, marias
from tests.sync.conftest import Office
from tests.sync.people import priya, shift
from tests.upstream.site import COMPANY, TOWER, YARD, Json, classification, position_id


OpenOffice = Callable[..., Office]
BARE: Json = {"cost_code_segment_1": None, "cost_code_segment_2": None}
STARTS = CompanySettings(COMPANY, time_entry=TimeEntry.START_STOP)


def approve(office: Office, **fields: object) -> None:
    office.site.state.edit_timecard_entry(entry_id(office), approval_status="approved", **fields)


@pytest.mark.parametrize(
    ("before", "change", "said"),
    [
        ({}, {"total_hours": Decimal("9.5")}, "hours (8.00 in Procore, 9.50 in SmartBarrel)"),
        ({}, {"work_date": date(2026, 2, 25)}, "date (2026-02-24 in Procore, 2026-02-25 in SmartBarrel)"),
        ({}, {"cost_code_segment_1": "FL2"}, "sub job, cost code"),
        ({}, {"location": "North"}, "location"),
        (BARE, BARE | {"procore_project_id": YARD}, "project"),
        (
            {},
            {"total_hours": Decimal("9.5"), "location": "North"},
            "hours (8.00 in Procore, 9.50 in SmartBarrel), location",
        ),
        (
            {"location": "North"},
            {"total_hours": Decimal("9.5")},
            "hours (8.00 in Procore, 9.50 in SmartBarrel), location",
        ),
    ],
    ids=["hours", "date", "codes", "location", "project", "two", "a code that it lost too"],
)
def test_a_locked_entry_says_what_differs(office: Office, before: Json, change: Json, said: str) -> None:
    office.sync(marias(**before))
    approve(office)
    writes = len(office.site.writes())
    handled = office.sync(replace(marias(revision=2), **change))
    expected = f"The time card is approved in Procore and stays as it is; what differs: {said}"
    assert (handled.outcome, [one.message for one in handled.reasons]) == (Outcome.SKIPPED, [expected])
    assert len(office.site.writes()) == writes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"time_in": datetime(2026, 2, 24, 15, tzinfo=UTC)},
            "times (14:00 to 22:30 in Procore, 15:00 to 22:30 in SmartBarrel, in UTC)",
        ),
        ({"break_minutes": 45}, "break (30 minutes in Procore, 45 in SmartBarrel)"),
    ],
    ids=["times", "break"],
)
def test_a_locked_entry_with_start_and_stop_says_which_of_them_differ(
    open_office: OpenOffice, change: Json, said: str
) -> None:
    office = open_office(STARTS)
    office.sync(marias())
    approve(office)
    handled = office.sync(marias(revision=2, **change))
    assert [one.message.rpartition("what differs: ")[2] for one in handled.reasons] == [said]


def test_a_locked_entry_that_was_booked_by_hours_lacks_times(open_office: OpenOffice) -> None:
    office = open_office()
    office.sync(marias())
    approve(office)
    office.settings = STARTS
    office.restart()
    (reason,) = office.sync(marias(revision=2)).reasons
    assert "times (nothing to nothing in Procore, 14:00 to 22:30 in SmartBarrel, in UTC)" in reason.message


def test_a_locked_entry_of_another_worker_says_so(office: Office) -> None:
    office.sync(marias())
    approve(office)
    handled = office.sync(shift(revision=2))
    assert [one.message.rpartition("what differs: ")[2] for one in handled.reasons] == ["worker"]


def test_a_locked_entry_with_another_classification_says_so(open_office: OpenOffice) -> None:
    both = [classification(1, "Carpenter", TOWER), classification(2, "Laborer", TOWER)]
    office = open_office(classifications=both)
    office.sync(shift(worker=priya(position=Named(position_id(7), "Carpenter"))))
    approve(office)
    handled = office.sync(shift(revision=2, worker=priya(position=Named(position_id(8), "Laborer"))))
    assert [one.message.rpartition("what differs: ")[2] for one in handled.reasons] == ["classification"]


def test_a_description_that_somebody_edited_is_no_reason_to_call_a_locked_entry_different(
    office: Office,
) -> None:
    office.sync(marias())
    approve(office, description="Created By SmartBarrel - checked")
    office.restart(lose_links=True)
    before = len(office.site.writes())
    handled = office.sync(marias())
    assert (handled.outcome, handled.reasons) == (Outcome.UNCHANGED, ())
    assert len(office.site.writes()) == before


def test_a_classification_that_was_deactivated_on_the_project_stays_so_for_an_entry_that_has_it(
    open_office: OpenOffice,
) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    event = shift(worker=priya(position=Named(position_id(7), "Carpenter")))
    office.sync(event)
    office.site.deactivate_classification(TOWER, 57801)
    approve(office)
    office.restart(lose_links=True)
    before = office.site.writes()
    assert office.sync(event).outcome is Outcome.UNCHANGED
    assert office.site.writes() == before


def approved_after_the_look(office: Office, monkeypatch: pytest.MonkeyPatch, look: str) -> None:
    """Somebody approves the entry between the first such look and the next call."""
    looked = getattr(office.company.procore, look)
    looks: list[object] = []

    async def look_and_be_overtaken(*given: Any) -> object:
        found = await looked(*given)
        looks.append(found)
        if len(looks) == 1:
            approve(office)
        return found

    monkeypatch.setattr(office.company.procore, look, look_and_be_overtaken)


def test_an_entry_that_is_approved_before_it_is_classified_is_locked_and_not_failed(
    open_office: OpenOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [classification(1, "Carpenter", TOWER), classification(2, "Laborer", TOWER)]
    office = open_office(classifications=both)
    office.sync(shift(worker=priya(position=Named(position_id(7), "Carpenter"))))
    approved_after_the_look(office, monkeypatch, "timecard")
    handled = office.sync(shift(revision=2, worker=priya(position=Named(position_id(8), "Laborer"))))
    assert handled.outcome is Outcome.SKIPPED
    assert [one.message.rpartition("what differs: ")[2] for one in handled.reasons] == ["classification"]


def test_a_new_entry_that_is_approved_before_it_is_classified_is_created_with_a_warning(
    open_office: OpenOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    approved_after_the_look(office, monkeypatch, "create_timecard")
    event = shift(worker=priya(position=Named(position_id(7), "Carpenter")))
    handled = office.sync(event)
    assert (handled.outcome, [one.code for one in handled.warnings]) == (Outcome.CREATED, ["locked"])
    again = office.sync(event)
    assert (again.outcome, [one.code for one in again.reasons]) == (Outcome.SKIPPED, ["locked"])
