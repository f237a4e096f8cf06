"""The broker as the engine sees it: one small port, whose promises the contract suite states.

Both adapters (``kafka.py``, ``embedded.py``) pass ``tests/broker/test_contract_*.py``. The engine relies on
nothing that the suite does not say.

Common to all: reads are *read committed* (records of open or aborted transactions are never seen); order
is per partition; an offset never comes twice but may be missing (compaction, transaction markers). No
object of this module may be used by two threads at once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Protocol, Self


Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Position(NamedTuple):
    """What a group has committed for a partition: the next offset, and a note of at most 4,096 bytes."""

    offset: int
    metadata: str = ""


class Record(NamedTuple):
    """A record as it was read. ``timestamp_ms`` is Unix time in milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def source(self) -> TopicPartition:
        """The partition that it was read from."""
        return TopicPartition(self.topic, self.partition)


class Message(NamedTuple):
    """A record to be written.

    Without a ``partition`` the key decides: equal keys go to one partition. Without a ``timestamp_ms`` the
    time of sending is taken. A null ``value`` deletes the key from a compacted topic.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be: compacted, or deleted after ``retention_ms`` (``None``: kept for ever).

    A record of a compacted topic stays for ``compaction_lag_ms`` even if a newer one has its key, so that
    whoever reads every record has that long to come by.
    """

    name: str
    partitions: int
    compacted: bool = False
    retention_ms: int | None = None
    compaction_lag_ms: int = 0


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is on the broker.

    ``cleanup`` holds "compact", "delete" or both. Without a ``retention_ms`` or ``retention_bytes`` there is
    no such limit. ``replicas`` is how many copies the partition with the fewest has; None where there are no
    copies at all. ``spans`` has for each partition its first offset and the one after its last record.
    """

    cleanup: frozenset[str]
    retention_ms: int | None
    retention_bytes: int | None
    compaction_lag_ms: int
    replicas: int | None
    spans: tuple[tuple[int, int], ...]

    @property
    def partitions(self) -> int:
        """How many there are."""
        return len(self.spans)

    @property
    def most_records(self) -> int:
        """How many records there are at most: offsets that compaction or transactions took count as well."""
        return sum(end - first for first, end in self.spans)


class RebalanceListener(Protocol):
    """Told of changes of ownership, on the thread that polls, from inside ``poll`` or ``close``."""

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """These are owned now; none of their records has been delivered yet."""

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """These will be given up when this call returns; until then their offsets can still be committed."""

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        """These are owned by somebody else already; nothing of them can be committed any more."""


class Reader(Protocol):
    """Reads partitions from positions that its user chooses. Without a position: from the earliest offset."""

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        """Return records as soon as there are any, or none after ``timeout_s`` seconds.

        Raises BrokerError; Fenced if a static member's place was taken by another.
        """

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that are read."""

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to be delivered, or past what needs no delivery."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Deliver this offset, or the next one there is, next."""

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver nothing of these until ``resume``. Polling keeps the membership alive meanwhile."""

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Take the pause back."""

    def beginning_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The first offset that is still there, or the end offset of an empty partition."""

    def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset after the last one that a read-committed reader can reach now."""

    def offsets_for_times(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int | None]:
        """The first offset whose timestamp is at or after the given one; None if there is none."""

    def close(self) -> None:
        """Let go of everything. Closing twice does no harm."""


class GroupConsumer(Reader, Protocol):
    """A member of a consumer group. Nothing is committed but through a transaction or ``commit``.

    A partition without a committed position starts at its earliest offset. A *seek* is for partitions
    that are assigned.
    """

    def committed(self, partition: TopicPartition) -> Position | None:
        """What the group has committed, with its metadata; None if nothing was."""

    def heard_at(self) -> float:
        """When the group last confirmed this membership, by the monotonic clock; -inf if it never did.

        As long after that as a session lasts nobody else owns the partitions. Any thread may ask.
        """

    def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit outside a transaction. Raises Fenced if this member is no longer the owner."""

    def close(self) -> None:
        """Give up the partitions (the listener's ``revoked`` is called first) and leave the group."""


class Producer(Protocol):
    """Writes records one by one; each is durable once ``flush`` has returned."""

    def send(self, message: Message) -> None:
        """Hand over a record. Raises TopicMissing."""

    def flush(self) -> None:
        """Wait until all that was sent is durable. Raises BrokerError if anything was not written."""

    def close(self) -> None:
        """Flush and let go."""


class TransactionalProducer(Protocol):
    """Writes records and offsets that become visible together or not at all.

    A second producer with the same transactional id fences the first: its calls raise Fenced. After
    Fenced, close it and get a new one; after any other BrokerError, abort and begin anew.
    """

    def begin(self) -> None:
        """Start a transaction."""

    def send(self, message: Message) -> None:
        """Add a record to the open transaction. Raises TopicMissing."""

    def send_offsets(self, consumer: GroupConsumer, positions: Mapping[TopicPartition, Position]) -> None:
        """Add the group's positions to the open transaction. Raises Fenced if the membership is gone."""

    def commit(self) -> None:
        """Make everything visible. On BrokerError nothing is known: abort, and see what was committed."""

    def abort(self) -> None:
        """Drop everything since ``begin``."""

    def close(self) -> None:
        """Abort what is open and let go."""


class Broker(Protocol):
    """A broker, opened from its URL by ``consumer.broker.connect``."""

    def ensure_topics(self, specs: Iterable[TopicSpec]) -> Sequence[str]:
        """Create the topics that do not exist and return their names. Existing ones are left as they are."""

    def describe(self, topics: Collection[str]) -> Mapping[str, TopicState | None]:
        """How each of these topics is kept, and what is in it; None for one that does not exist."""

    def partitions(self, topic: str) -> Sequence[TopicPartition]:
        """The topic's partitions in order. Raises TopicMissing."""

    def written_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offset after the last record written, be its transaction still open.

        A reader's position reaches it once the transactions that are open now have ended, whichever way.
        """

    def reader(self, partitions: Collection[TopicPartition]) -> Reader:
        """A reader of these partitions, outside any group."""

    def consumer(
        self,
        group: str,
        topics: Collection[str],
        listener: RebalanceListener | None = None,
        instance_id: str | None = None,
    ) -> GroupConsumer:
        """A new member of a group. With an ``instance_id`` its place is kept over a short restart."""

    def producer(self) -> Producer:
        """A producer outside transactions."""

    def transactional_producer(self, transactional_id: str) -> TransactionalProducer:
        """A transactional producer, which fences earlier ones with its id."""

    def close(self) -> None:
        """Close the broker. Its consumers and producers are to be closed first."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
