"""Ours: the links of a large customer, read into memory as at every start and after every rebalance."""

import gc
import time

from consumer.broker.connect import connect
from consumer.engine.links import Links, follow_links
from consumer.model.codec import Codec
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.task import Task


def run(task: Task, gauge: Gauge) -> int:
    """Load the topic to its end."""
    links, codec = Links(), Codec()
    with connect(f"kafka://{task.bootstrap}") as broker:
        table = follow_links(broker, task.links_topic, links, codec)
        gc.collect()
        gauge.begin()
        table.catch_up(time.monotonic)
        gauge.end()
        table.close()
    return len(links)
