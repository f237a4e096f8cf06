"""The embedded broker: a durable transactional log in one file, for one process.

It is no second product: it keeps the port's promises and nothing more. Its consumers and producers may be
used from different threads, each from one at a time.
"""

import itertools
import time
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from consumer.broker.embedded_groups import Group, Member
from consumer.broker.embedded_look import state_of
from consumer.broker.embedded_readers import EmbeddedConsumer, EmbeddedReader
from consumer.broker.embedded_store import Draft, Store, encoded_headers
from consumer.broker.port import (
    GroupConsumer,
    Message,
    Position,
    RebalanceListener,
    TopicPartition,
    TopicSpec,
    TopicState,
)
from consumer.exceptions import BrokerError, Fenced, TopicMissing


BATCH_RECORDS = 1000
"""A producer outside transactions writes whenever so many records have gathered, and at ``flush``."""


class EmbeddedBroker:
    """The broker in the file ``path``, which is made if it is missing; see ``consumer.broker.port.Broker``.

    Raises BrokerInUse if the file is open already, here or in another process; BrokerUnavailable if it
    cannot be opened, is something else or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._store = Store(path.resolve())
        self._groups: dict[str, Group] = {}
        self._turn = itertools.count()

    def ensure_topics(self, specs: Iterable[TopicSpec]) -> Sequence[str]:
        """Create the topics that do not exist, all or none of them, and return their names."""
        return self._store.create(specs)

    def describe(self, topics: Collection[str]) -> Mapping[str, TopicState | None]:
        """How each topic was created, and what is in it; None for one that was not."""
        with self._store.changed:
            return {
                name: state_of(
                    self._store.topic(name),
                    ((self._store.beginning(each), self._store.end(each)) for each in self.partitions(name)),
                )
                if name in self._store.topics
                else None
                for name in topics
            }

    def partitions(self, topic: str) -> Sequence[TopicPartition]:
        """The topic's partitions in order."""
        return [TopicPartition(topic, number) for number in range(self._store.topic(topic).partitions)]

    def written_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offsets that the next records will get; open transactions are not written here."""
        with self._store.changed:
            return {partition: self._store.end(partition) for partition in partitions}

    def reader(self, partitions: Collection[TopicPartition]) -> EmbeddedReader:
        """A reader outside any group. Raises TopicMissing."""
        return EmbeddedReader(self._store, partitions)

    def consumer(
        self,
        group: str,
        topics: Collection[str],
        listener: RebalanceListener | None = None,
        instance_id: str | None = None,
    ) -> EmbeddedConsumer:
        """A new member of a group. Raises TopicMissing."""
        wanted = frozenset(partition for topic in topics for partition in self.partitions(topic))
        with self._store.changed:
            members = self._groups.setdefault(group, Group())
        return EmbeddedConsumer(self._store, group, members, Member(wanted, instance_id), listener)

    def producer(self) -> "EmbeddedProducer":
        """A producer outside transactions."""
        return EmbeddedProducer(self._store, self._turn)

    def transactional_producer(self, transactional_id: str) -> "EmbeddedTransactionalProducer":
        """A transactional producer, which fences earlier ones with its id."""
        return EmbeddedTransactionalProducer(self._store, self._turn, transactional_id)

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class EmbeddedProducer:
    """Writes in batches; see ``consumer.broker.port.Producer``."""

    def __init__(self, store: Store, turn: Iterator[int]) -> None:
        self._store = store
        self._turn = turn
        self._drafts: list[Draft] = []
        self._error: BrokerError | None = None

    def send(self, message: Message) -> None:
        """Hand over a record. Raises TopicMissing; BrokerError for one without key to a compacted topic."""
        self._drafts.append(_draft(self._store, self._turn, message))
        if len(self._drafts) >= BATCH_RECORDS:
            self._write()

    def flush(self) -> None:
        """Write what has gathered. On BrokerError, what was not written is dropped."""
        self._write()
        error, self._error = self._error, None
        if error:
            raise error

    def close(self) -> None:
        """Flush."""
        self.flush()

    def _write(self) -> None:
        """Write; a failure is for ``flush`` to raise, which the caller waits for."""
        drafts, self._drafts = self._drafts, []
        try:
            if drafts:
                self._store.write(drafts)
        except BrokerError as error:
            self._error = error


class EmbeddedTransactionalProducer:
    """Keeps a transaction in memory, writes it whole; see ``consumer.broker.port.TransactionalProducer``."""

    def __init__(self, store: Store, turn: Iterator[int], transactional_id: str) -> None:
        self._store = store
        self._turn = turn
        self._id = transactional_id
        self._epoch = store.next_epoch(transactional_id)
        self._open = False
        self._closed = False
        self._drafts: list[Draft] = []
        self._offsets: list[tuple[EmbeddedConsumer, Mapping[TopicPartition, Position]]] = []

    def begin(self) -> None:
        """Start a transaction. Raises Fenced; BrokerError if one is open."""
        self._check(is_open=False)
        self._open = True

    def send(self, message: Message) -> None:
        """Add a record. Raises Fenced, TopicMissing; BrokerError if no transaction is open."""
        self._check(is_open=True)
        self._drafts.append(_draft(self._store, self._turn, message))

    def send_offsets(self, consumer: GroupConsumer, positions: Mapping[TopicPartition, Position]) -> None:
        """Add positions. Raises Fenced if the consumer does not own them now, or at the commit no more."""
        self._check(is_open=True)
        if not isinstance(consumer, EmbeddedConsumer):
            raise BrokerError("the consumer belongs to another broker")
        with self._store.changed:
            consumer.check(positions)
        self._offsets.append((consumer, dict(positions)))

    def commit(self) -> None:
        """Write everything in one SQLite transaction, or, on Fenced or BrokerError, nothing."""
        with self._store.changed:
            self._check(is_open=True)
            positions: dict[tuple[str, TopicPartition], Position] = {}
            for consumer, sent in self._offsets:
                consumer.check(sent)
                positions |= {(consumer.group_id, each): position for each, position in sent.items()}
            if self._drafts or positions:
                self._store.write(self._drafts, positions)
        self._forget()

    def abort(self) -> None:
        """Drop everything since ``begin``. Raises Fenced."""
        self._forget()
        self._check(is_open=False)

    def close(self) -> None:
        """Drop what is open."""
        self._forget()
        self._closed = True

    def _forget(self) -> None:
        self._open = False
        self._drafts = []
        self._offsets = []

    def _check(self, *, is_open: bool) -> None:
        if self._store.epochs[self._id] != self._epoch:
            raise Fenced(f"another producer has taken the transactional id {self._id!r}")
        if self._closed:
            raise BrokerError("this producer is closed")
        if self._open != is_open:
            raise BrokerError("a transaction is open already" if self._open else "no transaction is open")


def _draft(store: Store, turn: Iterator[int], message: Message) -> Draft:
    """The message with its partition (given, by its key, or in turn) and its time."""
    topic = store.topic(message.topic)
    if message.key is None and topic.compacted:
        raise BrokerError(f"a record of the compacted topic {topic.name!r} needs a key")
    number = message.partition
    if number is None:
        # A checksum, since Python's own hash differs from one process to the next.
        chosen = next(turn) if message.key is None else zlib.crc32(message.key)
        number = chosen % topic.partitions
    elif not 0 <= number < topic.partitions:
        raise TopicMissing(f"there is no partition {number} of {topic.name!r}")
    at_ms = int(time.time() * 1000) if message.timestamp_ms is None else message.timestamp_ms
    return Draft(
        TopicPartition(topic.name, number),
        at_ms,
        message.key,
        message.value,
        encoded_headers(message.headers),
    )
