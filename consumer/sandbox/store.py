"""The sandbox's state, read back and edited by tests and tools of any process while the servers run."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumer.sandbox.database import active_projects, connect, person_fields, transaction
from consumer.sandbox.documents import Body, Collection, SqlValue, get, put, select
from consumer.sandbox.tables import (
    PEOPLE,
    POSITIONS,
    TIMECARD_ENTRIES,
    TIMESHEETS,
    USERS,
    WORK_CLASSIFICATIONS,
    WORKERS,
    procore_time,
    smartbarrel_time,
)


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """A request that was answered. ``system`` is ``procore`` or ``smartbarrel``; ``at`` is Unix time."""

    number: int
    system: str
    method: str
    path: str
    query: str
    status: int
    at: float

    @property
    def is_write(self) -> bool:
        """Whether it asked for a change; fetching a token is none."""
        return self.method != "GET" and self.path != "/oauth/token"


class SandboxState:
    """The state as tests read and edit it, from this process or another.

    Each call opens the file anew, so there is nothing to close, and sees all that was answered before.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def users(self) -> list[Body]:
        """Procore's users, active and inactive."""
        return self._all(USERS)

    def people(self) -> list[Body]:
        """Procore's people: users and contacts, active and inactive."""
        return self._all(PEOPLE)

    def timecard_entries(self) -> list[Body]:
        """Procore's timecard entries, with plain ids as they were written."""
        return self._all(TIMECARD_ENTRIES)

    def work_classifications(self) -> list[Body]:
        """Procore's classifications; ``active_project_ids`` names the projects where each can be chosen."""
        with closing(connect(self.path)) as db:
            return [
                {**classification, "active_project_ids": active_projects(db, classification["id"])}
                for classification in select(db, WORK_CLASSIFICATIONS)
            ]

    def workers(self) -> list[Body]:
        """SmartBarrel's workers."""
        return self._all(WORKERS)

    def positions(self) -> list[Body]:
        """SmartBarrel's positions."""
        return self._all(POSITIONS)

    def timesheets(self) -> list[Body]:
        """SmartBarrel's timesheets, those that wait for their worker to exist included."""
        return self._all(TIMESHEETS)

    def requests(self) -> list[JournalEntry]:
        """Every request that was answered, oldest first."""
        with closing(connect(self.path)) as db:
            rows = db.execute(
                "SELECT number, system, method, path, query, status, at FROM requests ORDER BY number"
            )
            return [JournalEntry(*row) for row in rows]

    def writes(self) -> list[JournalEntry]:
        """The requests that asked for a change, refused ones included."""
        return [request for request in self.requests() if request.is_write]

    def edit_user(self, user_id: int, **fields: Any) -> None:
        """Change a Procore user and the person that the user is. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            user = _existing(db, USERS, user_id) | fields
            if "name" not in fields:
                user["name"] = f"{user.get('first_name') or ''} {user['last_name']}".strip()
            user["updated_at"] = procore_time(time.time())
            put(db, USERS, user)
            for person in select(db, PEOPLE, [("user_id = ?", (user_id,))]):
                put(db, PEOPLE, {**person, **person_fields(user)})

    def edit_timesheet(self, timesheet_id: str, **fields: Any) -> None:
        """Change a timesheet, which gets the next revision. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            timesheet = _existing(db, TIMESHEETS, timesheet_id) | fields
            revision = {"revision": timesheet["revision"] + 1, "updated_at": smartbarrel_time(time.time())}
            put(db, TIMESHEETS, timesheet | revision)

    def edit_worker(self, worker_id: str, **fields: Any) -> None:
        """Change a worker as somebody in SmartBarrel's office does. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            worker = _existing(db, WORKERS, worker_id) | fields
            put(db, WORKERS, worker | {"updated_at": smartbarrel_time(time.time())})

    def edit_timecard_entry(self, entry_id: int, **fields: Any) -> None:
        """Change a timecard entry, as when somebody approves it. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            entry = _existing(db, TIMECARD_ENTRIES, entry_id) | fields
            put(db, TIMECARD_ENTRIES, entry | {"updated_at": procore_time(time.time())})

    def _all(self, collection: Collection) -> list[Body]:
        with closing(connect(self.path)) as db:
            return select(db, collection)


def _existing(db: sqlite3.Connection, collection: Collection, key: SqlValue) -> Body:
    document = get(db, collection, key)
    if document is None:
        raise KeyError(f"no {key} in {collection.name}")
    return document
