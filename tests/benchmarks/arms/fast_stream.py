"""FastStream on aiokafka, its default Kafka client.

Variant ``fast``: its default acknowledgement, first and by itself every five seconds, with ``max_workers``
calls at a time: no order, and what was begun before a crash may be lost; results are not waited for.
Variant ``acked``: each event is acknowledged when it was handled and its result written; then FastStream
runs one after the other per partition at most, each partition with a consumer of its own.
Either way without what it can do without: no per-message log lines, no validation, no JSON.
"""

import asyncio
from typing import Any

from tests.benchmarks.client import Waiting
from tests.benchmarks.events import PARTITIONS
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.job import Job
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Handle what is expected."""
    return asyncio.run(_run(task, gauge))


async def _run(task: Task, gauge: Gauge) -> int:
    from faststream import AckPolicy  # noqa: PLC0415 - a peer; only this arm needs it
    from faststream.kafka import KafkaBroker  # noqa: PLC0415 - likewise

    job, upstream = Job(task.events_topic, task.work_ms), Waiting(task.upstream_port)
    broker = KafkaBroker(
        task.bootstrap,
        logger=None,
        apply_types=False,
        allow_auto_create_topics=False,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_batch_size=65_536,
    )
    acked = task.variant == "acked"
    workers = min(task.in_flight, PARTITIONS) if acked else task.in_flight
    over = asyncio.Event()
    unwritten: set[Any] = set()
    handled = 0

    async def raw(message: Any) -> Any:
        return message.raw_message

    async def handle(record: Any) -> None:
        nonlocal handled
        gauge.begin()
        event = job.event(record.value)
        if task.work_ms:
            await upstream.upsert(event, task.work_ms)
        key, value = job.result(event, record.partition, record.offset)
        written = await broker.publish(value, task.results_topic, key=key, no_confirm=not acked)
        if not acked:
            unwritten.add(written)
            written.add_done_callback(unwritten.discard)
        handled += 1
        if handled == task.expected:
            over.set()

    broker.subscriber(
        task.events_topic,
        group_id=task.group,
        **_membership(task, workers if acked else 1),
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK if acked else AckPolicy.ACK_FIRST,
        max_workers=workers,
        decoder=raw,
    )(handle)
    await broker.start()
    await over.wait()
    await asyncio.gather(*unwritten)
    gauge.end()
    await broker.stop()
    return handled


def _membership(task: Task, consumers: int) -> dict[str, Any]:
    if not task.stays:
        return {}
    # Several consumers would take one static place from each other, so they get a short session instead.
    short = {"session_timeout_ms": 2000, "heartbeat_interval_ms": 500}
    return {"group_instance_id": task.instance} if consumers == 1 else short
