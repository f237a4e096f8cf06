"""With Autosync off, what comes by itself waits for the next sync."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from consumer.model.events import Event
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.sync.conftest import Office
from tests.sync.people import maria, shift
from tests.upstream.site import COMPANY


OFF = CompanySettings(COMPANY)
ON = CompanySettings(COMPANY, autosync_users=True, auto_sync_time_card=True)
LIVE = [pytest.param(maria(run_id=None), id="user"), pytest.param(shift(run_id=None), id="timesheet")]


@pytest.mark.parametrize("event", LIVE)
def test_a_live_event_is_held_and_costs_no_call(open_office: Callable[..., Office], event: Event) -> None:
    office = open_office(OFF)
    handled = office.sync(event)
    assert (handled.outcome, [reason.code for reason in handled.reasons]) == (Outcome.HELD, ["autosync_off"])
    assert office.site.wire.seen == []


@pytest.mark.parametrize("event", LIVE)
def test_the_next_sync_applies_what_was_held(open_office: Callable[..., Office], event: Event) -> None:
    office = open_office(OFF)
    office.sync(event)
    assert office.sync(replace(event, run_id="5f0c2a11")).outcome is Outcome.CREATED


@pytest.mark.parametrize("event", LIVE)
def test_with_autosync_on_a_live_event_is_applied(open_office: Callable[..., Office], event: Event) -> None:
    assert open_office(ON).sync(event).outcome is Outcome.CREATED


@pytest.mark.parametrize("event", LIVE)
def test_turning_autosync_on_counts_for_the_next_event(
    open_office: Callable[..., Office], event: Event
) -> None:
    office = open_office(OFF)
    assert office.sync(event).outcome is Outcome.HELD
    office.settings = ON
    assert office.sync(event).outcome is Outcome.CREATED


def test_users_and_time_cards_are_turned_on_by_themselves(open_office: Callable[..., Office]) -> None:
    office = open_office(replace(OFF, autosync_users=True))
    assert office.sync(shift(run_id=None)).outcome is Outcome.HELD
    assert office.sync(maria(run_id=None)).outcome is Outcome.CREATED


@pytest.mark.parametrize("event", LIVE)
def test_an_event_that_is_older_than_what_was_applied_is_stale_and_not_held(
    open_office: Callable[..., Office], event: Event
) -> None:
    office = open_office(OFF)
    newer = maria(5) if event == maria(run_id=None) else shift(2)
    office.sync(newer)
    assert office.sync(event).outcome is Outcome.STALE


@pytest.mark.parametrize("event", [pytest.param(maria(), id="user"), pytest.param(shift(), id="timesheet")])
def test_a_forced_event_mends_what_somebody_changed_by_hand(
    open_office: Callable[..., Office], event: Event
) -> None:
    office = open_office()
    office.sync(event)
    state = office.site.state
    if event == maria():
        state.edit_worker(state.workers()[0]["id"], last_name="Changed")
    else:
        state.edit_timecard_entry(state.timecard_entries()[0]["id"], hours="1.0")
    assert office.sync(event).outcome is Outcome.UNCHANGED, "the fingerprint says that nothing has changed"
    assert office.sync(replace(event, force=True)).outcome is Outcome.UPDATED
    writes = len(office.site.writes("PATCH"))
    assert office.sync(replace(event, force=True)).outcome is Outcome.UNCHANGED
    assert len(office.site.writes("PATCH")) == writes
