"""The naive loop: one record after the other, at least once, a commit after each poll, no transactions."""

from tests.benchmarks.arms import plain
from tests.benchmarks.client import Plain
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.job import Job
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Handle what is expected."""
    job, upstream = Job(task.events_topic, task.work_ms), Plain(task.upstream_port)
    producer = plain.producer(task)
    member = plain.consumer(task, task.events_topic)
    handled = 0
    for records in plain.polls(member, task.expected):
        gauge.begin()
        for record in records:
            event = job.event(record.value)
            if task.work_ms:
                upstream.upsert(event, task.work_ms)
            key, value = job.result(event, record.partition, record.offset)
            producer.send(task.results_topic, value, key)
        producer.flush()
        member.commit()
        handled += len(records)
    gauge.end()
    producer.close()
    member.close(autocommit=False)
    return handled
