"""What a SIGKILL costs: events whose calls are made again, results that are doubled or lost."""

import time
from dataclasses import replace

from tests.benchmarks.arm_process import DidNotFinish
from tests.benchmarks.cells import Arm, Cell
from tests.benchmarks.check import repeated, verdict
from tests.benchmarks.events import places, sizes
from tests.benchmarks.keys import Keys
from tests.benchmarks.lab import Lab, Topic
from tests.benchmarks.outcome import Killed
from tests.benchmarks.task import Task


WORK_MS = 50
_LOOK_S = 0.05
_SETTLE_S = 0.5


def kill(lab: Lab, arm: Arm, limit: int, events: int) -> Killed:
    """Kill the arm when half of the events have called, let another process go on, and count."""
    cell = Cell(arm, WORK_MS, Keys.DISTINCT, limit, events)
    topic = lab.topic(cell.keys, events)
    task = replace(lab.task(cell, topic), stays=True)
    try:
        return _killed(lab, cell, topic, task)
    except DidNotFinish as reason:
        return Killed(arm, limit, why=str(reason))


def _killed(lab: Lab, cell: Cell, topic: Topic, task: Task) -> Killed:
    lab.upstream.forget()
    limit_s = lab.limit_s(cell, topic)
    with lab.started(task) as process:
        deadline = time.monotonic() + limit_s
        while lab.upstream.count() < cell.events // 2:
            if time.monotonic() > deadline or not process.is_alive():
                raise DidNotFinish("it did not come to the kill")
            time.sleep(_LOOK_S)
        moment = time.monotonic()
        process.kill()
    at_kill = lab.upstream.calls()
    # What was decided is shown by then; calls that the dead process had made are over.
    time.sleep(_SETTLE_S)
    committed = {(one.partition, one.offset) for one in lab.cluster.results(task.results_topic)}
    where = places(topic.users)
    begun = {number for _, _, number in at_kill.calls}
    in_flight = sum(where[number] not in committed for number in begun)
    left = _left(lab, cell, topic, task, len(committed))
    if left:
        lab.run(replace(task, expected=left), limit_s)
    calls = lab.upstream.calls().calls
    found = verdict(lab.cluster.results(task.results_topic), [], cell.events)
    return Killed(
        cell.arm,
        cell.in_flight,
        begun=len(begun),
        in_flight=in_flight,
        calling=at_kill.running_at(moment, WORK_MS / 1000),
        again=repeated(calls),
        doubled=found.doubled,
        lost=found.lost,
    )


def _left(lab: Lab, cell: Cell, topic: Topic, task: Task, committed: int) -> int:
    """How many events the second process will handle: ours knows what is complete above its offsets."""
    if cell.arm.module == "ours":
        return cell.events - committed
    return lab.cluster.uncommitted(task.group, topic.name, sizes(topic.users))
