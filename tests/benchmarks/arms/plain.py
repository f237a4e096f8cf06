"""kafka-python as everybody begins with it: what the arms on it share."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.benchmarks.task import Task


with warnings.catch_warnings():
    # The library reads its schemas with functions that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka

__all__ = ["consumer", "kafka", "polls", "producer"]

POLL_MS = 500
POLL_RECORDS = 500

PRODUCER: Mapping[str, object] = {
    "acks": "all",
    "linger_ms": 5,
    "batch_size": 65_536,
    "metrics_enabled": False,
}
"""The same as our adapter's, so that no arm is slower for a setting that anybody could make."""


def consumer(task: Task, topic: str, **settings: object) -> Any:
    """A member of the task's group."""
    return kafka.KafkaConsumer(
        topic,
        bootstrap_servers=task.bootstrap,
        group_id=task.group,
        group_instance_id=task.instance if task.stays else None,
        auto_offset_reset="earliest",
        metrics_enabled=False,
        **{"enable_auto_commit": False, **settings},
    )


def producer(task: Task, **settings: object) -> Any:
    """A producer of results."""
    return kafka.KafkaProducer(bootstrap_servers=task.bootstrap, **{**PRODUCER, **settings})


def polls(member: Any, expected: int) -> Iterator[Sequence[Any]]:
    """The records of each poll that found some, until so many have come."""
    seen = 0
    while seen < expected:
        found = member.poll(timeout_ms=POLL_MS, max_records=POLL_RECORDS)
        records = [record for batch in found.values() for record in batch]
        if records:
            seen += len(records)
            yield records
