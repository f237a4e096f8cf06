"""Follows ``sync-log`` and keeps the log files level with it."""

import math
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from consumer import tracing
from consumer.broker.port import Broker, Record
from consumer.exceptions import CrewsyncError
from consumer.sink.entries import Undecodable
from consumer.sink.errors import SinkError
from consumer.sink.files import (
    REBUILD_FOLDER,
    as_bytes,
    lock_directory,
    remove_file,
    remove_unfinished,
    replace_file,
)
from consumer.sink.keeping import SWEEP_EVERY_S, Keeping, remove_left, remove_old
from consumer.sink.layout import render_log
from consumer.sink.naming import file_path
from consumer.sink.sink_metrics import STATE, TAKEN
from consumer.sink.state import STATE_FILE, DirtyLog, State
from consumer.sink.topic import Codec, decode_again, entry_of, reader_from


log = structlog.get_logger(__name__)

REWRITE_EVERY_S = 1.0
REWRITE_SHARE = 0.1
"""At most this share of the time goes into rewriting one file that is still growing."""
WRITE_S = 1.0
"""A step writes files for about so long; the others are for the next one."""
POLL_S = 0.5
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class SinkState:
    """What a sink shows of itself: records taken since its start, and whether the last step failed.

    ``problem`` says what failed, in a sentence with the words of whoever refused it.
    """

    taken: int = 0
    is_failing: bool = False
    problem: str | None = None


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
        keeping: Keeping = Keeping(),  # noqa: B008 - frozen
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Open the directory and go on where the last sink stopped.

        ``batch`` is how many records one transaction takes at most; ``clock`` gives seconds, ``wall`` those
        since 1970.

        Raises SinkInUse if another sink has the directory; SinkError if the directory cannot be used, or is
        ahead of the topic (which then is another one under the same name); BrokerError.
        """
        self._topic = topic
        self._codec = codec
        self._log_dir = log_dir
        self._batch = batch
        self._keeping = keeping
        self._clock = clock
        self._wall = wall
        self._sweep_at = clock()
        self._backlog = False
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
            if (log_dir / REBUILD_FOLDER).exists():
                shutil.rmtree(log_dir / REBUILD_FOLDER)
            self._state = State(log_dir / STATE_FILE, topic)
            try:
                decode_again(codec, self._state)
                remove_left(self._state, log_dir)
                self._state.write_all_if_other("line_ends", keeping.line_ends, "lf")
                self._reader = reader_from(broker, topic, self._state.positions())
                self._unread = dict(self._reader.end_offsets(self._reader.assignment()))
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
        try:
            taken = self._step(timeout_s)
        except CrewsyncError as error:
            self.shown = replace(self.shown, is_failing=True, problem=str(error))
            STATE.set(1)
            raise
        self.shown = SinkState(self.shown.taken)
        STATE.set(0)
        return taken

    def _step(self, timeout_s: float) -> int:
        if not self._polled:
            self._polled = self._reader.poll(0.0 if self._backlog else timeout_s, self._batch)
        taken = len(self._polled)
        if taken:
            entries = [entry_of(self._codec, record) for record in self._polled]
            self._state.store(entries)
            for record in self._polled:
                tracing.logged(record.headers)
            self._polled = ()
            self.shown = replace(self.shown, taken=self.shown.taken + taken)
            TAKEN.inc(taken)
            for entry in entries:
                if isinstance(entry.content, Undecodable):
                    log.error(
                        "sync_log_record_undecodable",
                        topic=self._topic,
                        partition=entry.partition,
                        offset=entry.offset,
                    )
        self._sweep()
        self._write_what_is_due()
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
            self._write(self._state.dirty(self._keeping.oldest(self._wall)))
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

    def _sweep(self) -> None:
        """Remove what is too old, now and then; but not before all is read that may make it younger."""
        self._unread = {each: end for each, end in self._unread.items() if self._reader.position(each) < end}
        oldest = self._keeping.oldest(self._wall)
        if oldest is None or self._unread or self._clock() < self._sweep_at:
            return
        try:
            if remove_old(self._state, self._log_dir, oldest):
                self._sweep_at = self._clock() + SWEEP_EVERY_S
        except OSError as error:
            raise SinkError(
                f"an old log in {self._log_dir} could not be removed: {error.strerror or error}"
            ) from error

    def _write_what_is_due(self) -> None:
        """Write files that were finished just now, and those whose last writing is long enough ago."""
        now = self._clock()
        self._not_before = {key: at for key, at in self._not_before.items() if at > now}
        due = [
            dirty
            for dirty in self._state.dirty(self._keeping.oldest(self._wall))
            if (dirty.complete and not dirty.finished) or dirty.id not in self._not_before
        ]
        self._backlog = self._write(due, now + WRITE_S)

    def _write(self, logs: Iterable[DirtyLog], until: float = math.inf) -> bool:
        """Write all files that can be written, then raise the first error; whether time was up before."""
        failed: Exception | None = None
        for dirty in logs:
            started = self._clock()
            if started > until:
                break
            self._not_before[dirty.id] = started + REWRITE_EVERY_S
            try:
                self._write_file(dirty)
            except (OSError, SinkError) as error:
                failed = failed or error
            else:
                took = self._clock() - started
                self._not_before[dirty.id] = started + max(REWRITE_EVERY_S, took / REWRITE_SHARE)
        else:
            until = math.inf
        if failed:
            why = failed.strerror or failed if isinstance(failed, OSError) else failed
            raise SinkError(f"not every file in {self._log_dir} could be written: {why}") from failed
        return until < math.inf

    def _write_file(self, dirty: DirtyLog) -> None:
        marker, results = self._state.load(dirty)
        text = render_log(dirty.key, marker, results, complete=dirty.complete)
        path = file_path(dirty.key, marker)
        former = self._state.claim(dirty, path)
        replace_file(self._log_dir / path, as_bytes(text, self._keeping.line_ends))
        for other in former:
            remove_file(self._log_dir / other)
        self._state.settle(dirty, path)
