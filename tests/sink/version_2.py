"""What was on ``sync-log`` when the program of state version 2 wrote ``state-version-2.sqlite3`` from it."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from consumer.model.events import Kind
from consumer.model.results import Outcome, Phase, Reason, Result, RunMarker
from tests.sink.scene import START, marker, result


STATE = Path(__file__).with_name("state-version-2.sqlite3")

NO_ANSWER = Reason("upstream_unavailable", "SmartBarrel did not answer", "503 Service Unavailable")
NO_PHONE = Reason("missing_phone", "Missing phone number")
NO_ID = Reason("missing_employee_id", "Missing employee ID, so SmartBarrel gets no payroll ID")
NAMES = ("Ana Abel", "Émile Zola", "emil Zoll", "Åsa Öberg", "Maryam می‌نی", "", "Ben Bauer")


def records() -> Iterator[tuple[int, Result | RunMarker | bytes]]:
    """Partition and record: runs that are over or not, with and without a marker, days, and trouble."""
    yield 0, marker(20)
    for number in range(20):
        yield 0, _one(number)
    # Two who were parked and redriven; the redriven result of one is read before the parked one.
    yield 0, result(3, NAMES[3], Outcome.PARKED, reasons=(NO_ANSWER,))
    yield 0, result(90, NAMES[3], subject_id="503", source_offset=900)
    yield 0, result(91, NAMES[4], subject_id="504", source_offset=901)
    yield 0, result(4, NAMES[4], Outcome.PARKED, reasons=(NO_ANSWER,), source_offset=902)
    yield 1, marker(5, run_id="r2", kind=Kind.TIMESHEETS, started_at=START + timedelta(hours=1))
    for number in range(3):
        yield 1, result(number, NAMES[number], kind=Kind.TIMESHEETS, run_id="r2", detail="8.00 hours")
    yield 1, result(1, run_id="no marker")
    yield 1, marker(0, run_id="r3", phase=Phase.FAILED, reason="Procore refuses access")
    yield 1, marker(0, run_id="r4", phase=Phase.JOINED, joined="r1")
    yield 2, b"bytes that are no record"
    for number in range(6):
        at = START + timedelta(hours=7 * number)
        yield 2, result(number % 4, NAMES[number], Outcome.HELD, run_id=None, handled_at=at)
    yield 2, result(1, company_id=None, outcome=Outcome.PARKED, run_id=None, reasons=(NO_ANSWER,))


def _one(number: int) -> Result:
    outcome = tuple(Outcome)[number % 8]
    reasons: Sequence[Reason] = (NO_PHONE,) if outcome is Outcome.SKIPPED else ()
    warnings = (NO_ID,) if number % 5 == 0 else ()
    return result(number, NAMES[number % 7], outcome, reasons=reasons, warnings=warnings)
