"""The stage of the engine's tests: a real embedded broker, engines on it, handlers of a test's own making.

Everything that a test waits for has a limit of ``PATIENCE_S``; only a failing test waits that long.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from consumer.broker.connect import connect
from consumer.broker.port import Broker, Message, Position, Record, TopicPartition, TopicSpec
from consumer.engine.breaker import BreakerPolicy
from consumer.engine.config import EngineConfig
from consumer.engine.deadletters import settled_offset
from consumer.engine.handler import Handled, Subject
from consumer.engine.limits import Limits
from consumer.engine.links import Links
from consumer.engine.loop import Engine
from consumer.engine.outbox import Topics
from consumer.engine.retry import RetryPolicy
from consumer.model.codec import Codec
from consumer.model.events import Kind, UserEvent
from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome, Result
from consumer.model.topics import user_key


PATIENCE_S = 20.0
GROUP = "group"
TOPICS = Topics(events="events", sync_log="log", links="links", dead_letters="dead")
ASKED_AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
Act = Callable[[UserEvent], Awaitable[Handled]]


def until(condition: Callable[[], object], what: str = "") -> None:
    """Wait for the condition. Raises AssertionError when the patience is at its end."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain {what}"
        time.sleep(0.003)


def user(number: int, moment: int = 0, **fields: Any) -> UserEvent:
    """A user's event; ``moment`` tells the events of one user apart."""
    return UserEvent(
        company_id=fields.pop("company_id", 4281001),
        user_id=number,
        asked_at=ASKED_AT + timedelta(seconds=moment),
        first_name="Maria",
        last_name=f"Number{number}",
        **fields,
    )


def link(event: UserEvent) -> Link:
    """The link that the scripted handlers make of an event."""
    moment = int((event.asked_at - ASKED_AT).total_seconds())
    return Link(event.company_id, LinkKind.USER, str(event.user_id), f"w{event.user_id}", moment, "f")


async def create(event: UserEvent) -> Handled:
    """The plainest handler: everything is created and linked."""
    return Handled(Outcome.CREATED, links=(link(event),))


class Gate:
    """Work waits here until a test lets it pass. ``waiting`` are those who have come and wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open = False
        self._events: dict[int, asyncio.Event] = {}
        self.waiting: list[int] = []

    async def wait(self, number: int) -> None:
        """Wait for ``let(number)`` or ``let_all``."""
        if not self._open:
            self.waiting.append(number)
            try:
                await self._events.setdefault(number, asyncio.Event()).wait()
            finally:
                self.waiting.remove(number)

    def let(self, *numbers: int) -> None:
        """Let these pass, also if they come later."""
        self._loop.call_soon_threadsafe(self._let, numbers)

    def let_all(self) -> None:
        """Let everybody pass from now on."""
        self._open = True
        self._loop.call_soon_threadsafe(lambda: self._let(tuple(self._events)))

    def _let(self, numbers: tuple[int, ...]) -> None:
        for number in numbers:
            self._events.setdefault(number, asyncio.Event()).set()


def _nothing(_: UserEvent) -> Handled | None:
    return None


async def _healthy(_: int) -> None:
    pass


@dataclass(slots=True)
class Script:
    """A handler that does what ``act`` says, and notes whom it was called for."""

    act: Act = create
    kind: Kind = Kind.USERS
    calls: list[tuple[int, int]] = field(default_factory=list)
    renewals: int = 0
    settle: Callable[[UserEvent], Handled | None] = _nothing
    health: Callable[[int], Awaitable[None]] = _healthy
    probes: list[int] = field(default_factory=list)

    def subject(self, event: UserEvent) -> Subject:
        """The user."""
        return Subject(
            str(event.user_id), f"{event.first_name} {event.last_name}", event.asked_at, event.run_id
        )

    def at_once(self, event: UserEvent) -> Handled | None:
        """Everything takes a call, unless ``settle`` says otherwise."""
        return self.settle(event)

    async def probe(self, company_id: int) -> None:
        """As ``health`` says."""
        self.probes.append(company_id)
        await self.health(company_id)

    async def handle(self, event: UserEvent) -> Handled:
        """Act, after a note of the user and the moment."""
        self.calls.append((event.user_id, int((event.asked_at - ASKED_AT).total_seconds())))
        return await self.act(event)

    def in_doubt(self, event: UserEvent) -> tuple[Link, ...]:
        """Nothing is kept, so nothing can have become untrue."""
        del event
        return ()

    def renew(self) -> None:
        """Count."""
        self.renewals += 1


@dataclass(slots=True)
class Running:
    """An engine on a thread of its own. ``error`` is what it ended with."""

    engine: Engine
    links: Links
    handler: Script
    error: BaseException | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> Self:
        """Start it."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def ask_to_stop(self) -> None:
        """Let it drain and leave, without waiting for it."""
        self._stop.set()

    def stop(self) -> None:
        """Let it drain and leave. Raises what it ended with."""
        self.ask_to_stop()
        self.join()
        if self.error is not None:
            raise self.error

    def join(self) -> None:
        """Wait for its end, whatever that is."""
        assert self._thread is not None
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the engine did not end"

    def _run(self) -> None:
        try:
            self.engine.run(self._stop)
        except BaseException as error:  # noqa: BLE001 - it belongs to the test's thread
            self.error = error


class Stage:
    """The broker with its topics, the handlers' loop, and the engines that a test starts."""

    def __init__(self, url: str, partitions: int = 1, topics: Topics = TOPICS, group: str = GROUP) -> None:
        self.broker: Broker = connect(url)
        self.codec = Codec()
        self.topics = topics
        self.group = group
        self.broker.ensure_topics(
            [
                TopicSpec(topics.events, partitions),
                TopicSpec(topics.sync_log, 2),
                TopicSpec(topics.links, 2, compacted=True),
                TopicSpec(topics.dead_letters, 1),
            ]
        )
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._engines: list[Running] = []

    # ------------------------------------------------------------ engines

    def engine(
        self,
        handler: Script | None = None,
        *,
        broker: Any = None,
        name: str = "one",
        codec: Codec | None = None,
        on_turn: Callable[[], None] = lambda: None,
        **options: Any,
    ) -> Running:
        """Start an engine on this stage's broker, or on one that stands before it."""
        options = {
            "limits": Limits(in_flight=1000, per_company=1000),
            "retry": RetryPolicy(first_wait_s=0.002, longest_wait_s=0.01, deadline_s=0.05),
            "breaker": BreakerPolicy(failures=1000, first_wait_s=0.005, longest_wait_s=0.02),
            "commit_every_s": 0.01,
            "poll_idle_s": 0.02,
            "poll_busy_s": 0.005,
            **options,
        }
        config = EngineConfig(
            group=self.group, topics=self.topics, transactional_id=f"{self.group}-{name}", **options
        )
        links, script = Links(codec or self.codec), handler or Script()
        engine = Engine(
            broker or self.broker,
            codec or self.codec,
            script,
            UserEvent,
            config,
            loop=self.loop,
            links=links,
            on_turn=on_turn,
        )
        running = Running(engine, links, script)
        self._engines.append(running)
        return running.start()

    def gate(self) -> Gate:
        """A gate on the handlers' loop."""
        return Gate(self.loop)

    # ------------------------------------------------------------ what goes in

    def publish(self, *events: UserEvent, partition: int | None = None) -> None:
        """Write events as a source does."""
        self.write(
            *(
                Message(self.topics.events, user_key(e), self.codec.encode(e), partition=partition)
                for e in events
            )
        )

    def write(self, *messages: Message) -> None:
        """Write records."""
        producer = self.broker.producer()
        for message in messages:
            producer.send(message)
        producer.close()

    # ------------------------------------------------------------ what comes out

    def letters(self) -> list[Record]:
        """The records that were set aside, whatever has become of them."""
        return [record for record in self.read(TOPICS.dead_letters) if settled_offset(record) is None]

    def read(self, topic: str) -> Sequence[Record]:
        """All records of a topic that a reader of committed records sees now, in order per partition."""
        partitions = self.broker.partitions(topic)
        reader = self.broker.reader(partitions)
        try:
            ends = reader.end_offsets(partitions)
            records: list[Record] = []
            while any(reader.position(partition) < end for partition, end in ends.items()):
                records += reader.poll(0.1)
            return records
        finally:
            reader.close()

    def results(self) -> list[Result]:
        """The results on the log."""
        return [self.codec.decode(record.value or b"", Result) for record in self.read(self.topics.sync_log)]

    def links(self) -> dict[str, Link]:
        """The newest links on their topic."""
        return {
            (record.key or b"").decode(): self.codec.decode(record.value or b"", Link)
            for record in self.read(self.topics.links)
        }

    def outcomes(self) -> dict[tuple[int, int], Outcome]:
        """The outcome by partition and offset of the event. Raises AssertionError if an event has two."""
        results = self.results()
        found = {(one.source_partition, one.source_offset): one.outcome for one in results}
        doubled = [where for where, n in Counter(map(_where, results)).items() if n > 1]
        assert not doubled, f"events with two results: {doubled}"
        return found

    def committed(self, partition: int = 0) -> Position | None:
        """What the group has committed."""
        consumer = self.broker.consumer(self.group, [self.topics.events])
        return consumer.committed(TopicPartition(self.topics.events, partition))

    def wait_for_results(self, count: int) -> dict[tuple[int, int], Outcome]:
        """Wait until so many events have their result."""
        until(lambda: len(self.results()) >= count, f"for {count} results")
        return self.outcomes()

    def close(self) -> None:
        """End what was started. Raises AssertionError if an engine does not end."""
        for running in self._engines:
            running.ask_to_stop()
        for running in self._engines:
            running.join()
        asyncio.run_coroutine_threadsafe(_cancel_others(), self.loop).result(PATIENCE_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()
        self.broker.close()


@contextmanager
def a_stage(path: Path, partitions: int = 1) -> Iterator[Stage]:
    """A stage that is cleared when the test ends."""
    made = Stage(f"embedded:{path / 'broker.db'}", partitions)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def at_work(run: Callable[[threading.Event], None]) -> Iterator[None]:
    """Something that works on a thread of its own until it is asked to stop; its errors are the test's."""
    stop, errors = threading.Event(), list[BaseException]()

    def work() -> None:
        try:
            run(stop)
        except BaseException as error:  # noqa: BLE001 - it belongs to the test's thread
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert errors == []


def _where(result: Result) -> tuple[int, int]:
    return result.source_partition, result.source_offset


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
