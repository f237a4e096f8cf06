"""The oracle finds what it is there to find."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from consumer.model.events import Event, TimesheetEvent, UserEvent
from tests.chaos import world
from tests.chaos.oracle import Effects, Findings, Place, judge


EVENTS: list[Event] = [
    *(world.user(number, revision) for number, revision in ((1, 1), (1, 2), (10, 1))),
    *(world.shift(4, revision) for revision in (1, 3)),
]
PLACES: list[Place] = [("events", 0, offset) for offset in range(len(EVENTS))]


def held() -> Effects:
    """What both systems hold when all went well, made by hand."""
    user = world.user(1, 2)
    worker = {
        "external_id": "procore:1000001",
        "first_name": user.first_name,
        "last_name": "User1 Revision2",
        "email": "user1.r2@granite.example",
        "phone_number": "+15122000001",
        "payroll_id": "E000001",
    }
    person = {
        "id": 7,
        "origin_id": "sb:w1",
        "first_name": "Bo",
        "last_name": "Worker1",
        "employee_id": "W000001",
    }
    entry = {"origin_id": "sb:t4", "party_id": 7, "date": "2026-11-03", "hours": "1.030"}
    return Effects([worker], [person], [entry])


def found(
    effects: Effects, results: list[Place] | None = None, log_differs: tuple[str, ...] = ()
) -> Findings:
    wanted = world.expected(EVENTS)
    return judge(PLACES, PLACES if results is None else results, wanted, effects, log_differs=log_differs)


def changed(one: Mapping[str, Any], **fields: Any) -> list[Mapping[str, Any]]:
    return [{**one, **fields}]


def test_where_all_is_well_nothing_is_found() -> None:
    findings = found(held())
    assert findings.is_clean
    assert findings.lost == 0


def test_a_lost_a_doubled_and_an_invented_result_are_found() -> None:
    assert found(held(), PLACES[1:]).lost_results == [PLACES[0]]
    assert found(held(), [*PLACES, PLACES[2]]).duplicate_results == [PLACES[2]]
    assert found(held(), [*PLACES, ("events", 3, 9)]).results_of_nothing == [("events", 3, 9)]
    assert not found(held(), PLACES[1:]).is_clean


@pytest.mark.parametrize("kind", ["workers", "people", "entries"])
def test_a_lost_and_a_doubled_effect_are_found(kind: str) -> None:
    lost = found(replace(held(), **{kind: []}))
    assert lost.lost_effects
    assert not lost.is_clean
    doubled = found(replace(held(), **{kind: getattr(held(), kind) * 2}))
    assert len(doubled.duplicate_effects) == 1
    assert not doubled.is_clean


def test_the_effect_of_an_older_revision_is_found() -> None:
    effects = held()
    assert found(replace(effects, workers=changed(effects.workers[0], last_name="User1 Revision1"))).lost == 1
    assert found(replace(effects, entries=changed(effects.entries[0], hours="1.01"))).lost == 1


def test_an_effect_that_should_not_be_there_is_found() -> None:
    effects = held()
    stranger = {**effects.workers[0], "external_id": "procore:1000010"}
    assert found(replace(effects, workers=[*effects.workers, stranger])).wrong_effects


def test_a_difference_in_the_log_files_is_no_clean_run() -> None:
    assert not found(held(), log_differs=("Ada",)).is_clean


def test_events_are_the_same_for_a_seed_and_differ_for_another() -> None:
    events = world.events(500, 3)
    assert events == world.events(500, 3)
    assert events != world.events(500, 4)
    kinds = [type(event) for event in events]
    assert kinds.count(UserEvent) > 200
    assert kinds.count(TimesheetEvent) > 200
    revisions = [event.revision for event in events if isinstance(event, TimesheetEvent)]
    assert max(revisions) > 3


def test_what_is_expected_does_not_depend_on_the_order_of_the_events() -> None:
    events = world.events(300, 5)
    assert world.expected(events) == world.expected(list(reversed(events)))
