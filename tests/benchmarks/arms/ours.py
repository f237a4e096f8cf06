"""Ours: the engine on Kafka with transactions, as the service starts it, with the benchmark's handler.

Variant ``users``: the real handler of users instead, whose links say that nothing has changed.
Variant ``httpx``: the benchmark's handler makes its calls with the HTTP library of the real ones.
"""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

from consumer.broker.connect import connect
from consumer.broker.port import Record
from consumer.engine.config import EngineConfig
from consumer.engine.limits import Limits
from consumer.engine.links import Links
from consumer.engine.loop import Engine
from consumer.engine.outbox import Topics
from consumer.model.codec import Codec
from consumer.model.events import UserEvent
from consumer.model.results import Result
from consumer.service import collect_rarely
from tests.benchmarks.arms.our_handlers import handler_of
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.task import Task


_JOIN_S = 30.0


class Count:
    """Counts results, which come from the engine's thread, until the task is done."""

    def __init__(self, task: Task, gauge: Gauge) -> None:
        self._task = task
        self._gauge = gauge
        self._of_partition = [0] * len(task.sizes)
        self.handled = 0
        self.over = threading.Event()

    def __call__(self, result: Result) -> None:
        """A result is committed."""
        if result.company_id in self._task.unawaited:
            return
        self.handled += 1
        if self._task.share is None:
            done = self.handled == self._task.expected
        else:
            self._of_partition[result.source_partition] += 1
            done = self._finished_partitions() == self._task.share
        if done:
            self._gauge.end()
            self.over.set()

    def _finished_partitions(self) -> int:
        pairs = zip(self._of_partition, self._task.sizes, strict=True)
        return sum(count == size for count, size in pairs)


def run(task: Task, gauge: Gauge) -> int:
    """Handle what is expected."""
    collect_rarely()
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    count = Count(task, gauge)
    stop, links = threading.Event(), Links(Codec())
    failed: list[BaseException] = []
    with connect(f"kafka://{task.bootstrap}") as broker:
        _note_first_records(broker, gauge.begin)
        engine = Engine(
            broker,
            Codec(),
            handler_of(task, links),
            UserEvent,
            _config(task),
            loop=loop,
            links=links,
            on_result=count,
        )

        def work() -> None:
            try:
                engine.run(stop)
            except BaseException as error:  # noqa: BLE001 - raised again on the main thread
                failed.append(error)
                count.over.set()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        count.over.wait()
        if task.share is not None and not failed:
            sys.stdout.write(gauge.report(count.handled).to_json() + "\n")
            sys.stdout.flush()
            sys.stdin.readline()
        stop.set()
        thread.join(_JOIN_S)
    if failed:
        raise failed[0]
    return count.handled


def _config(task: Task) -> EngineConfig:
    """The engine's own limits and times hold but for those that the task measures."""
    return EngineConfig(
        group=task.group,
        topics=Topics(task.events_topic, task.results_topic, task.links_topic, task.dead_topic),
        transactional_id=task.instance,
        instance_id=task.instance if task.stays else None,
        limits=Limits(task.in_flight, task.per_company),
        # A company that is refused is not waited for at the end.
        drain_s=1.0,
    )


def _note_first_records(broker: Any, note: Callable[[], None]) -> None:
    """Have the first poll that finds records noted; later ones are left alone."""
    make = broker.consumer

    def consumer(*arguments: Any, **settings: Any) -> Any:
        made = make(*arguments, **settings)
        poll = made.poll

        def first(*arguments: Any, **settings: Any) -> list[Record]:
            found: list[Record] = poll(*arguments, **settings)
            if found:
                note()
                del made.poll
            return found

        made.poll = first
        return made

    broker.consumer = consumer
