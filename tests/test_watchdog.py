"""A loop that does not turn is noticed, and told once, with everybody's place and nobody's data."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from consumer import watchdog
from consumer.metric_families import REGISTRY
from consumer.watchdog import Heartbeat, Watchdog, stacks_of_tasks, stacks_of_threads


PATIENCE_S = 10.0
Told = list[MutableMapping[str, Any]]


@dataclass
class FakeClock:
    """Seconds that pass only when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def told() -> Iterator[Told]:
    """What is written to the process log, in the meantime."""
    with structlog.testing.capture_logs() as entries:
        yield entries


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def events(told: Told) -> list[tuple[str, str]]:
    """What was told of loops, without the stacks."""
    return [(entry["event"], entry["loop"]) for entry in told if "loop" in entry]


# ------------------------------------------------------------------ heartbeats


def test_a_heartbeat_tells_how_long_ago_the_loop_turned(clock: FakeClock) -> None:
    heartbeat = Heartbeat("users", clock)
    heartbeat.beat()
    clock.now += 7.5
    assert heartbeat.age_s() == 7.5
    heartbeat.beat()
    assert heartbeat.age_s() == 0


def test_a_loop_that_has_not_begun_or_has_ended_has_no_pulse_and_is_not_stuck(clock: FakeClock) -> None:
    """To start may take long, and is for readiness to tell."""
    new, over = Heartbeat("new", clock), Heartbeat("over", clock)
    over.beat()
    over.end()
    clock.now += 10_000
    assert (new.age_s(), over.age_s()) == (None, None)
    assert Watchdog([new, over], 120).stuck() == {}


def test_a_loop_is_stuck_when_it_has_not_turned_for_longer_than_the_limit(clock: FakeClock) -> None:
    users, sink = Heartbeat("users", clock), Heartbeat("sink", clock)
    dog = Watchdog([users, sink], 120)
    users.beat()
    sink.beat()
    clock.now += 120
    sink.beat()
    assert dog.stuck() == {}
    clock.now += 0.5
    assert dog.stuck() == {"users": 120.5}
    users.beat()
    assert dog.stuck() == {}


# ------------------------------------------------------------------ what is told


def test_each_stall_is_told_once_and_its_end_as_well(clock: FakeClock, told: Told) -> None:
    users = Heartbeat("users", clock)
    dog = Watchdog([users], 120)
    for _ in range(2):
        users.beat()
        dog.look()
        clock.now += 121
        dog.look()
        clock.now += 121
        dog.look()
        users.beat()
        dog.look()
    assert events(told) == [("loop.stuck", "users"), ("loop.turns_again", "users")] * 2
    assert [entry["age_s"] for entry in told if entry["event"] == "loop.stuck"] == [121, 121]


def test_another_loop_that_gets_stuck_later_is_told_too(clock: FakeClock, told: Told) -> None:
    users, sink = Heartbeat("users", clock), Heartbeat("sink", clock)
    dog = Watchdog([users, sink], 120)
    users.beat()
    clock.now += 100
    sink.beat()
    clock.now += 50
    dog.look()
    clock.now += 100
    dog.look()
    assert events(told) == [("loop.stuck", "users"), ("loop.stuck", "sink")]


def test_a_loop_that_ends_while_it_is_stuck_is_no_longer_told_of(clock: FakeClock) -> None:
    users = Heartbeat("users", clock)
    dog = Watchdog([users], 120)
    users.beat()
    clock.now += 121
    dog.look()
    users.end()
    dog.look()
    assert dog.stuck() == {}


def test_the_metric_of_a_loop_follows(clock: FakeClock) -> None:
    beat = Heartbeat("followed", clock)
    dog = Watchdog([beat], 120)
    shown = []
    beat.beat()
    for seconds in (1, 120):
        clock.now += seconds
        dog.look()
        shown.append(REGISTRY.get_sample_value("crewsync_loop_stuck", {"loop": "followed"}))
    assert shown == [0, 1]


# ------------------------------------------------------------------ stacks


def wait_for_a_lock_that_nobody_releases(released: threading.Event, phone: str) -> None:
    assert phone
    released.wait(PATIENCE_S)


@pytest.fixture
def stuck_thread() -> Iterator[threading.Thread]:
    """A thread that is really stuck, and has somebody's number among its values."""
    released = threading.Event()
    thread = threading.Thread(
        target=wait_for_a_lock_that_nobody_releases, args=(released, "+15125550143"), name="stuck-one"
    )
    thread.start()
    yield thread
    released.set()
    thread.join(PATIENCE_S)


@pytest.mark.usefixtures("stuck_thread")
def test_the_stack_of_a_stuck_thread_shows_where_it_is_and_no_value(told: Told) -> None:
    def is_there() -> bool:
        stacks = dict(stacks_of_threads())
        return any("wait_for_a_lock_that_nobody_releases" in frame for frame in stacks["stuck-one"])

    until(is_there)
    heartbeat = Heartbeat("users", lambda: 0.0)
    heartbeat.beat()
    Watchdog([heartbeat], -1).look()
    (dump,) = (entry for entry in told if entry.get("thread") == "stuck-one")
    assert dump["frames"][-1].endswith(" wait")
    assert any(frame.endswith(" wait_for_a_lock_that_nobody_releases") for frame in dump["frames"])
    assert all(len(frame.rsplit(" ", 1)) == 2 for frame in dump["frames"])
    assert "+15125550143" not in str(told)


def test_a_loop_that_really_stops_turning_is_told_by_the_watchdog_s_own_thread(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_LOOK_EVERY_S", 0.01)
    heartbeat, go_on, end = Heartbeat("users"), threading.Event(), threading.Event()

    def loop() -> None:
        heartbeat.beat()
        go_on.wait(PATIENCE_S)
        while not end.wait(0.01):
            heartbeat.beat()

    thread = threading.Thread(target=loop, name="users")
    with Watchdog([heartbeat], 0.3) as dog:
        thread.start()
        until(lambda: ("loop.stuck", "users") in events(told))
        assert "users" in dog.stuck()
        go_on.set()
        until(lambda: ("loop.turns_again", "users") in events(told))
        end.set()
        thread.join(PATIENCE_S)
    assert "users" in [entry.get("thread") for entry in told]
    assert not any(one.name == "watchdog" for one in threading.enumerate())


def test_the_stacks_of_tasks_lead_to_where_they_wait_and_equal_ones_are_counted() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        held = asyncio.Event()

        async def innermost() -> None:
            await held.wait()

        async def handler() -> None:
            await innermost()

        async def start() -> list[asyncio.Task[None]]:
            return [asyncio.ensure_future(handler()) for _ in range(3)]

        tasks = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE_S)

        def at_the_event() -> list[tuple[int, list[str]]]:
            return [
                (count, [frame.rsplit(" ", 1)[1] for frame in frames])
                for count, frames in stacks_of_tasks(loop)
            ]

        until(lambda: (3, ["handler", "innermost", "wait"]) in at_the_event())
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)
        until(lambda: stacks_of_tasks(loop) == [])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


def test_the_tasks_of_the_handlers_loop_are_told_with_a_stall(clock: FakeClock, told: Told) -> None:
    async def handler() -> None:
        heartbeat = Heartbeat("handlers", clock)
        heartbeat.beat()
        clock.now += 121
        Watchdog([heartbeat], 120, loop=asyncio.get_running_loop()).look()

    asyncio.run(handler())
    (dump,) = (entry for entry in told if "tasks" in entry)
    assert dump["tasks"] == 1
    assert dump["frames"][0].endswith(" handler")
