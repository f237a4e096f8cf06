"""Which records are in flight and which are complete, per partition and assignment. Pure bookkeeping.

The *frontier* of a partition is its lowest offset without a completion: all below it is complete. Offsets
that were completed above the frontier travel with the commit as run lengths, so that whoever owns the
partition next does not handle them again. Only offsets that were received count, so gaps (compaction,
transaction markers) need no care: they are as good as complete, and part no run in two.

An *epoch* is one assignment of one partition. A completion that carries an older epoch changes nothing.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from consumer.broker.port import Position, TopicPartition
from consumer.engine.runs import MOST_RUNS, Run, decode_runs, encode_runs


TIGHT_RUNS = MOST_RUNS // 2
"""With so many runs above the frontier, only records near it should be started: the rest is for what runs."""
WINDOW = 128
"""How many records from the frontier on may be started then; their completions add half as many runs."""

_TRIM = 4096


class Arrival(NamedTuple):
    """What is remembered of a record in flight: its size in bytes, when it came, and its own timestamp.

    ``at`` is in seconds of the caller's clock.
    """

    size: int = 0
    at: float = 0.0
    timestamp_ms: int = 0


@dataclass(frozen=True, slots=True)
class Committable:
    """What may be committed now. Results of offsets from ``limit`` on do not fit yet and have to wait."""

    position: Position
    limit: int


@dataclass(slots=True)
class _Partition:
    """The books of one partition.

    Received records are counted from zero; ``first`` is the number of ``offsets[0]``. All numbers below
    ``low`` are complete, and above it those from ``starts[i]`` to before ``ends[i]``.
    """

    epoch: int
    next: int
    restored: list[Run]
    offsets: list[int] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    first: int = 0
    low: int = 0
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    in_flight: int = 0
    bytes: int = 0

    def receive(self, offset: int, arrival: Arrival) -> None:
        self.next = offset + 1
        self.offsets.append(offset)
        self.arrivals.append(arrival)
        self.in_flight += 1
        self.bytes += arrival.size

    def was_completed_before(self, offset: int) -> bool:
        """Whether the last owner has completed it."""
        while self.restored and self.restored[0][1] <= offset:
            self.restored.pop(0)
        return bool(self.restored) and self.restored[0][0] <= offset

    def complete(self, offset: int) -> bool:
        index = bisect_left(self.offsets, offset, self.low - self.first)
        if index == len(self.offsets) or self.offsets[index] != offset:
            return False
        number = index + self.first
        after = bisect_right(self.starts, number)
        if after and self.ends[after - 1] > number:
            return False
        self.in_flight -= 1
        self.bytes -= self.arrivals[index].size
        self._mark(number, after)
        return True

    def _mark(self, number: int, after: int) -> None:
        """Add a number to the runs; ``after`` is the place of the first run above it."""
        joins_next = after < len(self.starts) and self.starts[after] == number + 1
        if number == self.low:
            self.low = self.ends[0] if joins_next else number + 1
            if joins_next:
                del self.starts[0], self.ends[0]
            self._trim()
        elif after and self.ends[after - 1] == number:
            self.ends[after - 1] = self.ends[after] if joins_next else number + 1
            if joins_next:
                del self.starts[after], self.ends[after]
        elif joins_next:
            self.starts[after] = number
        else:
            self.starts.insert(after, number)
            self.ends.insert(after, number + 1)

    def _trim(self) -> None:
        done = self.low - self.first
        # Rarely, and half of it at least, so that each record is moved less than once.
        if done >= _TRIM and done * 2 >= len(self.offsets):
            del self.offsets[:done], self.arrivals[:done]
            self.first = self.low

    def at(self, number: int) -> int:
        """The offset of a received record, or the offset after the last one."""
        index = number - self.first
        return self.offsets[index] if index < len(self.offsets) else self.next

    def frontier(self) -> int:
        return self.at(self.low)

    def runs(self) -> Iterable[Run]:
        """What is complete above the frontier, by the last owner too."""
        end = self.first + len(self.offsets)
        tail = self.next
        for start, stop in zip(self.starts, self.ends, strict=True):
            if stop == end:
                tail = self.at(start)
            else:
                yield (self.at(start), self.at(stop))
        # What the last owner completed may go on where our own records end.
        joined = bool(self.restored) and self.restored[0][0] <= self.next
        yield (tail, self.restored[0][1] if joined else self.next)
        yield from self.restored[1:] if joined else self.restored


class Ledger:
    """The books of all partitions that are owned now."""

    def __init__(self) -> None:
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._epoch = 0

    def assign(self, partition: TopicPartition, committed: Position | None) -> int:
        """Open the books of a partition where its last owner left them; return the new epoch.

        Metadata that was not written by a ledger counts as none: the records are handled again, which
        the handlers bear.
        """
        self._epoch += 1
        position = committed or Position(0)
        restored = decode_runs(position.offset, position.metadata)
        self._partitions[partition] = _Partition(self._epoch, position.offset, restored)
        return self._epoch

    def revoke(self, partition: TopicPartition) -> None:
        """Close the books of a partition; what was not committed is forgotten."""
        self._partitions.pop(partition, None)

    def epoch(self, partition: TopicPartition) -> int | None:
        """The present epoch, None when the partition is not owned."""
        books = self._partitions.get(partition)
        return books.epoch if books else None

    def track(self, partition: TopicPartition, offset: int, arrival: Arrival | None = None) -> bool:
        """Note a received record. False when it is complete already, or not to be handled here."""
        books = self._partitions.get(partition)
        if books is None or offset < books.next:
            return False
        completed_before = books.was_completed_before(offset)
        books.receive(offset, arrival or Arrival())
        if completed_before:
            books.complete(offset)
        return not completed_before

    def complete(self, partition: TopicPartition, epoch: int, offset: int) -> bool:
        """Note that a record has its result. False, and nothing changes, when that came too late."""
        books = self._partitions.get(partition)
        return books is not None and books.epoch == epoch and books.complete(offset)

    def position(self, partition: TopicPartition) -> int:
        """The offset after the last received one. Raises KeyError for a partition that is not owned."""
        return self._partitions[partition].next

    def frontier(self, partition: TopicPartition) -> int:
        """The lowest offset without a completion. Raises KeyError for a partition that is not owned."""
        return self._partitions[partition].frontier()

    def gap(self, partition: TopicPartition) -> int:
        """How far the highest completed offset is above the frontier. Raises KeyError as ``frontier``."""
        books = self._partitions[partition]
        return books.at(books.ends[-1]) - books.frontier() if books.ends else 0

    def oldest(self, partition: TopicPartition) -> Arrival | None:
        """Of the record at the frontier, if there is one. Raises KeyError as ``frontier``."""
        books = self._partitions[partition]
        index = books.low - books.first
        return books.arrivals[index] if index < len(books.arrivals) else None

    def in_flight(self, partition: TopicPartition | None = None) -> int:
        """Records without a completion, of one partition or of all."""
        if partition is None:
            return sum(books.in_flight for books in self._partitions.values())
        books = self._partitions.get(partition)
        return books.in_flight if books else 0

    def bytes(self) -> int:
        """The size of all records without a completion."""
        return sum(books.bytes for books in self._partitions.values())

    def partitions(self) -> Sequence[TopicPartition]:
        """The partitions whose books are open."""
        return list(self._partitions)

    def horizon(self, partition: TopicPartition) -> int | None:
        """The offset from which on no record should be started now; None if there is no such limit.

        What is completed far above the frontier has to fit into the commit's metadata. Before it does not,
        only records near the frontier may go on, and the frontier moves. Raises KeyError as ``frontier``.
        """
        books = self._partitions[partition]
        if len(books.starts) + len(books.restored) <= TIGHT_RUNS:
            return None
        return books.at(books.low + WINDOW)

    def committable(self, partition: TopicPartition) -> Committable | None:
        """The frontier and the completed offsets above it, as far as they fit into the metadata.

        None when what the last owner completed does not fit beside our own: to commit now would forget
        it, so the commit waits until the frontier has moved.
        """
        books = self._partitions[partition]
        frontier = books.frontier()
        metadata, cut = encode_runs(frontier, books.runs())
        if cut is not None and books.restored and cut <= books.restored[-1][0]:
            return None
        return Committable(Position(frontier, metadata), books.next if cut is None else cut)
