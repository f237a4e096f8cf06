"""The invented company of a chaos run: its events, and what both systems should hold in the end.

Pure and seeded. What should be is told from the events alone, by the newest revision of each user and each
timesheet, without any code of the product's mapping.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from consumer.model.events import Event, Named, ShiftStatus, ShiftWorker, TimesheetEvent, UserEvent
from consumer.sandbox.demo import DemoData, load_demo


COMPANY = 4281001
PROJECT = 2790001
FIRST_DAY = date(2026, 11, 2)
BEGINNING = datetime(2026, 11, 1, tzinfo=UTC)
LATE_SHARE = 0.1
"""How many revisions come after a newer one of theirs."""
INCOMPLETE_EVERY = 10
"""Every so many-th user has no e-mail address in any revision, every so many-th shift is never approved."""


@dataclass(frozen=True, slots=True)
class Expected:
    """By user, worker and timesheet: the fields of the worker, the contact and the entry, as text."""

    workers: Mapping[str, tuple[str, ...]]
    contacts: Mapping[str, tuple[str, ...]]
    entries: Mapping[str, tuple[str, ...]]


def data() -> DemoData:
    """Both systems before anything was synced: the demo's projects, and nobody."""
    demo = load_demo()
    users = demo.procore["users"][:1]
    people = [one for one in demo.procore["people"] if one["user_id"] == users[0]["id"]]
    return DemoData(
        # One person: a directory without anybody is taken for one without access.
        procore={**demo.procore, "users": users, "people": people},
        smartbarrel={**demo.smartbarrel, "workers": [], "timesheets": []},
    )


def events(count: int, seed: int) -> list[Event]:
    """So many events of users and timesheets, in the order in which they are published."""
    rng = Random(seed)
    users, shifts = max(1, count // 6), max(1, count // 6)
    made: list[Event] = []
    revisions: dict[tuple[str, int], int] = {}
    for _ in range(count):
        kind, number = rng.choice([("user", rng.randrange(users)), ("shift", rng.randrange(shifts))])
        revision = revisions[kind, number] = revisions.get((kind, number), 0) + 1
        made.append(user(number, revision) if kind == "user" else shift(number, revision))
    for place in range(1, count):
        if rng.random() < LATE_SHARE:
            other = max(0, place - rng.randint(1, 20))
            made[place], made[other] = made[other], made[place]
    return made


def user(number: int, revision: int) -> UserEvent:
    """A user; each revision has another last name and address."""
    return UserEvent(
        company_id=COMPANY,
        user_id=1_000_000 + number,
        asked_at=BEGINNING + timedelta(seconds=revision),
        first_name="Ada",
        last_name=f"User{number} Revision{revision}",
        email=None if number % INCOMPLETE_EVERY == 0 else f"user{number}.r{revision}@granite.example",
        mobile_phone=f"+1512{2_000_000 + number:07d}",
        country_code="US",
        employee_id=f"E{number:06d}",
        is_employee=True,
    )


def shift(number: int, revision: int) -> TimesheetEvent:
    """A shift of a worker whom Procore does not know; a worker has ten. Each revision has other hours."""
    worker = number // 10
    start = datetime.combine(FIRST_DAY + timedelta(days=number % 10), datetime.min.time(), UTC)
    return TimesheetEvent(
        company_id=COMPANY,
        timesheet_id=f"t{number}",
        revision=revision,
        project=Named("p1", "Harbor Point Tower"),
        procore_project_id=PROJECT,
        worker=ShiftWorker(f"w{worker}", "Bo", f"Worker{worker}", payroll_id=f"W{worker:06d}"),
        work_date=start.date(),
        time_in=start + timedelta(hours=13),
        time_out=start + timedelta(hours=21),
        break_minutes=0,
        total_hours=Decimal(revision % 900) / 100 + 1,
        cost_code_segment_1=None,
        cost_code_segment_2=None,
        location=None,
        status=ShiftStatus.SUBMITTED if number % INCOMPLETE_EVERY == 0 else ShiftStatus.APPROVED,
        deleted=False,
        updated_at=BEGINNING + timedelta(seconds=revision),
    )


def expected(published: Iterable[Event]) -> Expected:
    """What both systems should hold after these events, in whatever order and however often they came."""
    newest: dict[Any, Event] = {}
    for event in published:
        plain = replace(event, run_id=None)
        key = _key(plain)
        if key not in newest or _revision(plain) > _revision(newest[key]):
            newest[key] = plain
    users = [one for one in newest.values() if isinstance(one, UserEvent) and one.email]
    shifts = [
        one
        for one in newest.values()
        if isinstance(one, TimesheetEvent) and one.status is ShiftStatus.APPROVED
    ]
    return Expected(
        workers={
            f"procore:{one.user_id}": (
                str(one.first_name),
                str(one.last_name),
                str(one.email),
                str(one.mobile_phone),
                str(one.employee_id),
            )
            for one in users
        },
        contacts={
            f"sb:{one.worker.id}": (one.worker.first_name, one.worker.last_name, str(one.worker.payroll_id))
            for one in shifts
        },
        entries={
            f"sb:{one.timesheet_id}": (
                f"sb:{one.worker.id}",
                one.work_date.isoformat(),
                str(one.total_hours.normalize()),
            )
            for one in shifts
        },
    )


def _key(event: Event) -> object:
    return ("user", event.user_id) if isinstance(event, UserEvent) else ("shift", event.timesheet_id)


def _revision(event: Event) -> tuple[float, int]:
    if isinstance(event, UserEvent):
        return event.asked_at.timestamp(), 0
    return 0.0, event.revision
