"""The measurements that are no cell of the table: several processes, real handlers, companies, links."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from tests.benchmarks.arm_process import DidNotFinish
from tests.benchmarks.cells import BARE_LINKS, BARE_UNDECODED, LOAD_LINKS, OURS, OURS_USERS, Arm, Cell
from tests.benchmarks.events import COMPANY, PARTITIONS, links_of, many_links, sizes, user_records
from tests.benchmarks.keys import Keys
from tests.benchmarks.lab import RESULT_PARTITIONS, START_S, Lab
from tests.benchmarks.outcome import NINE, NINE_OF_TEN, PROCESSES, Extra
from tests.benchmarks.plan import OURS_LIMIT
from tests.benchmarks.task import Report


COMPANIES = 10
REFUSED = COMPANY + COMPANIES - 1
PER_COMPANY = 100
"""The engine's own default."""
WORK_MS = 50
_LOOK_S = 0.1


def with_processes(lab: Lab, count: int, events: int) -> Extra:
    """Ours without work in one group of so many processes, which have all joined before events come."""
    name = PROCESSES[count]
    cell = Cell(OURS, 0, Keys.DISTINCT, OURS_LIMIT, events)
    drawn = range(events)
    topic = lab.empty_topic(drawn)
    records = list(user_records(drawn, lab.codec))
    task = replace(lab.task(cell, topic), share=PARTITIONS // count, sizes=sizes(drawn))
    try:
        with ExitStack() as stack:
            members = [
                stack.enter_context(lab.started(replace(task, instance=f"{task.instance}-{number}")))
                for number in range(count)
            ]
            _wait_for_members(lab, task.group, [PARTITIONS // count] * count)
            lab.cluster.fill(topic.name, records)
            reports = [member.report(lab.limit_s(cell, topic)) for member in members]
            for member in members:
                member.let_go()
    except DidNotFinish as reason:
        return Extra(name, why=str(reason))
    return Extra(name, together(reports))


def together(reports: Sequence[Report]) -> Report:
    """The processes as one: from the first's first record to the last's last commit."""
    return Report(
        handled=sum(report.handled for report in reports),
        began=min(report.began for report in reports),
        ended=max(report.ended for report in reports),
        cpu_s=sum(report.cpu_s for report in reports),
        peak_mb=max(report.peak_mb for report in reports),
        base_mb=max(report.base_mb for report in reports),
    )


def _wait_for_members(lab: Lab, group: str, shares: list[int]) -> None:
    deadline = time.monotonic() + START_S
    while lab.cluster.members(group) != shares:
        if time.monotonic() > deadline:
            raise DidNotFinish("the processes did not share the partitions")
        time.sleep(_LOOK_S)


def real_handler(lab: Lab, events: int) -> Extra:
    """Ours with the real handler of users, and links that say that nothing has changed."""
    cell = Cell(OURS_USERS, 0, Keys.DISTINCT, OURS_LIMIT, events)
    topic = lab.topic(cell.keys, events)
    task = lab.task(cell, topic)
    lab.cluster.fill(task.links_topic, links_of(topic.users, lab.codec, RESULT_PARTITIONS))
    try:
        return Extra(cell.arm.name, lab.run(task, lab.limit_s(cell, topic)))
    except DidNotFinish as reason:
        return Extra(cell.arm.name, why=str(reason))


def nine_companies(lab: Lab, events: int, *, refused: bool) -> Extra:
    """Nine companies' events among ten companies'; the tenth may be answered 401 all the time."""
    name = NINE if refused else NINE_OF_TEN
    cell = Cell(OURS, WORK_MS, Keys.DISTINCT, OURS_LIMIT, events)
    topic = lab.topic(cell.keys, events, COMPANIES)
    awaited = sum(user % COMPANIES != COMPANIES - 1 for user in topic.users)
    task = replace(lab.task(cell, topic), unawaited=(REFUSED,), expected=awaited, per_company=PER_COMPANY)
    lab.upstream.forget([REFUSED] if refused else [])
    try:
        return Extra(name, lab.run(task, lab.limit_s(cell, topic)))
    except DidNotFinish as reason:
        return Extra(name, why=str(reason))


def links(lab: Lab, count: int, bare: int) -> list[Extra]:
    """So many links loaded by ours; the first ``bare`` of them polled by a bare loop, and decoded too."""
    topic = lab.empty_topic([])
    task = lab.task(Cell(LOAD_LINKS, 0, Keys.DISTINCT, 1, count), topic)
    lab.cluster.fill(task.links_topic, many_links(count, lab.codec, RESULT_PARTITIONS))
    found = []
    for arm, expected in ((BARE_UNDECODED, bare), (BARE_LINKS, bare), (LOAD_LINKS, count)):
        try:
            found.append(Extra(arm.name, _of_links(lab, arm, expected, task.links_topic)))
        except DidNotFinish as reason:
            found.append(Extra(arm.name, why=str(reason)))
    return found


def _of_links(lab: Lab, arm: Arm, expected: int, links_topic: str) -> Report:
    cell = Cell(arm, 0, Keys.DISTINCT, 1, expected)
    topic = lab.empty_topic([])
    return lab.run(replace(lab.task(cell, topic), links_topic=links_topic), lab.limit_s(cell, topic) + 60)
