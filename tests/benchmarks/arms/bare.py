"""The ceiling: poll and decode, and nothing else. Variants: ``links``, ``links undecoded``."""

from consumer.model.codec import Codec
from consumer.model.events import UserEvent
from consumer.model.links import Link
from tests.benchmarks.arms import plain
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Read so many records, in one process without a group's commits."""
    codec = Codec()
    links = task.variant.startswith("links")
    decoded: type = Link if links else UserEvent
    handled = 0
    member = plain.consumer(task, task.links_topic if links else task.events_topic)
    for records in plain.polls(member, task.expected):
        gauge.begin()
        if not task.variant.endswith("undecoded"):
            for record in records:
                codec.decode(record.value, decoded)
        handled += len(records)
    gauge.end()
    member.close(autocommit=False)
    return handled
