"""Projects whose time cards have start, stop and break instead of hours."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry
from tests.sync.booked import entry_id, marias
from tests.sync.conftest import Office
from tests.upstream.site import COMPANY, TOWER, Json


OpenOffice = Callable[..., Office]
STARTS = CompanySettings(COMPANY, time_entry=TimeEntry.START_STOP)


def times(office: Office) -> Json:
    (entry,) = office.site.state.timecard_entries()
    return {name: entry[name] for name in ("date", "time_in", "time_out", "lunch_time", "hours")}


def test_an_entry_has_start_stop_and_break_and_procore_works_out_the_hours(open_office: OpenOffice) -> None:
    office = open_office(STARTS)
    assert office.sync(marias()).outcome is Outcome.CREATED
    assert times(office) == {
        "date": "2026-02-24",
        "time_in": "2026-02-24T14:00:00Z",
        "time_out": "2026-02-24T22:30:00Z",
        "lunch_time": 30,
        "hours": "8.0",
    }


def test_a_projects_own_setting_decides(open_office: OpenOffice) -> None:
    own = ProjectTimeEntry(TOWER, TimeEntry.START_STOP)
    office = open_office(CompanySettings(COMPANY, project_time_entry=(own,)))
    office.sync(marias())
    assert times(office)["time_in"] == "2026-02-24T14:00:00Z"


@pytest.mark.parametrize(
    "change",
    [
        {"time_in": datetime(2026, 2, 24, 15, tzinfo=UTC)},
        {"time_out": datetime(2026, 2, 24, 23, tzinfo=UTC)},
        {"break_minutes": 45},
    ],
)
def test_a_change_of_any_of_the_three_is_an_update(open_office: OpenOffice, change: Json) -> None:
    office = open_office(STARTS)
    office.sync(marias())
    handled = office.sync(marias(revision=2, **change))
    assert handled.outcome is Outcome.UPDATED
    office.restart(lose_links=True)
    assert office.sync(marias(revision=2, **change)).outcome is Outcome.UNCHANGED


def test_a_total_that_was_rounded_otherwise_changes_nothing(open_office: OpenOffice) -> None:
    office = open_office(STARTS)
    office.sync(marias())
    before = len(office.site.writes())
    handled = office.sync(marias(revision=2, total_hours=Decimal("8.02")))
    assert (handled.outcome, len(office.site.writes())) == (Outcome.UNCHANGED, before)


def test_a_night_shift_is_booked_on_the_day_on_which_it_began(open_office: OpenOffice) -> None:
    office = open_office(STARTS)
    night = marias(
        work_date=date(2026, 2, 24),
        time_in=datetime(2026, 2, 25, 4, tzinfo=UTC),
        time_out=datetime(2026, 2, 25, 13, tzinfo=UTC),
    )
    office.sync(night)
    assert times(office) == {
        "date": "2026-02-24",
        "time_in": "2026-02-25T04:00:00Z",
        "time_out": "2026-02-25T13:00:00Z",
        "lunch_time": 30,
        "hours": "8.5",
    }


def test_a_shift_through_the_end_of_daylight_saving_is_as_long_as_the_clock_ran(
    open_office: OpenOffice,
) -> None:
    """From 23:00 to 07:00 in Texas, with an hour that comes twice: nine hours less the break."""
    office = open_office(STARTS)
    began = datetime(2026, 11, 1, 4, tzinfo=UTC)
    office.sync(marias(work_date=date(2026, 10, 31), time_in=began, time_out=began + timedelta(hours=9)))
    assert (times(office)["date"], times(office)["hours"]) == ("2026-10-31", "8.5")


def test_turning_the_setting_brings_an_open_entry_in_step_and_leaves_a_locked_one(
    open_office: OpenOffice,
) -> None:
    office = open_office()
    office.sync(marias())
    office.settings = replace(office.settings, time_entry=TimeEntry.START_STOP)
    office.restart()
    assert office.sync(marias(revision=2)).outcome is Outcome.UPDATED
    assert times(office)["time_out"] == "2026-02-24T22:30:00Z"
    office.site.state.edit_timecard_entry(entry_id(office), approval_status="approved")
    handled = office.sync(marias(revision=3, break_minutes=60))
    assert [reason.code for reason in handled.reasons] == ["locked"]
    assert times(office)["lunch_time"] == 30


def test_a_break_longer_than_the_shift_fails_in_procores_words(open_office: OpenOffice) -> None:
    office = open_office(STARTS)
    with pytest.raises(Exception, match="createTimecardEntry") as refused:
        office.sync(marias(break_minutes=600))
    assert refused.value.words == ("lunch_time cannot exceed the work duration",)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("zone", "warned"),
    [("Central Time (US & Canada)", []), ("Pacific/Auckland", ["other_day"]), (None, []), ("Nowhere", [])],
)
def test_a_project_whose_time_zone_makes_it_another_day_is_told_by_each_sync(
    open_office: OpenOffice, zone: str | None, warned: list[str]
) -> None:
    """Eight in the morning in Texas is the next day in New Zealand."""
    office = open_office(STARTS)
    office.site.state.edit_project(TOWER, time_zone=zone)
    handled = office.sync(marias())
    assert (handled.outcome, [warning.code for warning in handled.warnings]) == (Outcome.CREATED, warned)
    assert times(office)["date"] == "2026-02-24"
    before = len(office.site.writes())
    again = office.sync(marias())
    assert (again.outcome, [warning.code for warning in again.warnings]) == (Outcome.UNCHANGED, warned)
    assert len(office.site.writes()) == before
