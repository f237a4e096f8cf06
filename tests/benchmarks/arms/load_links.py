"""Ours: the links of a large customer, read into memory as at every start and after every rebalance."""

import gc
import time

from consumer.broker.connect import connect
from consumer.engine.links import Links, follow_links
from consumer.model.codec import Codec
from consumer.service import collect_rarely
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Load the topic to its end."""
    links = Links(Codec())
    with connect(f"kafka://{task.bootstrap}") as broker:
        table = follow_links(broker, task.links_topic, links)
        gc.collect()
        collect_rarely()
        gauge.begin()
        table.catch_up(time.monotonic)
        gauge.end()
        table.close()
    return len(links)
