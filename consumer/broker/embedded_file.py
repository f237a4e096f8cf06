"""The embedded broker's file: one process at a time, and only a file that is ours."""

import fcntl
import os
import sqlite3
from pathlib import Path

from consumer.exceptions import BrokerInUse, BrokerUnavailable


APPLICATION_ID = 0x43535931
"""Marks the file as ours in SQLite's header ("CSY1")."""

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE topics (
    name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, compacted INTEGER NOT NULL, retention_ms INTEGER,
    compaction_lag_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY, topic TEXT NOT NULL REFERENCES topics, number INTEGER NOT NULL,
    next_offset INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, number)
);
CREATE TABLE records (
    partition_id INTEGER NOT NULL, "offset" INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,
    key BLOB, value BLOB, headers TEXT, PRIMARY KEY (partition_id, "offset")
) WITHOUT ROWID;
CREATE TABLE positions (
    group_id TEXT NOT NULL, partition_id INTEGER NOT NULL, "offset" INTEGER NOT NULL, metadata TEXT NOT NULL,
    PRIMARY KEY (group_id, partition_id)
) WITHOUT ROWID;
CREATE TABLE transactional_ids (id TEXT PRIMARY KEY, epoch INTEGER NOT NULL) WITHOUT ROWID;
"""


def locked(path: Path) -> int:
    """Lock the lock file beside ``path`` and return its descriptor. Raises BrokerInUse, OSError.

    The kernel lets go of the lock when the process ends, however it ends.
    """
    descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode("ascii", "replace") or "unknown"
        os.close(descriptor)
        raise BrokerInUse(f"the embedded broker {path} is in use by process {holder}") from None
    except BaseException:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
    return descriptor


def opened(path: Path) -> sqlite3.Connection:
    """Open the database in ``path``, made if it is missing. A foreign file is not written to.

    Raises BrokerUnavailable.
    """
    try:
        sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _prepare(sql, path)
        except BaseException:
            sql.close()
            raise
    except sqlite3.Error as error:
        raise BrokerUnavailable(f"cannot open the embedded broker {path}: {error}") from error
    return sql


def is_empty(sql: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is new. Raises BrokerUnavailable if it is not ours, or of a newer format."""
    (application_id,) = sql.execute("PRAGMA application_id").fetchone()
    (version,) = sql.execute("PRAGMA user_version").fetchone()
    (tables,) = sql.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if (application_id, version, tables) == (0, 0, 0):
        return True
    if application_id != APPLICATION_ID:
        raise BrokerUnavailable(f"{path} is a database, but no crewsync broker")
    if version > SCHEMA_VERSION:
        raise BrokerUnavailable(
            f"{path} was written by a newer crewsync (format {version}, this one knows {SCHEMA_VERSION})"
        )
    return False


def _prepare(sql: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours, make every commit durable, and create the tables in a new file."""
    is_new = is_empty(sql, path)
    sql.execute("PRAGMA journal_mode = WAL")
    sql.execute("PRAGMA synchronous = FULL")
    if is_new:
        sql.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION_ID};"
            f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
