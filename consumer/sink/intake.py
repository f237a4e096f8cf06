"""Puts entries into the tables, and keeps level with them whatever is counted or derived.

All of it happens inside a transaction of the caller. The order in which entries come does not matter.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable

from consumer.model.results import SYNCED, Phase, Result, RunMarker
from consumer.sink.entries import Entry, Undecodable
from consumer.sink.layout import name_order
from consumer.sink.naming import LogKey
from consumer.sink.tables import MARKER_FIELDS, RESULT_FIELDS, day_at, marker_row, micros, result_row


LATEST_MARKER = "ORDER BY started_at DESC, part DESC, offset DESC LIMIT 1"
"""A run that was announced again goes by the later announcement."""
_DERIVED = f"""UPDATE logs SET
    at = COALESCE((SELECT MAX(started_at) FROM markers WHERE log = ?1), last_at, 0),
    open = COALESCE((SELECT phase = '{Phase.READING}' OR logs.events < expected
        FROM markers WHERE log = ?1 {LATEST_MARKER}), 1)
    WHERE id = ?1 AND run_id IS NOT NULL"""  # noqa: S608 - constants


def put(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Put entries of offsets at which nothing stands yet. Raises sqlite3.Error."""
    batch = _Batch(db)
    for entry in entries:
        batch.put(entry)
    batch.finish()


class _Batch:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._logs: dict[LogKey, int] = {}
        self._counts = Counter[tuple[int, str]]()
        self._subjects = Counter[int]()
        self._last_at: dict[int, int] = {}

    def put(self, entry: Entry) -> None:
        at = entry.partition, entry.offset
        match entry.content:
            case Undecodable(error, value):
                self._db.execute("INSERT INTO undecodable VALUES (?, ?, ?, ?)", (*at, error, value))
            case RunMarker(phase=Phase.JOINED):
                # All there is to tell is in the log of the run that it joined.
                return
            case RunMarker() as marker:
                self._db.execute(
                    f"INSERT INTO markers (part, offset, log, {MARKER_FIELDS}) "  # noqa: S608 - a constant
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (*at, self._log(LogKey.of(marker)), *marker_row(marker)),
                )
            case Result() as result:
                self._put_result(at, result)

    def finish(self) -> None:
        self._db.executemany(
            "INSERT INTO counts VALUES (?, ?, ?) "
            "ON CONFLICT (log, outcome) DO UPDATE SET count = count + excluded.count",
            [(log, outcome, count) for (log, outcome), count in self._counts.items() if count],
        )
        for log in self._logs.values():
            last_at = self._last_at.get(log)
            self._db.execute(
                "UPDATE logs SET dirty = 1, events = events + ?2, "
                "last_at = MAX(COALESCE(last_at, ?3), COALESCE(?3, last_at)) WHERE id = ?1",
                (log, self._subjects[log], last_at),
            )
            self._db.execute(_DERIVED, (log,))

    def _put_result(self, at: tuple[int, int], result: Result) -> None:
        key = LogKey.of(result)
        log, handled_at = self._log(key), micros(result.handled_at)
        known = self._db.execute(
            "SELECT handled_at, part, offset, outcome FROM results "
            "WHERE log = ? AND subject_id = ? AND NOT superseded LIMIT 1",
            (log, result.subject_id),
        ).fetchone()
        is_superseded = False
        if known is None:
            # One that was parked and redriven has two results, and is one of the run all the same.
            self._subjects[log] += 1
        elif key.run_id is not None:
            is_superseded = tuple(known[:3]) > (handled_at, *at)
            if not is_superseded:
                self._db.execute(
                    "UPDATE results SET superseded = 1 WHERE part = ? AND offset = ?", known[1:3]
                )
                self._counts[log, known[3]] -= 1
        if not is_superseded:
            self._counts[log, result.outcome] += 1
        self._last_at[log] = max(handled_at, self._last_at.get(log, handled_at))
        self._db.execute(
            f"INSERT INTO results (part, offset, log, {RESULT_FIELDS}, superseded, synced, name_key) "  # noqa: S608 - a constant
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *at,
                log,
                *result_row(result),
                is_superseded,
                result.outcome in SYNCED,
                name_order(result.subject_name),
            ),
        )

    def _log(self, key: LogKey) -> int:
        log = self._logs.get(key)
        if log is None:
            self._db.execute(
                "INSERT INTO logs (key, company_id, kind, run_id, at) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (key) DO NOTHING",
                (str(key), key.company_id, key.kind, key.run_id, day_at(key)),
            )
            (log,) = self._db.execute("SELECT id FROM logs WHERE key = ?", (str(key),)).fetchone()
            self._logs[key] = int(log)
        return int(log)
