"""Autosync: each company's hours exactly once, whoever runs, is started again, or has a wrong clock."""

import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from consumer.model.events import Kind, Trigger
from consumer.model.results import Phase
from consumer.model.settings import CompanySettings
from consumer.runs.autosync import EVERY_S, LATE_S, Slot, command_of, due
from consumer.runs.runner import Runner
from tests.runs.conftest import Office, Stage


START = 1_760_000_000.0
HOUR, DAY = 3600.0, 86_400.0
COMPANIES = [4281001, 4281002, 4281003, 4281011]
BOTH = frozenset(Kind)


def settings(company_id: int, **fields: bool) -> CompanySettings:
    on = {"autosync_users": True, "auto_sync_time_card": True, **fields}
    return CompanySettings(company_id, **on)  # type: ignore[arg-type]


def slots(first: float, last: float, *companies: CompanySettings, step: float = 60.0) -> list[Slot]:
    """All that are due at some moment of a time, each once, in order."""
    found: dict[Slot, None] = {}
    moment = first
    while moment < last:
        found |= dict.fromkeys(due(companies, moment))
        moment += step
    return list(found)


def test_each_hour_has_one_slot_for_each_kind() -> None:
    found = Counter(slot.kind for slot in slots(START, START + 24 * HOUR, settings(COMPANIES[0])))
    assert set(found) == BOTH
    assert all(24 <= count <= 25 for count in found.values())


@pytest.mark.parametrize(
    ("fields", "kinds"),
    [
        ({}, BOTH),
        ({"autosync_users": False}, {Kind.TIMESHEETS}),
        ({"auto_sync_time_card": False}, {Kind.USERS}),
        ({"user_sync": False}, {Kind.TIMESHEETS}),
        ({"autosync_users": False, "auto_sync_time_card": False}, set()),
    ],
)
def test_only_what_is_turned_on_is_due(fields: dict[str, bool], kinds: set[Kind]) -> None:
    assert {slot.kind for slot in slots(START, START + HOUR, settings(1, **fields))} == kinds


def test_companies_are_spread_over_the_hour() -> None:
    many = [settings(company_id) for company_id in range(2000)]
    minutes = Counter(minute for minute in range(60) for _ in due(many, START + 60.0 * minute - LATE_S + 60))
    assert min(minutes.values()) > 0.5 * 4000 * LATE_S / EVERY_S


def test_an_automatic_sync_of_timesheets_looks_a_month_back() -> None:
    command = command_of(Slot(1, Kind.TIMESHEETS, 5), datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp())
    assert (command.trigger, command.requested_by) == (Trigger.AUTOMATIC, "Autosync")
    assert str(command.first_day) == "2026-10-21"
    assert command_of(Slot(1, Kind.USERS, 5), START).first_day is None


# ------------------------------------------------------------------ processes in simulated time


@dataclass
class World:
    """Simulated time, and the processes that there are."""

    stage: Stage
    offices: Sequence[Office]
    now: float = START
    runners: list[Runner] = field(default_factory=list)

    def start(self) -> None:
        runner = self.stage.runner(*self.offices, wall=lambda: self.now)
        runner.open()
        self.runners.append(runner)

    def stop(self, which: int) -> None:
        self.runners.pop(which % len(self.runners)).close()

    def pass_time(self, seconds: float, step: float = 120.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.turn()

    def turn(self) -> None:
        for runner in self.runners:
            runner.turn(0.0)
            runner.schedule(self.now)

    def hours(self) -> Counter[tuple[int, Kind, int]]:
        """How often each slot was run."""
        known = {
            slot.run_id: (slot.company_id, slot.kind, slot.number)
            for company_id in COMPANIES
            for kind in Kind
            for slot in (Slot(company_id, kind, number) for number in _numbers(self.now))
        }
        ended = (one for one in self.stage.all_markers() if one.phase is not Phase.READING)
        return Counter(known[marker.run_id] for marker in ended)


def _numbers(now: float) -> range:
    return range(int(START // EVERY_S) - 3, int(now // EVERY_S) + 3)


@contextmanager
def world(stage: Stage) -> Iterator[World]:
    made = World(stage, [Office(company_id, settings=settings(company_id)) for company_id in COMPANIES])
    try:
        yield made
        _settle(made)
    finally:
        while made.runners:
            made.stop(0)


def _settle(made: World) -> None:
    """Let the readings end that are under way."""
    for _ in range(200):
        made.turn()
        if not any(runner.is_busy for runner in made.runners):
            return
        threading.Event().wait(0.01)


def expected(first: float, last: float) -> set[tuple[int, Kind, int]]:
    """The slots whose moment is within a time."""
    every = slots(first, last, *map(settings, COMPANIES), step=30.0)
    return {(slot.company_id, slot.kind, slot.number) for slot in every}


def test_three_days_with_two_processes_and_restarts_have_each_companys_hours_exactly_once(
    stage: Stage,
) -> None:
    chance = random.Random(20261125)
    with world(stage) as made:
        made.start()
        made.start()
        while made.now < START + 3 * DAY:
            made.pass_time(chance.uniform(600, 4 * HOUR))
            made.stop(chance.randrange(2))
            # So long may a restart take without an hour being missed.
            made.pass_time(chance.uniform(0, LATE_S / 2))
            made.start()
        last = made.now
    ran = made.hours()
    assert set(ran.values()) == {1}
    assert expected(START + LATE_S, last - LATE_S) <= set(ran) <= expected(START, last + 120)


def test_hours_that_nobody_worked_through_are_not_made_up(stage: Stage) -> None:
    with world(stage) as made:
        made.start()
        made.pass_time(HOUR)
        made.stop(0)
        made.now += 5 * HOUR
        made.start()
        made.pass_time(HOUR)
        last = made.now
    ran = made.hours()
    assert set(ran.values()) == {1}
    missed = expected(START + HOUR + LATE_S + 120, last - HOUR - LATE_S - 120)
    assert not missed & set(ran)


@pytest.mark.parametrize("jump", [-3 * HOUR, -90.0, 90.0, 3 * HOUR])
def test_a_clock_that_is_changed_runs_no_hour_twice(stage: Stage, jump: float) -> None:
    with world(stage) as made:
        made.start()
        made.pass_time(4 * HOUR)
        made.now += jump
        made.pass_time(4 * HOUR)
    assert set(made.hours().values()) == {1}
