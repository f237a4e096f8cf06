"""The logs that there are, read out of the sink's state file while the sink, of any process, is at work.

Nothing is written and no broker is opened. There may be tens of thousands of logs, and of results in one:
whoever asks says how many they want.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from consumer.model.events import Kind
from consumer.model.results import Outcome, Result, RunMarker
from consumer.sink.errors import SinkError
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey, file_path
from consumer.sink.sink import STATE_FILE
from consumer.sink.tables import (
    EPOCH,
    MARKER_FIELDS,
    MICROSECOND,
    RESULT_FIELDS,
    VERSION,
    marker_of,
    result_of,
)


# A run is as old as its start, a day as its midnight; a run whose start is not known, as its last result.
_LOGS = """SELECT id, key, events, COALESCE(
        (SELECT MAX(started_at) FROM markers WHERE log = logs.id),
        CASE WHEN key GLOB '*/day/????-??-??' THEN strftime('%s', substr(key, -10)) * 1000000 END,
        (SELECT MAX(handled_at) FROM results WHERE log = logs.id), 0) AS at
    FROM logs"""
_NEWEST_FIRST = "ORDER BY at DESC, id DESC LIMIT ? OFFSET ?"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the results of a log were read: the next offset of each partition."""

    offsets: Mapping[int, int] = field(default_factory=dict)


class Catalog:
    """The logs below a log directory. Its methods raise SinkError if the state file cannot be read.

    It belongs to one thread. Each call sees all that the sink has stored before.
    """

    def __init__(self, log_dir: Path) -> None:
        """Open the state file. Raises SinkError if there is none yet, or it is another version's."""
        self._log_dir = log_dir
        self._path = log_dir / STATE_FILE
        if not self._path.exists():
            raise SinkError(
                f"there are no logs in {log_dir} yet: the first sync writes them (crewsync run, or demo); "
                "CREWSYNC_LOG_DIR says where"
            )
        with self._errors():
            self._db, version = _opened(self._path)
        if version != VERSION:
            self._db.close()
            raise SinkError(f"{self._path} has version {version}, and this program reads version {VERSION}")

    def newest(
        self, *, company_id: int | None = None, kind: Kind | None = None, limit: int = 20, offset: int = 0
    ) -> Sequence[LogEntry]:
        """The newest logs of runs and days, newest first; ``offset`` passes over as many."""
        where, values = _filters(company_id, kind)
        return self._entries(where, values, limit, offset)

    def newest_run(self, *, company_id: int | None = None, kind: Kind | None = None) -> LogEntry | None:
        """The newest run."""
        where, values = _filters(company_id, kind)
        where.append("key NOT GLOB '*/day/????-??-??'")
        return next(iter(self._entries(where, values, 1)), None)

    def runs(self, prefix: str, limit: int = 20) -> Sequence[LogEntry]:
        """The runs whose ids begin so, newest first; the one with just this id alone, if there is one."""
        where, values = ["instr(key, '/run/' || ?)"], [prefix]
        exact = [
            entry
            for entry in self._entries(["substr(key, -length(?) - 5) = '/run/' || ?"], values * 2, limit)
            if entry.key.run_id == prefix
        ]
        # Results whose company could not be told are parted from the run that has its start.
        started = [entry for entry in exact if entry.marker is not None]
        if exact:
            return started or exact
        found = self._entries(where, values, limit)
        return [entry for entry in found if (entry.key.run_id or "").startswith(prefix)]

    def with_file(self, name: str, limit: int = 20) -> Sequence[LogEntry]:
        """The logs that have a file of this name; a name with folders has to agree in the last of them."""
        parts = PurePosixPath(name).parts[-2:]
        text = "/".join(parts)
        own = "path = ?" if len(parts) > 1 else "substr(path, instr(path, '/') + 1) = ?"
        return self._entries([f"id IN (SELECT log FROM files WHERE {own})"], [text], limit)  # noqa: S608 - constants

    def entry(self, log: int) -> LogEntry | None:
        """One log, by the state file's id."""
        return next(iter(self._entries(["id = ?"], [log], 1)), None)

    def text(self, entry: LogEntry) -> str:
        """What the log's file says. Raises SinkError if it is not there."""
        if entry.path is None:
            raise SinkError("the file of this log is not written yet; try again in a second")
        try:
            return (self._log_dir / entry.path).read_text("utf-8")
        except OSError as error:
            raise SinkError(
                f"{self._log_dir / entry.path} cannot be read: {error.strerror or error}"
            ) from error

    def results(
        self, entry: LogEntry, cursor: Cursor | None = None, limit: int = 500
    ) -> tuple[Sequence[Result], Cursor]:
        """Results of a log in the order of their arrival, from a cursor on, and the cursor after them.

        None at all means that there are no others for now.
        """
        with self._errors(), self._snapshot():
            ends = dict(self._db.execute("SELECT part, next_offset FROM positions").fetchall())
            offsets = dict(self._first_offsets(entry.id) if cursor is None else cursor.offsets)
            found: list[Result] = []
            for part, end in sorted(ends.items()):
                # What was not there at the first look can only come later.
                offset = offsets.setdefault(part, end if cursor is None else 0)
                if offset < end and len(found) < limit:
                    rows = self._rows(entry.id, part, offset, limit - len(found))
                    found += [result_of(entry.key, row[1:]) for row in rows]
                    is_all = len(found) < limit
                    offsets[part] = end if is_all else rows[-1][0] + 1
            return found, Cursor(offsets)

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _entries(
        self, where: Sequence[str], values: Sequence[Any], limit: int, offset: int = 0
    ) -> Sequence[LogEntry]:
        condition = f"WHERE {' AND '.join(where)}" if where else ""
        with self._errors(), self._snapshot():
            rows = self._db.execute(
                f"{_LOGS} {condition} {_NEWEST_FIRST}", (*values, max(limit, 0), offset)
            ).fetchall()
            return [self._entry(log, LogKey.parse(key), events) for log, key, events, _ in rows]

    def _entry(self, log: int, key: LogKey, events: int) -> LogEntry:
        marker = self._marker(log, key)
        counts = self._db.execute(
            "SELECT outcome, COUNT(*), MAX(handled_at) FROM results WHERE log = ? GROUP BY outcome", (log,)
        ).fetchall()
        paths = [
            PurePosixPath(path)
            for (path,) in self._db.execute("SELECT path FROM files WHERE log = ? ORDER BY path", (log,))
        ]
        usual = file_path(key, marker)
        last = max((row[2] for row in counts), default=None)
        return LogEntry(
            id=log,
            key=key,
            marker=marker,
            outcomes={Outcome(outcome): count for outcome, count, _ in counts},
            events=events,
            last_handled_at=None if last is None else EPOCH + last * MICROSECOND,
            path=usual if usual in paths else next(iter(paths), None),
        )

    def _marker(self, log: int, key: LogKey) -> RunMarker | None:
        row = self._db.execute(
            f"SELECT {MARKER_FIELDS} FROM markers WHERE log = ? "  # noqa: S608 - a constant
            "ORDER BY started_at DESC, part DESC, offset DESC LIMIT 1",
            (log,),
        ).fetchone()
        return None if row is None else marker_of(key, row)

    def _first_offsets(self, log: int) -> Mapping[int, int]:
        return dict(
            self._db.execute("SELECT part, MIN(offset) FROM results WHERE log = ? GROUP BY part", (log,))
        )

    def _rows(self, log: int, part: int, offset: int, limit: int) -> Sequence[Any]:
        # By the primary key, so that only what has come since is looked at: hence the plus.
        return self._db.execute(
            f"SELECT offset, {RESULT_FIELDS} FROM results "  # noqa: S608 - a constant
            "WHERE part = ? AND offset >= ? AND +log = ? ORDER BY offset LIMIT ?",
            (part, offset, log, limit),
        ).fetchall()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """All that is read inside is of one moment."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.rollback()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SinkError(f"{self._path} cannot be read: {error}") from error


def _opened(path: Path) -> tuple[sqlite3.Connection, int]:
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        if path.with_name(f"{path.name}-wal").exists():
            raise
        # Where this user may write nothing and no sink is at work, SQLite reads a file that says so only.
        return _connected(path, "mode=ro&immutable=1")


def _connected(path: Path, how: str) -> tuple[sqlite3.Connection, int]:
    db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=10, isolation_level=None)
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        # The version alone can be told without the lock that may be refused.
        db.execute("SELECT 1 FROM topic").fetchone()
    except BaseException:
        db.close()
        raise
    return db, int(version)


def _filters(company_id: int | None, kind: Kind | None) -> tuple[list[str], list[Any]]:
    where, values = list[str](), list[Any]()
    if company_id is not None:
        where.append("key GLOB ? || '/*'")
        values.append(str(company_id))
    if kind is not None:
        where.append("substr(key, instr(key, '/') + 1) GLOB ? || '/*'")
        values.append(kind)
    return where, values
