"""The commit: results, links, dead letters and offsets of what is finished, in one transaction."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from consumer.broker.port import Broker, GroupConsumer, Position, TopicPartition, TransactionalProducer
from consumer.engine.ledger import Ledger
from consumer.engine.outbox import Finished
from consumer.exceptions import BrokerError, Fenced
from consumer.metrics import EngineMetrics
from consumer.model.links import Link


log = structlog.get_logger(__name__)

_FENCED_LIMIT = 5
"""So many refusals in a row mean that another process works under our name, not that we lost a partition."""
_RETRY_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class _Offer:
    """What one transaction holds of a partition."""

    position: Position
    included: tuple[Finished, ...]


class Committer:
    """Keeps what is finished until it is committed. Lives on the thread that owns the consumer."""

    def __init__(
        self,
        broker: Broker,
        ledger: Ledger,
        transactional_id: str,
        on_committed: Callable[[Sequence[Finished]], None],
        metrics: EngineMetrics,
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._transactional_id = transactional_id
        self._on_committed = on_committed
        self._metrics = metrics
        self._finished: dict[TopicPartition, list[Finished]] = {}
        self._waiting = 0
        self._since: float | None = None
        self._fenced = 0
        self._doubtful: dict[TopicPartition, _Offer] = {}
        self.committed: dict[TopicPartition, Position] = {}
        self.committed_at: float | None = None
        self._producer: TransactionalProducer | None = broker.transactional_producer(transactional_id)

    def add(self, partition: TopicPartition, done: Finished) -> None:
        """Take over a finished record."""
        self._finished.setdefault(partition, []).append(done)
        self._waiting += 1
        if self._since is None:
            self._since = time.monotonic()

    def waiting(self) -> int:
        """How many finished records wait for their commit."""
        return self._waiting

    def age_s(self) -> float:
        """How long the oldest of them has waited, in seconds."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def forget(self, partition: TopicPartition) -> list[Link]:
        """Drop what can never be committed; return the links that it would have made."""
        dropped = self._finished.pop(partition, [])
        self._waiting -= len(dropped)
        self._doubtful.pop(partition, None)
        self.committed.pop(partition, None)
        if not self._finished:
            self._since = None
        return [link for done in dropped for link in done.links]

    def commit(self, consumer: GroupConsumer) -> None:
        """Write what is finished. What does not go through stays for the next call.

        Raises Fenced when another process keeps taking our transactional id or our place in the group.
        """
        if self._doubtful and not self._resolve(consumer):
            return
        offers = self._offers()
        if not offers:
            return
        try:
            if self._producer is None:
                self._producer = self._broker.transactional_producer(self._transactional_id)
            self._transact(self._producer, consumer, offers)
        except BrokerError as error:
            log.warning("commit.failed", transactional_id=self._transactional_id, error=str(error))
            self._fenced = self._fenced + 1 if isinstance(error, Fenced) else 0
            self._metrics.commits["fenced" if self._fenced else "failed"].inc()
            if any(done.dead for offer in offers.values() for done in offer.included):
                self._metrics.dead_letter_failures.inc()
            if self._fenced > _FENCED_LIMIT:
                raise
            self._doubtful = offers
            self._resolve(consumer)
        else:
            self._fenced = 0
            self._settle(offers)

    def close(self) -> None:
        """Let go of the producer."""
        if self._producer is not None:
            self._producer.close()

    def _offers(self) -> dict[TopicPartition, _Offer]:
        offers: dict[TopicPartition, _Offer] = {}
        for partition, finished in self._finished.items():
            committable = self._ledger.committable(partition)
            if committable is None:
                continue
            included = (
                tuple(finished)
                if committable.limit >= self._ledger.position(partition)
                else tuple(done for done in finished if done.offset < committable.limit)
            )
            if included:
                offers[partition] = _Offer(committable.position, included)
        return offers

    def _transact(
        self,
        producer: TransactionalProducer,
        consumer: GroupConsumer,
        offers: Mapping[TopicPartition, _Offer],
    ) -> None:
        began = time.monotonic()
        producer.begin()
        for offer in offers.values():
            for done in offer.included:
                for message in done.messages:
                    producer.send(message)
        producer.send_offsets(consumer, {partition: offer.position for partition, offer in offers.items()})
        producer.commit()
        self._metrics.commit_seconds.observe(time.monotonic() - began)

    def _resolve(self, consumer: GroupConsumer) -> bool:
        """After a failure of unknown outcome: look whether the transaction is there. True once that is known.

        A new producer with the same id ends whatever the old one left open, so the answer is final. Until
        there is one, nothing else may be committed: the same results could be written twice.
        """
        producer, self._producer = self._producer, None
        try:
            if producer is not None:
                producer.close()
            self._producer = self._broker.transactional_producer(self._transactional_id)
            committed = {partition: consumer.committed(partition) for partition in self._doubtful}
        except BrokerError as error:
            log.warning("commit.unknown", transactional_id=self._transactional_id, error=str(error))
            self._metrics.commits["unknown"].inc()
            # A broker that is down is not to be hammered.
            time.sleep(_RETRY_PAUSE_S)
            return False
        offers, self._doubtful = self._doubtful, {}
        if all(committed[partition] == offer.position for partition, offer in offers.items()):
            self._fenced = 0
            self._settle(offers)
        else:
            self._metrics.transactions["aborted"].inc()
        return True

    def _settle(self, offers: Mapping[TopicPartition, _Offer]) -> None:
        self._metrics.commits["committed"].inc()
        self._metrics.transactions["committed"].inc()
        self.committed_at = time.time()
        for partition, offer in offers.items():
            self.committed[partition] = offer.position
            finished = self._finished.pop(partition)
            if len(offer.included) < len(finished):
                written = {done.offset for done in offer.included}
                self._finished[partition] = [done for done in finished if done.offset not in written]
            self._waiting -= len(offer.included)
            self._on_committed(offer.included)
        self._since = time.monotonic() if self._finished else None
