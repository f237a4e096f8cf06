"""A producer of kafka-python, with bounds, and with failures that are not overlooked."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from consumer.broker.kafka_client import (
    LIBRARY_ERRORS,
    KafkaTimes,
    as_broker_error,
    errors,
    kafka,
    murmur2,
    native,
    opened,
    translated,
)
from consumer.broker.port import Message, TopicPartition
from consumer.exceptions import TopicMissing


PRODUCER_SETTINGS: Mapping[str, object] = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 5,
    # Well below the largest batch that any broker takes: the library splits what is refused for its size, and
    # nobody is told what becomes of the second half.
    "batch_size": 65_536,
    "delivery_timeout_ms": 60_000,
    "max_block_ms": 30_000,
    "metrics_enabled": False,
}

UNSENT_BYTES = 16 * 2**20
"""How much may wait to be written; kafka-python 3 has no limit of its own."""

USUAL_BYTES = 65_536
"""A larger value is left to the library to look at."""

UNWRITTEN_S = 1.0
"""How long closing waits for what should have been flushed before."""

CLOSE_S = 10.0

_NULL = object()


class _Keys(kafka.Serializer):  # type: ignore[misc] # kafka-python has no types
    """Lets a record have neither key nor value, which Kafka allows and the library's ``send`` does not."""

    def serialize(self, _topic: str, _headers: Any, data: Any) -> Any:
        return None if data is _NULL else data


_hash = lru_cache(maxsize=65_536)(murmur2)
"""Kafka's own hash of a key. In pure Python it costs more than all the rest of sending, and the results of a
run have one key."""


class Outbox:
    """A producer of the library whose failures are remembered until ``flush``.

    ``require_topic`` raises TopicMissing: the library would wait half a minute for the topic to appear.
    """

    def __init__(
        self, settings: Mapping[str, Any], times: KafkaTimes, require_topic: Callable[[str], None]
    ) -> None:
        self.kafka = opened(
            kafka.KafkaProducer, {**settings, **PRODUCER_SETTINGS, "key_serializer": _Keys()}
        ).client
        self._require_topic = require_topic
        self._times = times
        self._unsent_bytes = 0
        self._failure: BaseException | None = None
        self._natives: dict[tuple[str, int], Any] = {}
        self._joined: set[tuple[str, int]] = set()
        self._cluster = self.kafka._metadata  # noqa: SLF001 - see _send
        self._accumulator = self.kafka._accumulator  # noqa: SLF001 - see _send
        transactions = self.kafka._transaction_manager  # noqa: SLF001 - see _send
        self._transactions = transactions if "transactional_id" in settings else None

    def send(self, message: Message) -> None:
        """Hand over a record, and wait if too much is unsent."""
        self._require_topic(message.topic)
        try:
            self._send(message)
        except LIBRARY_ERRORS as error:
            raise as_broker_error(error, f"send to {message.topic}") from error
        self._unsent_bytes += len(message.key or b"") + len(message.value or b"")
        if self._unsent_bytes > UNSENT_BYTES:
            with translated("flush"):
                self._drain()

    def _send(self, message: Message) -> None:
        """Append the record to its batch.

        ``KafkaProducer.send`` does the same with twice the work for each record, mostly checks of what cannot
        be otherwise here. It is left what is not usual.
        """
        key, value = message.key, message.value
        numbers = self._cluster.partitions_for_topic(message.topic)
        if numbers is None or key is None or value is None or message.headers or len(value) > USUAL_BYTES:
            self._send_unusual(message)
            return
        number = message.partition
        if number is None:
            number = (_hash(key) & 0x7FFFFFFF) % len(numbers)
        elif number not in numbers:
            raise TopicMissing(f"{message.topic} has no partition {number}")
        name = (message.topic, number)
        partition = self._natives.get(name)
        if partition is None:
            partition = self._natives[name] = native(TopicPartition(*name))
        if self._transactions is not None:
            if name not in self._joined:
                self._transactions.maybe_add_partition_to_transaction(partition)
                self._joined.add(name)
            elif self._joins_batch(partition, message):
                return
        future, _, is_new, _ = self._accumulator.append(partition, message.timestamp_ms, key, value, [])
        future.add_errback(self._failed)
        if is_new:
            self.kafka._sender.wakeup()  # noqa: SLF001 - as below

    def _joins_batch(self, partition: Any, message: Message) -> bool:
        """Add the record to the newest batch of its partition, if there is one with room.

        It gets no future of its own, which would cost as much as the rest: if its batch is not written, the
        first record's future tells, and the transaction cannot be committed.
        """
        with self._accumulator._tp_lock(partition):  # noqa: SLF001 - see _send
            batches = self._accumulator._batches[partition]  # noqa: SLF001 - see _send
            return bool(batches) and (
                batches[-1].records.append(message.timestamp_ms, message.key, message.value, []) is not None
            )

    def _send_unusual(self, message: Message) -> None:
        if message.partition is not None and message.partition not in self.kafka.partitions_for(
            message.topic
        ):
            raise TopicMissing(f"{message.topic} has no partition {message.partition}")
        self.kafka.send(
            message.topic,
            message.value,
            _NULL if message.key is None else message.key,
            list(message.headers),
            message.partition,
            message.timestamp_ms,
        ).add_errback(self._failed)

    def flush(self) -> None:
        """Wait until everything is written. Raises BrokerError if something was not."""
        with translated("flush"):
            self._drain()
        if self._failure is not None:
            raise as_broker_error(self._failure, "a record was not written")

    def forget(self) -> None:
        """Forget the failures, and the partitions, of a transaction that is over."""
        self._failure = None
        self._joined.clear()

    def close(self) -> None:
        """Let go, and drop what is not written by now."""
        sender = self.kafka._sender  # noqa: SLF001 - there is no other way to await its end
        try:
            self.kafka.close(timeout=UNWRITTEN_S)
        except errors.KafkaError:
            # It flushes first, and gives up with its thread still running if that takes too long.
            sender.force_close()
            sender.join(CLOSE_S)
            self.kafka.close(timeout=0)
        sender.join(CLOSE_S)

    def _drain(self) -> None:
        self.kafka.flush(timeout=self._times.commit_s)
        self._unsent_bytes = 0

    def _failed(self, error: BaseException) -> None:
        self._failure = self._failure or error
