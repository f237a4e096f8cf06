"""What it takes to list ten thousand runs, and to look into one of 20,000 lines.

Run as ``python -m tests.benchmarks.listing``; it asserts nothing. Each look is made five times, by a catalog
that is opened anew; the median is shown, and the most memory that Python had allocated meanwhile.
"""

import random
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from consumer.model.events import Kind, Trigger
from consumer.model.reasons import MISSING_EMPLOYEE_ID, MISSING_PHONE, phone_in_use
from consumer.model.results import Outcome, Result, RunMarker
from consumer.sink.catalog import Catalog
from consumer.sink.entries import Entry
from consumer.sink.listing import Show, Wanted
from consumer.sink.naming import LogKey
from consumer.sink.state import STATE_FILE, State


RUNS = 10_000
LARGEST = 20_000
SMALL, LARGE_EVERY = (1, 60), 5000
COMPANY = 4281001
START = datetime(2025, 11, 23, tzinfo=UTC)
BATCH = 5000
TIMES = 5
FIRST_NAMES, LAST_NAMES = ("Ana", "Émile", "Maria", "Şükrü", "Ben"), ("Öberg", "Zola", "Lee")


def entries(chance: random.Random) -> Iterator[Entry]:
    """Runs, most of which have some dozens of lines, and some 20,000."""
    offset = 0
    for run in range(RUNS):
        started = START + timedelta(minutes=50 * run)
        run_id = f"{run:032x}"
        size = LARGEST if run % LARGE_EVERY == LARGE_EVERY - 1 else chance.randint(*SMALL)
        marker = RunMarker(COMPANY, Kind.USERS, run_id, Trigger.AUTOMATIC, "Autosync", started, size)
        yield Entry(0, offset, marker)
        offset += 1
        for number in range(size):
            yield Entry(0, offset, _result(chance, run_id, number, offset, started))
            offset += 1


def _result(chance: random.Random, run_id: str, number: int, offset: int, at: datetime) -> Result:
    outcome = chance.choice((*[Outcome.UNCHANGED] * 6, Outcome.CREATED, Outcome.UPDATED, Outcome.SKIPPED))
    name = f"{FIRST_NAMES[number % 5]} {LAST_NAMES[number % 3]} {number}"
    reason = phone_in_use(f"Person {number}", None) if number % 2 else MISSING_PHONE
    return Result(
        company_id=COMPANY,
        kind=Kind.USERS,
        run_id=run_id,
        subject_id=str(8_800_000 + number),
        subject_name=name,
        outcome=outcome,
        reasons=(reason,) if outcome is Outcome.SKIPPED else (),
        warnings=(MISSING_EMPLOYEE_ID,) if number % 7 == 0 else (),
        detail="Phone number changed" if outcome is Outcome.UPDATED else None,
        source_topic="procore.user-events",
        source_partition=0,
        source_offset=offset,
        event_at=at,
        handled_at=at + timedelta(seconds=number // 10),
    )


def fill(log_dir: Path) -> int:
    """Make the state file; return how many results it has."""
    count, source = 0, entries(random.Random(20261123))
    with closing(State(log_dir / STATE_FILE, "sync-log")) as state:
        while batch := list(islice(source, BATCH)):
            state.store(batch)
            count += sum(isinstance(entry.content, Result) for entry in batch)
    return count


def measure(log_dir: Path, look: Callable[[Catalog], object]) -> tuple[float, float]:
    """Median seconds, and megabytes at most."""
    took, peaks = [], []
    for _ in range(TIMES):
        with Catalog(log_dir) as catalog:
            began = time.perf_counter()
            look(catalog)
            took.append(time.perf_counter() - began)
        with Catalog(log_dir) as catalog:
            tracemalloc.start()
            look(catalog)
            peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
            tracemalloc.stop()
    return statistics.median(took), max(peaks)


def looks(catalog: Catalog) -> dict[str, Callable[[Catalog], object]]:
    """By what they are called."""
    large = catalog.find(LogKey(COMPANY, Kind.USERS, run_id=f"{LARGE_EVERY - 1:032x}"))
    if large is None:
        raise LookupError("the large run is not there")
    some = {"company_id": COMPANY, "kind": Kind.USERS, "limit": 50}
    return {
        "list, page 1 (50 runs)": lambda c: (c.newest(**some), c.count(company_id=COMPANY)),
        "list, page 200 (50 runs)": lambda c: (
            c.newest(**some, offset=9950),
            c.count(company_id=COMPANY, kind=Kind.USERS, runs_only=True),
        ),
        "runs under way": lambda c: c.running(COMPANY, Kind.USERS),
        "20,000 lines, page 1": lambda c: c.page(large, Wanted()),
        "20,000 lines, last page": lambda c: c.page(large, Wanted(), offset=LARGEST - 100),
        "20,000 lines, warnings": lambda c: c.page(large, Wanted(Show.WARNINGS)),
        "20,000 lines, search, some": lambda c: c.page(large, Wanted(search="emile zola 19")),
        "20,000 lines, search, none": lambda c: c.page(large, Wanted(search="nobody at all")),
        "20,000 lines, search, most": lambda c: c.page(large, Wanted(search="a")),
        "history of one in all runs": lambda c: c.history(COMPANY, Kind.USERS, subject_id="8800000"),
        "history by name": lambda c: c.history(COMPANY, Kind.USERS, name="Ana Öberg 0"),
    }


def main() -> None:
    """Fill a folder and write the figures."""
    with tempfile.TemporaryDirectory() as folder:
        log_dir = Path(folder)
        began = time.perf_counter()
        count = fill(log_dir)
        took = time.perf_counter() - began
        size = (log_dir / STATE_FILE).stat().st_size / 1e6
        sys.stdout.write(
            f"{RUNS:,} runs with {count:,} results, stored in {took:.0f} s ({count / took:,.0f}/s, "
            f"{size:.0f} MB)\n\n{'look':<30}{'ms':>8}{'MB':>8}\n"
        )
        with Catalog(log_dir) as catalog:
            all_looks = looks(catalog)
        for name, look in all_looks.items():
            seconds, memory = measure(log_dir, look)
            sys.stdout.write(f"{name:<30}{seconds * 1000:>8.1f}{memory:>8.2f}\n")


if __name__ == "__main__":
    main()
