"""Which cells a run has, and how many events each: enough for some seconds at the law, and no more."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.cells import (
    BARE,
    FASTSTREAM,
    FASTSTREAM_ACKED,
    NAIVE,
    OURS,
    QUIX,
    QUIX_ONCE,
    THREADS,
    TRANSACTIONAL,
    TRANSACTIONAL_TUNED,
    Arm,
    Cell,
)
from tests.benchmarks.events import PARTITIONS
from tests.benchmarks.keys import Keys, spread
from tests.benchmarks.law import best_per_s


FASTEST_PER_S = 4000
"""No Python process is expected to make more calls a second; the law may well allow more."""

ALL_KEYS = (Keys.ONE, Keys.HUNDRED, Keys.ZIPF, Keys.DISTINCT)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a run is. ``seconds`` is about how long a cell should take at best; the rest are events."""

    seconds: float
    no_work: int
    repeats: int
    work_ms: Sequence[int]
    keys: Sequence[Keys]
    limits: Sequence[int]
    short: int
    long: int
    two_processes: int
    companies: int
    killed: int
    links: int
    links_bare: int


FULL = Size(
    seconds=3.0,
    no_work=40_000,
    repeats=3,
    work_ms=(10, 50, 100),
    keys=ALL_KEYS,
    limits=(50, 200, 1000),
    # Beyond the first 50,000, buffers and what waits for its commit are as large as they get.
    short=60_000,
    long=400_000,
    two_processes=60_000,
    companies=24_000,
    killed=20_000,
    links=1_000_000,
    links_bare=200_000,
)
QUICK = Size(
    seconds=1.0,
    no_work=5_000,
    repeats=1,
    work_ms=(50,),
    keys=(Keys.HUNDRED, Keys.DISTINCT),
    limits=(200,),
    short=5_000,
    long=20_000,
    two_processes=10_000,
    companies=12_000,
    killed=4_000,
    links=50_000,
    links_bare=20_000,
)

SERIAL = (NAIVE, TRANSACTIONAL, QUIX, QUIX_ONCE)
UNORDERED = (THREADS, FASTSTREAM)
AT_NO_WORK = (
    BARE,
    NAIVE,
    TRANSACTIONAL,
    TRANSACTIONAL_TUNED,
    THREADS,
    FASTSTREAM,
    FASTSTREAM_ACKED,
    QUIX,
    QUIX_ONCE,
    OURS,
)
THREADS_AT_NO_WORK = 8
OURS_LIMIT = 200


def cells(size: Size) -> Iterator[Cell]:
    """All cells, those that are compared with each other close together."""
    yield from _without_work(size)
    for work_ms in size.work_ms:
        # To the arms without overlap or without order the keys make no difference.
        for arm in SERIAL:
            yield _cell(size, arm, work_ms, Keys.DISTINCT, 1)
        yield _cell(size, FASTSTREAM_ACKED, work_ms, Keys.DISTINCT, PARTITIONS)
        for arm in UNORDERED:
            yield _cell(size, arm, work_ms, Keys.HUNDRED, OURS_LIMIT)
        for limit in size.limits:
            for keys in size.keys:
                if keys is not Keys.ONE or limit == size.limits[0]:
                    yield _cell(size, OURS, work_ms, keys, limit)


def _without_work(size: Size) -> Iterator[Cell]:
    for _ in range(size.repeats):
        for arm in AT_NO_WORK:
            yield Cell(arm, 0, Keys.DISTINCT, _in_flight_without_work(arm), _events_without_work(size, arm))
    for keys in size.keys:
        if keys is not Keys.DISTINCT:
            yield Cell(OURS, 0, keys, OURS_LIMIT, size.no_work)


def _in_flight_without_work(arm: Arm) -> int:
    return {THREADS: THREADS_AT_NO_WORK, FASTSTREAM_ACKED: PARTITIONS, OURS: OURS_LIMIT}.get(arm, 1)


def _events_without_work(size: Size, arm: Arm) -> int:
    if arm is BARE:
        # It is so quick that the first fetch, which comes before the measured window, would count for much.
        return 4 * size.no_work
    # What takes a round trip for each event would take minutes.
    return size.no_work // 20 if arm is FASTSTREAM_ACKED else size.no_work


def _cell(size: Size, arm: Arm, work_ms: int, keys: Keys, in_flight: int) -> Cell:
    return Cell(arm, work_ms, keys, in_flight, _events(size, arm, work_ms, keys, in_flight))


def _events(size: Size, arm: Arm, work_ms: int, keys: Keys, in_flight: int) -> int:
    known = spread(keys)
    ordered = arm.in_order
    rate = best_per_s(
        known.count if ordered else None, known.busiest_share if ordered else 0.0, work_ms / 1000, in_flight
    )
    return max(20, round(size.seconds * min(rate, FASTEST_PER_S)))
