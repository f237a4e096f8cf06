"""Readers and group members of the embedded broker."""

import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from consumer.broker.embedded_groups import Group, Member, Partitions
from consumer.broker.embedded_store import Store
from consumer.broker.port import Position, RebalanceListener, Record, TopicPartition
from consumer.exceptions import BrokerError, Fenced


FETCH_RECORDS = 500
"""How many records one query brings; what is not delivered yet waits in memory."""

METADATA_BYTES = 4096
"""The limit of a position's note, Apache Kafka's default ``offset.metadata.max.bytes``."""


@dataclass(slots=True)
class _Cursor:
    position: int
    fetched: list[Record] = field(default_factory=list)
    paused: bool = False


class EmbeddedReader:
    """Reads partitions of the embedded log; see ``consumer.broker.port.Reader``."""

    def __init__(self, store: Store, partitions: Collection[TopicPartition]) -> None:
        self._store = store
        self._cursors: dict[TopicPartition, _Cursor] = {}
        self._turns: deque[TopicPartition] = deque()
        for partition in sorted(partitions):
            self._start(partition, store.beginning(partition))

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        """Return records as soon as there are any, or none after the timeout."""
        deadline = time.monotonic() + timeout_s
        with self._store.changed:
            while not (records := self._collect(max_records)) and self._wait(deadline):
                pass
        return records

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that are read."""
        return frozenset(self._cursors)

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to be delivered."""
        return self._cursor(partition).position

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go to this offset."""
        cursor = self._cursor(partition)
        cursor.position = offset
        cursor.fetched = []

    def pause(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver nothing of these."""
        for partition in partitions:
            self._cursor(partition).paused = True

    def resume(self, partitions: Collection[TopicPartition]) -> None:
        """Deliver from these again."""
        for partition in partitions:
            self._cursor(partition).paused = False

    def beginning_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The first offsets that are still there."""
        return {partition: self._store.beginning(partition) for partition in partitions}

    def end_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offsets that the next records will get."""
        with self._store.changed:
            return {partition: self._store.end(partition) for partition in partitions}

    def offsets_for_times(
        self, timestamps_ms: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, int | None]:
        """The first offsets at or after these times."""
        return {partition: self._store.offset_at(partition, at) for partition, at in timestamps_ms.items()}

    def close(self) -> None:
        """Forget the partitions."""
        self._stop(frozenset(self._cursors))

    def _start(self, partition: TopicPartition, position: int) -> None:
        self._cursors[partition] = _Cursor(position)
        self._turns.append(partition)

    def _stop(self, partitions: Partitions) -> None:
        for partition in partitions & self._cursors.keys():
            del self._cursors[partition]
            self._turns.remove(partition)

    def _cursor(self, partition: TopicPartition) -> _Cursor:
        try:
            return self._cursors[partition]
        except KeyError:
            raise BrokerError(f"{partition.topic}-{partition.partition} is not assigned here") from None

    def _wait(self, deadline: float) -> bool:
        """Wait for a change; false once the deadline has passed."""
        remaining = deadline - time.monotonic()
        if remaining > 0:
            self._store.changed.wait(remaining)
        return remaining > 0

    def _collect(self, max_records: int) -> list[Record]:
        """What can be delivered now, each time beginning with another partition."""
        if self._store.closed:
            raise BrokerError("the embedded broker is closed")
        records: list[Record] = []
        for partition in self._turns:
            cursor = self._cursors[partition]
            while not cursor.paused and (room := max_records - len(records)) > 0:
                self._fetch(partition, cursor)
                if not cursor.fetched:
                    break
                delivered, cursor.fetched = cursor.fetched[:room], cursor.fetched[room:]
                cursor.position = delivered[-1].offset + 1
                records += delivered
        self._turns.rotate(-1)
        return records

    def _fetch(self, partition: TopicPartition, cursor: _Cursor) -> None:
        end = self._store.ends[partition]
        if not cursor.fetched and cursor.position < end:
            cursor.fetched = self._store.read(partition, cursor.position, FETCH_RECORDS)
            if not cursor.fetched:
                cursor.position = end


class EmbeddedConsumer(EmbeddedReader):
    """A member of a group; see ``consumer.broker.port.GroupConsumer``. It joins with its first ``poll``.

    A partition is handed over when its owner polls or closes, so an owner that does neither keeps it.
    """

    def __init__(
        self, store: Store, group_id: str, group: Group, member: Member, listener: RebalanceListener | None
    ) -> None:
        super().__init__(store, ())
        self.group_id = group_id
        self._group = group
        self._member = member
        self._listener = listener
        self._joined = False
        self._left = False

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        """Hand over what is due, then return records as soon as there are any, or none after the timeout."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._hand_over()
            with self._store.changed:
                if self._unsettled():
                    continue
                if (records := self._collect(max_records)) or not self._wait(deadline):
                    return records

    def committed(self, partition: TopicPartition) -> Position | None:
        """What the group has committed."""
        return self._store.committed(self.group_id, partition)

    def heard_at(self) -> float:
        """Now: the group is in this process."""
        return time.monotonic() if self._joined and not (self._left or self._member.fenced) else float("-inf")

    def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit positions of partitions that are owned."""
        with self._store.changed:
            self.check(positions)
            self._store.write((), {(self.group_id, each): position for each, position in positions.items()})

    def check(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Raise Fenced if a partition is not owned now, BrokerError if a note is too long."""
        if self._member.fenced or self._left or not self._joined:
            raise Fenced(f"this member is not in group {self.group_id!r}")
        for partition, position in positions.items():
            if partition not in self._member.owned:
                raise Fenced(f"{partition.topic}-{partition.partition} is not owned by this member")
            if len(position.metadata.encode()) > METADATA_BYTES:
                raise BrokerError(f"a position's note is longer than {METADATA_BYTES} bytes")

    def close(self) -> None:
        """Give up the partitions and leave the group."""
        if self._left:
            return
        owned = self._member.owned
        try:
            if owned and self._member.fenced:
                self._lose()
            elif owned and self._listener:
                self._listener.revoked(owned)
        finally:
            self._left = True
            with self._store.changed:
                self._group.leave(self._member)
                self._store.changed.notify_all()
            super().close()

    def _unsettled(self) -> bool:
        member = self._member
        return member.fenced or bool(self._group.surplus(member) or self._group.vacant(member))

    def _hand_over(self) -> None:
        """Give up what is another's due, then take what is vacant.

        The listener is called without the lock, since it may wait for other threads.
        """
        member, group = self._member, self._group
        with self._store.changed:
            if self._left:
                raise BrokerError("this consumer is closed")
            if not self._joined:
                self._joined = True
                group.join(member)
                self._store.changed.notify_all()
            surplus = group.surplus(member)
        if member.fenced:
            self._lose()
            raise Fenced(f"another member has taken the place {member.instance_id!r} in {self.group_id!r}")
        if surplus:
            if self._listener:
                self._listener.revoked(surplus)
            self._give_up(surplus)
        with self._store.changed:
            vacant = group.vacant(member)
            for partition in sorted(vacant):
                committed = self.committed(partition)
                self._start(partition, committed.offset if committed else self._store.beginning(partition))
            group.take(member, vacant)
        if vacant and self._listener:
            try:
                self._listener.assigned(vacant)
            except BaseException:
                self._give_up(vacant)  # So that the next poll assigns them anew.
                raise

    def _give_up(self, partitions: Partitions) -> None:
        self._stop(partitions)
        with self._store.changed:
            self._group.give_up(self._member, partitions)
            self._store.changed.notify_all()

    def _lose(self) -> None:
        """Forget what another owns already."""
        lost = self._member.owned
        self._stop(lost)
        self._member.owned = frozenset()
        if lost and self._listener:
            self._listener.lost(lost)
