"""The engine: polls, tracks, hands work to the handlers' loop, and commits.

One thread owns the consumer and its transactional producer; handlers are coroutines on an asyncio loop in
another thread. Completions come back through a queue, and only the owning thread acts on them.
"""

import asyncio
import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from consumer.broker.port import Broker, GroupConsumer, Position, Record, TopicPartition
from consumer.broker.table import Table
from consumer.engine.commit import Committer
from consumer.engine.config import EngineConfig
from consumer.engine.handler import Handler
from consumer.engine.handling import Handling
from consumer.engine.ledger import Arrival, Ledger
from consumer.engine.links import Links, follow_links
from consumer.engine.outage import close, ride_out
from consumer.engine.outbox import Finished, finished
from consumer.engine.process import undecodable
from consumer.engine.report import Reporter
from consumer.engine.state import EngineState
from consumer.engine.work import Completion, Work
from consumer.exceptions import SchemaError
from consumer.metrics import EngineMetrics
from consumer.model.codec import Codec
from consumer.model.events import Event, TimesheetEvent, UserEvent
from consumer.model.registry import SchemaRegistryError
from consumer.model.results import Outcome, Result
from consumer.model.topics import company_of_key


log = structlog.get_logger(__name__)

_REGISTRY_PAUSE_S = 1.0
_RELIEF_S = 1.0
_LOOK_S = 0.05
_ANSWER_S = 90.0


class Engine:
    """One member of a consumer group, with its handler.

    ``on_turn`` is called whenever the loop turns, and in the midst of what may take longer.
    """

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
        on_turn: Callable[[], None] = lambda: None,
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
        self._on_turn = on_turn
        self._ledger = Ledger()
        self.metrics = EngineMetrics.of(str(handler.kind), config.topics.events)
        self._completions: queue.SimpleQueue[Completion] = queue.SimpleQueue()
        self.handling = Handling(
            handler,
            links,
            config,
            rng or random.Random(),  # noqa: S311 - jitter is no secret
            self._completions.put,
            self._is_owner,
            self.metrics,
        )
        self._report = Reporter(
            config, str(handler.kind), self._ledger, self.handling, links, loop, self.metrics
        )
        self._assigned_anew = False
        self._paused = False
        self._relieved_at = 0.0
        self._horizons: dict[int, int] = {}
        self._undecoded: list[Record] = []

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, then drain, commit and leave. Raises BrokerError if it cannot go on.

        A broker that cannot be reached is waited for; then everything begins anew, as in a new process.
        """
        try:
            ride_out(self._work, stop, self._config.outage_s, self._on_turn)
        finally:
            self._loop.call_soon_threadsafe(self.handling.close)
            self._report.closed()

    def _work(self, stop: threading.Event) -> None:
        config = self._config
        opened: list[Table | Committer | GroupConsumer] = []
        self._paused, self._horizons, self._assigned_anew = False, {}, False
        try:
            self._table = follow_links(self._broker, config.topics.links, self._links)
            opened.append(self._table)
            self._committer = Committer(
                self._broker, self._ledger, config.transactional_id, self._committed, self.metrics
            )
            opened.append(self._committer)
            self._consumer = self._broker.consumer(
                config.group, [config.topics.events], self, config.instance_id
            )
            opened.append(self._consumer)
            while not stop.is_set():
                self._turn()
            self._report.stopping()
            self.revoked(frozenset(self._ledger.partitions()))
        except BaseException:
            # There is nobody left to collect what runs: it is handled again by the next owner.
            self.lost(frozenset(self._ledger.partitions()))
            raise
        finally:
            for part in reversed(opened):
                close(part)

    def state(self) -> EngineState:
        """How it stands. May be called from any thread."""
        return self._report.state()

    def is_clear(self, company_id: int) -> bool:
        """Whether records of the company can be handled now. Called from other threads; may take a call."""
        asked = asyncio.run_coroutine_threadsafe(self.handling.is_clear(company_id), self._loop)
        return asked.result(_ANSWER_S)

    def _is_owner(self) -> bool:
        """Whether the membership was confirmed so lately that nobody else has the partitions yet."""
        return time.monotonic() < self._consumer.heard_at() + self._config.lease_s

    def is_stale(self, record: Record) -> bool:
        """Whether a newer event of the record's subject was applied already. Called from other threads."""
        try:
            event = self._decode(record)
        except SchemaRegistryError:
            return False
        if event is None or isinstance(event, SchemaError):
            return False
        handled = self._handler.at_once(event)
        return handled is not None and handled.outcome is Outcome.STALE

    def _turn(self) -> None:
        self._on_turn()
        busy = self._ledger.in_flight() > 0 or self._committer.waiting() > 0
        records = self._poll(self._config.poll_busy_s if busy else self._config.poll_idle_s)
        self._follow_links()
        self._submit(records)
        self._collect()
        if self._commit_is_due():
            self._committer.commit(self._consumer)
        self._hold_back()
        self._report.turned(self._consumer, self._committer, is_paused=self._paused)

    def _poll(self, timeout_s: float) -> Sequence[Record]:
        most = self._config.poll_records
        if not self._undecoded:
            return self._consumer.poll(timeout_s, most)
        # The schema registry did not answer: nothing new is asked for, but the membership is kept up.
        self._consumer.pause(self._consumer.assignment())
        arrived = self._consumer.poll(_REGISTRY_PAUSE_S, most)
        if not self._paused:
            self._consumer.resume(self._consumer.assignment())
        kept, self._undecoded = self._undecoded, []
        return [*kept, *arrived]

    def _follow_links(self) -> None:
        if self._assigned_anew:
            # Nothing of a new partition is handled before the links of its last owner are known.
            self._table.catch_up(time.monotonic, on_turn=self._on_turn)
            self._handler.renew()
            self._assigned_anew = False
        else:
            self._table.follow()

    def _submit(self, records: Sequence[Record]) -> None:
        batch: list[Work] = []
        now = time.monotonic()
        source, epoch = None, None
        for index, record in enumerate(records):
            if source is None or record.partition != source.partition:
                # Records come in stretches of one partition.
                source = record.source
                epoch = self._ledger.epoch(source)
            try:
                event = self._decode(record)
            except SchemaRegistryError as error:
                if not error.retriable:
                    raise
                log.warning("registry.waiting", error=str(error))
                self._undecoded = list(records[index:])
                break
            if epoch is None:
                continue
            if record.offset < self._ledger.position(source):
                epoch = self._begin_anew(source, record.offset)
            arrival = Arrival(len(record.value or b""), now, record.timestamp_ms)
            if not self._ledger.track(source, record.offset, arrival):
                self.metrics.duplicates_suppressed.inc()
            elif isinstance(event, UserEvent | TimesheetEvent):
                batch.append(Work(record, source, epoch, event.company_id, event))
            else:
                self._completions.put(self._no_event(record, source, epoch, event))
        self.metrics.consumed.inc(len(records) - len(self._undecoded))
        if batch:
            self._loop.call_soon_threadsafe(self.handling.submit, batch)

    def _no_event(
        self, record: Record, source: TopicPartition, epoch: int, error: SchemaError | None
    ) -> Completion:
        work = Work(record, source, epoch, company_of_key(record.key), None)
        if error is None:
            # Without a value the record deletes its key from the topic, and is no event.
            return Completion(work, None)
        self.metrics.decode_errors.inc()
        return undecodable(work, error)

    def _decode(self, record: Record) -> Event | SchemaError | None:
        if record.value is None:
            return None
        try:
            return self._codec.decode(record.value, self._event_type)
        except SchemaError as error:
            return error

    def _begin_anew(self, partition: TopicPartition, offset: int) -> int:
        """The topic was made anew or lost its tail: what follows is new, whatever its offset."""
        log.error("offsets.went_back", topic=partition.topic, partition=partition.partition, offset=offset)
        self._links.drop_pending(self._committer.forget(partition))
        return self._ledger.assign(partition, Position(offset))

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
        partition = work.source
        on_time = self._ledger.complete(partition, work.epoch, work.record.offset)
        if handled is None:
            return
        if not on_time:
            self.metrics.late_completions.inc()
            self._links.drop_pending(handled.links)
            return
        done = finished(completion, handled, self._handler, self._config.topics, self._codec)
        if done.links is not handled.links:
            self._links.drop_pending(handled.links)
        self._committer.add(partition, done)

    def _committed(self, included: Sequence[Finished]) -> None:
        now = time.time()
        for outcome, count in Counter(done.result.outcome for done in included if done.result).items():
            self.metrics.outcomes[outcome].inc(count)
        for done in included:
            self.metrics.end_to_end_seconds.observe(max(0.0, now - done.timestamp_ms / 1000))
            if done.dead is not None:
                self.metrics.dead_letter(*done.dead).inc()
            if done.result is not None:
                self._on_result(done.result)

    def _commit_is_due(self) -> bool:
        waiting = self._committer.waiting()
        return waiting > 0 and (
            waiting >= self._config.commit_records
            or self._committer.age_s() >= self._config.commit_every_s
            or self._ledger.in_flight() == 0
        )

    def _hold_back(self) -> None:
        """Stop reading while too much waits, and confine what runs while the metadata have little room."""
        config, waiting = self._config, self._ledger.in_flight()
        is_full = waiting >= config.waiting_high or self._ledger.bytes() >= config.waiting_bytes
        if not self._paused and is_full:
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
        elif self._paused and not is_full and waiting <= config.waiting_low:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False
        horizons = {
            partition.partition: horizon
            for partition in self._ledger.partitions()
            if (horizon := self._ledger.horizon(partition)) is not None
        }
        if horizons != self._horizons:
            self._horizons = horizons
            self._loop.call_soon_threadsafe(self.handling.confine, horizons)
        if (self._paused or horizons) and time.monotonic() - self._relieved_at > _RELIEF_S:
            self._relieved_at = time.monotonic()
            self._loop.call_soon_threadsafe(self.handling.relieve)

    # Changes of ownership: called on the owning thread, from inside poll and close.

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Open the books where the last owner left them."""
        self.metrics.rebalances["assigned"].inc()
        for partition in sorted(partitions):
            committed = self._consumer.committed(partition)
            self._ledger.assign(partition, committed)
            if committed is not None:
                self._committer.committed[partition] = committed
        self._assigned_anew = True
        log.debug("partitions.assigned", group=self._config.group, partitions=len(partitions))
        if self._paused:
            # A pause does not cover partitions that come later.
            self._consumer.pause(partitions)

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Let finish what runs, within the drain's deadline, commit it, and close the books."""
        self.metrics.rebalances["revoked"].inc()
        if any(self._ledger.epoch(partition) is not None for partition in partitions):
            self._drain(partitions)
            self._committer.commit(self._consumer)
        self._close_books(partitions)

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Close the books; whatever is not committed is dropped."""
        self.metrics.rebalances["lost"].inc()
        self._close_books(partitions)

    def _close_books(self, partitions: frozenset[TopicPartition]) -> None:
        # What has come by now is forgotten with the rest; it must not look late, and new, afterwards.
        self._collect()
        self._undecoded = [record for record in self._undecoded if record.source not in partitions]
        for partition in partitions:
            self._ledger.revoke(partition)
            self._links.drop_pending(self._committer.forget(partition))
            self._report.gave_up(partition)
        self._loop.call_soon_threadsafe(self.handling.cancel, partitions)

    def _drain(self, partitions: frozenset[TopicPartition]) -> None:
        """Let end what runs, and take over how it ended."""
        deadline = time.monotonic() + self._config.drain_s
        self._loop.call_soon_threadsafe(self.handling.drop, partitions)
        while self._running_of(partitions, deadline) and time.monotonic() < deadline:
            self._on_turn()
            self._collect(wait_s=_LOOK_S)
        self._collect()

    def _running_of(self, partitions: frozenset[TopicPartition], deadline: float) -> int:
        asked = asyncio.run_coroutine_threadsafe(self.handling.running_of(partitions), self._loop)
        try:
            return asked.result(timeout=max(_LOOK_S, deadline - time.monotonic()))
        except TimeoutError:
            # The loop is stuck; what runs there is handled again by the next owner.
            return 0
