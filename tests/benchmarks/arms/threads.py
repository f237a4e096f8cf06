"""The same loop with a pool of threads: no order, and offsets are committed whether or not work is done."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.benchmarks.arms import plain
from tests.benchmarks.client import Plain
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.job import Job
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Handle what is expected. The library commits by itself every five seconds, as by default."""
    job, upstream = Job(task.events_topic, task.work_ms), Plain(task.upstream_port)
    producer = plain.producer(task)
    member = plain.consumer(task, task.events_topic, enable_auto_commit=True)
    # Twice as many as there are threads, so that none has to wait for the loop.
    room = threading.Semaphore(2 * task.in_flight)

    def handle(record: Any) -> None:
        try:
            event = job.event(record.value)
            if task.work_ms:
                upstream.upsert(event, task.work_ms)
            key, value = job.result(event, record.partition, record.offset)
            producer.send(task.results_topic, value, key)
        finally:
            room.release()

    handled = 0
    with ThreadPoolExecutor(task.in_flight) as pool:
        for records in plain.polls(member, task.expected):
            gauge.begin()
            for record in records:
                room.acquire()
                pool.submit(handle, record)
            handled += len(records)
    producer.flush()
    member.commit()
    gauge.end()
    producer.close()
    member.close(autocommit=False)
    return handled
