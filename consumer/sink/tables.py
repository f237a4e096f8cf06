"""The tables of the state file, and how results and markers stand in their rows."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from consumer.model.events import Trigger
from consumer.model.results import Outcome, Phase, Reason, Result, RunMarker
from consumer.sink.naming import LogKey


VERSION = 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

SCHEMA = (
    "CREATE TABLE topic (name TEXT NOT NULL)",
    "CREATE TABLE positions (part INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL)",
    # Derived columns: `events` counts who or what has a result; `dirty`: the file is behind the state;
    # `finished`: the file says that the run is complete.
    """CREATE TABLE logs (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, events INTEGER NOT NULL DEFAULT 0,
    dirty INTEGER NOT NULL DEFAULT 1, finished INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX logs_dirty ON logs (id) WHERE dirty",
    # Every path at which a file of the log may stand; more than one only while it is being moved.
    "CREATE TABLE files (log INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (log, path)) WITHOUT ROWID",
    """CREATE TABLE markers (part INTEGER NOT NULL, offset INTEGER NOT NULL, log INTEGER NOT NULL,
    trigger TEXT NOT NULL, requested_by TEXT NOT NULL, started_at INTEGER NOT NULL, expected INTEGER NOT NULL,
    phase TEXT NOT NULL DEFAULT 'published', joined TEXT, reason TEXT, scope TEXT,
    PRIMARY KEY (part, offset)) WITHOUT ROWID""",
    "CREATE INDEX markers_of_log ON markers (log)",
    """CREATE TABLE results (part INTEGER NOT NULL, offset INTEGER NOT NULL, log INTEGER NOT NULL,
    source_topic TEXT NOT NULL, source_partition INTEGER NOT NULL, source_offset INTEGER NOT NULL,
    subject_id TEXT NOT NULL, subject_name TEXT NOT NULL, outcome TEXT NOT NULL, reasons TEXT, warnings TEXT,
    detail TEXT, event_at INTEGER NOT NULL, handled_at INTEGER NOT NULL,
    PRIMARY KEY (part, offset)) WITHOUT ROWID""",
    "CREATE INDEX results_of_log ON results (log, source_topic, source_partition, source_offset)",
    "CREATE INDEX results_of_subject ON results (log, subject_id)",
    """CREATE TABLE undecodable (part INTEGER NOT NULL, offset INTEGER NOT NULL, error TEXT NOT NULL,
    value BLOB, PRIMARY KEY (part, offset)) WITHOUT ROWID""",
    f"PRAGMA user_version = {VERSION}",
)

UPGRADES = {
    1: (
        # Version 1 knew no phases: whatever was announced was published.
        "ALTER TABLE markers ADD COLUMN phase TEXT NOT NULL DEFAULT 'published'",
        *(f"ALTER TABLE markers ADD COLUMN {name} TEXT" for name in ("joined", "reason", "scope")),
        "CREATE INDEX results_of_subject ON results (log, subject_id)",
        "PRAGMA user_version = 2",
    )
}
"""What makes a file of a version one of the next."""

MARKER_FIELDS = "trigger, requested_by, started_at, expected, phase, joined, reason, scope"
RESULT_FIELDS = (
    "source_topic, source_partition, source_offset, subject_id, subject_name, outcome, reasons, warnings, "
    "detail, event_at, handled_at"
)


def marker_row(marker: RunMarker) -> tuple[Any, ...]:
    """The values of MARKER_FIELDS."""
    return (
        marker.trigger,
        marker.requested_by,
        _micros(marker.started_at),
        marker.expected,
        marker.phase,
        marker.joined,
        marker.reason,
        marker.scope,
    )


def marker_of(key: LogKey, row: Sequence[Any]) -> RunMarker:
    """The marker in the values of MARKER_FIELDS; ``key`` is that of a run of a known company."""
    if key.company_id is None or key.run_id is None:
        raise ValueError(f"{key} cannot have a marker")
    return RunMarker(
        company_id=key.company_id,
        kind=key.kind,
        run_id=key.run_id,
        trigger=Trigger(row[0]),
        requested_by=row[1],
        started_at=_moment(row[2]),
        expected=row[3],
        phase=Phase(row[4]),
        joined=row[5],
        reason=row[6],
        scope=row[7],
    )


def result_row(result: Result) -> tuple[Any, ...]:
    """The values of RESULT_FIELDS."""
    return (
        result.source_topic,
        result.source_partition,
        result.source_offset,
        result.subject_id,
        result.subject_name,
        result.outcome,
        _text(result.reasons),
        _text(result.warnings),
        result.detail,
        _micros(result.event_at),
        _micros(result.handled_at),
    )


def result_of(key: LogKey, row: Sequence[Any]) -> Result:
    """The result in the values of RESULT_FIELDS, from the log of ``key``."""
    return Result(
        company_id=key.company_id,
        kind=key.kind,
        run_id=key.run_id,
        source_topic=row[0],
        source_partition=row[1],
        source_offset=row[2],
        subject_id=row[3],
        subject_name=row[4],
        outcome=Outcome(row[5]),
        reasons=_reasons(row[6]),
        warnings=_reasons(row[7]),
        detail=row[8],
        event_at=_moment(row[9]),
        handled_at=_moment(row[10]),
    )


def _micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def _moment(micros: int) -> datetime:
    return EPOCH + micros * MICROSECOND


def _text(reasons: Sequence[Reason]) -> str | None:
    return (
        json.dumps([[r.code, r.message, r.upstream] for r in reasons], ensure_ascii=False)
        if reasons
        else None
    )


def _reasons(text: str | None) -> tuple[Reason, ...]:
    return tuple(Reason(*fields) for fields in json.loads(text)) if text else ()
