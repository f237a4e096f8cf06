"""Resync from a topic: its latest revisions are published back to it, as events of a run.

The live consumers handle them in order with all others, so nothing has to be stopped and no offset is set
back. What has a newer revision on the topic, in the window or beyond it, is left alone: it would be stale,
and on a compacted topic it would hide the newer one.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Self

from consumer.broker.port import Broker, Record, TopicPartition, TransactionalProducer
from consumer.broker.writing import write_together
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.events import Event, Kind, TimesheetEvent, Trigger, UserEvent
from consumer.model.results import Phase, RunMarker
from consumer.runs.messages import page_messages
from consumer.runs.published import before_ms, published_by, subject_of
from consumer.runs.spool import Found, Replay, Spool
from consumer.runs.window import Bounds, window_of
from consumer.sync.mapping import revision_of
from consumer.topics import TopicNames


_POLL_S = 0.2
_MOST = 2000
_BATCH = 500
_FAR = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Choice:
    """Whose events are replayed: of one company or all, and of one user or worker or all."""

    company_id: int | None = None
    user_id: int | None = None
    worker_id: str | None = None

    def has(self, event: Event) -> bool:
        """Whether the event is one of them."""
        if self.company_id not in {None, event.company_id}:
            return False
        if isinstance(event, UserEvent):
            return self.user_id in {None, event.user_id}
        return self.worker_id in {None, event.worker.id}


@dataclass(frozen=True, slots=True)
class Topic:
    """The topic of a kind, and how to read it."""

    broker: Broker
    codec: Codec
    topics: TopicNames
    kind: Kind

    @property
    def name(self) -> str:
        """Its name on the broker."""
        return self.topics.events_of(self.kind)

    @property
    def event_type(self) -> type[Event]:
        """What is on it."""
        return UserEvent if self.kind is Kind.USERS else TimesheetEvent


class Gathering:
    """Reads a window into a spool, and what comes after it too, to know what is newer."""

    def __init__(self, topic: Topic, bounds: Bounds, choice: Choice, spool: Spool) -> None:
        self._topic = topic
        self._choice = choice
        self._spool = spool
        self._partitions = topic.broker.partitions(topic.name)
        self._reader = topic.broker.reader(self._partitions)
        self.window = window_of(bounds, self._reader, self._partitions)
        self.read = self.undecodable = 0
        self.is_resumed = False
        self._seek(self.window.starts)

    @classmethod
    def resumed(cls, topic: Topic, spool: Spool) -> Self:
        """For a replay that is gone on with: only what is newer than what it has read counts."""
        nothing = Bounds(since=_FAR)
        made = cls(topic, nothing, Choice(), spool)
        made.is_resumed = True
        made._seek({TopicPartition(topic.name, part): at for part, at in spool.positions().items()})
        return made

    def _seek(self, positions: Mapping[TopicPartition, int]) -> None:
        for partition, position in positions.items():
            self._reader.seek(partition, position)

    def read_all(self, on_read: Callable[[int], None]) -> None:
        """Read to the present end of the topic. Raises BrokerError, SpoolError."""
        self.follow(on_read)
        self._spool.fill_queue()

    def follow(self, on_read: Callable[[int], None] = lambda _: None) -> None:
        """Take over all that is there by now; a poll alone may come back before it has it."""
        ends = self._reader.end_offsets(self._partitions)
        while any(self._reader.position(partition) < end for partition, end in ends.items()):
            records = self._reader.poll(_POLL_S, _MOST)
            positions = {one.partition: self._reader.position(one) for one in self._partitions}
            self._spool.add(self._found(records), positions)
            on_read(self.read)

    def close(self) -> None:
        """Stop reading."""
        self._reader.close()

    def _found(self, records: Sequence[Record]) -> Iterator[Found]:
        for record in records:
            is_inside = self.window.has(record.source, record.offset)
            self.read += is_inside
            try:
                event = _decoded(record, self._topic)
            except SchemaError:
                self.undecodable += is_inside
                continue
            if event is not None and self._choice.has(event):
                yield Found(
                    event.company_id,
                    subject_of(event),
                    revision_number(event),
                    record.partition,
                    record.offset,
                    is_inside,
                    record.value or b"",
                )


def run_id_of(replay_id: str, company_id: int) -> str:
    """The id of the run that a replay is for a company."""
    return hashlib.sha256(f"{replay_id}:{company_id}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Pace:
    """How many events a second are published at most, and who says whether to go on."""

    rate: float
    goes_on: Callable[[], bool]
    sleep: Callable[[float], object] = time.sleep


def publish(
    topic: Topic, spool: Spool, gathering: Gathering, pace: Pace, known: Callable[[str], RunMarker | None]
) -> Iterator[RunMarker]:
    """Publish what is queued, company by company; give how far each run is after each batch.

    ``known`` gives the marker of a run that an earlier process has begun: it is gone on with. What was
    superseded since it was read is passed over. Raises BrokerError, SpoolError.
    """
    replay = spool.replay
    producer = topic.broker.transactional_producer(f"{topic.topics.prefix}crewsync-replay-{replay.id}")
    try:
        for company_id in spool.counts():
            marker = known(run_id_of(replay.id, company_id))
            if gathering.is_resumed:
                marker = _gone_on_with(topic, spool, company_id, marker)
            marker = marker or _start(replay, company_id)
            if marker.phase is Phase.READING:
                yield from _publish_run(topic, spool, gathering, producer, marker, pace)
    finally:
        producer.close()


def _publish_run(  # noqa: PLR0917 - all that a run needs
    topic: Topic,
    spool: Spool,
    gathering: Gathering,
    producer: TransactionalProducer,
    marker: RunMarker,
    pace: Pace,
) -> Iterator[RunMarker]:
    force, after = spool.replay.force, -1
    size = max(1, min(_BATCH, int(pace.rate)))
    while marker.phase is Phase.READING and pace.goes_on():
        began = time.monotonic()
        # What has come until now is not hidden behind something older.
        gathering.follow()
        batch = spool.batch(marker.company_id, after, size)
        after = batch[-1][0] if batch else after
        values = [value for _, value in batch if value is not None]
        events = [replace(topic.codec.decode(value, topic.event_type), force=force) for value in values]
        phase = Phase.PUBLISHED if len(batch) < size else Phase.READING
        marker = replace(marker, expected=marker.expected + len(events), phase=phase)
        write_together(producer, page_messages(marker, events, topic.topics, topic.codec))
        yield marker
        if phase is Phase.READING:
            pace.sleep(max(0.0, len(events) / pace.rate - (time.monotonic() - began)))


def _gone_on_with(topic: Topic, spool: Spool, company_id: int, known: RunMarker | None) -> RunMarker:
    """How far the run is, after the topic itself: its last marker may be too old to be known."""
    replay = spool.replay
    marker = known or _start(replay, company_id)
    found = published_by(
        topic.broker,
        topic.codec,
        topic.name,
        topic.kind,
        run_id=marker.run_id,
        since_ms=before_ms(datetime.fromtimestamp(replay.began_at, UTC)),
    )
    spool.pass_over(company_id, found)
    return replace(marker, expected=len(found))


def _start(replay: Replay, company_id: int) -> RunMarker:
    return RunMarker(
        company_id=company_id,
        kind=replay.kind,
        run_id=run_id_of(replay.id, company_id),
        trigger=Trigger.REPLAY,
        requested_by=replay.requested_by,
        started_at=datetime.now(UTC),
        expected=0,
        phase=Phase.READING,
        scope=replay.scope,
    )


def revision_number(event: Event) -> int:
    """A timesheet's own revision; of a user, the moment of asking."""
    return revision_of(event.asked_at) if isinstance(event, UserEvent) else event.revision


def _decoded(record: Record, topic: Topic) -> Event | None:
    return None if record.value is None else topic.codec.decode(record.value, topic.event_type)
