"""A producer of kafka-python, with bounds, and with failures that are not overlooked."""

from collections.abc import Callable, Mapping
from typing import Any

from consumer.broker.kafka_client import KafkaTimes, as_broker_error, errors, kafka, opened, translated
from consumer.broker.port import Message
from consumer.exceptions import TopicMissing


PRODUCER_SETTINGS: Mapping[str, object] = {
    "acks": "all",
    "enable_idempotence": True,
    "linger_ms": 5,
    "batch_size": 65_536,
    "delivery_timeout_ms": 60_000,
    "max_block_ms": 30_000,
    "metrics_enabled": False,
}

UNSENT_BYTES = 16 * 2**20
"""How much may wait to be written; kafka-python 3 has no limit of its own."""

UNWRITTEN_S = 1.0
"""How long closing waits for what should have been flushed before."""

CLOSE_S = 10.0

_NULL = object()


class _Keys(kafka.Serializer):  # type: ignore[misc] # kafka-python has no types
    """Lets a record have neither key nor value, which Kafka allows and the library's ``send`` does not."""

    def serialize(self, _topic: str, _headers: Any, data: Any) -> Any:
        return None if data is _NULL else data


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

    def send(self, message: Message) -> None:
        """Hand over a record, and wait if too much is unsent."""
        self._require_topic(message.topic)
        with translated(f"send to {message.topic}"):
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
            self._unsent_bytes += len(message.key or b"") + len(message.value or b"")
            if self._unsent_bytes > UNSENT_BYTES:
                self._drain()

    def flush(self) -> None:
        """Wait until everything is written. Raises BrokerError if something was not."""
        with translated("flush"):
            self._drain()
        if self._failure is not None:
            raise as_broker_error(self._failure, "a record was not written")

    def forget(self) -> None:
        """Forget the failures of a transaction that is over."""
        self._failure = None

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
