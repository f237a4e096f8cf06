"""What the sink knows, in one SQLite file: all results, how far the topic was read, what is to be written.

A batch is one transaction, so that a result and the offset after it are stored together or not at all. The
log files are pure functions of this state: whatever a crash does to them can be made good from here.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from consumer.model.results import Result, RunMarker
from consumer.sink.entries import Entry, Undecoded
from consumer.sink.errors import SinkError
from consumer.sink.intake import LATEST_MARKER, put
from consumer.sink.naming import LogKey
from consumer.sink.tables import MARKER_FIELDS, RESULT_FIELDS, SCHEMA, VERSION, marker_of, result_of
from consumer.sink.upgrade import UPGRADES
from consumer.sqlite import transaction


STATE_FILE = ".sink.sqlite3"


@dataclass(frozen=True, slots=True)
class DirtyLog:
    """A log whose file is behind the state. ``complete`` is about the state, ``finished`` about the file."""

    id: int
    key: LogKey
    complete: bool
    finished: bool


class State:
    """The state file. Its methods raise SinkError if the file cannot be read or written.

    It may be used by any thread, but by one at a time.
    """

    def __init__(self, path: Path, topic: str) -> None:
        """Open or create the file. SinkError also if it belongs to another topic or version."""
        self._path = path
        with self._errors():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._errors():
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._prepare(topic)
        except BaseException:
            self._db.close()
            raise

    def _prepare(self, topic: str) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            with transaction(self._db):
                for statement in SCHEMA:
                    self._db.execute(statement)
                self._db.execute("INSERT INTO topic VALUES (?)", (topic,))
        while version in UPGRADES:
            with transaction(self._db):
                UPGRADES[version](self._db)
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in {0, VERSION}:
            raise SinkError(
                f"{self._path} has version {version}, this program writes version {VERSION}; "
                "move the log directory away and its files are written anew from the topic"
            )
        (known,) = self._db.execute("SELECT name FROM topic").fetchone()
        if known != topic:
            raise SinkError(f"{self._path} holds the logs of topic {known}, not of {topic}")

    def positions(self) -> Mapping[int, int]:
        """The next offset of each partition of which something is stored."""
        with self._errors():
            return dict(self._db.execute("SELECT part, next_offset FROM positions").fetchall())

    def store(self, entries: Iterable[Entry]) -> None:
        """Store entries and the offsets after them, all or none. What is stored already is passed over."""
        with self._errors(), transaction(self._db):
            positions = dict(self.positions())
            before = dict(positions)
            new = []
            for entry in entries:
                if entry.offset >= positions.get(entry.partition, 0):
                    new.append(entry)
                    positions[entry.partition] = entry.offset + 1
            put(self._db, new)
            self._db.executemany(
                "INSERT OR REPLACE INTO positions VALUES (?, ?)",
                [item for item in positions.items() if item not in before.items()],
            )

    def undecodable(self) -> Sequence[Undecoded]:
        """The records that could not be decoded when they were read, but those without a value."""
        with self._errors():
            rows = self._db.execute(
                "SELECT part, offset, value FROM undecodable WHERE value IS NOT NULL"
            ).fetchall()
        return [Undecoded(*row) for row in rows]

    def undecodable_count(self) -> int:
        """How many records could not be decoded."""
        with self._errors():
            (count,) = self._db.execute("SELECT COUNT(*) FROM undecodable").fetchone()
        return int(count)

    def store_decoded(self, entries: Iterable[Entry]) -> None:
        """Put the content of records, undecodable once and understood now, in its place."""
        with self._errors(), transaction(self._db):
            decoded = list(entries)
            self._db.executemany(
                "DELETE FROM undecodable WHERE part = ? AND offset = ?",
                [(entry.partition, entry.offset) for entry in decoded],
            )
            put(self._db, decoded)

    def dirty(self, oldest: int | None = None) -> Sequence[DirtyLog]:
        """The logs whose files are behind, the longest known first; but those that ``older_than`` has."""
        with self._errors():
            rows = self._db.execute(
                "SELECT id, key, run_id IS NOT NULL AND NOT open, finished FROM logs "
                "WHERE dirty AND COALESCE(last_at, at) >= COALESCE(?, COALESCE(last_at, at)) ORDER BY id",
                (oldest,),
            ).fetchall()
        return [
            DirtyLog(log, LogKey.parse(key), bool(complete), bool(finished))
            for log, key, complete, finished in rows
        ]

    def load(self, log: DirtyLog) -> tuple[RunMarker | None, Sequence[Result]]:
        """What the log's file is made of; the results in the order of their partitions and offsets."""
        with self._errors():
            rows = self._db.execute(
                f"SELECT {RESULT_FIELDS} FROM results WHERE log = ? ORDER BY part, offset",  # noqa: S608 - a constant
                (log.id,),
            )
            return self._marker(log.id, log.key), [result_of(log.key, row) for row in rows]

    def claim(self, log: DirtyLog, path: PurePosixPath) -> Sequence[PurePosixPath]:
        """Note, before it is written, that a file of the log may stand at ``path``; return where else."""
        with self._errors():
            rows = self._db.execute("SELECT path FROM files WHERE log = ?", (log.id,)).fetchall()
            paths = [PurePosixPath(text) for (text,) in rows]
            if path not in paths:
                self._db.execute("INSERT INTO files VALUES (?, ?)", (log.id, str(path)))
            return [other for other in paths if other != path]

    def settle(self, log: DirtyLog, path: PurePosixPath) -> None:
        """Note that the log's only file stands at ``path`` and is level with the state."""
        with self._errors(), transaction(self._db):
            self._db.execute("DELETE FROM files WHERE log = ? AND path <> ?", (log.id, str(path)))
            self._db.execute("UPDATE logs SET dirty = 0, finished = ? WHERE id = ?", (log.complete, log.id))

    def write_all_if_other(self, name: str, value: str, former: str) -> None:
        """Keep a setting on which files depend; if it was another, every file is behind.

        ``former`` is what it was where none is kept yet.
        """
        with self._errors(), transaction(self._db):
            known = self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
            if value != (known[0] if known else former):
                self._db.execute("UPDATE logs SET dirty = 1")
            self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def older_than(self, oldest: int, limit: int) -> Sequence[int]:
        """Some logs whose last result, or start if there is none, was before this moment, oldest first."""
        with self._errors():
            rows = self._db.execute(
                "SELECT id FROM logs WHERE COALESCE(last_at, at) < ? ORDER BY COALESCE(last_at, at) LIMIT ?",
                (oldest, limit),
            )
            return [log for (log,) in rows]

    def forget(self, log: int) -> None:
        """Drop all that is known of a log, but where its file is."""
        with self._errors(), transaction(self._db):
            for table in ("results", "markers", "counts"):
                self._db.execute(f"DELETE FROM {table} WHERE log = ?", (log,))  # noqa: S608 - constants
            self._db.execute("DELETE FROM logs WHERE id = ?", (log,))

    def left_files(self) -> Sequence[PurePosixPath]:
        """Where files may stand whose logs are gone, and that are no other log's."""
        with self._errors():
            rows = self._db.execute(
                "SELECT DISTINCT path FROM files WHERE log NOT IN (SELECT id FROM logs) EXCEPT "
                "SELECT path FROM files WHERE log IN (SELECT id FROM logs) ORDER BY path"
            )
            return [PurePosixPath(path) for (path,) in rows]

    def leave_files(self, paths: Iterable[PurePosixPath]) -> None:
        """Note files that are no log's, so that ``left_files`` has them."""
        with self._errors(), transaction(self._db):
            self._db.executemany("INSERT OR IGNORE INTO files VALUES (0, ?)", [(str(p),) for p in paths])

    def forget_file(self, path: PurePosixPath) -> None:
        """Note that there is no file at ``path`` any more."""
        with self._errors():
            self._db.execute(
                "DELETE FROM files WHERE path = ? AND log NOT IN (SELECT id FROM logs)", (str(path),)
            )

    def close(self) -> None:
        """Close the file. Closing twice does no harm."""
        with self._errors():
            self._db.close()

    def _marker(self, log: int, key: LogKey) -> RunMarker | None:
        row = self._db.execute(
            f"SELECT {MARKER_FIELDS} FROM markers WHERE log = ? {LATEST_MARKER}",  # noqa: S608 - constants
            (log,),
        ).fetchone()
        return None if row is None else marker_of(key, row)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SinkError(f"{self._path}: {error}") from error
