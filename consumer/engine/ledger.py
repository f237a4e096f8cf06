"""Which records are in flight and which are complete, per partition and assignment. Pure bookkeeping.

The *frontier* of a partition is its lowest offset without a completion: all below it is complete. Offsets
that were completed above the frontier travel with the commit as run lengths, so that whoever owns the
partition next does not handle them again. Only offsets that were received count, so gaps (compaction,
transaction markers) need no care: they are as good as complete.

An *epoch* is one assignment of one partition. A completion that carries an older epoch changes nothing.
"""

import base64
import binascii
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from consumer.broker.port import Position, TopicPartition


METADATA_LIMIT = 4096
"""Bytes of commit metadata that Kafka takes (``offset.metadata.max.bytes``)."""
_VERSION = "r1:"
_ROOM = (METADATA_LIMIT - len(_VERSION)) // 4 * 3

Run = tuple[int, int]
"""Completed offsets, from the first to before the second."""


@dataclass(frozen=True, slots=True)
class Committable:
    """What may be committed now. Results of offsets from ``limit`` on do not fit yet and have to wait."""

    position: Position
    limit: int


@dataclass(slots=True)
class _Partition:
    epoch: int
    next: int
    order: deque[int] = field(default_factory=deque)
    incomplete: set[int] = field(default_factory=set)
    restored: list[Run] = field(default_factory=list)

    def frontier(self) -> int:
        while self.order and self.order[0] not in self.incomplete:
            self.order.popleft()
        return self.order[0] if self.order else self.next


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
        self._partitions[partition] = _Partition(
            self._epoch,
            position.offset,
            restored=decode_runs(position.offset, position.metadata),
        )
        return self._epoch

    def revoke(self, partition: TopicPartition) -> None:
        """Close the books of a partition; what was not committed is forgotten."""
        self._partitions.pop(partition, None)

    def epoch(self, partition: TopicPartition) -> int | None:
        """The present epoch, None when the partition is not owned."""
        books = self._partitions.get(partition)
        return books.epoch if books else None

    def track(self, partition: TopicPartition, offset: int) -> bool:
        """Note a received record. False when it is complete already, or not to be handled here."""
        books = self._partitions.get(partition)
        if books is None or offset < books.next:
            return False
        books.next = offset + 1
        while books.restored and books.restored[0][1] <= offset:
            books.restored.pop(0)
        if books.restored and books.restored[0][0] <= offset:
            return False
        books.order.append(offset)
        books.incomplete.add(offset)
        return True

    def complete(self, partition: TopicPartition, epoch: int, offset: int) -> bool:
        """Note that a record has its result. False, and nothing changes, when that came too late."""
        books = self._partitions.get(partition)
        if books is None or books.epoch != epoch or offset not in books.incomplete:
            return False
        books.incomplete.discard(offset)
        return True

    def position(self, partition: TopicPartition) -> int:
        """The offset after the last received one. Raises KeyError for a partition that is not owned."""
        return self._partitions[partition].next

    def frontier(self, partition: TopicPartition) -> int:
        """The lowest offset without a completion. Raises KeyError for a partition that is not owned."""
        return self._partitions[partition].frontier()

    def in_flight(self, partition: TopicPartition | None = None) -> int:
        """Records without a completion, of one partition or of all."""
        if partition is None:
            return sum(len(books.incomplete) for books in self._partitions.values())
        books = self._partitions.get(partition)
        return len(books.incomplete) if books else 0

    def partitions(self) -> Sequence[TopicPartition]:
        """The partitions whose books are open."""
        return list(self._partitions)

    def committable(self, partition: TopicPartition) -> Committable | None:
        """The frontier and the completed offsets above it, as far as they fit into the metadata.

        None when what the last owner completed does not fit beside our own: to commit now would forget
        it, so the commit waits until the frontier has moved.
        """
        books = self._partitions[partition]
        frontier = books.frontier()
        metadata, cut = encode_runs(frontier, _completed_runs(books, frontier))
        if cut is not None and books.restored and cut <= books.restored[-1][0]:
            return None
        return Committable(Position(frontier, metadata), books.next if cut is None else cut)


def _completed_runs(books: _Partition, frontier: int) -> Iterable[Run]:
    cursor = frontier
    for offset in sorted(books.incomplete):
        if offset > cursor:
            yield (cursor, offset)
        cursor = offset + 1
    if books.restored and books.restored[0][0] <= books.next:
        # What the last owner completed goes on where our own records end.
        yield (cursor, max(books.restored[0][1], books.next))
        yield from books.restored[1:]
        return
    if books.next > cursor:
        yield (cursor, books.next)
    yield from books.restored


def encode_runs(frontier: int, runs: Iterable[Run]) -> tuple[str, int | None]:
    """Write runs as pairs (distance to the run, its length), variable-length integers, in base64.

    Returns the metadata, and the first offset that did not fit, or None if all did.
    """
    packed = bytearray()
    cursor = frontier
    for start, end in runs:
        if end <= start:
            continue
        pair = _varint(start - cursor) + _varint(end - start)
        if len(packed) + len(pair) > _ROOM:
            return _metadata(packed), start
        packed += pair
        cursor = end
    return _metadata(packed), None


def decode_runs(frontier: int, metadata: str) -> list[Run]:
    """Read what ``encode_runs`` wrote; anything else gives no runs."""
    if not metadata.startswith(_VERSION):
        return []
    try:
        packed = base64.b64decode(metadata[len(_VERSION) :], validate=True)
        numbers = list(_varints(packed))
    except (binascii.Error, ValueError):
        return []
    if len(numbers) % 2:
        return []
    runs: list[Run] = []
    cursor = frontier
    for distance, length in zip(numbers[::2], numbers[1::2], strict=True):
        start = cursor + distance
        cursor = start + length
        runs.append((start, cursor))
    return runs


def _metadata(packed: bytearray) -> str:
    return _VERSION + base64.b64encode(packed).decode() if packed else ""


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(packed: bytes) -> Iterable[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("a number is cut off")
