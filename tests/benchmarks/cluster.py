"""The broker as the benchmark's driver uses it: topics are filled and results read with confluent-kafka.

It is a peer's library and none of ours: what is measured does not measure itself.
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from consumer.model.codec import Codec
from consumer.model.results import Result
from tests.benchmarks.check import Seen
from tests.benchmarks.events import Keyed


PATIENCE_S = 60.0


class Cluster:
    """The one broker of a run."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self._settings = {"bootstrap.servers": bootstrap}
        self._admin = AdminClient(self._settings)
        self._codec = Codec()

    def create(self, *topics: tuple[str, int], compacted: bool = False) -> None:
        """Create topics, each with its number of partitions."""
        config = {"cleanup.policy": "compact" if compacted else "delete"}
        wanted = [NewTopic(name, count, 1, config=config) for name, count in topics]
        for created in self._admin.create_topics(wanted).values():
            created.result(PATIENCE_S)

    def delete(self, *topics: str) -> None:
        """Delete topics, which nothing reads any more."""
        for deleted in self._admin.delete_topics(list(topics)).values():
            deleted.result(PATIENCE_S)

    def fill(self, topic: str, records: Iterable[Keyed]) -> None:
        """Write records, and wait until all are there."""
        producer = Producer({**self._settings, "linger.ms": 20, "queue.buffering.max.messages": 100_000})
        for partition, key, value in records:
            while True:
                try:
                    producer.produce(topic, value, key, partition)
                except BufferError:
                    producer.poll(0.05)
                else:
                    break
        if left := producer.flush(PATIENCE_S):
            raise RuntimeError(f"{left} records could not be written to {topic}")

    def results(self, topic: str, limit_s: float = PATIENCE_S) -> Sequence[Seen]:
        """The results that are committed now, in order per partition."""
        deadline = time.monotonic() + limit_s
        consumer = Consumer(
            {
                **self._settings,
                "group.id": "reader",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        try:
            partitions = self._partitions(topic)
            consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
            open_ones, found = set(partitions), []
            while open_ones:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{topic} could not be read to its end")
                for message in consumer.consume(5000, 0.5):
                    if message.error() is None:
                        found.append(self._seen(message.value()))
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        open_ones.discard(message.partition())
            return found
        finally:
            consumer.close()

    def uncommitted(self, group: str, topic: str, sizes: Sequence[int]) -> int:
        """How many events lie at or after what the group has committed."""
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, n) for n in range(len(sizes))])
        (answer,) = self._admin.list_consumer_group_offsets([asked]).values()
        committed = {
            each.partition: max(each.offset, 0) for each in answer.result(PATIENCE_S).topic_partitions
        }
        return sum(size - committed.get(number, 0) for number, size in enumerate(sizes))

    def members(self, group: str) -> list[int]:
        """How many partitions each member of a group has."""
        (answer,) = self._admin.describe_consumer_groups([group]).values()
        return [len(member.assignment.topic_partitions) for member in answer.result(PATIENCE_S).members]

    def _partitions(self, topic: str) -> list[int]:
        return sorted(self._admin.list_topics(topic, PATIENCE_S).topics[topic].partitions)

    def _seen(self, value: Any) -> Seen:
        result = self._codec.decode(value, Result)
        return Seen(result.source_partition, result.source_offset, result.subject_id, result.company_id or 0)
