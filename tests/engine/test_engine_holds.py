"""Companies that cannot be worked for are held, parked and redriven; the others do not notice."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from consumer.broker.port import Message
from consumer.engine.breaker import BreakerPolicy
from consumer.engine.clock import Clock
from consumer.engine.deadletters import REDRIVEN_HEADER
from consumer.engine.handler import Handled
from consumer.engine.redrive import RedriveConfig, Redriver
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import Misconfigured, RateLimited, Transient, Unsure
from consumer.model import reasons
from consumer.model.events import UserEvent
from consumer.model.results import Outcome
from consumer.model.topics import user_key
from consumer.upstream.http import may_write
from tests.engine.test_engine_stage import (
    GROUP,
    TOPICS,
    Running,
    Script,
    Stage,
    a_stage,
    at_work,
    create,
    until,
    user,
)


HOUR = Clock(pace=1200.0)
"""Lets an hour pass in three seconds."""
BROKEN, FINE = 1, 2


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with a_stage(tmp_path, 4) as made:
        yield made


@dataclass
class Upstream:
    """Answers for each company as a test says; ``broken`` has what is raised for whom."""

    broken: dict[int, Exception] = field(default_factory=dict)
    handled: list[tuple[int, int]] = field(default_factory=list)

    async def health(self, company_id: int) -> None:
        """Raise what is wrong with the company."""
        if company_id in self.broken:
            raise self.broken[company_id]

    async def act(self, event: UserEvent) -> Handled:
        """Create, if the company is not broken."""
        await asyncio.sleep(0)
        await self.health(event.company_id)
        self.handled.append((event.company_id, event.user_id))
        return await create(event)

    def script(self) -> Script:
        """The handler."""
        return Script(self.act, health=self.health)


@contextmanager
def redriving(stage: Stage, running: Running, **options: float) -> Iterator[Redriver]:
    """A redriver beside the engine."""
    config = RedriveConfig(
        group=f"{GROUP}-redrive",
        dead_letters=TOPICS.dead_letters,
        events=TOPICS.events,
        transactional_id="redrive",
        **{"first_wait_s": 0.0, **options},  # type: ignore[arg-type]
    )
    engine = running.engine
    redriver = Redriver(stage.broker, stage.codec, config, engine.is_clear, engine.is_stale, engine.metrics)
    with at_work(redriver.run):
        yield redriver


def denied() -> Misconfigured:
    return Misconfigured("procore", "createAccessToken", 401, ("The token is revoked.",))


def both(count: int) -> list[UserEvent]:
    """Events of both companies by turns; three for each user, one after the other."""
    return [
        user(number, moment=moment, company_id=company)
        for moment in range(3)
        for number in range(count)
        for company in (BROKEN, FINE)
    ]


def test_an_hour_without_access_loses_nothing_keeps_the_order_and_stops_nobody_else(stage: Stage) -> None:
    """Held at first, parked after ten minutes, redriven after the hour; the others are done long before."""
    upstream = Upstream({BROKEN: denied()})
    running = stage.engine(upstream.script(), clock=HOUR, hold_s=600.0, breaker=BreakerPolicy())
    stage.publish(*both(20))
    with redriving(stage, running):
        until(lambda: Counter(company for company, _ in upstream.handled)[FINE] == 60)
        began = HOUR.now()
        until(lambda: len(stage.letters()) == 60, "for the held ones to be parked")
        stage.publish(*(user(100 + number, company_id=BROKEN) for number in range(5)))
        until(lambda: len(stage.letters()) == 65, "for the later ones to be parked at once")
        until(lambda: HOUR.now() > began + 3600.0)
        assert not [one for one in upstream.handled if one[0] == BROKEN]
        upstream.broken.clear()
        until(lambda: len(upstream.handled) == 125, "for everything to be applied")
        found = stage.wait_for_results(125 + 65)
    running.stop()
    assert Counter(found.values()) == {Outcome.CREATED: 125, Outcome.PARKED: 65}
    for number in range(20):
        moments = [call[1] for call in running.handler.calls if call[0] == number]
        assert moments[-3:] == [0, 1, 2], "in order, also after the redrive"
    redriven = [record for record in stage.read(TOPICS.events) if dict(record.headers).get(REDRIVEN_HEADER)]
    assert len(redriven) == 65, "each once"
    assert {dict(record.headers)[REDRIVEN_HEADER] for record in redriven} == {b"1"}


def test_a_held_company_takes_no_place_among_those_that_run(stage: Stage) -> None:
    upstream = Upstream({BROKEN: denied()})
    running = stage.engine(upstream.script())
    stage.publish(*(user(number, company_id=BROKEN) for number in range(50)))
    until(lambda: len(running.handler.probes) > 3)
    (company,) = running.engine.state().companies
    assert (company.running, company.waiting) == (0, 50)
    assert company.held_since_s is not None
    assert company.breakers["procore"] in {"open", "half_open"}
    upstream.broken.clear()
    stage.wait_for_results(50)
    (company,) = running.engine.state().companies
    assert (company.waiting, company.held_since_s, company.breakers) == (0, None, {"procore": "closed"})
    running.stop()


def test_an_upstream_that_is_down_is_left_alone_but_for_probes_and_all_is_applied_when_it_is_back(
    stage: Stage,
) -> None:
    upstream = Upstream({BROKEN: Transient("procore", "createTimecardEntry", 503)})
    policy = BreakerPolicy(failures=5, first_wait_s=0.005, longest_wait_s=0.02)
    retry = RetryPolicy(first_wait_s=0.002, longest_wait_s=0.01, deadline_s=60.0)
    running = stage.engine(upstream.script(), breaker=policy, retry=retry)
    stage.publish(*(user(number, company_id=BROKEN) for number in range(40)))
    until(lambda: len(running.handler.probes) > 20)
    tried = len(running.handler.calls)
    until(lambda: len(running.handler.probes) > 40)
    assert len(running.handler.calls) == tried, "while it is open, no record is tried"
    upstream.broken.clear()
    found = stage.wait_for_results(40)
    running.stop()
    assert set(found.values()) == {Outcome.CREATED}


def test_one_record_that_is_refused_access_in_a_company_in_order_holds_only_itself(stage: Stage) -> None:
    """As with one project that the app may not see: after its deadline it is parked with the reason."""
    upstream = Upstream()

    async def act(event: UserEvent) -> Handled:
        if event.user_id == 7:
            raise Misconfigured("procore", "createTimecardEntry", 403, ("No access to this project.",))
        return await upstream.act(event)

    retry = RetryPolicy(first_wait_s=0.002, longest_wait_s=0.01, deadline_s=0.3)
    running = stage.engine(Script(act, health=upstream.health), retry=retry)
    stage.publish(*(user(number, company_id=FINE) for number in range(20)))
    found = stage.wait_for_results(20)
    running.stop()
    assert Counter(found.values()) == {Outcome.CREATED: 19, Outcome.PARKED: 1}
    (parked,) = [result for result in stage.results() if result.outcome is Outcome.PARKED]
    assert parked.subject_id == "7"
    assert [(reason.code, reason.upstream) for reason in parked.reasons] == [
        ("access_refused", "No access to this project.")
    ]


def test_a_company_that_is_asked_to_wait_is_waited_for_without_a_probe_or_a_failed_attempt(
    stage: Stage,
) -> None:
    limited = RateLimited("procore", "createTimecardEntry", 429)
    limited.retry_after_s = 0.05
    upstream = Upstream({BROKEN: limited})
    running = stage.engine(upstream.script(), retry=RetryPolicy(deadline_s=0.0, first_wait_s=0.001))
    stage.publish(*(user(number, company_id=BROKEN) for number in range(30)))
    until(lambda: len(running.handler.calls) > 60, "for two rounds")
    upstream.broken.clear()
    found = stage.wait_for_results(30)
    running.stop()
    assert set(found.values()) == {Outcome.CREATED}
    assert running.handler.probes == []


def test_under_pressure_a_held_companys_records_are_parked_before_their_time(stage: Stage) -> None:
    """A hundred records wait at most, and two hundred of the broken company come before the others'."""
    upstream = Upstream({BROKEN: denied()})
    running = stage.engine(upstream.script(), waiting_high=100, waiting_low=50, poll_records=50)
    stage.publish(*(user(number, company_id=BROKEN) for number in range(200)))
    stage.publish(*(user(number, company_id=FINE) for number in range(200)))
    with redriving(stage, running):
        until(lambda: len(upstream.handled) == 200, "for the others to have their turn")
        upstream.broken.clear()
        until(lambda: len(upstream.handled) == 400)
        until(lambda: len(stage.results()) == 400 + len(stage.letters()))
    running.stop()
    outcomes = Counter(stage.outcomes().values())
    assert outcomes[Outcome.CREATED] == 400
    assert outcomes[Outcome.PARKED] == len(stage.letters()) >= 100


def test_a_company_that_is_set_up_later_gets_what_was_parked_until_then(stage: Stage) -> None:
    """Parked by one engine, redriven beside the next one, each letter once, however often it is restarted."""
    knows: set[int] = set()

    async def act(event: UserEvent) -> Handled:
        if event.company_id not in knows:
            return Handled(Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))
        return await create(event)

    async def health(company_id: int) -> None:
        if company_id not in knows:
            raise Misconfigured("settings", "company", None)

    stage.publish(*(user(number, company_id=BROKEN) for number in range(20)))
    first = stage.engine(Script(act, health=health))
    with redriving(stage, first):
        stage.wait_for_results(20)
        until(lambda: len(first.handler.probes) > 0, "for the redriver to ask")
    first.stop()
    assert len(stage.read(TOPICS.events)) == 20, "nothing goes back while the company is not there"
    knows.add(BROKEN)
    for name in ("second", "third"):
        next_one = stage.engine(Script(act, health=health), name=name)
        with redriving(stage, next_one):
            stage.wait_for_results(40)
        next_one.stop()
    assert Counter(stage.outcomes().values()) == {Outcome.PARKED: 20, Outcome.CREATED: 20}


def test_what_a_person_must_look_at_and_what_has_come_back_too_often_stays(stage: Stage) -> None:
    async def act(event: UserEvent) -> Handled:
        if event.user_id == 1:
            raise ZeroDivisionError
        return Handled(Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))

    running = stage.engine(Script(act))
    stage.write(Message(TOPICS.events, b"2:9", b"no event"))
    stage.publish(user(1, company_id=FINE), user(2, company_id=FINE))
    with redriving(stage, running, most_times=3):
        until(lambda: len(stage.letters()) == 6, "for the third return")
        until(lambda: running.engine.is_clear(FINE))
        redriven = [dict(record.headers).get(REDRIVEN_HEADER) for record in stage.read(TOPICS.events)]
        assert sorted(filter(None, redriven)) == [b"1", b"2", b"3"]
    running.stop()
    keys = Counter(record.key for record in stage.read(TOPICS.events))
    assert keys == {b"2:9": 1, user_key(user(1, company_id=FINE)): 1, user_key(user(2, company_id=FINE)): 4}


class UnheardBroker:
    """The real broker, whose consumers have heard of their group when the test says, if it says so."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.last: list[float] = []

    def consumer(self, *args: Any, **options: Any) -> Any:
        """A consumer that may be cut off."""
        real = self._real.consumer(*args, **options)
        heard_at = real.heard_at
        real.heard_at = lambda: self.last[0] if self.last else heard_at()
        return real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_who_has_not_heard_of_the_group_for_longer_than_the_lease_changes_nothing_until_then(
    stage: Stage,
) -> None:
    """As in a process that was stopped or cut off: its partitions may be another's, who has written since."""
    asked: list[bool] = []

    async def act(event: UserEvent) -> Handled:
        asked.append(may_write.get()())
        if not asked[-1]:
            raise Unsure("smartbarrel", "updateWorker", None)
        return await create(event)

    broker = UnheardBroker(stage.broker)
    broker.last.append(time.monotonic() - 100.0)
    stage.publish(user(1))
    running = stage.engine(Script(act), broker=broker, lease_s=8.0)
    until(lambda: len(asked) >= 2, "for it to be tried again")
    assert not any(asked)
    assert stage.results() == []
    broker.last.clear()
    stage.wait_for_results(1)
    running.stop()
    assert asked[-1]
    assert running.handler.probes == [], "it is nobody's fault"


def test_a_record_that_is_asked_to_wait_while_its_company_is_set_aside_is_set_aside_too(stage: Stage) -> None:
    """It was under way when the hold time ended, and would hold the frontier for as long as the outage."""
    gate = stage.gate()

    async def act(event: UserEvent) -> Handled:
        if event.user_id == 1:
            await gate.wait(1)
            raise RateLimited("procore", "createTimecardEntry", 429)
        raise denied()

    async def health(_: int) -> None:
        raise denied()

    stage.publish(user(1), user(2), user(3))
    running = stage.engine(Script(act, health=health), hold_s=0.2)
    until(lambda: len(stage.letters()) == 2)
    gate.let(1)
    found = stage.wait_for_results(3)
    running.stop()
    assert set(found.values()) == {Outcome.PARKED}


def test_a_pause_that_is_asked_for_and_longer_than_the_hold_time_parks(stage: Stage) -> None:
    limited = RateLimited("procore", "createTimecardEntry", 429)
    limited.retry_after_s = 3600.0
    upstream = Upstream({BROKEN: limited})
    running = stage.engine(upstream.script(), hold_s=0.2)
    stage.publish(user(1, company_id=BROKEN), user(2, company_id=BROKEN), user(3, company_id=FINE))
    found = stage.wait_for_results(3)
    running.stop()
    assert Counter(found.values()) == {Outcome.PARKED: 2, Outcome.CREATED: 1}


def pause(seconds: float, status: int = 503) -> RateLimited:
    """A request to come back later."""
    limited = RateLimited("procore", "createTimecardEntry", status, ("Down for maintenance.",))
    limited.retry_after_s = seconds
    return limited


def test_hours_of_short_pauses_park_after_the_hold_time_and_all_is_applied_when_they_are_over(
    stage: Stage,
) -> None:
    """As of a server in maintenance, which answers 503 and ``Retry-After: 60`` to everything."""
    upstream = Upstream({BROKEN: pause(60.0)})
    running = stage.engine(upstream.script(), clock=HOUR, hold_s=600.0, breaker=BreakerPolicy())
    stage.publish(*both(10))
    with redriving(stage, running):
        until(lambda: len(stage.letters()) == 30, "for the held ones to be parked")
        began = HOUR.now()
        stage.publish(*(user(100 + number, company_id=BROKEN) for number in range(5)))
        until(lambda: len(stage.letters()) == 35, "for the later ones to be parked at once")
        assert HOUR.now() < began + 1200.0
        assert Counter(company for company, _ in upstream.handled) == {FINE: 30}
        (broken,) = [one for one in running.engine.state().companies if one.company_id == BROKEN]
        assert broken.parking
        upstream.broken.clear()
        until(lambda: len(upstream.handled) == 65, "for everything to be applied")
        found = stage.wait_for_results(65 + 35)
    running.stop()
    assert Counter(found.values()) == {Outcome.CREATED: 65, Outcome.PARKED: 35}
    parked = [result for result in stage.results() if result.outcome is Outcome.PARKED]
    assert {(reason.code, reason.upstream) for result in parked for reason in result.reasons} == {
        ("upstream_unavailable", "Down for maintenance.")
    }


def test_pauses_between_which_calls_get_through_never_park_however_long_they_go_on(stage: Stage) -> None:
    """As of a small budget and a long queue: each record waits for longer than the hold time."""
    upstream, asked = Upstream(), Counter[int]()

    async def act(event: UserEvent) -> Handled:
        asked[event.user_id] += 1
        if asked.total() % 5:
            raise pause(60.0, 429)
        return await upstream.act(event)

    running = stage.engine(Script(act), clock=HOUR, hold_s=600.0)
    stage.publish(*(user(number, company_id=BROKEN) for number in range(20)))
    began = HOUR.now()
    found = stage.wait_for_results(20)
    assert HOUR.now() > began + 600.0
    running.stop()
    assert set(found.values()) == {Outcome.CREATED}
    assert running.handler.probes == []


def test_a_record_that_is_the_last_to_be_asked_to_wait_is_set_aside_with_the_others(stage: Stage) -> None:
    """Alone in its company, it is neither among those that wait nor held by anything but its own pauses."""
    upstream = Upstream({BROKEN: pause(0.05)})
    running = stage.engine(upstream.script(), hold_s=0.3, retry=RetryPolicy(first_wait_s=0.001))
    stage.publish(user(1, company_id=BROKEN))
    found = stage.wait_for_results(1)
    running.stop()
    assert set(found.values()) == {Outcome.PARKED}
