"""The one SQLite file: how it is opened, written and first filled."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from consumer.exceptions import ConfigurationError
from consumer.sandbox.demo import DemoData
from consumer.sandbox.documents import Body, put
from consumer.sandbox.tables import (
    COLLECTIONS,
    COST_CODES,
    LOCATIONS,
    PEOPLE,
    POSITIONS,
    PROJECTS,
    SUB_JOBS,
    TIMESHEETS,
    USERS,
    WORK_CLASSIFICATIONS,
    WORKERS,
)
from consumer.sqlite import transaction


FIRST_NEW_ID = 2**33
"""Procore's ids may exceed 32 bits, so every id that the sandbox gives does."""

_SEEDED_AT = "2000-01-01T00:00:00Z"
"""When things came to be that do not say so themselves, so that every seeding gives the same state."""

_TABLES = (
    "CREATE TABLE facts (name TEXT PRIMARY KEY, value NOT NULL)",
    "CREATE TABLE tokens (token TEXT PRIMARY KEY, expires_at REAL NOT NULL)",
    "CREATE TABLE idempotency_keys (key TEXT PRIMARY KEY, request TEXT NOT NULL, answer TEXT NOT NULL)",
    """CREATE TABLE project_classifications (
           project_id INTEGER NOT NULL, classification_id INTEGER NOT NULL, is_active INTEGER NOT NULL,
           PRIMARY KEY (project_id, classification_id))""",
    """CREATE TABLE requests (
           number INTEGER PRIMARY KEY, system TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
           query TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL)""",
    "CREATE INDEX requests_at ON requests (system, at)",
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the state. The connection may be handed to another thread, but not used by two at once.

    Raises ConfigurationError if the file cannot be opened or is somebody else's; it is left alone then.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"the sandbox's state {path} cannot be opened: {error}") from None
    try:
        _require_ours(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        # A killed process loses nothing of this; only a power cut may lose the last transactions.
        db.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error as error:
        db.close()
        raise ConfigurationError(f"the sandbox's state {path} cannot be read: {error}") from None
    except ConfigurationError:
        db.close()
        raise
    return db


def _require_ours(db: sqlite3.Connection, path: Path) -> None:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    if tables and "facts" not in tables:
        raise ConfigurationError(f"{path} is another program's database, not a sandbox's state")


def is_new(db: sqlite3.Connection) -> bool:
    """Whether nothing was ever seeded into this file."""
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'facts'").fetchone() is None


def seed(db: sqlite3.Connection, data: DemoData) -> None:
    """Create the tables and fill them with the first state, unless another process was quicker."""
    with transaction(db):
        if not is_new(db):
            return
        for statement in (*_TABLES, *(line for table in COLLECTIONS for line in table.definition())):
            db.execute(statement)
        procore, smartbarrel = data.procore, data.smartbarrel
        facts = {
            "procore_company_id": procore["company"]["id"],
            "procore_company_name": procore["company"]["name"],
            "smartbarrel_company_id": smartbarrel["company"]["id"],
            "next_id": FIRST_NEW_ID,
        }
        db.executemany("INSERT INTO facts VALUES (?, ?)", facts.items())
        _seed_procore(db, procore)
        for number, position in enumerate(smartbarrel["positions"]):
            # Positions have no time of creation in the contract, but are listed by it.
            created_at = _SEEDED_AT.replace("Z", f".{number:06d}Z")
            put(db, POSITIONS, {"created_at": created_at, **position})
        for worker in smartbarrel["workers"]:
            put(db, WORKERS, worker)
        for timesheet in smartbarrel["timesheets"]:
            put(db, TIMESHEETS, timesheet)


def fact(db: sqlite3.Connection, name: str) -> Any:
    """One of the things that were settled when the file was seeded."""
    return db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()[0]


def new_id(db: sqlite3.Connection) -> int:
    """The next id that Procore gives, whatever for."""
    (number,) = db.execute(
        "UPDATE facts SET value = value + 1 WHERE name = 'next_id' RETURNING value - 1"
    ).fetchone()
    return int(number)


def active_projects(db: sqlite3.Connection, classification_id: int) -> list[int]:
    """The projects on which a classification can be chosen."""
    rows = db.execute(
        "SELECT project_id FROM project_classifications WHERE classification_id = ? AND is_active ORDER BY 1",
        (classification_id,),
    )
    return [project_id for (project_id,) in rows]


def person_fields(user: Mapping[str, Any]) -> Body:
    """What a person has from the user that the person is."""
    shared = ("first_name", "last_name", "name", "employee_id", "is_employee", "work_classification_id")
    extended = ("vendor", "mobile_phone", "business_phone", "job_title", "created_at", "updated_at")
    email = user.get("email_address") or None
    return {
        **{key: user.get(key) for key in (*shared, *extended)},
        "contact": {"is_active": user["is_active"], "email": email},
        "email": email,
    }


def _seed_procore(db: sqlite3.Connection, procore: Mapping[str, Any]) -> None:
    users = {user["id"]: user for user in procore["users"]}
    for user in users.values():
        put(db, USERS, {"created_at": _SEEDED_AT, "updated_at": _SEEDED_AT, **user})
    for person in procore["people"]:
        user = users.get(person["user_id"])
        put(db, PEOPLE, person if user is None else {**person_fields(user), **person})
    for project in procore["projects"]:
        parts = {"sub_jobs": SUB_JOBS, "cost_codes": COST_CODES, "locations": LOCATIONS}
        own = {key: value for key, value in project.items() if key not in parts}
        put(db, PROJECTS, {"active": True, **own})
        for name, collection in parts.items():
            for part in project[name]:
                put(db, collection, {**part, "project_id": project["id"]})
    for classification in procore["work_classifications"]:
        put(db, WORK_CLASSIFICATIONS, {"company_visible": True, **classification})
        db.executemany(
            "INSERT INTO project_classifications VALUES (?, ?, 1)",
            [(project_id, classification["id"]) for project_id in classification.get("project_ids") or ()],
        )
