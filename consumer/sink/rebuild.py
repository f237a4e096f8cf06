"""Writes every log file anew from the topic, and finds out which were not as they should be.

A new state is made of the topic in a hidden folder. It takes the place of the former one in one transaction,
with every file that is not as it should be marked as behind; only then are these written, one by one. So a
process that is killed before has changed nothing, and one that is killed later leaves what any sink puts
right when it starts.
"""

import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from consumer.broker.port import Broker, TopicPartition
from consumer.exceptions import BrokerUnavailable
from consumer.model.events import Kind
from consumer.sink.errors import SinkError, StateUnreadable
from consumer.sink.files import REBUILD_FOLDER, as_bytes, remove_file, remove_unfinished, replace_file
from consumer.sink.former import copy_former, take_over
from consumer.sink.keeping import Keeping
from consumer.sink.layout import render_log
from consumer.sink.naming import file_path
from consumer.sink.state import STATE_FILE, DirtyLog, State
from consumer.sink.topic import Codec, decode_again, entry_of, refuse_ahead


_BATCH = 5000
_POLL_S = 0.5
_PATIENCE_S = 60.0
_FORMER = "former.sqlite3"
_LOG_NAME = re.compile(rf"(?:{'|'.join(Kind)})-.+\.txt")

Told = Callable[[str, int, int], None]
"""How far a stage, which is named for people, is, and how far it will be."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What the files were like, before they were put right; ``damaged`` says why the state was of no use.

    ``extra`` are files named like logs that no record accounts for. ``taken_over`` counts the records that
    the topic has no more.
    """

    identical: int
    differing: int
    missing: int
    extra: int
    taken_over: int
    damaged: str | None

    @property
    def is_as_it_should_be(self) -> bool:
        """Whether there is nothing to put right."""
        return not (self.differing or self.missing or self.extra)


@dataclass(frozen=True, slots=True)
class Source:
    """The topic, and how its values are decoded."""

    broker: Broker
    topic: str
    codec: Codec


def rebuild(
    source: Source,
    log_dir: Path,
    keeping: Keeping,
    told: Told,
    *,
    dry_run: bool,
    wall: Callable[[], float] = time.time,
) -> Rebuilt:
    """Compare every file with the topic, and put right what differs unless it is a ``dry_run``.

    The caller has the directory's lock. Raises SinkError, BrokerError, SchemaRegistryError: then nothing was
    changed, or the next start of a sink, or rebuild, finishes it.
    """
    folder = log_dir / REBUILD_FOLDER
    try:
        _clear(folder)
        folder.mkdir(parents=True)
        with closing(State(folder / STATE_FILE, source.topic)) as state:
            taken_over, damaged = _fill(source, state, log_dir, told)
            state.write_all_if_other("line_ends", keeping.line_ends, "lf")
            _drop_old(state, keeping, wall)
            found, extra = _compare(state, log_dir, keeping, told)
            if damaged is None:
                state.leave_files(extra)
        counts = {each: sum(one == each for one in found.values()) for each in ("identical", "differing")}
        missing = len(found) - sum(counts.values())
        rebuilt = Rebuilt(**counts, missing=missing, extra=len(extra), taken_over=taken_over, damaged=damaged)
        if not dry_run:
            _take_place(folder / STATE_FILE, log_dir / STATE_FILE, is_damaged=damaged is not None)
            _put_right(source.topic, log_dir, keeping, told)
        _clear(folder)
    except (OSError, sqlite3.Error) as error:
        raise SinkError(f"{log_dir} could not be rebuilt: {_words(error)}") from error
    return rebuilt


def _fill(source: Source, state: State, log_dir: Path, told: Told) -> tuple[int, str | None]:
    partitions = source.broker.partitions(source.topic)
    reader = source.broker.reader(partitions)
    try:
        first, end = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
        taken_over, damaged = 0, None
        if (log_dir / STATE_FILE).exists():
            copy = log_dir / REBUILD_FOLDER / _FORMER
            try:
                positions = copy_former(log_dir / STATE_FILE, copy, source.topic)
            except StateUnreadable as error:
                damaged = str(error)
            else:
                refuse_ahead({TopicPartition(source.topic, n): at for n, at in positions.items()}, end)
                taken_over = take_over(state, copy, {each.partition: first[each] for each in partitions})
        _read(source, state, first, end, told)
        decode_again(source.codec, state)
    finally:
        reader.close()
    return taken_over, damaged


def _read(
    source: Source,
    state: State,
    first: Mapping[TopicPartition, int],
    end: Mapping[TopicPartition, int],
    told: Told,
) -> None:
    name, total = f"reading {source.topic}", sum(end[each] - first[each] for each in end)
    reader = source.broker.reader(list(end))
    try:
        heard_at = time.monotonic()
        while any(reader.position(each) < offset for each, offset in end.items()):
            told(name, sum(min(reader.position(each), end[each]) - first[each] for each in end), total)
            if records := reader.poll(_POLL_S, _BATCH):
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _PATIENCE_S:
                raise BrokerUnavailable(f"{source.topic} could not be read to its end")
            state.store([entry_of(source.codec, record) for record in records])
        told(name, total, total)
    finally:
        reader.close()


def _drop_old(state: State, keeping: Keeping, wall: Callable[[], float]) -> None:
    oldest = keeping.oldest(wall)
    while oldest is not None and (old := state.older_than(oldest, 100)):
        for log in old:
            state.forget(log)


def _compare(
    state: State, log_dir: Path, keeping: Keeping, told: Told
) -> tuple[Mapping[PurePosixPath, str], list[PurePosixPath]]:
    """Mark each log's file as level or behind, and return how each is, and those that are no log's."""
    found: dict[PurePosixPath, str] = {}
    logs = state.dirty()
    for number, one in enumerate(logs):
        told("comparing files", number, len(logs))
        path, content = _file(state, one, keeping)
        state.claim(one, path)
        try:
            is_same = (log_dir / path).read_bytes() == content
        except FileNotFoundError:
            found[path] = "missing"
        else:
            found[path] = "identical" if is_same else "differing"
            if is_same:
                state.settle(one, path)
    told("comparing files", len(logs), len(logs))
    there = (PurePosixPath(each.parent.name, each.name) for each in log_dir.glob("*/*.txt"))
    return found, sorted(each for each in there if _is_log(each) and each not in found)


def _is_log(path: PurePosixPath) -> bool:
    """Whether a file is called as logs are; any other may be somebody's own."""
    return path.parent.name != REBUILD_FOLDER and _LOG_NAME.fullmatch(path.name) is not None


def _take_place(new: Path, place: Path, *, is_damaged: bool) -> None:
    """Let the new state stand for the former one: in one transaction, where SQLite can still do one."""
    if is_damaged:
        for suffix in ("-wal", "-shm"):
            place.with_name(place.name + suffix).unlink(missing_ok=True)
        remove_file(place)
    with closing(sqlite3.connect(new)) as source, closing(sqlite3.connect(place)) as target:
        target.execute("PRAGMA synchronous = FULL")
        source.backup(target)


def _put_right(topic: str, log_dir: Path, keeping: Keeping, told: Told) -> None:
    remove_unfinished(log_dir)
    with closing(State(log_dir / STATE_FILE, topic)) as state:
        behind = state.dirty()
        for number, one in enumerate(behind):
            told("writing files", number, len(behind))
            path, content = _file(state, one, keeping)
            replace_file(log_dir / path, content)
            state.settle(one, path)
        if behind:
            told("writing files", len(behind), len(behind))
        for path in state.left_files():
            remove_file(log_dir / path)
            state.forget_file(path)


def _file(state: State, one: DirtyLog, keeping: Keeping) -> tuple[PurePosixPath, bytes]:
    marker, results = state.load(one)
    text = render_log(one.key, marker, results, complete=one.complete)
    return file_path(one.key, marker), as_bytes(text, keeping.line_ends)


def _clear(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _words(error: Exception) -> object:
    return error.strerror or error if isinstance(error, OSError) else error
