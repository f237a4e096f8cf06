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
from consumer.model.results import Result
from consumer.sink.errors import SinkError
from consumer.sink.listing import History, Page, Wanted
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey
from consumer.sink.pages import history, page
from consumer.sink.reading import ENTRY_FIELDS, log_entry, opened, snapshot
from consumer.sink.state import STATE_FILE
from consumer.sink.tables import RESULT_FIELDS, VERSION, result_of


_RUNNING = 20
_LAST_CHARACTER = "\U0010ffff"


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
            self._db, version = opened(self._path)
        if version != VERSION:
            self._db.close()
            older = "; a crewsync that has the role sink makes it one" if version < VERSION else ""
            raise SinkError(
                f"{self._path} has version {version}, and this program reads version {VERSION}{older}"
            )

    def count(
        self, *, company_id: int | None = None, kind: Kind | None = None, runs_only: bool = False
    ) -> int:
        """How many logs there are."""
        where, values = _filters(company_id, kind, runs_only=runs_only)
        with self._errors():
            (count,) = self._db.execute(
                f"SELECT COUNT(*) FROM logs {_condition(where)}",  # noqa: S608 - constants
                values,
            ).fetchone()
        return int(count)

    def newest(
        self,
        *,
        company_id: int | None = None,
        kind: Kind | None = None,
        limit: int = 20,
        offset: int = 0,
        runs_only: bool = False,
    ) -> Sequence[LogEntry]:
        """The newest logs of runs and days, newest first; ``offset`` passes over as many.

        A run is as old as its start, a day as its midnight; a run whose start is not known, as its last
        result.
        """
        where, values = _filters(company_id, kind, runs_only=runs_only)
        return self._entries(where, values, limit, offset)

    def newest_run(self, *, company_id: int | None = None, kind: Kind | None = None) -> LogEntry | None:
        """The newest run."""
        return next(iter(self.newest(company_id=company_id, kind=kind, limit=1, runs_only=True)), None)

    def running(self, company_id: int, kind: Kind) -> Sequence[LogEntry]:
        """The runs of which more is to come, newest first, at most 20."""
        where, values = _filters(company_id, kind)
        return self._entries([*where, "open"], values, _RUNNING)

    def runs(self, prefix: str, limit: int = 20) -> Sequence[LogEntry]:
        """The runs whose ids begin so, newest first; the one with just this id alone, if there is one."""
        exact = self._entries(["run_id = ?"], [prefix], limit)
        # Results whose company could not be told are parted from the run that has its start.
        started = [entry for entry in exact if entry.marker is not None]
        if exact:
            return started or exact
        return self._entries(["run_id >= ?", "run_id < ?"], [prefix, prefix + _LAST_CHARACTER], limit)

    def with_file(self, name: str, limit: int = 20) -> Sequence[LogEntry]:
        """The logs that have a file of this name; a name with folders has to agree in the last of them."""
        parts = PurePosixPath(name).parts[-2:]
        text = "/".join(parts)
        own = "path = ?" if len(parts) > 1 else "substr(path, instr(path, '/') + 1) = ?"
        return self._entries([f"id IN (SELECT log FROM files WHERE {own})"], [text], limit)  # noqa: S608 - constants

    def find(self, key: LogKey) -> LogEntry | None:
        """One log, by what it is of."""
        return next(iter(self._entries(["key = ?"], [str(key)], 1)), None)

    def entry(self, log: int) -> LogEntry | None:
        """One log, by the state file's id."""
        return next(iter(self._entries(["id = ?"], [log], 1)), None)

    def text(self, entry: LogEntry) -> str:
        """What the log's file says, a line break being one character. Raises SinkError if it is not there."""
        return self.content(entry).decode().replace("\r\n", "\n")

    def content(self, entry: LogEntry) -> bytes:
        """The log's file as it is. Raises SinkError if it is not there."""
        if entry.path is None:
            raise SinkError("the file of this log is not written yet; try again in a second")
        try:
            return (self._log_dir / entry.path).read_bytes()
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
        with self._errors(), snapshot(self._db):
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

    def page(self, entry: LogEntry, wanted: Wanted, limit: int = 100, offset: int = 0) -> Page:
        """Some of a log's results, but those that were superseded: not synced first, by name."""
        with self._errors(), snapshot(self._db):
            return page(self._db, entry, wanted, limit, offset)

    def history(
        self,
        company_id: int,
        kind: Kind,
        *,
        subject_id: str | None = None,
        name: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> History:
        """What was said of a user or worker in all logs, by id or by the exact name: newest handled first.

        Raises ValueError if neither is given.
        """
        with self._errors(), snapshot(self._db):
            return history(self._db, company_id, kind, subject_id, name, limit, offset)

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
        with self._errors(), snapshot(self._db):
            rows = self._db.execute(
                f"SELECT {ENTRY_FIELDS} FROM logs {_condition(where)} "  # noqa: S608 - constants
                "ORDER BY at DESC, id DESC LIMIT ? OFFSET ?",
                (*values, max(limit, 0), max(offset, 0)),
            ).fetchall()
            return [log_entry(self._db, *row) for row in rows]

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
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SinkError(f"{self._path} cannot be read: {error}") from error


def _condition(where: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(where)}" if where else ""


def _filters(
    company_id: int | None, kind: Kind | None, *, runs_only: bool = False
) -> tuple[list[str], list[Any]]:
    where, values = list[str](), list[Any]()
    if company_id is not None:
        where.append("company_id = ?")
        values.append(company_id)
    if kind is not None:
        where.append("kind = ?")
        values.append(kind)
    if runs_only:
        # The plus leaves the choice of the index to what the order needs.
        where.append("+run_id IS NOT NULL")
    return where, values
