"""One company's history: what was read, published, handled and committed, as a broker keeps it.

A log for each key, a user's or a worker's, is handled in order. What was handled since the last commit is
handled again after a crash, and its links are lost. Each event that is handled alone is held against the
oracle at once.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import note

from consumer.broker.port import Record, TopicPartition
from consumer.engine.process import Later, attempt
from consumer.engine.work import Completion, Work
from consumer.model.events import Kind, TimesheetEvent, UserEvent
from consumer.model.links import Link
from consumer.model.results import SYNCED, Outcome
from consumer.sandbox.database import person_fields
from consumer.sandbox.documents import Collection, put, select
from consumer.sandbox.tables import PEOPLE, POSITIONS, TIMECARD_ENTRIES, USERS, WORK_CLASSIFICATIONS, WORKERS
from consumer.sqlite import transaction
from tests.sync.conftest import Office
from tests.sync.histories.oracle_positions import POSITION_FIELDS, Positions
from tests.sync.histories.oracle_timesheets import ENTRY_FIELDS, Entries, is_due, user_of
from tests.sync.histories.oracle_users import (
    WORKER_FIELDS,
    Known,
    Workers,
    leaver_of,
    position_for,
    worker_of,
)
from tests.sync.people import ASKED_AT, RUN
from tests.upstream.site import Json, Mishap, classification


Event = UserEvent | TimesheetEvent
Subject = tuple[Kind, int | str]
"""A user or a timesheet."""
Key = tuple[Kind, int | str]
"""A user or a worker: what order is kept within."""


@dataclass(frozen=True, slots=True)
class Note:
    """What is known of a subject: the revision decided on, and what was applied for sure (or None).

    ``status`` is the one that a user's worker had when they were looked at last.
    """

    revision: int
    applied: object = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Systems:
    """What both systems hold of what is compared."""

    workers: Workers
    positions: Positions
    people: dict[int, Json]
    entries: Entries


@dataclass(frozen=True, slots=True)
class Step:
    """One event that was handled alone: how it ended, and what both systems held before and after."""

    event: Event
    ended: Completion | Later
    note: Note | None
    source: object
    known: Known
    directories: tuple[tuple[Json, ...], ...]
    before: Systems
    after: Systems
    requests: int

    @property
    def outcome(self) -> Outcome | None:
        """How it ended; None if it is to be handled again."""
        done = isinstance(self.ended, Completion) and self.ended.handled
        return done.outcome if done else None


@dataclass(slots=True)
class _Flow:
    """What the commits of one flow have kept."""

    positions: dict[Key, int] = field(default_factory=dict)
    notes: dict[Subject, Note] = field(default_factory=dict)
    linked: dict[int, str] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)


class History:
    """The company under way. ``steps`` has what was handled alone and is not checked yet."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.site = office.site
        self.read: list[Event] = []
        self.logs: dict[Key, list[Event]] = defaultdict(list)
        self._now = {kind: _Flow() for kind in Kind}
        self._kept = {kind: _Flow() for kind in Kind}
        self._readings = 0
        self._directories: list[tuple[Json, ...]] = []
        self.first = self.systems()

    # ------------------------------------------------------------ what there is

    def systems(self) -> Systems:
        """What both systems hold now."""
        return Systems(
            {one["id"]: {name: one[name] for name in WORKER_FIELDS} for one in self.all(WORKERS)},
            {one["id"]: {name: one[name] for name in POSITION_FIELDS} for one in self.all(POSITIONS)},
            {one["id"]: one for one in self.all(PEOPLE)},
            {one["id"]: {name: one[name] for name in ENTRY_FIELDS} for one in self.all(TIMECARD_ENTRIES)},
        )

    def all(self, collection: Collection) -> list[Json]:
        """All that a system holds of a kind; on one connection, since this is asked all the time."""
        return select(self.site._db, collection)

    def waiting(self) -> list[Key]:
        """Keys with events that are published and not handled."""
        return [key for key, log in self.logs.items() if self._position(key) < len(log)]

    def note(self, event: Event) -> Note | None:
        """What is known of the event's subject."""
        return self._now[kind_of(event)].notes.get(subject_of(event))

    def booked(self) -> dict[object, int]:
        """On whom the shifts were booked that are known to be in step, by what they said."""
        origins = {entry["origin_id"]: entry["party_id"] for entry in self.systems().entries.values()}
        return {
            note.applied: origins[f"sb:{one}"]
            for (_, one), note in self._now[Kind.TIMESHEETS].notes.items()
            if note.applied is not None
        }

    @property
    def linked(self) -> dict[int, str]:
        """The workers of users, as far as links tell."""
        return self._now[Kind.USERS].linked

    def known(self) -> Known:
        """What a user's worker depends on besides the user."""
        names = {one["id"]: one["name"] for one in self.all(WORK_CLASSIFICATIONS)}
        return Known(self.office.settings, dict(self.linked), names, self.systems().positions)

    # ------------------------------------------------------------ Procore's and SmartBarrel's offices

    def add_user(self, user: Json) -> None:
        """Somebody enters a user in Procore, who is a person too."""
        with transaction(self.site._db):
            put(self.site._db, USERS, user)
            put(self.site._db, PEOPLE, {**person_fields(user), **person_of(user)})
        self._directory_changed()

    def edit_user(self, user_id: int, changes: Json) -> None:
        """Somebody edits a user in Procore, who lets no two users have one e-mail address."""
        with suppress(ValueError):
            self.site.state.edit_user(user_id, **changes)
        self._directory_changed()

    def edit_contact(self, person_id: int, employee_id: str | None) -> None:
        """Somebody corrects the employee ID of a contact in Procore."""
        self.site.state.edit_person(person_id, employee_id=employee_id)
        self._directory_changed()

    def edit_status(self, worker_id: str, status: str) -> None:
        """Somebody in SmartBarrel lets a worker clock in, or no more."""
        self.site.state.edit_worker(worker_id, status=status)

    def name_classification(self, number: int, name: str) -> None:
        """Somebody enters a classification in Procore, or renames it. Whoever asks later, sees it."""
        self.site.put_classification(classification(number, name))
        self.office.company.classifications.renew()
        self.office.company.positions.renew()

    def edit_timesheet(self, timesheet_id: str, changes: Json) -> None:
        """Somebody edits a timesheet in SmartBarrel, which gets the next revision."""
        self.site.state.edit_timesheet(timesheet_id, **changes)

    def turn(self, setting: str) -> None:
        """Somebody turns a setting on or off."""
        settings = self.office.settings
        turned: dict[str, Any] = {setting: not getattr(settings, setting)}
        self.office.settings = replace(settings, **turned)
        self.renew()

    def _directory_changed(self) -> None:
        self._directories.append(tuple(self.all(PEOPLE)))

    # ------------------------------------------------------------ events

    def read_users(self) -> list[UserEvent]:
        """Ask Procore for all users; the moment of asking is their revision."""

        async def users() -> list[UserEvent]:
            return [user async for page in self.site.procore.users() for user in page]

        self._readings += 1
        asked_at = ASKED_AT + timedelta(seconds=self._readings)
        found = [replace(user, asked_at=asked_at, run_id=RUN) for user in self.site.run(users())]
        self.read += found
        return found

    def sync_positions(self) -> int:
        """What a sync of the users begins with; how many positions were made or changed."""
        settings = self.office.settings
        if not (settings.user_sync and settings.sync_classifications):
            return 0
        return self.site.run(self.office.company.positions.sync_all())

    def read_timesheets(self) -> list[TimesheetEvent]:
        """Ask SmartBarrel for all timesheets of workers who exist."""

        async def timesheets() -> list[TimesheetEvent]:
            pages = self.site.smartbarrel.timesheets()
            return [replace(sheet, run_id=RUN) async for page in pages for sheet in page]

        found = self.site.run(timesheets())
        self.read += found
        return found

    def publish(self, event: Event) -> None:
        """Append an event to its key's log, whether it was there before or not."""
        self.logs[key_of(event)].append(event)

    # ------------------------------------------------------------ the engine

    def handle(self, key: Key, mishap: Mishap | None = None, *, gives_up: bool = False) -> Step:
        """Handle the key's next event alone.

        If that fails, the same event is next again, unless it is given up: then it is set aside, and its
        subject is in doubt.
        """
        event = self.logs[key][self._position(key)]
        noted, known, source = self.note(event), self.known(), self.source(event)
        before = self.systems()
        self._directory_changed()
        directories = tuple(self._directories)
        wire = self.site.wire
        requests = len(wire.seen)
        wire.mishaps.extend([mishap] if mishap else [])
        ended = self.site.run(self._attempt(event))
        wire.mishaps.clear()
        after = self.systems()
        self._take(key, event, source, ended, gives_up=gives_up)
        _tell(event, ended)
        return Step(event, ended, noted, source, known, directories, before, after, len(wire.seen) - requests)

    def handle_together(self, keys: Sequence[Key]) -> None:
        """Handle the next event of each of these keys at the same time."""
        events = [self.logs[key][self._position(key)] for key in keys]
        # Taken before: whom a handler takes a worker for is settled before its first call.
        sources = [self.source(event) for event in events]
        self._directory_changed()

        async def together() -> list[Completion | Later]:
            return list(await asyncio.gather(*map(self._attempt, events)))

        for taken in zip(keys, events, sources, self.site.run(together()), strict=True):
            _tell(taken[1], taken[3])
            self._take(*taken, gives_up=False)

    def commit(self, kind: Kind) -> None:
        """Commit what one flow has handled."""
        now = self._now[kind]
        self._kept[kind] = _Flow(dict(now.positions), dict(now.notes), dict(now.linked), list(now.links))

    def crash(self) -> None:
        """Lose what was not committed, and all that was kept in memory."""
        for kind, kept in self._kept.items():
            self._now[kind] = _Flow(
                dict(kept.positions), dict(kept.notes), dict(kept.linked), list(kept.links)
            )
        self.office.restart(lose_links=True)
        for flow in self._now.values():
            self.office.links.add_pending(flow.links)
        self._directories.clear()

    def forget(self) -> None:
        """Lose every link, and so what was ever known; nothing is to be handled again by itself."""
        for flow in self._now.values():
            flow.notes.clear()
            flow.linked.clear()
            flow.links.clear()
        self.office.restart(lose_links=True)
        self._directories.clear()

    def renew(self) -> None:
        """Read everything in Procore anew from now on, as after a rebalance or an hour."""
        self.office.restart()
        self._directories.clear()

    async def _attempt(self, event: Event) -> Completion | Later:
        record = Record("events", 0, 1, 0, b"key", b"")
        work = Work(record, TopicPartition("events", 0), 1, event.company_id, event)
        ended = await attempt(work, self._handler(event))
        if isinstance(ended, Completion) and ended.handled is not None:
            self.office.links.add_pending(ended.handled.links)
        return ended

    def _handler(self, event: Event) -> Any:
        return self.office.users if isinstance(event, UserEvent) else self.office.timesheets

    def _take(
        self, key: Key, event: Event, source: object, ended: Completion | Later, *, gives_up: bool
    ) -> None:
        flow = self._now[kind_of(event)]
        revision = revision_of(event)
        note = flow.notes.get(subject_of(event))
        newest = max(revision, note.revision if note else revision)
        if isinstance(ended, Completion):
            assert ended.handled is not None
            assert not [reason for reason in ended.handled.reasons if reason.code == "internal_error"]
            outcome, links = ended.handled.outcome, ended.handled.links
        elif gives_up:
            outcome, links = Outcome.PARKED, self._handler(event).in_doubt(event)
            self.office.links.add_pending(links)
        else:
            return
        flow.positions[key] = self._position(key) + 1
        flow.links += links
        if outcome in SYNCED:
            status = None
            if isinstance(event, UserEvent):
                self._link(event)
                was_looked_at = outcome is not Outcome.UNCHANGED or note is None or note.status != "active"
                status = self._status(event) if was_looked_at else "active"
            flow.notes[subject_of(event)] = Note(revision, source, status)
        elif outcome is not Outcome.STALE:
            is_known = outcome is Outcome.SKIPPED and not self._is_due(event)
            applied = note.applied if note and is_known else None
            flow.notes[subject_of(event)] = Note(newest, applied, note.status if note else None)

    def _link(self, user: UserEvent) -> None:
        found = (one["id"] for one in self.all(WORKERS) if one["external_id"] == f"procore:{user.user_id}")
        self.linked[user.user_id] = next(found)

    def _status(self, user: UserEvent) -> str:
        return str(self.systems().workers[self.linked[user.user_id]]["status"])

    def _position(self, key: Key) -> int:
        return self._now[key[0]].positions.get(key, 0)

    def _is_due(self, event: Event) -> bool:
        if isinstance(event, UserEvent):
            settings = self.office.settings
            has_left = leaver_of(event, settings, self.linked) is not None
            return has_left or worker_of(event, settings) is not None
        return is_due(event, self.office.settings)

    def source(self, event: Event) -> object:
        """Everything of the event that decides what the other system should hold."""
        if isinstance(event, UserEvent):
            # Whether those who have left are deactivated, matters to nobody else.
            is_followed = self.office.settings.deactivate_workers and not event.is_active
            position = position_for(event, self.known()) if event.is_active else {}
            bare = replace(
                event, asked_at=ASKED_AT, work_classification_id=None, work_classification_name=None
            )
            return bare, is_followed, str(position)
        codes = event.cost_code_segment_1, event.cost_code_segment_2, event.location
        where = event.procore_project_id, event.work_date, event.total_hours
        user = user_of(event.worker, self.linked)
        # Whoever is no user is found by these.
        found_by = (event.worker.payroll_id, event.worker.contractor) if user is None else None
        return (event.timesheet_id, *where, *codes, event.worker.id, user, found_by)


def _tell(event: Event, ended: Completion | Later) -> None:
    """Have the event shown with a history that fails."""
    handled = ended.handled if isinstance(ended, Completion) else None
    kind, subject = subject_of(event)
    note(f"    {kind} {subject}, {revision_of(event)}: {handled.outcome if handled else ended} {event}")


def kind_of(event: Event) -> Kind:
    """The flow in which the event is handled."""
    return Kind.USERS if isinstance(event, UserEvent) else Kind.TIMESHEETS


def subject_of(event: Event) -> Subject:
    """Whom or what the event is about."""
    return kind_of(event), event.user_id if isinstance(event, UserEvent) else event.timesheet_id


def key_of(event: Event) -> Key:
    """What the event is ordered by."""
    return kind_of(event), event.user_id if isinstance(event, UserEvent) else event.worker.id


def revision_of(event: Event) -> int:
    """The revision, which is the moment of asking of a user."""
    if isinstance(event, UserEvent):
        return int((event.asked_at - ASKED_AT).total_seconds())
    return event.revision


def person_of(user: Json) -> Json:
    """What a person has of their own who is a user; all else is the user's."""
    return {
        "id": user["id"] + 16_330_000,
        "user_id": user["id"],
        "origin_id": None,
        "contact_id": user["contact_id"],
        "user_uuid": None,
    }
