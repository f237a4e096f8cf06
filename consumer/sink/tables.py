"""The tables of the state file, and how results and markers stand in their rows."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from consumer.model.events import Trigger
from consumer.model.results import Outcome, Phase, Reason, Result, RunMarker
from consumer.sink.naming import LogKey


VERSION = 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

LOGS = (
    # Derived columns, so that nothing has to be counted for a list: `at` is a run's start (of one whose start
    # is not known: its newest result), or a day's midnight; `last_at` the newest result, NULL without any;
    # `events` counts who or what has a result; `open`: a run of which more is to come. `dirty`: the file is
    # behind the state; `finished`: the file says that the run is over. An id is never given twice.
    """CREATE TABLE logs (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, company_id INTEGER,
    kind TEXT NOT NULL, run_id TEXT, at INTEGER NOT NULL DEFAULT 0, last_at INTEGER,
    events INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 0, dirty INTEGER NOT NULL DEFAULT 1,
    finished INTEGER NOT NULL DEFAULT 0)""",
    "CREATE INDEX logs_dirty ON logs (id) WHERE dirty",
    "CREATE INDEX logs_open ON logs (company_id, kind, at) WHERE open",
    "CREATE INDEX logs_by_age ON logs (at)",
    "CREATE INDEX logs_of_kind ON logs (kind, at)",
    "CREATE INDEX logs_of_company ON logs (company_id, at)",
    "CREATE INDEX logs_of_company_and_kind ON logs (company_id, kind, at)",
    "CREATE INDEX logs_of_run ON logs (run_id) WHERE run_id IS NOT NULL",
    "CREATE INDEX logs_by_last ON logs (COALESCE(last_at, at))",
    # How many results of a log count, by outcome.
    """CREATE TABLE counts (log INTEGER NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (log, outcome)) WITHOUT ROWID""",
)
RESULTS = (
    # Derived columns: `superseded`: the run's log has a later result of the same subject; `synced`: the
    # outcome is one of SYNCED; `name_key`: what the name is sorted by.
    """CREATE TABLE results (part INTEGER NOT NULL, offset INTEGER NOT NULL, log INTEGER NOT NULL,
    source_topic TEXT NOT NULL, source_partition INTEGER NOT NULL, source_offset INTEGER NOT NULL,
    subject_id TEXT NOT NULL, subject_name TEXT NOT NULL, outcome TEXT NOT NULL, reasons TEXT, warnings TEXT,
    detail TEXT, event_at INTEGER NOT NULL, handled_at INTEGER NOT NULL, superseded INTEGER NOT NULL,
    synced INTEGER NOT NULL, name_key TEXT NOT NULL, PRIMARY KEY (part, offset)) WITHOUT ROWID""",
    "CREATE INDEX results_in_order ON results (log, superseded, synced, name_key, subject_id)",
    "CREATE INDEX results_of_subject ON results (subject_id, log)",
    "CREATE INDEX results_of_name ON results (subject_name, log)",
)
SETTINGS = ("CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",)

SCHEMA = (
    "CREATE TABLE topic (name TEXT NOT NULL)",
    "CREATE TABLE positions (part INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL)",
    *LOGS,
    # Every path at which a file of the log may stand; more than one only while it is being moved. One whose
    # log is gone is to be removed.
    "CREATE TABLE files (log INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (log, path)) WITHOUT ROWID",
    """CREATE TABLE markers (part INTEGER NOT NULL, offset INTEGER NOT NULL, log INTEGER NOT NULL,
    trigger TEXT NOT NULL, requested_by TEXT NOT NULL, started_at INTEGER NOT NULL, expected INTEGER NOT NULL,
    phase TEXT NOT NULL DEFAULT 'published', joined TEXT, reason TEXT, scope TEXT,
    PRIMARY KEY (part, offset)) WITHOUT ROWID""",
    "CREATE INDEX markers_of_log ON markers (log)",
    *RESULTS,
    """CREATE TABLE undecodable (part INTEGER NOT NULL, offset INTEGER NOT NULL, error TEXT NOT NULL,
    value BLOB, PRIMARY KEY (part, offset)) WITHOUT ROWID""",
    *SETTINGS,
    f"PRAGMA user_version = {VERSION}",
)

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
        micros(marker.started_at),
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
        started_at=moment_of(row[2]),
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
        micros(result.event_at),
        micros(result.handled_at),
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
        reasons=reasons_of(row[6]),
        warnings=reasons_of(row[7]),
        detail=row[8],
        event_at=moment_of(row[9]),
        handled_at=moment_of(row[10]),
    )


def micros(at: datetime) -> int:
    """A moment as it stands in a row: microseconds since 1970."""
    return (at - EPOCH) // MICROSECOND


def moment_of(value: int) -> datetime:
    """The moment of a row's value."""
    return EPOCH + value * MICROSECOND


def _text(reasons: Sequence[Reason]) -> str | None:
    return (
        json.dumps([[r.code, r.message, r.upstream] for r in reasons], ensure_ascii=False)
        if reasons
        else None
    )


def reasons_of(text: str | None) -> tuple[Reason, ...]:
    """The reasons, or warnings, in a row's value."""
    return tuple(Reason(*fields) for fields in json.loads(text)) if text else ()


def day_at(key: LogKey) -> int:
    """The midnight of a day's log; 0 for a run, which has a start."""
    return 0 if key.day is None else (key.day - EPOCH.date()) // MICROSECOND
