"""The latest revisions that a replay has found: in a file, since they may be millions."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple, Self

from consumer.exceptions import CrewsyncError
from consumer.model.events import Kind
from consumer.sqlite import transaction


_SCHEMA = """
CREATE TABLE meta (text TEXT NOT NULL);
-- Whatever is known newest of a subject; only what is within the window is there to be published.
CREATE TABLE latest (company_id INTEGER NOT NULL, subject TEXT NOT NULL, revision INTEGER NOT NULL,
  part INTEGER NOT NULL, offset INTEGER NOT NULL, is_inside INTEGER NOT NULL, value BLOB,
  was_inside INTEGER NOT NULL,
  PRIMARY KEY (company_id, subject)) WITHOUT ROWID;
-- What is to be published of a company, in order; filled once all was read.
-- Up to where each partition was read.
CREATE TABLE positions (part INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE queue (company_id INTEGER NOT NULL, number INTEGER NOT NULL, subject TEXT NOT NULL,
  is_done INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (company_id, number)) WITHOUT ROWID;
"""


_BATCH = 500
_SUPERSEDED = "SELECT count(*) FROM latest WHERE was_inside AND NOT is_inside"


class SpoolError(CrewsyncError):
    """The file of a replay cannot be used."""


class Found(NamedTuple):
    """A record that a replay has read; ``is_inside`` tells whether it is within the window."""

    company_id: int
    subject: str
    revision: int
    partition: int
    offset: int
    is_inside: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay was asked for, and by whom: enough to go on with it."""

    id: str
    kind: Kind
    force: bool
    requested_by: str
    scope: str | None
    began_at: float
    """In Unix seconds."""


class Spool:
    """The file of one replay. Raises SpoolError if it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._errors():
            self._db = sqlite3.connect(path, isolation_level=None)
            # It can be made again from the topic, so speed counts more than a crash of the machine.
            self._db.execute("PRAGMA synchronous = OFF")

    @classmethod
    def create(cls, folder: Path, replay: Replay) -> Self:
        """A new one in the folder."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SpoolError(f"{folder} cannot be used: {error}") from None
        made = cls(spool_path(folder, replay.id))
        with made._errors():
            made._db.executescript(_SCHEMA)
            made._db.execute("INSERT INTO meta VALUES (?)", (json.dumps(asdict(replay)),))
        return made

    @classmethod
    def open(cls, folder: Path, replay_id: str) -> Self:
        """One that was broken off after all was read. Raises SpoolError if there is none."""
        path = spool_path(folder, replay_id)
        if not path.is_file():
            known = sorted(one.stem for one in folder.glob("*.replay"))
            raise SpoolError(f"{folder} has no replay {replay_id}; it has {', '.join(known) or 'none'}")
        return cls(path)

    @property
    def replay(self) -> Replay:
        """What was asked for."""
        with self._errors():
            (text,) = self._db.execute("SELECT text FROM meta").fetchone()
        fields = json.loads(text)
        return Replay(**{**fields, "kind": Kind(fields["kind"])})

    def add(self, records: Iterable[Found], positions: Mapping[int, int]) -> None:
        """Take over records in the order of their reading, and up to where each partition is read now.

        The highest revision counts, of equals the last. Of those beyond the window an equal one changes
        nothing: a replay publishes such itself.
        """
        with self._errors(), transaction(self._db):
            self._db.executemany("INSERT OR REPLACE INTO positions VALUES (?, ?)", positions.items())
            self._db.executemany(
                """INSERT INTO latest VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6)
                ON CONFLICT (company_id, subject) DO UPDATE SET revision = excluded.revision,
                part = excluded.part, offset = excluded.offset, is_inside = excluded.is_inside,
                was_inside = was_inside OR excluded.is_inside,
                value = excluded.value
                WHERE excluded.revision > revision
                OR (excluded.revision = revision AND excluded.is_inside)""",
                # Of what is newer than the window only the revision matters.
                (one if one.is_inside else one._replace(value=b"") for one in records),
            )

    def positions(self) -> Mapping[int, int]:
        """Up to where each partition was read."""
        with self._errors():
            return dict(self._db.execute("SELECT part, next_offset FROM positions").fetchall())

    def fill_queue(self) -> None:
        """All was read: note what is to be published, in the order of partitions and offsets."""
        with self._errors(), transaction(self._db):
            self._db.execute(
                """INSERT INTO queue (company_id, number, subject) SELECT company_id,
                row_number() OVER (PARTITION BY company_id ORDER BY part, offset) - 1, subject
                FROM latest WHERE is_inside"""
            )

    @property
    def is_read(self) -> bool:
        """Whether all was read, so that it can be gone on with."""
        with self._errors():
            return bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM queue)").fetchone()[0])

    def counts(self) -> Mapping[int, int]:
        """How many are to be published, by company."""
        with self._errors():
            rows = self._db.execute("SELECT company_id, count(*) FROM queue GROUP BY company_id ORDER BY 1")
            return dict(rows.fetchall())

    def pass_over(self, company_id: int, subjects: Iterable[str]) -> None:
        """Note what was published already."""
        with self._errors(), transaction(self._db):
            self._db.execute("CREATE TEMP TABLE IF NOT EXISTS gone (subject TEXT PRIMARY KEY)")
            self._db.execute("DELETE FROM gone")
            self._db.executemany("INSERT OR IGNORE INTO gone VALUES (?)", ((one,) for one in subjects))
            self._db.execute(
                "UPDATE queue SET is_done = 1 WHERE company_id = ? AND subject IN (SELECT subject FROM gone)",
                (company_id,),
            )

    def superseded(self) -> int:
        """How many of the window have a newer revision beyond it."""
        with self._errors():
            return int(self._db.execute(_SUPERSEDED).fetchone()[0])

    def batch(self, company_id: int, after: int, most: int) -> Sequence[tuple[int, bytes | None]]:
        """What comes after a number in the company's queue; without a value if it is superseded by now."""
        with self._errors():
            rows = self._db.execute(
                """SELECT number, CASE WHEN is_inside THEN value END
                FROM queue JOIN latest USING (company_id, subject)
                WHERE company_id = ? AND number > ? AND NOT is_done ORDER BY number LIMIT ?""",
                (company_id, after, most),
            )
            return rows.fetchall()

    def values(self, company_id: int) -> Iterator[bytes]:
        """All values of a company, in order."""
        after = -1
        while batch := self.batch(company_id, after, _BATCH):
            yield from (value for _, value in batch if value is not None)
            after = batch[-1][0]

    def close(self) -> None:
        """Close the file, and leave it there."""
        with self._errors():
            self._db.close()

    def remove(self) -> None:
        """Close the file and remove it."""
        self.close()
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise SpoolError(f"{self.path}: {error}") from error


def spool_path(folder: Path, replay_id: str) -> Path:
    """Where a replay's file stands. Raises SpoolError for what is no replay's id."""
    if not (replay_id.isascii() and replay_id.isalnum()):
        raise SpoolError(f"{replay_id} is no id of a replay")
    return folder / f"{replay_id}.replay"
