"""One whole run: every cell, then the measurements that are no cell."""

from collections.abc import Callable, Sequence

from tests.benchmarks import extras
from tests.benchmarks.cells import (
    FASTSTREAM,
    FASTSTREAM_ACKED,
    NAIVE,
    OURS,
    OURS_HTTPX,
    QUIX,
    QUIX_ONCE,
    THREADS,
    TRANSACTIONAL,
    Arm,
    Cell,
)
from tests.benchmarks.keys import Keys
from tests.benchmarks.killed import kill
from tests.benchmarks.lab import Lab
from tests.benchmarks.outcome import Extra, Killed, Outcome
from tests.benchmarks.plan import FULL, OURS_LIMIT, QUICK, Size, cells
from tests.benchmarks.told import line


Say = Callable[[str], None]

KILLED: Sequence[tuple[Arm, int]] = (
    (NAIVE, 1),
    (TRANSACTIONAL, 1),
    (QUIX, 1),
    (QUIX_ONCE, 1),
    (FASTSTREAM_ACKED, 8),
    (FASTSTREAM, 200),
    (THREADS, 200),
    (OURS, 200),
)
HTTPX_EVENTS = 2000
SERIAL_SHARE = 200
"""Arms that handle one after the other are killed with that many times fewer events."""


def run(lab: Lab, *, quick: bool, only: Sequence[str], say: Say) -> Outcome:
    """Measure everything, or only the arms whose names hold one of ``only``."""
    size = QUICK if quick else FULL

    def wanted(arm: Arm) -> bool:
        return not only or any(each.lower() in arm.name.lower() for each in only)

    chosen = [cell for cell in cells(size) if wanted(cell.arm)]
    if wanted(OURS):
        chosen.append(Cell(OURS_HTTPX, 50, Keys.DISTINCT, OURS_LIMIT, HTTPX_EVENTS))
    figures = []
    for number, cell in enumerate(chosen, 1):
        figure = lab.measure(cell)
        figures.append(figure)
        say(f"[{number}/{len(chosen)}] {line(figure)}")
    lengths = []
    if wanted(OURS):
        for events in (size.short, size.long):
            lengths.append(lab.measure(Cell(OURS, 0, Keys.DISTINCT, OURS_LIMIT, events)))
            say(f"[length] {line(lengths[-1])}, {events:,} events")
    return Outcome(
        figures=figures,
        lengths=lengths,
        killed=_killed(lab, size, [pair for pair in KILLED if wanted(pair[0])], say),
        extras=_extras(lab, size, say) if wanted(OURS) else [],
    )


def _killed(lab: Lab, size: Size, arms: Sequence[tuple[Arm, int]], say: Say) -> list[Killed]:
    found = []
    for arm, limit in arms:
        events = size.killed if limit > 1 else max(20, size.killed // SERIAL_SHARE)
        if arm is FASTSTREAM_ACKED:
            events = max(160, size.killed // SERIAL_SHARE * limit)
        one = kill(lab, arm, limit, events)
        found.append(one)
        say(f"[kill] {arm.name}: {one.why or f'{one.again} of {one.begun} handled again, {one.lost} lost'}")
    return found


def _extras(lab: Lab, size: Size, say: Say) -> list[Extra]:
    found: list[Extra] = []

    def add(*some: Extra) -> None:
        found.extend(some)
        for extra in some:
            say(f"[extra] {extra.name}: {f'{extra.report.per_s:,.0f}/s' if extra.report else extra.why}")

    add(extras.with_processes(lab, 1, size.two_processes))
    add(extras.with_processes(lab, 2, size.two_processes))
    add(extras.real_handler(lab, size.no_work))
    add(extras.nine_companies(lab, size.companies, refused=False))
    add(extras.nine_companies(lab, size.companies, refused=True))
    add(*extras.links(lab, size.links, size.links_bare))
    return found
