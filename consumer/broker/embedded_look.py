"""A look into the embedded broker's file that changes nothing, and needs no turn: not even the lock."""

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from pathlib import Path

from consumer.broker.embedded_file import is_empty
from consumer.broker.port import TopicSpec, TopicState
from consumer.exceptions import BrokerUnavailable


_TOPICS = "SELECT name, partitions, compacted, retention_ms, compaction_lag_ms FROM topics"
_SPANS = """
SELECT coalesce((SELECT min("offset") FROM records WHERE partition_id = id), next_offset), next_offset
FROM partitions WHERE topic = ? ORDER BY number"""


def state_of(spec: TopicSpec, spans: Iterable[tuple[int, int]]) -> TopicState:
    """The state of a topic that was made as specified."""
    cleanup = {"compact"} if spec.compacted else {"delete"}
    if spec.retention_ms is not None:
        cleanup.add("delete")
    return TopicState(
        cleanup=frozenset(cleanup),
        retention_ms=spec.retention_ms,
        retention_bytes=None,
        compaction_lag_ms=spec.compaction_lag_ms,
        replicas=None,
        spans=tuple(spans),
    )


def look(path: Path, topics: Collection[str]) -> Mapping[str, TopicState | None]:
    """How each topic is kept in the file, be it in use or not; None for each if there is no file yet.

    Raises BrokerUnavailable if the file cannot be read or is not ours.
    """
    try:
        if not path.exists():
            return dict.fromkeys(topics)
        with closing(sqlite3.connect(_uri(path), uri=True)) as sql:
            return _states(sql, path, topics)
    except OSError as error:
        raise BrokerUnavailable(f"cannot read the embedded broker {path}: {error.strerror}") from error
    except sqlite3.Error as error:
        raise BrokerUnavailable(f"cannot read the embedded broker {path}: {error}") from error


def holder(path: Path) -> str | None:
    """The id of the process that has the file open; None if nobody has. Raises BrokerUnavailable."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise BrokerUnavailable(f"cannot read the embedded broker {path}: {error.strerror}") from error
    try:
        # Shared, and given back at once, so that of two who look neither takes the other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(descriptor, 20, 0).decode("ascii", "replace") or "unknown"
    finally:
        os.close(descriptor)
    return None


def _uri(path: Path) -> str:
    """The file as SQLite is to open it.

    Where there is no log beside it, nobody has it open, and none must be made: it would belong to whoever
    looks, and the broker's own user be kept out.
    """
    way = "mode=ro" if path.with_name(path.name + "-wal").exists() else "immutable=1"
    return f"{path.resolve().as_uri()}?{way}"


def _states(sql: sqlite3.Connection, path: Path, topics: Collection[str]) -> Mapping[str, TopicState | None]:
    if is_empty(sql, path):
        return dict.fromkeys(topics)
    specs = {
        name: TopicSpec(name, partitions, bool(compacted), retention_ms, lag_ms)
        for name, partitions, compacted, retention_ms, lag_ms in sql.execute(_TOPICS)
    }
    return {
        name: state_of(specs[name], sql.execute(_SPANS, (name,))) if name in specs else None
        for name in topics
    }
