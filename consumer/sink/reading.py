"""The state file opened to be read only, beside a sink that may be writing it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from consumer.model.results import Outcome
from consumer.sink.intake import LATEST_MARKER
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey, file_path
from consumer.sink.tables import MARKER_FIELDS, marker_of, moment_of


ENTRY_FIELDS = "id, key, events, last_at"


def opened(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection, and the file's version. Raises sqlite3.Error."""
    try:
        return _connected(path, "mode=ro")
    except sqlite3.OperationalError:
        if path.with_name(f"{path.name}-wal").exists():
            raise
        # Where this user may write nothing and no sink is at work, SQLite reads a file that says so only.
        return _connected(path, "mode=ro&immutable=1")


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """All that is read inside is of one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.rollback()


def log_entry(db: sqlite3.Connection, log: int, text: str, events: int, last_at: int | None) -> LogEntry:
    """The entry of a log, from the values of ENTRY_FIELDS."""
    key = LogKey.parse(text)
    row = db.execute(
        f"SELECT {MARKER_FIELDS} FROM markers WHERE log = ? {LATEST_MARKER}",  # noqa: S608 - constants
        (log,),
    ).fetchone()
    marker = None if row is None else marker_of(key, row)
    counts = db.execute("SELECT outcome, count FROM counts WHERE log = ? AND count > 0", (log,))
    outcomes = {Outcome(outcome): count for outcome, count in counts}
    paths = [
        PurePosixPath(path)
        for (path,) in db.execute("SELECT path FROM files WHERE log = ? ORDER BY path", (log,))
    ]
    usual = file_path(key, marker)
    return LogEntry(
        id=log,
        key=key,
        marker=marker,
        outcomes=outcomes,
        events=events,
        last_handled_at=None if last_at is None else moment_of(last_at),
        path=usual if usual in paths else next(iter(paths), None),
    )


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
