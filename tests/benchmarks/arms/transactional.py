"""The straightforward loop with our guarantee: one record after the other, each poll is one transaction.

Variant ``as it comes``: the library's own settings, with which a transaction that begins right after another
may sleep for 100 ms. Variant ``tuned``: with the settings of our adapter.
"""

from typing import Any

from tests.benchmarks.arms import plain
from tests.benchmarks.arms.plain import kafka
from tests.benchmarks.client import Plain
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.job import Job
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Handle what is expected."""
    job, upstream = Job(task.events_topic, task.work_ms), Plain(task.upstream_port)
    producer = _producer(task)
    producer.init_transactions()
    member = plain.consumer(task, task.events_topic, isolation_level="read_committed")
    handled = 0
    for records in plain.polls(member, task.expected):
        gauge.begin()
        producer.begin_transaction()
        for record in records:
            event = job.event(record.value)
            if task.work_ms:
                upstream.upsert(event, task.work_ms)
            key, value = job.result(event, record.partition, record.offset)
            producer.send(task.results_topic, value, key)
        producer.send_offsets_to_transaction(_positions(records), member.group_metadata())
        producer.commit_transaction()
        handled += len(records)
    gauge.end()
    producer.close()
    member.close(autocommit=False)
    return handled


def _producer(task: Task) -> Any:
    if task.variant == "tuned":
        return plain.producer(task, transactional_id=task.instance, retry_backoff_ms=10)
    return kafka.KafkaProducer(bootstrap_servers=task.bootstrap, transactional_id=task.instance)


def _positions(records: Any) -> dict[Any, Any]:
    return {
        kafka.TopicPartition(record.topic, record.partition): kafka.OffsetAndMetadata(
            record.offset + 1, "", -1
        )
        for record in records
    }
