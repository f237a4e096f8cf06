"""What makes a state file of a former version one of the next, in one transaction each."""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from consumer.model.results import SYNCED, Phase
from consumer.sink.layout import name_order
from consumer.sink.naming import LogKey
from consumer.sink.tables import LOGS, RESULT_FIELDS, RESULTS, SETTINGS, day_at


_RENAMED = (
    "DROP INDEX logs_dirty",
    "ALTER TABLE logs RENAME TO former_logs",
    "DROP INDEX results_of_log",
    "DROP INDEX results_of_subject",
    "ALTER TABLE results RENAME TO former_results",
)
_SYNCED = ", ".join(f"'{outcome}'" for outcome in sorted(SYNCED))
# Latest by moment, then by place; in a day's log every result counts.
_RESULTS_MOVED = f"""INSERT INTO results (part, offset, log, {RESULT_FIELDS}, superseded, synced, name_key)
    SELECT part, offset, log, {RESULT_FIELDS},
        run_id IS NOT NULL AND ROW_NUMBER() OVER (
            PARTITION BY log, subject_id ORDER BY handled_at DESC, part DESC, offset DESC) > 1,
        outcome IN ({_SYNCED}), name_order(subject_name)
    FROM former_results JOIN logs ON logs.id = log"""  # noqa: S608 - constants
_COUNTED = """INSERT INTO counts (log, outcome, count)
    SELECT log, outcome, COUNT(*) FROM results WHERE NOT superseded GROUP BY log, outcome"""
_DATED = f"""UPDATE logs SET last_at = (SELECT MAX(handled_at) FROM results WHERE log = logs.id);
    UPDATE logs SET at = COALESCE((SELECT MAX(started_at) FROM markers WHERE log = logs.id), last_at, 0)
        WHERE run_id IS NOT NULL;
    UPDATE logs SET open = COALESCE(
        (SELECT phase = '{Phase.READING}' OR logs.events < expected FROM markers WHERE log = logs.id
            ORDER BY started_at DESC, part DESC, offset DESC LIMIT 1), 1)
        WHERE run_id IS NOT NULL"""  # noqa: S608 - constants


def _from_1(db: sqlite3.Connection) -> None:
    # Version 1 knew no phases: whatever was announced was published.
    db.execute("ALTER TABLE markers ADD COLUMN phase TEXT NOT NULL DEFAULT 'published'")
    for name in ("joined", "reason", "scope"):
        db.execute(f"ALTER TABLE markers ADD COLUMN {name} TEXT")
    db.execute("CREATE INDEX results_of_subject ON results (log, subject_id)")
    db.execute("PRAGMA user_version = 2")


def _from_2(db: sqlite3.Connection) -> None:
    """Whatever is derived is worked out once, and every file is written anew."""
    db.create_function("name_order", 1, name_order, deterministic=True)
    for statement in (*_RENAMED, *LOGS, *RESULTS, *SETTINGS):
        db.execute(statement)
    db.executemany(
        "INSERT INTO logs (id, key, company_id, kind, run_id, at, events) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (_log(*row) for row in db.execute("SELECT id, key, events FROM former_logs ORDER BY id")),
    )
    for statement in (_RESULTS_MOVED, _COUNTED, *_DATED.split(";")):
        db.execute(statement)
    db.execute("DROP TABLE former_results")
    db.execute("DROP TABLE former_logs")
    db.execute("PRAGMA user_version = 3")


def _log(log: int, text: str, events: int) -> tuple[Any, ...]:
    key = LogKey.parse(text)
    return log, text, key.company_id, key.kind, key.run_id, day_at(key), events


UPGRADES: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _from_1, 2: _from_2}
