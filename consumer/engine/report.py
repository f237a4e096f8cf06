"""How an engine stands: gauges and a snapshot, made about once a second on the engine's thread."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError
from dataclasses import replace

from consumer.broker.port import GroupConsumer, TopicPartition
from consumer.engine.commit import Committer
from consumer.engine.config import EngineConfig
from consumer.engine.handling import Handling
from consumer.engine.ledger import Ledger
from consumer.engine.links import Links
from consumer.engine.state import CompanyState, EngineState, PartitionState
from consumer.exceptions import BrokerError
from consumer.metrics import EngineMetrics


_EVERY_S = 1.0
_ENDS_EVERY_S = 5.0
_ANSWER_S = 1.0


class Reporter:
    """Publishes the state of one engine. All but ``state`` belongs to the engine's thread."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        config: EngineConfig,
        kind: str,
        ledger: Ledger,
        handling: Handling,
        links: Links,
        loop: asyncio.AbstractEventLoop,
        metrics: EngineMetrics,
    ) -> None:
        self._links = links
        self._ledger = ledger
        self._handling = handling
        self._loop = loop
        self._metrics = metrics
        self._reported_at = float("-inf")
        self._ends_at = float("-inf")
        self._ends: Mapping[TopicPartition, int] = {}
        self._behind_since: dict[TopicPartition, float] = {}
        self._state = EngineState(kind=kind, group=config.group)

    def state(self) -> EngineState:
        """The last snapshot, with the companies as they are now. May be called from any thread."""
        return replace(self._state, companies=self._companies())

    def turned(self, consumer: GroupConsumer, committer: Committer, *, is_paused: bool) -> None:
        """The loop has turned once more."""
        now = time.monotonic()
        self._metrics.loop_turns.inc()
        if now - self._reported_at < _EVERY_S:
            return
        self._metrics.backpressure_seconds.inc(min(now - self._reported_at, _EVERY_S) if is_paused else 0)
        self._reported_at = now
        self._metrics.last_poll.set(time.time())
        partitions = tuple(
            self._partition(partition, consumer, committer) for partition in sorted(self._ledger.partitions())
        )
        self._state = replace(
            self._state,
            is_assigned=bool(partitions),
            is_ready=True,
            is_paused=is_paused,
            in_flight=self._ledger.in_flight(),
            finished=committer.waiting(),
            committed_at=committer.committed_at,
            turned_at=now,
            partitions=partitions,
        )
        metrics = self._metrics
        metrics.in_flight.set(self._handling.running())
        metrics.links.set(len(self._links))
        metrics.waiting.set(self._ledger.in_flight())
        metrics.keys_active.set(self._handling.keys())
        metrics.assigned_partitions.set(len(partitions))
        metrics.paused_partitions.set(len(partitions) if is_paused else 0)
        counts = self._handling.counts()
        for company_id in metrics.companies:
            company = metrics.company(company_id)
            waiting, running = counts.get(company_id, (0, 0))
            company.waiting.set(waiting)
            company.running.set(running)
        if committer.committed_at is not None:
            metrics.last_commit.set(committer.committed_at)

    def gave_up(self, partition: TopicPartition) -> None:
        """The partition is another's now."""
        self._metrics.forget_partition(partition.partition)
        self._behind_since.pop(partition, None)
        self._reported_at = float("-inf")

    def stopping(self) -> None:
        """Nothing new is begun."""
        self._state = replace(self._state, is_stopping=True)

    def closed(self) -> None:
        """The engine has ended."""
        self._state = replace(self._state, is_ready=False, is_assigned=False, partitions=())

    def _companies(self) -> tuple[CompanyState, ...]:
        coroutine = self._handling.companies()
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_ANSWER_S)
        except (RuntimeError, TimeoutError, CancelledError):
            # The loop is stuck, or has ended: the rest is worth telling all the same.
            coroutine.close()
            return ()

    def _partition(
        self, partition: TopicPartition, consumer: GroupConsumer, committer: Committer
    ) -> PartitionState:
        ledger = self._ledger
        now = time.monotonic()
        oldest = ledger.oldest(partition)
        position, frontier = ledger.position(partition), ledger.frontier(partition)
        end = self._end(partition, consumer)
        committed = committer.committed.get(partition)
        behind = 0 if end is None else max(0, end - frontier)
        if behind and oldest is None:
            # Markers of transactions are no records: the consumer's own position passes them.
            behind = max(0, (end or 0) - _position(consumer, partition, position))
        gauges = self._metrics.partition(partition.partition)
        age = None if oldest is None else now - oldest.at
        gauges.oldest_in_flight_age_seconds.set(age or 0)
        gauges.lag_records.set(behind)
        behind_s = self._behind_s(partition, behind, oldest and oldest.timestamp_ms)
        gauges.lag_seconds.set(behind_s)
        gauges.frontier_gap.set(ledger.gap(partition))
        gauges.in_flight.set(ledger.in_flight(partition))
        if committed is not None:
            gauges.committed_offset.set(committed.offset)
        return PartitionState(
            topic=partition.topic,
            partition=partition.partition,
            epoch=ledger.epoch(partition) or 0,
            position=position,
            frontier=frontier,
            committed=None if committed is None else committed.offset,
            end=end,
            in_flight=ledger.in_flight(partition),
            oldest_age_s=age,
            lag=behind,
            lag_s=behind_s,
        )

    def _behind_s(self, partition: TopicPartition, behind: int, timestamp_ms: int | None) -> float:
        """How old the oldest record without a result is; if it was not read yet, since when there is one."""
        if not behind:
            self._behind_since.pop(partition, None)
            return 0.0
        since = self._behind_since.setdefault(partition, time.time())
        return max(0.0, time.time() - (since if timestamp_ms is None else timestamp_ms / 1000))

    def _end(self, partition: TopicPartition, consumer: GroupConsumer) -> int | None:
        now = time.monotonic()
        if now - self._ends_at >= _ENDS_EVERY_S or partition not in self._ends:
            self._ends_at = now
            try:
                self._ends = consumer.end_offsets(self._ledger.partitions())
            except BrokerError:
                # It is told by what fails next; until then the last ends stand.
                return self._ends.get(partition)
        return self._ends.get(partition)


def _position(consumer: GroupConsumer, partition: TopicPartition, otherwise: int) -> int:
    try:
        return consumer.position(partition)
    except BrokerError:
        return otherwise
