"""What a rebuild takes over from the state that was there: what the topic does not have any more."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from heapq import merge
from itertools import islice
from pathlib import Path

from consumer.sink.entries import Entry, Undecodable
from consumer.sink.errors import SinkError, StateUnreadable
from consumer.sink.naming import LogKey
from consumer.sink.state import State
from consumer.sink.tables import MARKER_FIELDS, RESULT_FIELDS, marker_of, result_of


_BATCH = 1000
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_ROWS = f"""SELECT part, offset, key, {RESULT_FIELDS} FROM results JOIN logs ON logs.id = log
        WHERE part = ?1 AND offset < ?2 ORDER BY offset"""  # noqa: S608 - constants
_MARKERS = f"""SELECT part, offset, key, {MARKER_FIELDS} FROM markers JOIN logs ON logs.id = log
        WHERE part = ?1 AND offset < ?2 ORDER BY offset"""  # noqa: S608 - constants
_UNDECODABLE = "SELECT part, offset, error, value FROM undecodable WHERE part = ?1 AND offset < ?2 ORDER BY 2"


def copy_former(path: Path, copy: Path, topic: str) -> Mapping[int, int]:
    """Copy a state file, make the copy one of this version, and return its positions.

    The file itself stays as it is. Raises StateUnreadable if it is damaged; SinkError if it is another
    topic's or a newer version's, or cannot be copied.
    """
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as source:
            (verdict,) = source.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise StateUnreadable(f"{path} is damaged: {verdict}")
            source.execute("SELECT 1 FROM topic").fetchone()
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)
    except sqlite3.Error as error:
        damaged = (error.sqlite_errorcode & 0xFF) in _DAMAGED
        raise (StateUnreadable if damaged else SinkError)(f"{path}: {error}") from error
    with closing(State(copy, topic)) as state:
        return state.positions()


def take_over(state: State, copy: Path, first: Mapping[int, int]) -> int:
    """Store what the copy has of offsets before the first of each partition; how many entries that were."""
    taken = 0
    with closing(sqlite3.connect(copy)) as db:
        for part, offset in sorted(first.items()):
            entries = merge(*_entries(db, part, offset), key=lambda entry: entry.offset)
            while batch := list(islice(entries, _BATCH)):
                state.store(batch)
                taken += len(batch)
    return taken


def _entries(db: sqlite3.Connection, part: int, offset: int) -> Iterator[Iterator[Entry]]:
    """Results, markers and what is undecodable, each in the order of their offsets."""
    rows = db.execute(_ROWS, (part, offset))
    yield (Entry(row[0], row[1], result_of(LogKey.parse(row[2]), row[3:])) for row in rows)
    rows = db.execute(_MARKERS, (part, offset))
    yield (Entry(row[0], row[1], marker_of(LogKey.parse(row[2]), row[3:])) for row in rows)
    rows = db.execute(_UNDECODABLE, (part, offset))
    yield (Entry(row[0], row[1], Undecodable(row[2], row[3])) for row in rows)
