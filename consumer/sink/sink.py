"""Follows ``sync-log`` and keeps the log files level with it."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog

from consumer.broker.port import Broker, Reader, Record, TopicPartition
from consumer.exceptions import CrewsyncError, SchemaError
from consumer.model.registry import SchemaRegistryError
from consumer.model.results import Result, RunMarker
from consumer.sink.errors import SinkError
from consumer.sink.files import lock_directory, remove_file, remove_unfinished, replace_file
from consumer.sink.layout import render_day, render_run
from consumer.sink.naming import file_path
from consumer.sink.sink_metrics import STATE, TAKEN
from consumer.sink.state import DirtyLog, Entry, State, Undecodable


log = structlog.get_logger(__name__)

STATE_FILE = ".sink.sqlite3"
REWRITE_EVERY_S = 1.0
REWRITE_SHARE = 0.1
"""At most this share of the time goes into rewriting one file that is still growing."""
POLL_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class SinkState:
    """What a sink shows of itself: records taken since its start, and whether the last step failed."""

    taken: int = 0
    is_failing: bool = False


class Codec(Protocol):
    """Decodes values of ``sync-log``."""

    def decode(self, data: bytes, *types: type[Result | RunMarker]) -> Result | RunMarker:
        """Raises SchemaError if it is of none of the types, SchemaRegistryError if nobody can tell now."""


class Sink:
    """The one writer of a log directory. Any thread may use it, but one at a time.

    Partitions that are added to the topic are read after the next start. All that the sink knows is in the
    log directory: to have every file written anew, remove the directory and start again.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        codec: Codec,
        log_dir: Path,
        *,
        batch: int = 500,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the directory and go on where the last sink stopped.

        ``batch`` is how many records one transaction takes at most; ``clock`` gives seconds.

        Raises SinkInUse if another sink has the directory; SinkError if the directory cannot be used, or is
        ahead of the topic (which then is another one under the same name); BrokerError.
        """
        self._topic = topic
        self._codec = codec
        self._log_dir = log_dir
        self._batch = batch
        self._clock = clock
        self._polled: Sequence[Record] = ()
        self._not_before: dict[int, float] = {}
        self._closed = False
        self.shown = SinkState()
        """Replaced after each step; any thread may read it."""
        try:
            log_dir.mkdir(parents=True, exist_ok=True)
            self._lock = lock_directory(log_dir)
        except OSError as error:
            raise SinkError(f"the log directory {log_dir} cannot be used: {error}") from error
        try:
            remove_unfinished(log_dir)
            self._state = State(log_dir / STATE_FILE, topic)
            try:
                self._decode_again()
                self._reader = _reader_from(broker, topic, self._state.positions())
            except BaseException:
                self._state.close()
                raise
        except OSError as error:
            self._lock.close()
            raise SinkError(f"the log directory {log_dir} cannot be used: {error}") from error
        except BaseException:
            self._lock.close()
            raise

    def step(self, timeout_s: float) -> int:
        """Wait up to ``timeout_s`` for records, store them, write the files that are due.

        Returns how many records were taken. Raises SinkError, for example when the disk is full, BrokerError
        or SchemaRegistryError: nothing is lost, a later step continues.
        """
        if not self._polled:
            self._polled = self._reader.poll(timeout_s, self._batch)
        taken = len(self._polled)
        if taken:
            entries = [self._entry(record) for record in self._polled]
            self._state.store(entries)
            self._polled = ()
            for entry in entries:
                if isinstance(entry.content, Undecodable):
                    log.error(
                        "sync_log_record_undecodable",
                        topic=self._topic,
                        partition=entry.partition,
                        offset=entry.offset,
                    )
        self._write_what_is_due()
        self.shown = SinkState(self.shown.taken + taken)
        TAKEN.inc(taken)
        STATE.set(0)
        return taken

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Step until ``stop`` is set. After an error it waits, longer each time, and goes on.

        ``beat`` is called before each step.
        """
        pause_s = FIRST_PAUSE_S
        while not stop.is_set():
            beat()
            try:
                self.step(POLL_S)
            except CrewsyncError as error:
                self.shown = replace(self.shown, is_failing=True)
                STATE.set(1)
                log.warning("sync_log_sink_failed", error=str(error), retry_in_s=pause_s)
                stop.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S

    def undecodable(self) -> int:
        """How many records could not be decoded. Each start tries them again, perhaps with newer schemas."""
        return self._state.undecodable_count()

    def close(self) -> None:
        """Write every file that is behind and let go. Closing twice does no harm. Raises SinkError."""
        if self._closed:
            return
        self._closed = True
        try:
            self._write(self._state.dirty())
        finally:
            self._reader.close()
            self._state.close()
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _entry(self, record: Record) -> Entry:
        return Entry(record.partition, record.offset, self._decoded(record.value))

    def _decoded(self, value: bytes | None) -> Result | RunMarker | Undecodable:
        if value is None:
            return Undecodable("the record has no value", None)
        try:
            return self._codec.decode(value, Result, RunMarker)
        except SchemaError as error:
            return Undecodable(f"{type(error).__name__}: {error}", value)

    def _decode_again(self) -> None:
        understood = []
        for entry in self._state.undecodable():
            with suppress(SchemaError, SchemaRegistryError):
                value = self._codec.decode(entry.value, Result, RunMarker)
                understood.append(Entry(entry.partition, entry.offset, value))
        self._state.store_decoded(understood)

    def _write_what_is_due(self) -> None:
        """Write files that were finished just now, and those whose last writing is long enough ago."""
        now = self._clock()
        self._not_before = {key: at for key, at in self._not_before.items() if at > now}
        self._write(
            dirty
            for dirty in self._state.dirty()
            if (dirty.complete and not dirty.finished) or dirty.id not in self._not_before
        )

    def _write(self, logs: Iterable[DirtyLog]) -> None:
        """Write all files that can be written, then raise the first error."""
        failed: Exception | None = None
        for dirty in logs:
            started = self._clock()
            self._not_before[dirty.id] = started + REWRITE_EVERY_S
            try:
                self._write_file(dirty)
            except (OSError, SinkError) as error:
                failed = failed or error
            else:
                took = self._clock() - started
                self._not_before[dirty.id] = started + max(REWRITE_EVERY_S, took / REWRITE_SHARE)
        if failed:
            raise SinkError(f"not every file in {self._log_dir} could be written: {failed}") from failed

    def _write_file(self, dirty: DirtyLog) -> None:
        marker, results = self._state.load(dirty)
        key = dirty.key
        if key.day:
            text = render_day(key.company_id, key.kind, key.day, results)
        else:
            text = render_run(marker, results, dirty.complete)
        path = file_path(key, marker)
        former = self._state.claim(dirty, path)
        replace_file(self._log_dir / path, text)
        for other in former:
            remove_file(self._log_dir / other)
        self._state.settle(dirty, path)


def _reader_from(broker: Broker, topic: str, positions: Mapping[int, int]) -> Reader:
    partitions = broker.partitions(topic)
    reader = broker.reader(partitions)
    try:
        _seek(reader, {TopicPartition(topic, number): offset for number, offset in positions.items()})
    except BaseException:
        reader.close()
        raise
    return reader


def _seek(reader: Reader, positions: Mapping[TopicPartition, int]) -> None:
    partitions = reader.assignment()
    first, end = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    for partition, offset in positions.items():
        if offset > end.get(partition, 0):
            raise SinkError(
                f"the logs are ahead of partition {partition.partition} of {partition.topic}, so they are "
                "another topic's; move the log directory away and its files are written anew"
            )
        if offset < first[partition]:
            # Retention has deleted them while no sink was running.
            log.error("sync_log_records_gone", **partition._asdict(), wanted=offset, first=first[partition])
        reader.seek(partition, offset)
