"""A rebalance in the midst of slow work, on both brokers."""

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.engine.handler import Handled
from consumer.engine.outbox import Topics
from consumer.model.events import UserEvent
from consumer.model.results import Outcome
from tests.engine.test_engine_stage import Script, Stage, create, until, user


EVENTS = 500
CALL_S = 2.0


def stage_on(url: str) -> Stage:
    prefix = f"rebalance-{uuid4().hex[:8]}."
    topics = Topics(*(f"{prefix}{name}" for name in ("events", "log", "links", "dead")))
    return Stage(url, 4, topics, f"{prefix}group")


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    if request.param == "embedded":
        made = stage_on(f"embedded:{tmp_path / 'broker.db'}")
    else:
        made = stage_on(os.environ["CREWSYNC_BROKER_URL"])
    yield made
    made.close()


async def slow(event: UserEvent) -> Handled:
    await asyncio.sleep(CALL_S)
    return await create(event)


def test_five_hundred_slow_calls_end_in_the_drain_and_none_is_made_again(stage: Stage) -> None:
    first = stage.engine(Script(slow), name="first", drain_s=10.0)
    stage.publish(*(user(number) for number in range(EVENTS)))
    until(lambda: first.engine.handling.running() == EVENTS, "for all of them to be under way")
    second = stage.engine(Script(slow), name="second")
    found = stage.wait_for_results(EVENTS)
    until(lambda: second.handler.renewals, "for the second to have its share")
    stage.publish(*(user(1000 + number) for number in range(40)))
    stage.wait_for_results(EVENTS + 40)
    first.stop()
    second.stop()
    assert set(found.values()) == {Outcome.CREATED}
    calls = Counter(call for engine in (first, second) for call in engine.handler.calls)
    assert set(calls.values()) == {1}, "no event was handled twice"
    assert len(calls) == EVENTS + 40
    assert second.handler.calls


def test_calls_that_outlast_the_drain_are_made_again_by_the_next_owner_and_what_was_committed_is_not(
    stage: Stage,
) -> None:
    """Every second one ends before the rebalance, the others never, for the first engine."""
    first_gate, committed = stage.gate(), [number for number in range(EVENTS) if number % 2]

    async def half(event: UserEvent) -> Handled:
        if event.user_id % 2 == 0:
            await first_gate.wait(event.user_id)
        return await create(event)

    first = stage.engine(Script(half), name="first", drain_s=0.5)
    stage.publish(*(user(number) for number in range(EVENTS)))
    stage.wait_for_results(len(committed))
    second = stage.engine(name="second")
    until(lambda: second.handler.calls, "for the second to go on, though the first ones still hang")
    first.stop()
    third = stage.engine(name="third")
    found = stage.wait_for_results(EVENTS)
    second.stop()
    third.stop()
    assert set(found.values()) == {Outcome.CREATED}
    again = {number for engine in (second, third) for number, _ in engine.handler.calls}
    assert again == set(range(EVENTS)) - set(committed)
