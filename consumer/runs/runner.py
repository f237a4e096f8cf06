"""Carries out wishes to sync: reads the upstream page by page, and publishes each page as events of a run.

A member of a group that reads ``sync-commands``, in a thread of its own; reading is done on the handlers'
loop, for many companies at once. Each page is one transaction: its events, how far the run is, and the
group's positions, so that whoever has lost a command to another process can publish nothing more of it. A
command is done once the last page is: after a kill it comes again, what its run has published is found on the
topic of events, and the rest is published. So nobody is in a run twice, and nobody is left out.
"""

import asyncio
import queue
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from consumer.broker.port import Broker, Message, Position, Record, TopicPartition
from consumer.engine.deadletters import dead_letter
from consumer.engine.ledger import Ledger
from consumer.engine.outage import close, ride_out
from consumer.exceptions import BrokerError, BrokerUnavailable, SchemaError
from consumer.model import reasons
from consumer.model.codec import Codec
from consumer.model.events import Kind, SyncCommand
from consumer.model.results import Phase, RunMarker
from consumer.model.topics import company_of_key
from consumer.runs.autosync import command_of, due
from consumer.runs.commands import message_of, partition_of, scope_of
from consumer.runs.messages import marker_message, page_messages
from consumer.runs.progress import Progress
from consumer.runs.published import subject_of
from consumer.runs.run_metrics import RunMetrics
from consumer.runs.under_way import End, Page, Run, RunnerConfig, RunReader
from consumer.sync.company import Companies
from consumer.sync.settings import Settings


log = structlog.get_logger(__name__)

_IDLE_S, _BUSY_S = 0.3, 0.02
_SCHEDULE_EVERY_S = 5.0
_NEW_S = 600.0


class Runner:
    """One member of the group. ``wall`` gives Unix seconds, by which automatic syncs are due."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        broker: Broker,
        codec: Codec,
        config: RunnerConfig,
        companies: Companies,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        on_turn: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._codec = codec
        self._config = config
        self._topics = config.topics
        self._companies = companies
        self._settings = settings
        self._on_turn = on_turn
        self._wall = wall
        self._metrics = RunMetrics()
        self._ledger = Ledger()
        self._runs: dict[str, Run] = {}
        self._read: queue.SimpleQueue[Page | End | BrokerError] = queue.SimpleQueue()
        self._reader = RunReader(broker, codec, config, companies, loop, self._read.put)
        self._assigned_anew = False
        self._scheduled_at = float("-inf")
        # Two days' worth: as far as a clock may be put back.
        self._asked: dict[tuple[int, Kind], deque[int]] = defaultdict(lambda: deque(maxlen=48))

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. Raises BrokerError if it cannot go on."""
        ride_out(self.work, stop, self._config.outage_s, self._on_turn)

    def work(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, or the broker fails."""
        self.open()
        try:
            while not stop.is_set():
                self.turn(_BUSY_S if self.is_busy else _IDLE_S)
        finally:
            self.close()

    def open(self) -> None:
        """Join the group. Raises BrokerError."""
        config = self._config
        self._assigned_anew = False
        self._partitions = len(self._broker.partitions(self._topics.sync_commands))
        self._progress = Progress(self._broker, self._topics.sync_log, self._codec, self._wall)
        try:
            self._producer = self._broker.transactional_producer(config.transactional_id)
            try:
                self._consumer = self._broker.consumer(
                    config.group, [self._topics.sync_commands], self, config.instance_id
                )
            except BrokerError:
                close(self._producer)
                raise
        except BrokerError:
            close(self._progress)
            raise

    def close(self) -> None:
        """Stop reading, and leave. What was not read to its end is gone on with by the next owner."""
        self.lost(frozenset(self._ledger.partitions()))
        for part in (self._consumer, self._producer, self._progress):
            close(part)

    @property
    def is_busy(self) -> bool:
        """Whether a run is being read."""
        return bool(self._runs)

    def turn(self, timeout_s: float) -> None:
        """Take over commands and pages, and start what is due."""
        self._on_turn()
        records = self._consumer.poll(timeout_s)
        if self._assigned_anew:
            # What the last owner has written of its runs is known before they are gone on with.
            self._progress.catch_up(time.monotonic, self._on_turn)
            self._assigned_anew = False
        self._progress.follow(0.0)
        for record in records:
            self._take(record)
        self._collect()
        self._schedule()
        self._metrics.reading.set(len(self._runs))

    # ------------------------------------------------------------ commands

    def _take(self, record: Record) -> None:
        partition = record.source
        epoch = self._ledger.epoch(partition)
        if epoch is None:
            return
        if record.offset < self._ledger.position(partition):
            log.error("offsets.went_back", topic=record.topic, partition=record.partition)
            self._cancel({partition})
            epoch = self._ledger.assign(partition, Position(record.offset))
        if not self._ledger.track(partition, record.offset):
            return
        try:
            command = None if record.value is None else self._codec.decode(record.value, SyncCommand)
        except SchemaError as error:
            self._finish(partition, epoch, record.offset, [self._letter(record, error)])
            return
        if command is None:
            self._finish(partition, epoch, record.offset)
            return
        self._begin(command, partition, epoch, record.offset)

    def _begin(self, command: SyncCommand, partition: TopicPartition, epoch: int, offset: int) -> None:
        known = self._progress.run(command.run_id)
        if command.run_id in self._runs or (known is not None and known.marker.phase is not Phase.READING):
            # The same wish came twice: its run is under way, or done.
            self._finish(partition, epoch, offset)
            return
        marker = known.marker if known is not None else self._start_of(command)
        run = Run(command, partition, epoch, offset, marker)
        if command.company_id not in self._companies:
            self._end(run, Phase.FAILED, reason="The company is not set up here")
            return
        other = self._progress.running(command.company_id, command.kind, marker.scope)
        if known is None and other is not None:
            self._end(run, Phase.JOINED, joined=other.marker.run_id)
            return
        if known is None:
            self._transact(run.partition, [marker_message(run.marker, self._topics, self._codec)])
            self._progress.note(run.marker)
        self._runs[command.run_id] = run
        # Of a run that was begun long ago nothing may be known any more but what it has published.
        is_old = (run.marker.started_at - command.requested_at).total_seconds() > _NEW_S
        self._reader.start(run, is_resumed=known is not None or is_old)
        log.info("run.reading", run=command.run_id, company=command.company_id, kind=str(command.kind))

    def _start_of(self, command: SyncCommand) -> RunMarker:
        return RunMarker(
            company_id=command.company_id,
            kind=command.kind,
            run_id=command.run_id,
            trigger=command.trigger,
            requested_by=command.requested_by,
            started_at=datetime.fromtimestamp(self._wall(), UTC),
            expected=0,
            phase=Phase.READING,
            scope=scope_of(command),
        )

    # ------------------------------------------------------------ publishing: on the runner's thread

    def _collect(self) -> None:
        while True:
            try:
                what = self._read.get_nowait()
            except queue.Empty:
                return
            if isinstance(what, BrokerError):
                raise BrokerUnavailable(str(what)) from what
            if self._runs.get(what.run.command.run_id) is not what.run:
                # Another owns it by now.
                continue
            if isinstance(what, Page):
                self._publish(what)
            elif what.why is None:
                self._end(what.run, Phase.PUBLISHED)
            else:
                self._end(what.run, Phase.FAILED, reason=what.why)

    def _publish(self, page: Page) -> None:
        run = page.run
        fresh = {subject_of(event): event for event in page.events}
        fresh = {subject: event for subject, event in fresh.items() if subject not in run.published}
        if fresh:
            marker = replace(run.marker, expected=len(run.published) + len(fresh))
            messages = page_messages(marker, fresh.values(), self._topics, self._codec)
            self._transact(run.partition, messages)
            run.published |= fresh.keys()
            run.marker = marker
            self._progress.note(marker)
        self._reader.taken(page)

    def _end(self, run: Run, phase: Phase, *, reason: str | None = None, joined: str | None = None) -> None:
        marker = replace(run.marker, expected=len(run.published), phase=phase, reason=reason, joined=joined)
        self._runs.pop(run.command.run_id, None)
        self._finish(
            run.partition, run.epoch, run.offset, [marker_message(marker, self._topics, self._codec)]
        )
        self._progress.note(marker)
        self._metrics.ended(run.command.kind, run.command.trigger, phase)
        log.info("run.read", run=run.command.run_id, phase=str(phase), events=len(run.published))

    def _finish(
        self, partition: TopicPartition, epoch: int, offset: int, messages: Sequence[Message] = ()
    ) -> None:
        """The command is done: it does not come again once the messages are written."""
        self._ledger.complete(partition, epoch, offset)
        self._transact(partition, messages)

    def _transact(self, partition: TopicPartition, messages: Sequence[Message]) -> None:
        """Write the messages together with where the group stands, if the partition is still ours.

        A failure leads to a new beginning, which finds out what was written.
        """
        committable = self._ledger.committable(partition)
        if committable is None:
            raise BrokerUnavailable(f"too many commands of {partition.topic} wait at once")
        try:
            self._producer.begin()
            for message in messages:
                self._producer.send(message)
            self._producer.send_offsets(self._consumer, {partition: committable.position})
            self._producer.commit()
        except BrokerError as error:
            raise BrokerUnavailable(str(error)) from error

    def _letter(self, record: Record, error: SchemaError) -> Message:
        log.warning("command.undecodable", partition=record.partition, offset=record.offset, error=str(error))
        return dead_letter(
            record,
            company_of_key(record.key),
            topic=self._topics.dead_letters,
            stage="decode",
            reason=reasons.UNDECODABLE,
            at=datetime.now(UTC),
            run_id=None,
            codec=self._codec,
        )

    # ------------------------------------------------------------ automatic syncs

    def _schedule(self) -> None:
        """Write the commands that are due for the companies whose partition is owned here."""
        if time.monotonic() - self._scheduled_at < _SCHEDULE_EVERY_S:
            return
        self._scheduled_at = time.monotonic()
        self._metrics.replays.set(self._progress.replays())
        self.schedule(self._wall())

    def schedule(self, now: float) -> None:
        """Write the commands that are due at ``now``, in Unix seconds."""
        owned = {partition.partition: partition for partition in self._ledger.partitions()}
        ours = [
            self._settings.of(company_id)
            for company_id in self._companies
            if partition_of(company_id, self._partitions) in owned
        ]
        for slot in due(ours, now):
            asked = self._asked[slot.company_id, slot.kind]
            if slot.number in asked or self._progress.run(slot.run_id) is not None:
                continue
            partition = owned[partition_of(slot.company_id, self._partitions)]
            message = message_of(
                command_of(slot, now), self._topics.sync_commands, self._codec, self._partitions
            )
            self._transact(partition, [message])
            asked.append(slot.number)

    # ------------------------------------------------------------ changes of ownership

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Go on where the last owner left off."""
        for partition in sorted(partitions):
            self._ledger.assign(partition, self._consumer.committed(partition))
        self._assigned_anew = True

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Stop reading; every page that was published is committed already."""
        self.lost(partitions)

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Stop reading."""
        self._cancel(partitions)
        for partition in partitions:
            self._ledger.revoke(partition)

    def _cancel(self, partitions: Collection[TopicPartition]) -> None:
        for run_id, run in list(self._runs.items()):
            if run.partition in partitions:
                del self._runs[run_id]
                run.cancel()
