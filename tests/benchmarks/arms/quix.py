"""Quix Streams, which handles one record after the other. The variant is its processing guarantee.

It commits as often as our engine does: after 500 records or a tenth of a second.
"""

import tempfile
from typing import Any

from consumer.model.topics import log_key
from tests.benchmarks.client import Plain
from tests.benchmarks.events import COMPANY
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.job import Job
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Handle what is expected."""
    from quixstreams import Application, message_context  # noqa: PLC0415 - a peer; only this arm needs it

    job, upstream = Job(task.events_topic, task.work_ms), Plain(task.upstream_port)
    place: dict[str, Any] = {"group.instance.id": task.instance} if task.stays else {}
    exactly_once = task.variant == "exactly-once"
    with tempfile.TemporaryDirectory() as state:
        application = Application(
            task.bootstrap,
            consumer_group=task.group,
            auto_offset_reset="earliest",
            processing_guarantee=task.variant,
            commit_interval=0.1,
            commit_every=500,
            auto_create_topics=False,
            use_changelog_topics=False,
            state_dir=state,
            loglevel=None,
            consumer_extra_config=place,
            producer_extra_config={"linger.ms": 5, **_transactional(task, exactly_once=exactly_once)},
        )
        source = application.topic(task.events_topic, value_deserializer="bytes")
        target = application.topic(task.results_topic, value_serializer="bytes")
        key = log_key(COMPANY, None)

        def handle(value: bytes) -> bytes:
            gauge.begin()
            event = job.event(value)
            if task.work_ms:
                upstream.upsert(event, task.work_ms)
            context = message_context()
            return job.result(event, context.partition, context.offset)[1]

        application.dataframe(source).apply(handle).to_topic(target, key=lambda _: key)
        application.run(count=task.expected, collect=False)
        gauge.end()
    return task.expected


def _transactional(task: Task, *, exactly_once: bool) -> dict[str, Any]:
    # A fixed id lets whoever follows a kill end what was left open; only that measurement sets ``stays``.
    return {"transactional.id": task.instance} if exactly_once and task.stays else {}
