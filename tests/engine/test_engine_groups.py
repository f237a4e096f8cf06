"""Engines that share a group, stop, are replaced, and hold back: nothing is lost or doubled meanwhile."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consumer.broker.port import Record
from consumer.engine.handler import Handled
from consumer.engine.limits import Limits
from consumer.exceptions import Fenced
from consumer.model.events import UserEvent
from consumer.model.results import Outcome
from tests.engine.test_engine_stage import Act, Gate, Script, Stage, a_stage, create, link, until, user


PARTITIONS = 4


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with a_stage(tmp_path, PARTITIONS) as made:
        yield made


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Stage]:
    """A stage with one partition of events."""
    with a_stage(tmp_path) as made:
        yield made


def gated(gate: Gate) -> Act:
    """Everybody is created once the gate lets them pass."""

    async def act(event: UserEvent) -> Handled:
        await gate.wait(event.user_id)
        return await create(event)

    return act


def slow(seed: int) -> Act:
    """Everybody is created after a few milliseconds."""
    chance = random.Random(seed)

    async def act(event: UserEvent) -> Handled:
        await asyncio.sleep(chance.uniform(0, 0.004))
        return await create(event)

    return act


def check_order(stage: Stage) -> None:
    """The results of each user are in the order of their events."""
    moments: dict[str, list[int]] = {}
    for result in stage.results():
        moments.setdefault(result.subject_id, []).append(result.source_offset)
    assert all(offsets == sorted(offsets) for offsets in moments.values())


# ------------------------------------------------------------------ several engines


@pytest.mark.parametrize("seed", range(4))
def test_engines_that_join_and_leave_while_events_come_lose_and_double_nothing(
    stage: Stage, seed: int
) -> None:
    chance = random.Random(seed)
    published = 0
    running = [stage.engine(Script(slow(seed)), name="engine-0")]
    for turn in range(1, 7):
        events = [user(chance.randrange(40), moment=published + n) for n in range(40)]
        stage.publish(*events)
        published += len(events)
        if len(running) > 1 and chance.random() < 0.5:
            leaver = running.pop(chance.randrange(len(running)))
            leaver.ask_to_stop()
        else:
            running.append(stage.engine(Script(slow(seed + turn)), name=f"engine-{turn}"))
        # The next one comes or goes in the midst of the work.
        until(lambda: len(stage.results()) >= published - 25)  # noqa: B023 - called here
    found = stage.wait_for_results(published)
    for one in running:
        one.stop()
    assert len(found) == published
    assert set(found.values()) == {Outcome.CREATED}
    check_order(stage)
    for partition in range(PARTITIONS):
        offsets = [offset for number, offset in found if number == partition]
        position = stage.committed(partition)
        assert position is not None
        assert position.offset == len(offsets)


def test_two_engines_share_the_partitions(stage: Stage) -> None:
    one, two = (stage.engine(name=name) for name in ("one", "two"))
    until(lambda: one.handler.renewals and two.handler.renewals, "for both to have partitions")
    stage.publish(*(user(number) for number in range(80)))
    stage.wait_for_results(80)
    one.stop()
    two.stop()
    assert len(one.handler.calls) + len(two.handler.calls) == 80
    assert one.handler.calls
    assert two.handler.calls


def test_work_that_does_not_end_is_cancelled_when_its_partition_goes_and_done_by_the_next_owner(
    stage: Stage,
) -> None:
    gate = stage.gate()
    first = stage.engine(Script(gated(gate)), name="first", drain_s=0.05)
    stage.publish(*(user(number, moment=1) for number in range(40)))
    until(lambda: len(gate.waiting) == 40)
    second = stage.engine(name="second")
    until(lambda: second.handler.calls, "for the second to take over")
    until(lambda: len(gate.waiting) + len(second.handler.calls) == 40)
    gate.let_all()
    found = stage.wait_for_results(40)
    first.stop()
    second.stop()
    assert set(found.values()) == {Outcome.CREATED}


def test_a_completion_that_comes_after_its_partition_has_gone_changes_nothing(stage: Stage) -> None:
    """A handler may be past its last await when it is cancelled."""
    gate = stage.gate()
    cancelled: list[int] = []

    async def act(event: UserEvent) -> Handled:
        try:
            await gate.wait(event.user_id)
        except asyncio.CancelledError:
            cancelled.append(event.user_id)
        (late,) = (await create(event)).links
        return Handled(Outcome.UPDATED, links=(replace(late, target_id="late"),))

    first = stage.engine(Script(act), name="first", drain_s=0.05)
    stage.publish(*(user(number) for number in range(40)))
    until(lambda: len(gate.waiting) == 40)
    second = stage.engine(name="second")
    until(lambda: cancelled and len(second.handler.calls) == len(cancelled), "for the second to take over")
    taken = set(cancelled)
    stage.wait_for_results(len(taken))
    for number in taken:
        key = link(user(number)).key
        until(lambda key=key: (found := first.links.get(key)) and found.target_id != "late")  # type: ignore[misc]
    gate.let_all()
    stage.wait_for_results(40)
    first.stop()
    second.stop()
    outcomes = {int(result.subject_id): result.outcome for result in stage.results()}
    assert len(stage.outcomes()) == 40
    assert {number for number, outcome in outcomes.items() if outcome is Outcome.CREATED} == taken


def test_an_engine_whose_place_is_taken_ends_and_what_it_had_in_hand_gets_one_result(narrow: Stage) -> None:
    """A restarted process comes back under its name before the old one is gone."""
    gate = narrow.gate()
    first = narrow.engine(Script(gated(gate)), name="one", instance_id="pod-1", drain_s=0.1)
    narrow.publish(user(1), user(2))
    until(lambda: len(gate.waiting) == 2)
    second = narrow.engine(name="one", instance_id="pod-1")
    found = narrow.wait_for_results(2)
    gate.let_all()
    first.join()
    assert isinstance(first.error, Fenced)
    second.stop()
    assert found == narrow.outcomes()
    assert first.links.get(next(iter(narrow.links().values())).key) in {None, *narrow.links().values()}


# ------------------------------------------------------------------ stop


def test_a_stop_lets_end_what_runs_and_starts_nothing_that_waits(narrow: Stage) -> None:
    gate = narrow.gate()
    limits = Limits(in_flight=2, per_company=2)
    running = narrow.engine(Script(gated(gate)), limits=limits, drain_s=10.0)
    narrow.publish(user(1), user(2), user(2, moment=1), user(3))
    until(lambda: sorted(gate.waiting) == [1, 2])
    running.ask_to_stop()
    until(
        lambda: [one.waiting for one in running.engine.state().companies] == [0],
        "for the engine to let go of what waits",
    )
    gate.let_all()
    running.join()
    assert running.error is None
    assert narrow.outcomes() == {(0, 0): Outcome.CREATED, (0, 1): Outcome.CREATED}
    assert sorted(running.handler.calls) == [(1, 0), (2, 0)]
    position = narrow.committed()
    assert position is not None
    assert position.offset == 2
    last = narrow.engine()
    assert len(narrow.wait_for_results(4)) == 4
    last.stop()
    assert sorted(last.handler.calls) == [(2, 1), (3, 0)]


def test_a_stop_waits_no_longer_for_what_runs_than_its_deadline(narrow: Stage) -> None:
    gate = narrow.gate()
    running = narrow.engine(Script(gated(gate)), drain_s=0.1)
    narrow.publish(user(1), user(2))
    until(lambda: len(gate.waiting) == 2)
    gate.let(2)
    narrow.wait_for_results(1)
    running.stop()
    until(lambda: gate.waiting == [], "for the cancelled one to end")
    assert narrow.outcomes() == {(0, 1): Outcome.CREATED}
    last = narrow.engine()
    narrow.wait_for_results(2)
    last.stop()
    assert last.handler.calls == [(1, 0)]


def test_an_engine_without_events_stops_at_once_and_commits_nothing(narrow: Stage) -> None:
    running = narrow.engine()
    until(lambda: running.handler.renewals)
    running.stop()
    assert narrow.committed() is None


# ------------------------------------------------------------------ holding back


class CountingBroker:
    """The real broker; ``polls`` counts how often its consumers were asked, ``taken`` what they gave."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.polls = 0
        self.taken = 0

    def consumer(self, *args: Any, **options: Any) -> Any:
        """A consumer whose polls are counted."""
        consumer = self._real.consumer(*args, **options)
        poll = consumer.poll

        def counted(timeout_s: float, max_records: int = 500) -> Sequence[Record]:
            records: Sequence[Record] = poll(timeout_s, max_records)
            self.polls += 1
            self.taken += len(records)
            return records

        consumer.poll = counted
        return consumer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_with_too_much_in_flight_nothing_more_is_taken_until_enough_is_done(narrow: Stage) -> None:
    gate, broker = narrow.gate(), CountingBroker(narrow.broker)
    narrow.publish(*(user(number) for number in range(10)))
    running = narrow.engine(Script(gated(gate)), broker=broker, waiting_high=10, waiting_low=4)
    until(lambda: len(gate.waiting) == 10)
    narrow.publish(*(user(number) for number in range(10, 20)))

    def after_some_polls() -> int:
        polls = broker.polls
        until(lambda: broker.polls > polls + 5, "for the membership to be kept alive")
        return broker.taken

    assert after_some_polls() == 10
    gate.let(*range(5))
    narrow.wait_for_results(5)
    assert after_some_polls() == 10, "five in flight are still above the lower mark"
    gate.let(5)
    until(lambda: broker.taken == 20, "for the rest to be taken")
    gate.let_all()
    narrow.wait_for_results(20)
    running.stop()


@pytest.mark.parametrize("in_flight", [3, 1, 8])
def test_a_rebalance_while_holding_back_leaves_no_partition_paused_for_ever(
    stage: Stage, in_flight: int
) -> None:
    """Also if it comes when less is in flight than the upper mark, but more than the lower."""
    gate = stage.gate()
    first = stage.engine(Script(gated(gate)), name="first", waiting_high=8, waiting_low=1, drain_s=0.05)
    for number in range(8):
        stage.publish(user(number), partition=number % PARTITIONS)
    until(lambda: len(gate.waiting) == 8)
    gate.let(*range(8 - in_flight))
    stage.wait_for_results(8 - in_flight)
    for number in range(8, 16):
        stage.publish(user(number), partition=number % PARTITIONS)
    second = stage.engine(name="second")
    until(lambda: second.handler.renewals, "for the second to have partitions")
    second.stop()
    gate.let_all()
    found = stage.wait_for_results(16)
    first.stop()
    assert set(found.values()) == {Outcome.CREATED}
