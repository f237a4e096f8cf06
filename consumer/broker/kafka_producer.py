"""Writing to Kafka, outside transactions and in them."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from consumer.broker.kafka_client import KafkaTimes, as_broker_error, translated
from consumer.broker.kafka_consumer import KafkaGroupConsumer
from consumer.broker.kafka_outbox import Outbox
from consumer.broker.port import GroupConsumer, Message, Position, TopicPartition
from consumer.exceptions import BrokerError, Fenced, TopicMissing


log = logging.getLogger(__name__)

TRANSACTION_SETTINGS: Mapping[str, object] = {
    # What a killed writer left open holds back every reader for this long; commits take milliseconds.
    "transaction_timeout_ms": 20_000,
    # A transaction that begins while the broker still ends the last one is told to wait and try again;
    # kafka-python 3.0.12 then sleeps for this long instead of the 20 ms that it means to.
    "retry_backoff_ms": 10,
}


class KafkaPlainProducer:
    """Writes records outside transactions, idempotently; see ``consumer.broker.port.Producer``."""

    def __init__(
        self, settings: Mapping[str, Any], times: KafkaTimes, require_topic: Callable[[str], None]
    ) -> None:
        self._open = partial(Outbox, settings, times, require_topic)
        self._outbox: Outbox | None = self._open()
        self._closed = False

    def send(self, message: Message) -> None:
        """Hand over a record. Raises TopicMissing."""
        if self._closed:
            raise BrokerError("the producer is closed")
        if self._outbox is None:
            self._outbox = self._open()
        self._outbox.send(message)

    def flush(self) -> None:
        """Wait until all that was sent is durable. Raises BrokerError if anything was not written."""
        if self._outbox is None:
            return
        try:
            self._outbox.flush()
        except BrokerError:
            # A record that Kafka refuses can leave an idempotent producer of the library unusable.
            self._outbox.close()
            self._outbox = None
            raise

    def close(self) -> None:
        """Flush and let go."""
        self._closed = True
        self.flush()
        if self._outbox is not None:
            self._outbox.close()
            self._outbox = None


class KafkaTransactionalProducer:
    """Writes records and offsets in transactions; see ``consumer.broker.port.TransactionalProducer``.

    Many failures leave the library's producer in a state that there is no way back from: a record that was
    refused, an answer that never came, offsets that were not accepted. So after any of them ``abort`` starts
    the library's producer anew; that ends, on Kafka's side, whatever the old one left open.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        times: KafkaTimes,
        require_topic: Callable[[str], None],
        await_visible: Callable[[str], None],
        transactional_id: str,
    ) -> None:
        self._times = times
        self._await_visible = partial(await_visible, transactional_id)
        self._new_outbox = partial(
            Outbox,
            {**settings, **TRANSACTION_SETTINGS, "transactional_id": transactional_id},
            times,
            require_topic,
        )
        self._outbox = self._started()
        self._open = False
        self._closed = False
        self._broken: BrokerError | None = None
        self._fenced: Fenced | None = None

    def begin(self) -> None:
        """Start a transaction."""
        self._check_owner()
        if self._broken is not None:
            self._start_anew()
        self._outbox.forget()
        with self._judged("begin"):
            self._outbox.kafka.begin_transaction()
        self._open = True

    def send(self, message: Message) -> None:
        """Add a record to the open transaction. Raises TopicMissing."""
        self._check()
        try:
            self._outbox.send(message)
        except BrokerError as error:
            self._judge(error, "send")
            raise

    def send_offsets(self, consumer: GroupConsumer, positions: Mapping[TopicPartition, Position]) -> None:
        """Add the group's positions to the open transaction. Raises Fenced if the membership is gone."""
        self._check()
        if not isinstance(consumer, KafkaGroupConsumer):
            raise BrokerError("the consumer is of another broker")
        offsets, membership = consumer.fenced_offsets(positions)
        try:
            self._request(
                "send offsets", lambda manager: manager.send_offsets_to_transaction(offsets, membership)
            )
        except Fenced:
            consumer.doubt_membership()
            raise

    def commit(self) -> None:
        """Make everything visible. On BrokerError nothing is known: abort, and see what was committed."""
        self._check()
        with self._judged("commit"):
            # A record that was given up after delivery_timeout_ms would not keep the library from committing.
            self._outbox.flush()
        self._request("commit", lambda manager: manager.begin_commit())
        self._open = False
        self._await_visible()

    def abort(self) -> None:
        """Drop everything since ``begin``. Never raises: what cannot be aborted now, Kafka aborts later."""
        self._abort()
        if self._broken is not None and self._fenced is None and not self._closed:
            try:
                self._start_anew()
            except BrokerError as error:
                log.warning("the transactional producer could not be started anew yet: %s", error)

    def close(self) -> None:
        """Abort what is open and let go."""
        if not self._closed:
            self._abort()
            self._closed = True
            self._outbox.close()

    def _abort(self) -> None:
        if self._open and self._broken is None:
            with suppress(BrokerError):
                self._request("abort", lambda manager: manager.begin_abort())
        self._open = False

    def _started(self) -> Outbox:
        outbox = self._new_outbox()
        try:
            with translated("start of a transactional producer"):
                outbox.kafka.init_transactions()
        except BrokerError:
            outbox.close()
            raise
        return outbox

    def _start_anew(self) -> None:
        self._outbox.close()
        self._outbox = self._started()
        self._broken = None

    def _check_owner(self) -> None:
        if self._closed:
            raise BrokerError("the producer is closed")
        if self._fenced is not None:
            raise Fenced(f"the producer must be replaced after {self._fenced}")

    def _check(self) -> None:
        self._check_owner()
        if self._broken is not None:
            raise BrokerError(f"the transaction must be aborted after {self._broken}")

    def _request(self, doing: str, start: Callable[[Any], Any]) -> None:
        """Make a request of the transaction's and wait for its answer.

        kafka-python 3.0.12's own methods do just this, but wait without bound, and there are requests that
        it never answers. Raises BrokerError.
        """
        with self._judged(doing):
            result = start(_transaction_manager(self._outbox))
            self._outbox.kafka._sender.wakeup()  # noqa: SLF001 - see above
            if not result.wait(timeout_ms=self._times.commit_s * 1000):
                raise BrokerError(
                    f"{doing}: no answer within {self._times.commit_s:g} seconds; the outcome is unknown"
                )

    @contextmanager
    def _judged(self, doing: str) -> Iterator[None]:
        try:
            with translated(doing):
                yield
        except BrokerError as error:
            self._judge(error, doing)
            raise

    def _judge(self, error: BrokerError, doing: str) -> None:
        """Find out the cause of an error, and what it leaves of the producer. Raises the cause."""
        if isinstance(error, TopicMissing):
            return
        manager = _transaction_manager(self._outbox)
        cause = as_broker_error(manager.last_error, doing) if manager.has_error() else error
        if isinstance(cause, Fenced):
            self._fenced = cause
        if manager.has_fatal_error() or not isinstance(cause, Fenced):
            self._broken = cause
        if cause is not error:
            raise cause from error


def _transaction_manager(outbox: Outbox) -> Any:
    """Where the library keeps the state of a transaction, and why it failed."""
    return outbox.kafka._transaction_manager  # noqa: SLF001 - there is no other way
