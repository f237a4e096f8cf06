"""The embedded broker's log: topics, records, positions and transactional ids in one SQLite file.

Everything that belongs together is written in one SQLite transaction with full synchronisation, so it
survives a kill and a loss of power whole or not at all. One process at a time has the file.
"""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from consumer.broker.embedded_file import locked, opened
from consumer.broker.port import Headers, Position, Record, TopicPartition, TopicSpec
from consumer.exceptions import BrokerError, BrokerUnavailable, TopicMissing


UPKEEP_EVERY = 10_000
"""After so many records appended to a topic, superseded and expired ones are removed from it."""

TOMBSTONES_KEPT_MS = 24 * 60 * 60 * 1000
"""How long a deletion stays readable, so that a follower that was away hears of it (as on Apache Kafka)."""


class Draft(NamedTuple):
    """A record that has its partition and time, but no offset yet."""

    partition: TopicPartition
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: str | None


def encoded_headers(headers: Headers) -> str | None:
    """Headers as JSON; bytes stand as the characters of the same numbers."""
    return json.dumps([(name, value.decode("latin-1")) for name, value in headers]) if headers else None


def _decoded_headers(text: str | None) -> Headers:
    return tuple((name, value.encode("latin-1")) for name, value in json.loads(text)) if text else ()


class Store:
    """The open file. Its methods may be called from any thread; ``changed`` guards what is cached.

    Raises BrokerInUse if somebody has it open; BrokerUnavailable if it is not ours, newer than this code,
    or cannot be opened. Every method raises BrokerError if SQLite fails, and then has changed nothing.
    """

    def __init__(self, path: Path) -> None:
        self.changed = threading.Condition()
        self.topics: dict[str, TopicSpec] = {}
        self.ends: dict[TopicPartition, int] = {}
        self.epochs: dict[str, int] = {}
        self.closed = False
        self._ids: dict[TopicPartition, int] = {}
        self._until_upkeep: dict[str, int] = {}
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = locked(path)
        except OSError as error:
            raise BrokerUnavailable(f"cannot open the embedded broker {path}: {error.strerror}") from error
        try:
            self._sql = opened(path)
            self._load()
            for topic in self.topics.values():
                self._tidy(topic, drop_tombstones=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file and wake up whoever waits."""
        with self.changed:
            if self.closed:
                return
            self.closed = True
            self.changed.notify_all()
            try:
                if hasattr(self, "_sql"):
                    self._sql.close()
            except sqlite3.Error as error:
                raise BrokerError(f"the embedded broker {self._path} did not close well: {error}") from error
            finally:
                # The lock file stays: removing it could remove one that a newcomer has just locked.
                os.ftruncate(self._lock, 0)
                os.close(self._lock)

    def create(self, specs: Iterable[TopicSpec]) -> list[str]:
        """Create the topics that do not exist, all or none, and return their names."""
        with self.changed:
            missing = {spec.name: spec for spec in specs if spec.name not in self.topics}
            for spec in missing.values():
                if spec.partitions < 1:
                    raise BrokerError(f"topic {spec.name!r} needs a partition at least")
            if not missing:
                return []
            with self._transaction() as sql:
                for spec in missing.values():
                    sql.execute(
                        "INSERT INTO topics VALUES (?, ?, ?, ?, ?)",
                        (
                            spec.name,
                            spec.partitions,
                            spec.compacted,
                            spec.retention_ms,
                            spec.compaction_lag_ms,
                        ),
                    )
                    sql.executemany(
                        "INSERT INTO partitions (topic, number) VALUES (?, ?)",
                        [(spec.name, number) for number in range(spec.partitions)],
                    )
            self._load()
            return list(missing)

    def topic(self, name: str) -> TopicSpec:
        """The topic as it was created. Raises TopicMissing."""
        try:
            return self.topics[name]
        except KeyError:
            raise TopicMissing(f"there is no topic {name!r}") from None

    def id_of(self, partition: TopicPartition) -> int:
        """The partition's number in the file. Raises TopicMissing."""
        try:
            return self._ids[partition]
        except KeyError:
            raise TopicMissing(
                f"there is no partition {partition.partition} of {partition.topic!r}"
            ) from None

    def write(
        self, drafts: Sequence[Draft], positions: Mapping[tuple[str, TopicPartition], Position] | None = None
    ) -> None:
        """Append records and set groups' positions in one transaction."""
        with self.changed:
            ends: dict[TopicPartition, int] = {}
            rows = []
            for partition, timestamp_ms, key, value, headers in drafts:
                offset = ends[partition] if partition in ends else self.ends[partition]
                ends[partition] = offset + 1
                rows.append((self._ids[partition], offset, timestamp_ms, key, value, headers))
            with self._transaction() as sql:
                sql.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
                sql.executemany(
                    "UPDATE partitions SET next_offset = ? WHERE id = ?",
                    [(end, self._ids[partition]) for partition, end in ends.items()],
                )
                sql.executemany(
                    "INSERT OR REPLACE INTO positions VALUES (?, ?, ?, ?)",
                    [
                        (group, self.id_of(partition), position.offset, position.metadata)
                        for (group, partition), position in (positions or {}).items()
                    ],
                )
            appended = {partition.topic: 0 for partition in ends}
            for partition, end in ends.items():
                appended[partition.topic] += end - self.ends[partition]
            self.ends.update(ends)
            self.changed.notify_all()
            for name, count in appended.items():
                self._until_upkeep[name] -= count
                if self._until_upkeep[name] <= 0:
                    # What was written stands; the upkeep is tried again with a later record.
                    with suppress(BrokerError):
                        self._tidy(self.topics[name])

    def read(self, partition: TopicPartition, offset: int, limit: int) -> list[Record]:
        """The first records at or after an offset."""
        rows = self._rows(
            'SELECT "offset", timestamp_ms, key, value, headers FROM records'
            ' WHERE partition_id = ? AND "offset" >= ? ORDER BY "offset" LIMIT ?',
            (self.id_of(partition), offset, limit),
        )
        topic, number = partition
        return [
            Record(topic, number, offset, timestamp_ms, key, value, _decoded_headers(headers))
            for offset, timestamp_ms, key, value, headers in rows
        ]

    def beginning(self, partition: TopicPartition) -> int:
        """The first offset that is still there, or the end."""
        with self.changed:
            rows = self._rows(
                'SELECT MIN("offset") FROM records WHERE partition_id = ?', (self.id_of(partition),)
            )
            first: int | None = rows[0][0]
            return self.ends[partition] if first is None else first

    def end(self, partition: TopicPartition) -> int:
        """The offset that the next record will get."""
        with self.changed:
            self.id_of(partition)
            return self.ends[partition]

    def offset_at(self, partition: TopicPartition, timestamp_ms: int) -> int | None:
        """The first offset whose timestamp is at or after this one."""
        rows = self._rows(
            'SELECT "offset" FROM records WHERE partition_id = ? AND timestamp_ms >= ?'
            ' ORDER BY "offset" LIMIT 1',
            (self.id_of(partition), timestamp_ms),
        )
        return rows[0][0] if rows else None

    def committed(self, group: str, partition: TopicPartition) -> Position | None:
        """What the group has committed."""
        rows = self._rows(
            'SELECT "offset", metadata FROM positions WHERE group_id = ? AND partition_id = ?',
            (group, self.id_of(partition)),
        )
        return Position(*rows[0]) if rows else None

    def next_epoch(self, transactional_id: str) -> int:
        """Fence whoever has this transactional id, and return the new owner's epoch."""
        with self.changed:
            epoch = self.epochs.get(transactional_id, 0) + 1
            with self._transaction() as sql:
                sql.execute(
                    "INSERT OR REPLACE INTO transactional_ids VALUES (?, ?)", (transactional_id, epoch)
                )
            self.epochs[transactional_id] = epoch
            return epoch

    def _load(self) -> None:
        """Read what is cached: topics, ids and ends of partitions, epochs."""
        self.topics = {
            name: TopicSpec(name, partitions, bool(compacted), retention_ms, lag_ms)
            for name, partitions, compacted, retention_ms, lag_ms in self._rows("SELECT * FROM topics")
        }
        for number, topic, partition, end in self._rows(
            "SELECT id, topic, number, next_offset FROM partitions"
        ):
            self._ids[TopicPartition(topic, partition)] = number
            self.ends[TopicPartition(topic, partition)] = end
        self.epochs = dict(self._rows("SELECT id, epoch FROM transactional_ids"))
        for name in self.topics:
            self._until_upkeep.setdefault(name, UPKEEP_EVERY)

    def _tidy(self, topic: TopicSpec, *, drop_tombstones: bool = False) -> None:
        """Remove superseded or expired records; offsets stay as they are."""
        now_ms = int(time.time() * 1000)
        kept = 0
        with self._transaction() as sql:
            for number in range(topic.partitions):
                values = {
                    "partition": self._ids[TopicPartition(topic.name, number)],
                    "expired": now_ms - (topic.retention_ms or 0),
                    "old": now_ms - TOMBSTONES_KEPT_MS,
                    "settled": now_ms - topic.compaction_lag_ms,
                }
                if topic.compacted:
                    sql.execute(_REMOVE_SUPERSEDED, values)
                    if drop_tombstones:
                        sql.execute(_REMOVE_TOMBSTONES, values)
                    kept += sql.execute(_COUNT, values).fetchone()[0]
                if topic.retention_ms is not None:
                    sql.execute(_REMOVE_EXPIRED, values)
        # The cost grows with what is kept, so it is paid the more rarely.
        self._until_upkeep[topic.name] = max(UPKEEP_EVERY, kept)

    def _rows(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self.changed, self._failing():
            return self._sql.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit what the block writes, or none of it."""
        with self.changed, self._failing():
            self._sql.execute("BEGIN IMMEDIATE")
            try:
                yield self._sql
                self._sql.execute("COMMIT")
            except BaseException:
                if self._sql.in_transaction:
                    self._sql.execute("ROLLBACK")
                raise

    @contextmanager
    def _failing(self) -> Iterator[None]:
        if self.closed:
            raise BrokerError(f"the embedded broker {self._path} is closed")
        try:
            yield
        except (sqlite3.Error, OverflowError, UnicodeError) as error:  # The latter: what SQLite cannot hold.
            raise BrokerError(f"the embedded broker {self._path} failed: {error}") from error


# A record is superseded if its partition has a newer one with its key, and it is no longer young.
_REMOVE_SUPERSEDED = """
DELETE FROM records WHERE partition_id = :partition AND timestamp_ms <= :settled AND "offset" NOT IN (
    SELECT MAX("offset") FROM records WHERE partition_id = :partition GROUP BY key
)"""
_REMOVE_TOMBSTONES = """
DELETE FROM records WHERE partition_id = :partition AND value IS NULL AND timestamp_ms < :old"""
_COUNT = "SELECT COUNT(*) FROM records WHERE partition_id = :partition"
# Only from the front, up to the first that is young enough: no scan of the partition, and no gaps in it.
_REMOVE_EXPIRED = """
DELETE FROM records WHERE partition_id = :partition AND "offset" < COALESCE(
    (SELECT "offset" FROM records WHERE partition_id = :partition AND timestamp_ms >= :expired
     ORDER BY "offset" LIMIT 1),
    (SELECT next_offset FROM partitions WHERE id = :partition)
)"""
