"""Reading partitions of Kafka outside any group."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from consumer.broker.kafka_client import KafkaTimes, Opened, kafka, native, opened, translated
from consumer.broker.port import Record, TopicPartition
from consumer.exceptions import BrokerError


READER_SETTINGS: Mapping[str, object] = {
    "auto_offset_reset": "earliest",
    "enable_auto_commit": False,
    "isolation_level": "read_committed",
    # A seek or a resume waits for the fetch that is under way, so for at most this long.
    "fetch_max_wait_ms": 250,
    "metrics_enabled": False,
}


class KafkaReader:
    """Reads the given partitions; see ``consumer.broker.port.Reader``.

    An offset that is no longer there is replaced by the earliest that is: retention or compaction has
    removed the records before it.
    """

    def __init__(
        self, settings: Mapping[str, Any], times: KafkaTimes, partitions: Collection[TopicPartition]
    ) -> None:
        self._attach(opened(kafka.KafkaConsumer, {**settings, **READER_SETTINGS}), times)
        self._kafka.assign([native(partition) for partition in partitions])

    def _attach(self, opened: Opened, times: KafkaTimes) -> None:
        self._opened = opened
        self._kafka = opened.client
        self._patience_ms = times.request_s * 1000
        self._closed = False

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        """Return records as soon as there are any, or none after ``timeout_s`` seconds."""
        with translated("poll"):
            return flattened(self._kafka.poll(timeout_ms=timeout_s * 1000, max_records=max_records))

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that are read."""
        return frozenset(TopicPartition(*partition) for partition in self._kafka.assignment())

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to be delivered, or past what needs no delivery."""
        with translated(f"position of {partition}"):
            found = self._kafka.position(native(partition), timeout_ms=self._patience_ms)
        if found is None:
            raise BrokerError(f"the position of {partition} cannot be found out")
        return int(found)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Deliver this offset, or the next one there is, next."""
        with translated(f"seek in {partition}"):
            self._kafka.seek(native(partition), offset)

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver nothing of these until ``resume``."""
        self._kafka.pause(*self._assigned(partitions))

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Take the pause back."""
        self._kafka.resume(*self._assigned(partitions))

    def _assigned(self, partitions: Iterable[TopicPartition]) -> list[Any]:
        """Of these partitions those that are still assigned, since the library fails on others."""
        assigned = self._kafka.assignment()
        return [native(partition) for partition in partitions if partition in assigned]

    def beginning_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The first offset that is still there, or the end offset of an empty partition."""
        with translated("beginning offsets"):
            found = self._kafka.beginning_offsets([native(each) for each in partitions], self._patience_ms)
        return {partition: found[partition] for partition in partitions}

    def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The last stable offset: nothing of a transaction that is open now lies before it."""
        with translated("end offsets"):
            found = self._kafka.end_offsets([native(each) for each in partitions], self._patience_ms)
        return {partition: found[partition] for partition in partitions}

    def offsets_for_times(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int | None]:
        """The first offset whose timestamp is at or after the given one; None if there is none."""
        with translated("offsets for times"):
            found = self._kafka.offsets_for_times(
                {native(partition): max(0, at) for partition, at in timestamps_ms.items()}, self._patience_ms
            )
        return {each: found[each].offset if found[each] else None for each in timestamps_ms}

    def close(self) -> None:
        """Let go of everything."""
        if not self._closed:
            self._closed = True
            close_consumer(self._opened, self._patience_ms)


def close_consumer(opened: Opened, timeout_ms: float) -> None:
    """Close a consumer of the library, and its connections even if that fails."""
    try:
        with translated("close"):
            opened.client.close(autocommit=False, timeout_ms=timeout_ms)
    finally:
        opened.net.close()


def flattened(found: Mapping[Any, Sequence[Any]]) -> list[Record]:
    """The records of a poll, in order per partition."""
    return [
        Record(
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple((name, value or b"") for name, value in record.headers) if record.headers else (),
        )
        for batch in found.values()
        for record in batch
    ]
