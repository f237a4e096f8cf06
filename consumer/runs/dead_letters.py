"""The dead letters that are not settled yet: found, chosen, redriven or dropped by a person.

Whatever becomes of a letter is written beside it in the same transaction, so nobody can redrive it twice, and
the list of what is left follows from the topic alone.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from consumer.broker.port import Broker, Message, Reader, Record, TopicPartition
from consumer.broker.writing import write_together
from consumer.engine.deadletters import Ending, letter_of, moment_of, redriven, settled, settled_offset
from consumer.engine.links import Links
from consumer.exceptions import BrokerUnavailable, SchemaError
from consumer.model.codec import Codec
from consumer.model.deadletters import DeadLetter
from consumer.model.events import Event, TimesheetEvent, UserEvent
from consumer.model.links import LinkKey, LinkKind
from consumer.runs.published import subject_of
from consumer.runs.replay import revision_number
from consumer.topics import TopicNames


UNREADABLE = "unreadable"
"""The reason of a letter whose own story cannot be read."""
MOST_TIMES = 10
"""A letter that came back so often is left, unless somebody asks for more."""
_POLL_S = 0.2
_MOST = 2000
_LIMIT_S = 600.0
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Place:
    """Where a letter stands on the topic, written ``PARTITION:OFFSET``."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that is not settled, without the record that it holds; None of its story if unreadable."""

    place: Place
    story: DeadLetter | None
    failed_at: datetime

    @property
    def reason_code(self) -> str:
        """Why it was set aside."""
        return UNREADABLE if self.story is None else self.story.reason_code


@dataclass(frozen=True, slots=True)
class Choice:
    """Which letters are meant: each part narrows them down. ``before`` and ``since`` bound their age."""

    company_id: int | None = None
    reason: str | None = None
    topic: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    places: frozenset[Place] = frozenset()

    def has(self, letter: Letter) -> bool:
        """Whether the letter is one of them."""
        story = letter.story
        return all(
            (
                self.company_id is None or (story is not None and story.company_id == self.company_id),
                self.reason in {None, letter.reason_code},
                self.topic is None or (story is not None and story.source_topic == self.topic),
                self.since is None or letter.failed_at >= self.since,
                self.before is None or letter.failed_at < self.before,
                not self.places or letter.place in self.places,
            )
        )


class Letters:
    """The letters that wait for somebody, as the records of the topic tell, in order per partition."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._waiting: dict[Place, Letter] = {}
        self._lock = threading.Lock()

    def apply(self, record: Record) -> None:
        """Take over a record. What settles a letter stands behind it in the same partition."""
        offset = settled_offset(record)
        with self._lock:
            if offset is None:
                place = Place(record.partition, record.offset)
                self._waiting[place] = _letter(record, place, self._codec)
            else:
                self._waiting.pop(Place(record.partition, offset), None)

    def waiting(self) -> Sequence[Letter]:
        """Those that are not settled, the oldest first. Any thread may ask."""
        with self._lock:
            left = list(self._waiting.values())
        return sorted(
            left, key=lambda letter: (letter.failed_at, letter.place.partition, letter.place.offset)
        )


def unsettled(broker: Broker, topics: TopicNames, codec: Codec) -> Sequence[Letter]:
    """The letters that wait for somebody, the oldest first. Raises BrokerError."""
    letters = Letters(codec)
    for record in _records(broker, topics.dead_letters):
        letters.apply(record)
    return letters.waiting()


def redrivable(letters: Sequence[Letter], topics: TopicNames, most_times: int = MOST_TIMES) -> list[Letter]:
    """Those that can go back: that can be read, come from one of our topics, and not too often already."""
    ours = {spec.name for spec in topics.specs()}
    return [
        one
        for one in letters
        if one.story is not None and one.story.redrive_count < most_times and one.story.source_topic in ours
    ]


def histogram(letters: Sequence[Letter]) -> Mapping[str, int]:
    """How many letters there are for each reason, the most frequent first."""
    return dict(Counter(letter.reason_code for letter in letters).most_common())


def record_at(broker: Broker, topics: TopicNames, place: Place) -> Record | None:
    """The record at a place, None if there is none (any more). Raises BrokerError."""
    partition = TopicPartition(topics.dead_letters, place.partition)
    if partition not in broker.partitions(topics.dead_letters):
        return None
    reader = broker.reader([partition])
    try:
        ends = reader.end_offsets([partition])
        reader.seek(partition, place.offset)
        return next((one for one in _read_to(reader, ends) if one.offset == place.offset), None)
    finally:
        reader.close()


def is_stale(event: Event, links: Links) -> bool:
    """Whether a newer event of the same subject was decided on."""
    kind = LinkKind.USER if isinstance(event, UserEvent) else LinkKind.TIMESHEET
    link = links.get(LinkKey(event.company_id, kind, subject_of(event)))
    return link is not None and revision_number(event) < link.revision


def decoded(record: Record, codec: Codec) -> Event | None:
    """The event that a letter holds; None if it holds none that can be read."""
    try:
        return codec.decode(record.value or b"", UserEvent, TimesheetEvent)
    except SchemaError:
        return None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What becomes of letters at the hands of a person: dropped, or published again unless stale."""

    broker: Broker
    codec: Codec
    topics: TopicNames
    links: Links
    by: str
    is_drop: bool = False

    def settle(
        self, letters: Sequence[Letter], on_batch: Callable[[int], None], goes_on: Callable[[], bool]
    ) -> Mapping[Ending, int]:
        """Settle the letters, and tell how many each way. Raises BrokerError; what was told stays settled."""
        endings: Counter[Ending] = Counter()
        # One id for all: whoever comes second ends what the first one has under way.
        producer = self.broker.transactional_producer(f"{self.topics.prefix}crewsync-dead-letters")
        try:
            for batch in _batches(self._chosen(letters)):
                if not goes_on():
                    break
                ended = [(record, self._ending(record)) for record in batch]
                write_together(producer, (one for done in ended for one in self._messages(*done)))
                endings.update(ending for _, ending in ended)
                on_batch(endings.total())
        finally:
            producer.close()
        return endings

    def _chosen(self, letters: Sequence[Letter]) -> Iterator[Record]:
        # Somebody, or crewsync itself, may have settled some since they were listed.
        now = {letter.place for letter in unsettled(self.broker, self.topics, self.codec)}
        places = {letter.place for letter in letters} & now
        for record in _records(self.broker, self.topics.dead_letters):
            if Place(record.partition, record.offset) in places:
                yield record

    def _ending(self, record: Record) -> Ending:
        if self.is_drop:
            return Ending.DROPPED
        event = decoded(record, self.codec)
        is_overtaken = event is not None and is_stale(event, self.links)
        return Ending.STALE if is_overtaken else Ending.REDRIVEN

    def _messages(self, record: Record, ending: Ending) -> Sequence[Message]:
        done = settled(record, ending, self.by)
        if ending is not Ending.REDRIVEN:
            return [done]
        return [redriven(record, letter_of(record, self.codec)), done]


def _letter(record: Record, place: Place, codec: Codec) -> Letter:
    try:
        story = letter_of(record, codec)
    except SchemaError:
        return Letter(place, None, moment_of(record))
    return Letter(place, story, story.failed_at)


def _records(broker: Broker, topic: str) -> Iterator[Record]:
    """All records that are written now, in order per partition."""
    partitions = broker.partitions(topic)
    reader = broker.reader(partitions)
    try:
        yield from _read_to(reader, reader.end_offsets(partitions))
    finally:
        reader.close()


def _read_to(reader: Reader, ends: Mapping[TopicPartition, int]) -> Iterator[Record]:
    deadline = time.monotonic() + _LIMIT_S
    while any(reader.position(partition) < end for partition, end in ends.items()):
        if time.monotonic() > deadline:
            raise BrokerUnavailable(f"reading to the end took longer than {_LIMIT_S:.0f} s")
        yield from (one for one in reader.poll(_POLL_S, _MOST) if one.offset < ends[one.source])


def _batches(records: Iterator[Record]) -> Iterator[Sequence[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
