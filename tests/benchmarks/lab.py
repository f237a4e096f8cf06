"""Where arms are run: the broker, the upstream, topics that are filled, and processes with a limit."""

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from consumer.model.codec import Codec
from tests.benchmarks.arm_process import ArmProcess, DidNotFinish
from tests.benchmarks.cells import Cell, Figure
from tests.benchmarks.check import verdict
from tests.benchmarks.cluster import Cluster
from tests.benchmarks.events import PARTITIONS, user_records
from tests.benchmarks.keys import Keys, users
from tests.benchmarks.law import law_per_s, shortest_s
from tests.benchmarks.site import Upstream
from tests.benchmarks.task import Report, Task


RESULT_PARTITIONS = 4
START_S = 30.0
SLOWEST_PER_S = 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic with events. ``users`` is whose they are, in order."""

    name: str
    users: Sequence[int]
    companies: int


class Lab:
    """The place of one run. ``seed`` draws the keys."""

    def __init__(self, cluster: Cluster, upstream: Upstream, seed: int, folder: Path) -> None:
        self.cluster = cluster
        self.upstream = upstream
        self.codec = Codec()
        self._seed = seed
        self._folder = folder
        self._topics: dict[tuple[Keys, int, int], Topic] = {}
        self._numbers = itertools.count(1)

    def topic(self, keys: Keys, events: int, companies: int = 1) -> Topic:
        """A topic with such events, which arms that are compared share."""
        known = self._topics.get((keys, events, companies))
        if known is not None:
            return known
        drawn = users(keys, events, self._seed)
        made = self.empty_topic(drawn, companies)
        self.cluster.fill(made.name, user_records(drawn, self.codec, companies))
        self._topics[keys, events, companies] = made
        return made

    def empty_topic(self, drawn: Sequence[int], companies: int = 1) -> Topic:
        """A topic for such events, without any."""
        made = Topic(self._name("events"), drawn, companies)
        self.cluster.create((made.name, PARTITIONS))
        return made

    def task(self, cell: Cell, topic: Topic) -> Task:
        """What the cell's arm is told, with topics for what it writes."""
        names = [self._name(what) for what in ("results", "links", "dead")]
        self.cluster.create((names[0], RESULT_PARTITIONS), (names[2], 1))
        self.cluster.create((names[1], RESULT_PARTITIONS), compacted=True)
        return Task(
            arm=cell.arm.module,
            variant=cell.arm.variant,
            bootstrap=self.cluster.bootstrap,
            upstream_port=self.upstream.port,
            events_topic=topic.name,
            results_topic=names[0],
            links_topic=names[1],
            dead_topic=names[2],
            group=self._name("group"),
            instance=self._name("instance"),
            expected=cell.events,
            work_ms=cell.work_ms,
            in_flight=cell.in_flight,
            per_company=cell.in_flight,
        )

    def _name(self, what: str) -> str:
        # A broker that is used for several runs has the topics of the earlier ones.
        return f"bench-{os.getpid()}-{what}-{next(self._numbers)}"

    def measure(self, cell: Cell) -> Figure:
        """Run a cell, and check what came of it."""
        topic = self.topic(cell.keys, cell.events)
        ways = cell.in_flight if cell.arm.concurrent else 1
        law = law_per_s(topic.users if cell.arm.in_order else range(cell.events), cell.work_ms / 1000, ways)
        task = self.task(cell, topic)
        self.upstream.forget()
        try:
            report = self.run(task, self.limit_s(cell, topic))
        except DidNotFinish as reason:
            return Figure(cell, law, why=str(reason))
        if task.arm == "bare":
            return Figure(cell, law, report)
        found = verdict(self.cluster.results(task.results_topic), self.upstream.calls().calls, cell.events)
        self.cluster.delete(task.results_topic, task.links_topic, task.dead_topic)
        return Figure(cell, law, report, found)

    def limit_s(self, cell: Cell, topic: Topic) -> float:
        """How long the cell may take, in seconds, before it counts as not finished."""
        ways = cell.in_flight if cell.arm.concurrent else 1
        least = shortest_s(topic.users, cell.work_ms / 1000, ways)
        return START_S + 3 * least + cell.events / SLOWEST_PER_S

    def run(self, task: Task, limit_s: float) -> Report:
        """Run an arm to its end. Raises DidNotFinish."""
        with self.started(task) as process:
            return process.end(limit_s)

    def started(self, task: Task) -> ArmProcess:
        """Start an arm."""
        return ArmProcess(task, self._folder / f"{task.instance}.log")
