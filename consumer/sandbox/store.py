"""The sandbox's state, read back and edited by tests and tools of any process while the servers run."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consumer.sandbox.database import (
    active_projects,
    connect,
    fact,
    new_id,
    person_fields,
)
from consumer.sandbox.documents import Body, Collection, SqlValue, get, put, select
from consumer.sandbox.tables import (
    LOCKED,
    PEOPLE,
    POSITIONS,
    PROJECTS,
    TIMECARD_ENTRIES,
    TIMESHEETS,
    USER_KEYS,
    USERS,
    WORK_CLASSIFICATIONS,
    WORKERS,
    folded,
    procore_time,
    smartbarrel_time,
)
from consumer.sqlite import transaction


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
        """Procore's timecard entries, with plain ids as they were written.

        Deleted ones are there, too, with a ``deleted_at``.
        """
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

    def add_user(self, first_name: str | None, last_name: str, **fields: Any) -> Body:
        """Invite a user to Procore, who is an active employee unless ``fields`` say otherwise.

        Raises ValueError if another user has the e-mail address.
        """
        with closing(connect(self.path)) as db, transaction(db):
            now = procore_time(time.time())
            user: Body = {
                **dict.fromkeys(USER_KEYS),
                "id": new_id(db),
                "contact_id": new_id(db),
                "first_name": first_name,
                "last_name": last_name,
                "name": _full_name(first_name, last_name),
                "country_code": "US",
                "is_active": True,
                "is_employee": True,
                "erp_integrated_accountant": False,
                "created_at": now,
                "updated_at": now,
                **fields,
            }
            _require_own_email(db, user)
            put(db, USERS, user)
            person = {"id": new_id(db), "user_id": user["id"], "contact_id": user["contact_id"]}
            put(db, PEOPLE, {"origin_id": None, "user_uuid": None, **person, **person_fields(user)})
            return user

    def edit_user(self, user_id: int, **fields: Any) -> None:
        """Change a Procore user and the person that the user is.

        Raises KeyError if there is none, ValueError if another user has the e-mail address.
        """
        with closing(connect(self.path)) as db, transaction(db):
            user = _existing(db, USERS, user_id) | fields
            if "name" not in fields:
                user["name"] = _full_name(user.get("first_name"), user["last_name"])
            user["updated_at"] = procore_time(time.time())
            _require_own_email(db, user)
            put(db, USERS, user)
            for person in select(db, PEOPLE, [("user_id = ?", (user_id,))]):
                put(db, PEOPLE, {**person, **person_fields(user)})

    def deactivate_user(self, user_id: int) -> None:
        """Move a user, and the person that the user is, to the inactive ones; a user is never deleted."""
        self.edit_user(user_id, is_active=False)

    def clear_classification(self, user_id: int) -> None:
        """Take the work classification from a user."""
        self.edit_user(user_id, work_classification_id=None)

    def edit_person(self, person_id: int, **fields: Any) -> None:
        """Change a person; meant for contacts, since a user's person follows the user.

        Raises KeyError if there is none.
        """
        with closing(connect(self.path)) as db, transaction(db):
            person = _existing(db, PEOPLE, person_id) | fields
            if "name" not in fields:
                person["name"] = _full_name(person.get("first_name"), person["last_name"])
            put(db, PEOPLE, person | {"updated_at": procore_time(time.time())})

    def add_classification(
        self, name: str, abbreviation: str | None = None, project_ids: Sequence[int] = ()
    ) -> Body:
        """Make a classification of the whole company, which can be chosen on these projects."""
        with closing(connect(self.path)) as db, transaction(db):
            now = procore_time(time.time())
            classification: Body = {
                "id": new_id(db),
                "name": name,
                "abbreviation": abbreviation,
                "company_id": fact(db, "procore_company_id"),
                "company_visible": True,
                "deletable": True,
                "created_at": now,
                "updated_at": now,
            }
            put(db, WORK_CLASSIFICATIONS, classification)
            db.executemany(
                "INSERT INTO project_classifications VALUES (?, ?, 1)",
                [(project_id, classification["id"]) for project_id in project_ids],
            )
            return classification

    def rename_classification(self, classification_id: int, name: str) -> None:
        """Give a classification another name. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            classification = _existing(db, WORK_CLASSIFICATIONS, classification_id) | {"name": name}
            put(db, WORK_CLASSIFICATIONS, classification | {"updated_at": procore_time(time.time())})

    def edit_project(self, project_id: int, **fields: Any) -> None:
        """Change a project in Procore. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            put(db, PROJECTS, _existing(db, PROJECTS, project_id) | fields)

    def edit_timesheet(self, timesheet_id: str, **fields: Any) -> None:
        """Change a timesheet, which gets the next revision. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            timesheet = _existing(db, TIMESHEETS, timesheet_id) | fields
            revision = {"revision": timesheet["revision"] + 1, "updated_at": smartbarrel_time(time.time())}
            put(db, TIMESHEETS, timesheet | revision)

    def edit_worker(self, worker_id: str, **fields: Any) -> None:
        """Change a worker as somebody in SmartBarrel's office does.

        Raises KeyError if there is none, sqlite3.IntegrityError if a value is another worker's.
        """
        with closing(connect(self.path)) as db, transaction(db):
            worker = _existing(db, WORKERS, worker_id) | fields
            put(db, WORKERS, worker | {"updated_at": smartbarrel_time(time.time())})

    def edit_position(self, position_id: str, **fields: Any) -> None:
        """Change a position.

        Raises KeyError if there is none, sqlite3.IntegrityError if another has the name.
        """
        with closing(connect(self.path)) as db, transaction(db):
            put(db, POSITIONS, _existing(db, POSITIONS, position_id) | fields)

    def edit_timecard_entry(self, entry_id: int, **fields: Any) -> None:
        """Change a timecard entry, as when somebody approves it. Raises KeyError if there is none."""
        with closing(connect(self.path)) as db, transaction(db):
            entry = _existing(db, TIMECARD_ENTRIES, entry_id) | fields
            put(db, TIMECARD_ENTRIES, entry | {"updated_at": procore_time(time.time())})

    def approve_timecard_entry(self, entry_id: int) -> None:
        """Approve an entry, which locks it. Raises KeyError if there is none."""
        self.edit_timecard_entry(entry_id, approval_status="approved")

    def delete_timecard_entry(self, entry_id: int) -> None:
        """Delete an entry: it is in no list any more but in one of deleted ones.

        Raises KeyError if there is none, ValueError if it is locked.
        """
        with closing(connect(self.path)) as db, transaction(db):
            entry = _existing(db, TIMECARD_ENTRIES, entry_id)
            if entry["approval_status"] in LOCKED:
                raise ValueError(f"an entry that is {entry['approval_status']} cannot be deleted")
            now = procore_time(time.time())
            put(db, TIMECARD_ENTRIES, entry | {"deleted_at": now, "updated_at": now})

    def _all(self, collection: Collection) -> list[Body]:
        with closing(connect(self.path)) as db:
            return select(db, collection)


def _require_own_email(db: sqlite3.Connection, user: Body) -> None:
    """Users log in with their address, so Procore lets no other have it."""
    others = (other for other in select(db, USERS) if other["id"] != user["id"])
    taken = {folded(other.get("email_address")) for other in others}
    if user.get("email_address") and folded(user["email_address"]) in taken:
        raise ValueError("another user has this e-mail address")


def _full_name(first_name: str | None, last_name: str) -> str:
    return f"{first_name or ''} {last_name}".strip()


def _existing(db: sqlite3.Connection, collection: Collection, key: SqlValue) -> Body:
    document = get(db, collection, key)
    if document is None:
        raise KeyError(f"no {key} in {collection.name}")
    return document
