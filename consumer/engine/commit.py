"""The commit: results, links, dead letters and offsets of what is finished, in one transaction."""

import time
from collections.abc import Callable, Mapping

import structlog

from consumer.broker.port import Broker, GroupConsumer, TopicPartition, TransactionalProducer
from consumer.engine.ledger import Committable, Ledger
from consumer.engine.outbox import Finished
from consumer.exceptions import BrokerError, Fenced
from consumer.model.links import Link
from consumer.model.results import Result


log = structlog.get_logger(__name__)

_FENCED_LIMIT = 5
"""So many refusals in a row mean that another process works under our name, not that we lost a partition."""
_RETRY_PAUSE_S = 0.5


class Committer:
    """Keeps what is finished until it is committed. Lives on the thread that owns the consumer."""

    def __init__(
        self,
        broker: Broker,
        ledger: Ledger,
        transactional_id: str,
        on_committed: Callable[[Result], None],
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._transactional_id = transactional_id
        self._on_committed = on_committed
        self._finished: dict[TopicPartition, list[Finished]] = {}
        self._since: float | None = None
        self._fenced = 0
        self._producer: TransactionalProducer | None = broker.transactional_producer(transactional_id)

    def add(self, partition: TopicPartition, done: Finished) -> None:
        """Take over a finished record."""
        self._finished.setdefault(partition, []).append(done)
        if self._since is None:
            self._since = time.monotonic()

    def waiting(self) -> int:
        """How many finished records wait for their commit."""
        return sum(map(len, self._finished.values()))

    def age_s(self) -> float:
        """How long the oldest of them has waited, in seconds."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    def forget(self, partition: TopicPartition) -> list[Link]:
        """Drop what can never be committed; return the links that it would have made."""
        dropped = self._finished.pop(partition, [])
        if not self._finished:
            self._since = None
        return [link for done in dropped for link in done.links]

    def commit(self, consumer: GroupConsumer) -> None:
        """Write what is finished. What does not go through stays for the next call.

        Raises Fenced when another process keeps taking our transactional id or our place in the group.
        """
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
            if self._fenced > _FENCED_LIMIT:
                raise
            if not self._went_through(consumer, offers):
                return
        self._fenced = 0
        self._settle(offers)

    def close(self) -> None:
        """Let go of the producer."""
        if self._producer is not None:
            self._producer.close()

    def _offers(self) -> dict[TopicPartition, Committable]:
        offers: dict[TopicPartition, Committable] = {}
        for partition, finished in self._finished.items():
            offer = self._ledger.committable(partition)
            if offer is not None and any(done.offset < offer.limit for done in finished):
                offers[partition] = offer
        return offers

    def _transact(
        self,
        producer: TransactionalProducer,
        consumer: GroupConsumer,
        offers: Mapping[TopicPartition, Committable],
    ) -> None:
        producer.begin()
        for partition, offer in offers.items():
            for done in self._finished[partition]:
                if done.offset < offer.limit:
                    for message in done.messages:
                        producer.send(message)
        producer.send_offsets(consumer, {partition: offer.position for partition, offer in offers.items()})
        producer.commit()

    def _went_through(self, consumer: GroupConsumer, offers: Mapping[TopicPartition, Committable]) -> bool:
        """After a failure whose outcome is unknown: look whether the transaction is there.

        A new producer with the same id ends whatever the old one left open, so the answer is final.
        """
        producer, self._producer = self._producer, None
        try:
            if producer is not None:
                producer.close()
            self._producer = self._broker.transactional_producer(self._transactional_id)
            return all(consumer.committed(partition) == offer.position for partition, offer in offers.items())
        except BrokerError as error:
            log.warning("commit.unknown", transactional_id=self._transactional_id, error=str(error))
            # A broker that is down is not to be hammered.
            time.sleep(_RETRY_PAUSE_S)
            return False

    def _settle(self, offers: Mapping[TopicPartition, Committable]) -> None:
        for partition, offer in offers.items():
            waiting = []
            for done in self._finished.pop(partition):
                if done.offset < offer.limit:
                    self._on_committed(done.result)
                else:
                    waiting.append(done)
            if waiting:
                self._finished[partition] = waiting
        self._since = time.monotonic() if self._finished else None
