"""Commits that fail, at whatever step: nothing is lost, and nothing is written twice.

A broker stands before the real one and lets a step fail, before its effect or after it, as a network does.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from consumer.broker.port import Message, Position, Record, TopicPartition
from consumer.engine.handler import Handled
from consumer.exceptions import BrokerError, BrokerUnavailable, Fenced, TopicMissing
from consumer.model import reasons
from consumer.model.events import UserEvent
from consumer.model.results import Outcome
from tests.engine.test_engine_stage import TOPICS, Script, Stage, a_stage, create, link, until, user


BEFORE = ["begin", "send", "send_offsets", "commit"]
AFTER = ["send after", "send_offsets after", "commit after"]
LOOK_UPS = ["new producer", "committed"]
EVENTS = 12


@dataclass(slots=True)
class Faults:
    """What is to fail: the next so many calls of a step. ``met`` counts the calls that did."""

    due: dict[str, deque[BrokerError]] = field(default_factory=dict)
    met: int = 0
    refuses: Callable[[Message], BrokerError | None] = lambda _: None

    def plan(self, step: str, error: type[BrokerError], times: int = 1) -> None:
        """Let the next calls of this step fail."""
        self.due.setdefault(step, deque()).extend(error("invented") for _ in range(times))

    def meet(self, step: str) -> None:
        """Fail if that is due."""
        if self.due.get(step):
            self.met += 1
            raise self.due[step].popleft()


class FaultyConsumer:
    """The real consumer; what was committed cannot always be asked."""

    def __init__(self, real: Any, faults: Faults) -> None:
        self.real = real
        self._faults = faults

    def committed(self, partition: TopicPartition) -> Position | None:
        """Ask."""
        self._faults.meet("committed")
        found: Position | None = self.real.committed(partition)
        return found

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        """Poll, if the broker is there."""
        self._faults.meet("poll")
        found: Sequence[Record] = self.real.poll(timeout_s, max_records)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class FaultyProducer:
    """The real producer, whose steps fail before or after their effect."""

    def __init__(self, real: Any, faults: Faults) -> None:
        self._real = real
        self._faults = faults

    def begin(self) -> None:
        """Begin."""
        self._step("begin", self._real.begin)

    def send(self, message: Message) -> None:
        """Send."""
        refusal = self._faults.refuses(message)
        if refusal is not None:
            self._faults.met += 1
            raise refusal
        self._step("send", lambda: self._real.send(message))

    def send_offsets(self, consumer: FaultyConsumer, positions: Mapping[TopicPartition, Position]) -> None:
        """Send the real consumer's offsets."""
        self._step("send_offsets", lambda: self._real.send_offsets(consumer.real, positions))

    def commit(self) -> None:
        """Commit."""
        self._step("commit", self._real.commit)

    def abort(self) -> None:
        """Abort."""
        self._real.abort()

    def close(self) -> None:
        """Close."""
        self._real.close()

    def _step(self, name: str, step: Callable[[], None]) -> None:
        self._faults.meet(name)
        step()
        self._faults.meet(f"{name} after")


class FaultyBroker:
    """The real broker with consumers and producers that fail."""

    def __init__(self, real: Any, faults: Faults) -> None:
        self._real = real
        self._faults = faults

    def consumer(self, *args: Any, **options: Any) -> FaultyConsumer:
        """A consumer that fails."""
        return FaultyConsumer(self._real.consumer(*args, **options), self._faults)

    def transactional_producer(self, transactional_id: str) -> FaultyProducer:
        """A producer that fails, if there is one."""
        self._faults.meet("new producer")
        return FaultyProducer(self._real.transactional_producer(transactional_id), self._faults)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr("consumer.engine.commit._RETRY_PAUSE_S", 0.005)
    monkeypatch.setattr("consumer.engine.outage._PAUSE_S", 0.005)
    with a_stage(tmp_path) as made:
        yield made


async def create_or_park(event: UserEvent) -> Handled:
    """Every third event is set aside."""
    if event.user_id % 3 == 0:
        return Handled(Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))
    return await create(event)


def check_all_is_there_once(stage: Stage, events: int = EVENTS) -> None:
    """Every event has its result, its link or its dead letter, and each of them once."""
    found = stage.outcomes()
    assert found == {
        (0, number): Outcome.PARKED if number % 3 == 0 else Outcome.CREATED for number in range(events)
    }
    assert set(stage.links()) == {str(link(user(n)).key) for n in range(events) if n % 3}
    assert len(stage.read(TOPICS.links)) == sum(n % 3 > 0 for n in range(events))
    dead = [record.value for record in stage.letters()]
    assert sorted(map(str, dead)) == sorted(str(stage.codec.encode(user(n))) for n in range(0, events, 3))
    position = stage.committed()
    assert position is not None
    assert position.offset == events


def run_with(stage: Stage, faults: Faults) -> Script:
    """Publish the events in four parts, and wait for each part's results."""
    running = stage.engine(Script(create_or_park), broker=FaultyBroker(stage.broker, faults))
    for end in range(3, EVENTS + 1, 3):
        stage.publish(*(user(number) for number in range(end - 3, end)))
        stage.wait_for_results(end)
    running.stop()
    return running.handler


@pytest.mark.parametrize("error", [BrokerError, BrokerUnavailable, Fenced])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("step", [*BEFORE, *AFTER])
def test_a_commit_that_fails_at_any_step_loses_and_doubles_nothing(
    stage: Stage, step: str, times: int, error: type[BrokerError]
) -> None:
    faults = Faults()
    faults.plan(step, error, times)
    handler = run_with(stage, faults)
    assert faults.met == times
    check_all_is_there_once(stage)
    assert len(handler.calls) == EVENTS, "nothing is handled again for a commit's sake"


@pytest.mark.parametrize("look_up", LOOK_UPS)
@pytest.mark.parametrize("step", ["commit", "commit after"])
@pytest.mark.parametrize("times", [1, 4])
def test_a_broker_that_goes_down_in_a_commit_and_comes_back_later_loses_and_doubles_nothing(
    stage: Stage, step: str, look_up: str, times: int
) -> None:
    """Whether the commit went through cannot even be asked for a while, and more events come meanwhile."""
    faults = Faults()
    stage.publish(*(user(number) for number in range(EVENTS // 2)))

    async def act(event: UserEvent) -> Handled:
        if event.user_id == 0:
            # The first commit's producer and the assignment's look-up are to work.
            faults.plan(step, BrokerUnavailable)
            faults.plan(look_up, BrokerUnavailable, times)
        return await create_or_park(event)

    running = stage.engine(Script(act), broker=FaultyBroker(stage.broker, faults))
    until(lambda: faults.met > 0, "for the first fault")
    stage.publish(*(user(number) for number in range(EVENTS // 2, EVENTS)))
    until(lambda: faults.met == 1 + times, "for all faults")
    stage.wait_for_results(EVENTS)
    running.stop()
    check_all_is_there_once(stage)


@pytest.mark.parametrize("look_up", LOOK_UPS)
@pytest.mark.parametrize("step", ["commit", "commit after"])
def test_an_engine_that_is_stopped_while_a_commits_fate_is_unknown_loses_and_doubles_nothing(
    stage: Stage, step: str, look_up: str
) -> None:
    faults = Faults()
    stage.publish(*(user(number) for number in range(EVENTS)))

    async def act(event: UserEvent) -> Handled:
        if event.user_id == 0:
            faults.plan(step, BrokerUnavailable)
            faults.plan(look_up, BrokerUnavailable, 1000)
        return await create_or_park(event)

    first = stage.engine(Script(act), broker=FaultyBroker(stage.broker, faults), drain_s=0.1)
    until(lambda: faults.met > 1, "for the faults")
    first.stop()
    second = stage.engine(Script(create_or_park))
    stage.wait_for_results(EVENTS)
    until(lambda: (position := stage.committed()) is not None and position.offset == EVENTS)
    second.stop()
    check_all_is_there_once(stage)


def test_an_engine_that_is_fenced_again_and_again_ends_and_the_next_one_goes_on(stage: Stage) -> None:
    """Two processes with one transactional id would fence each other for ever."""
    faults = Faults()
    faults.plan("commit", Fenced, 1000)
    stage.publish(*(user(number) for number in range(EVENTS)))
    first = stage.engine(Script(create_or_park), broker=FaultyBroker(stage.broker, faults), drain_s=0.1)
    first.join()
    assert isinstance(first.error, Fenced)
    assert stage.results() == []
    second = stage.engine(Script(create_or_park))
    stage.wait_for_results(EVENTS)
    second.stop()
    check_all_is_there_once(stage)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("step", ["poll", "committed", "new producer"])
def test_a_broker_that_cannot_be_reached_is_waited_for_and_nothing_is_lost_or_doubled(
    stage: Stage, step: str, times: int
) -> None:
    """While work is under way, and again while everything is opened anew."""
    faults = Faults()
    stage.publish(*(user(number) for number in range(EVENTS // 2)))

    async def act(event: UserEvent) -> Handled:
        if event.user_id == 3 and not faults.met:
            faults.plan("poll", BrokerUnavailable)
            faults.plan(step, BrokerUnavailable, times)
        await asyncio.sleep(0.01)
        return await create_or_park(event)

    running = stage.engine(Script(act), broker=FaultyBroker(stage.broker, faults))
    until(lambda: faults.met == 1 + times, "for all faults")
    assert running.error is None
    stage.publish(*(user(number) for number in range(EVENTS // 2, EVENTS)))
    stage.wait_for_results(EVENTS)
    running.stop()
    check_all_is_there_once(stage)


def test_a_broker_that_does_not_come_back_ends_the_engine_when_the_patience_is_over(stage: Stage) -> None:
    faults = Faults()
    faults.plan("poll", BrokerUnavailable, 1000)
    running = stage.engine(Script(create_or_park), broker=FaultyBroker(stage.broker, faults), outage_s=0.05)
    running.join()
    assert isinstance(running.error, BrokerUnavailable)


def test_while_the_dead_letters_cannot_be_written_the_frontier_waits(stage: Stage) -> None:
    down = [True]

    def refuse(message: Message) -> BrokerError | None:
        return TopicMissing("invented") if down and message.topic == TOPICS.dead_letters else None

    faults = Faults(refuses=refuse)
    stage.publish(*(user(number) for number in range(EVENTS)))
    running = stage.engine(Script(create_or_park), broker=FaultyBroker(stage.broker, faults))
    until(lambda: faults.met > 5, "for some attempts")
    assert stage.committed() is None
    assert stage.results() == []
    down.clear()
    stage.wait_for_results(EVENTS)
    running.stop()
    check_all_is_there_once(stage)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_fails_and_whenever_the_engine_is_replaced_nothing_is_lost_or_doubled(
    stage: Stage, seed: int
) -> None:
    """Faults of all kinds at random steps, and engines that end and are replaced in between."""
    chance = random.Random(seed)
    faults = Faults()
    steps = [*BEFORE, *AFTER, *LOOK_UPS]
    events = 60
    published = 0
    while published < events:
        running = stage.engine(
            Script(create_or_park),
            broker=FaultyBroker(stage.broker, faults),
            drain_s=0.2,
            commit_records=chance.choice([1, 3, 500]),
        )
        for _ in range(chance.randint(1, 3)):
            amount = min(chance.randint(1, 9), events - published)
            stage.publish(*(user(published + number) for number in range(amount)))
            published += amount
            met = faults.met
            for _ in range(chance.randint(0, 3)):
                faults.plan(chance.choice(steps), chance.choice([BrokerError, Fenced]), chance.randint(1, 2))
            until(lambda met=met: faults.met > met or len(stage.results()) == published or running.error)  # type: ignore[misc]  # noqa: B023 - called here
        running.ask_to_stop()
        running.join()
        assert running.error is None or isinstance(running.error, BrokerError)
        stage.outcomes()
    faults.due.clear()
    last = stage.engine(Script(create_or_park))
    stage.wait_for_results(events)
    until(lambda: (position := stage.committed()) is not None and position.offset == events)
    last.stop()
    check_all_is_there_once(stage, events)
