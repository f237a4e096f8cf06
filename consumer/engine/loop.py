"""The engine: polls, tracks, hands work to the handlers' loop, and commits.

One thread owns the consumer and its transactional producer; handlers are coroutines on an asyncio loop in
another thread. Completions come back through a queue, and only the owning thread acts on them.
"""

import asyncio
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import structlog

from consumer.broker.port import Broker, GroupConsumer, Position, Record, TopicPartition
from consumer.broker.table import Table
from consumer.engine.commit import Committer
from consumer.engine.dispatcher import Dispatcher, Limits, Work
from consumer.engine.handler import Handler
from consumer.engine.ledger import Ledger
from consumer.engine.links import Links, follow_links
from consumer.engine.outbox import Topics, finished
from consumer.engine.process import Completion, process, undecodable
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import BrokerError, SchemaError
from consumer.model.codec import Codec
from consumer.model.events import Event, TimesheetEvent, UserEvent
from consumer.model.registry import SchemaRegistryError
from consumer.model.results import Result
from consumer.model.topics import company_of_key


log = structlog.get_logger(__name__)

_REGISTRY_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Names and limits of one engine. Times are seconds, limits are records."""

    group: str
    topics: Topics
    transactional_id: str
    instance_id: str | None = None
    limits: Limits = field(default_factory=Limits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    waiting_high: int = 2000
    waiting_low: int = 1400
    commit_every_s: float = 0.1
    commit_records: int = 500
    drain_s: float = 10.0
    poll_idle_s: float = 0.3
    poll_busy_s: float = 0.02


class Engine:
    """One member of a consumer group, with its handler."""

    def __init__(
        self,
        broker: Broker,
        codec: Codec,
        handler: Handler[Any],
        event_type: type[Event],
        config: EngineConfig,
        *,
        loop: asyncio.AbstractEventLoop,
        links: Links,
        on_result: Callable[[Result], None] = lambda _: None,
        rng: random.Random | None = None,
    ) -> None:
        self._broker = broker
        self._codec = codec
        self._handler = handler
        self._event_type = event_type
        self._config = config
        self._loop = loop
        self._links = links
        self._on_result = on_result
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._ledger = Ledger()
        self._dispatcher = Dispatcher(self._process, config.limits)
        self._completions: queue.SimpleQueue[Completion] = queue.SimpleQueue()
        self._assigned_anew = False
        self._paused = False
        self._undecoded: list[Record] = []

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, then drain, commit and leave. Raises BrokerError if it cannot go on."""
        config = self._config
        opened: list[Table | Committer | GroupConsumer] = []
        try:
            self._table = follow_links(self._broker, config.topics.links, self._links, self._codec)
            opened.append(self._table)
            self._committer = Committer(self._broker, self._ledger, config.transactional_id, self._on_result)
            opened.append(self._committer)
            self._consumer = self._broker.consumer(
                config.group, [config.topics.events], self, config.instance_id
            )
            opened.append(self._consumer)
            while not stop.is_set():
                self._turn()
            self.revoked(frozenset(self._ledger.partitions()))
        except BaseException:
            # There is nobody left to collect what runs: it is handled again by the next owner.
            self.lost(frozenset(self._ledger.partitions()))
            raise
        finally:
            for part in reversed(opened):
                _close(part)

    def _turn(self) -> None:
        busy = self._ledger.in_flight() > 0 or self._committer.waiting() > 0
        records = self._poll(self._config.poll_busy_s if busy else self._config.poll_idle_s)
        self._follow_links()
        self._submit(records)
        self._collect()
        if self._commit_is_due():
            self._committer.commit(self._consumer)
        self._hold_back()

    def _poll(self, timeout_s: float) -> Sequence[Record]:
        if not self._undecoded:
            return self._consumer.poll(timeout_s)
        # The schema registry did not answer: nothing new is asked for, but the membership is kept up.
        self._consumer.pause(self._consumer.assignment())
        arrived = self._consumer.poll(_REGISTRY_PAUSE_S)
        if not self._paused:
            self._consumer.resume(self._consumer.assignment())
        kept, self._undecoded = self._undecoded, []
        return [*kept, *arrived]

    def _follow_links(self) -> None:
        if self._assigned_anew:
            # Nothing of a new partition is handled before the links of its last owner are known.
            self._table.catch_up(time.monotonic)
            self._handler.renew()
            self._assigned_anew = False
        else:
            self._table.follow()

    def _submit(self, records: Sequence[Record]) -> None:
        batch: list[Work] = []
        for index, record in enumerate(records):
            try:
                event = self._decode(record)
            except SchemaRegistryError as error:
                if not error.retriable:
                    raise
                log.warning("registry.waiting", error=str(error))
                self._undecoded = list(records[index:])
                break
            epoch = self._track(record)
            if epoch is None:
                continue
            if isinstance(event, UserEvent | TimesheetEvent):
                batch.append(Work(record, epoch, event.company_id, event))
                continue
            work = Work(record, epoch, company_of_key(record.key), None)
            # Without a value the record deletes its key from the topic, and is no event.
            self._completions.put(Completion(work, None) if event is None else undecodable(work, event))
        if batch:
            self._loop.call_soon_threadsafe(self._submit_all, batch)

    def _decode(self, record: Record) -> Event | SchemaError | None:
        if record.value is None:
            return None
        try:
            return self._codec.decode(record.value, self._event_type)
        except SchemaError as error:
            return error

    def _track(self, record: Record) -> int | None:
        """Note the record; the epoch to handle it in, or None if it is not to be handled."""
        partition = record.source
        epoch = self._ledger.epoch(partition)
        if epoch is None:
            return None
        if record.offset < self._ledger.position(partition):
            # The topic was made anew or lost its tail: what follows is new, whatever its offset.
            log.error(
                "offsets.went_back", topic=record.topic, partition=record.partition, offset=record.offset
            )
            self._links.drop_pending(self._committer.forget(partition))
            epoch = self._ledger.assign(partition, Position(record.offset))
        return epoch if self._ledger.track(partition, record.offset) else None

    def _collect(self, wait_s: float = 0.0) -> None:
        """Take over completions; with ``wait_s``, wait that long for the first."""
        try:
            completion = self._completions.get(timeout=wait_s) if wait_s else self._completions.get_nowait()
            while True:
                self._finish(completion)
                completion = self._completions.get_nowait()
        except queue.Empty:
            return

    def _finish(self, completion: Completion) -> None:
        work, handled = completion.work, completion.handled
        on_time = self._ledger.complete(work.record.source, work.epoch, work.record.offset)
        if handled is None:
            return
        if not on_time:
            self._links.drop_pending(handled.links)
            return
        done = finished(completion, handled, self._handler, self._config.topics, self._codec)
        self._committer.add(work.record.source, done)

    def _commit_is_due(self) -> bool:
        waiting = self._committer.waiting()
        return waiting > 0 and (
            waiting >= self._config.commit_records
            or self._committer.age_s() >= self._config.commit_every_s
            or self._ledger.in_flight() == 0
        )

    def _hold_back(self) -> None:
        waiting = self._ledger.in_flight()
        if not self._paused and waiting >= self._config.waiting_high:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
        elif self._paused and waiting <= self._config.waiting_low:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False

    # Changes of ownership: called on the owning thread, from inside poll and close.

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Open the books where the last owner left them."""
        for partition in sorted(partitions):
            self._ledger.assign(partition, self._consumer.committed(partition))
        self._assigned_anew = True
        if self._paused:
            # A pause does not cover partitions that come later.
            self._consumer.pause(partitions)

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Let finish what runs, within the drain's deadline, commit it, and close the books."""
        if any(self._ledger.epoch(partition) is not None for partition in partitions):
            self._drain(partitions)
            self._committer.commit(self._consumer)
        self.lost(partitions)

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Close the books; whatever is not committed is dropped."""
        self._undecoded = [record for record in self._undecoded if record.source not in partitions]
        for partition in partitions:
            self._ledger.revoke(partition)
            self._links.drop_pending(self._committer.forget(partition))
        self._loop.call_soon_threadsafe(self._dispatcher.cancel, partitions)

    def _drain(self, partitions: frozenset[TopicPartition]) -> None:
        deadline = time.monotonic() + self._config.drain_s
        dropped: Future[int] = Future()
        self._loop.call_soon_threadsafe(self._drop_waiting, partitions, dropped)
        never = dropped.result(timeout=self._config.drain_s)
        while sum(map(self._ledger.in_flight, partitions)) > never and time.monotonic() < deadline:
            self._collect(wait_s=0.05)

    # On the handlers' loop.

    def _submit_all(self, batch: Sequence[Work]) -> None:
        for work in batch:
            self._dispatcher.submit(work)

    def _drop_waiting(self, partitions: frozenset[TopicPartition], dropped: "Future[int]") -> None:
        dropped.set_result(self._dispatcher.drop(partitions))

    async def _process(self, work: Work) -> None:
        completion = await process(work, self._handler, self._config.retry, self._rng)
        if completion.handled is not None:
            # The next record of this key may start before the commit, and must see these.
            self._links.add_pending(completion.handled.links)
        self._completions.put(completion)


def _close(part: "Table | Committer | GroupConsumer") -> None:
    try:
        part.close()
    except BrokerError as error:
        log.warning("close.failed", error=str(error))
