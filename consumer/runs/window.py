"""Which records of a topic a replay looks at: by time or by offset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from consumer.broker.port import Reader, TopicPartition
from consumer.exceptions import ConfigurationError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What was asked for: moments, or offsets of one ``partition``. The ends are not included."""

    since: datetime | None = None
    until: datetime | None = None
    partition: int | None = None
    from_offset: int | None = None
    to_offset: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """By partition, the offsets of the first record and of the one after the last."""

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]

    def has(self, partition: TopicPartition, offset: int) -> bool:
        """Whether a record is in it."""
        return self.starts[partition] <= offset < self.ends[partition]

    def __len__(self) -> int:
        return sum(max(0, end - self.starts[partition]) for partition, end in self.ends.items())


def window_of(bounds: Bounds, reader: Reader, partitions: Sequence[TopicPartition]) -> Window:
    """The window on these partitions as they are now. Raises ConfigurationError, BrokerError."""
    first, last = reader.beginning_offsets(partitions), reader.end_offsets(partitions)
    if bounds.partition is not None or bounds.from_offset is not None or bounds.to_offset is not None:
        return _by_offset(bounds, partitions, first, last)
    if bounds.since is not None and bounds.until is not None and bounds.since >= bounds.until:
        raise ConfigurationError("the window ends before it begins")
    starts = dict(first) if bounds.since is None else _at(bounds.since, reader, last)
    ends = dict(last) if bounds.until is None else _at(bounds.until, reader, last)
    return Window({partition: max(start, first[partition]) for partition, start in starts.items()}, ends)


def _by_offset(
    bounds: Bounds,
    partitions: Sequence[TopicPartition],
    first: Mapping[TopicPartition, int],
    last: Mapping[TopicPartition, int],
) -> Window:
    if bounds.since is not None or bounds.until is not None:
        raise ConfigurationError("a window is given by time or by offset, not by both")
    chosen = [one for one in partitions if bounds.partition in {None, one.partition}]
    if not chosen:
        raise ConfigurationError(f"there is no partition {bounds.partition}; there are {len(partitions)}")
    if bounds.partition is None and len(partitions) > 1:
        raise ConfigurationError(
            f"offsets count within a partition: name one of {len(partitions)} with --partition"
        )
    ends = {one: last[one] if bounds.to_offset is None else bounds.to_offset for one in chosen}
    starts = {one: max(first[one], bounds.from_offset or 0) for one in chosen}
    return Window(
        {one: starts.get(one, last[one]) for one in partitions},
        {one: min(ends.get(one, last[one]), last[one]) for one in partitions},
    )


def _at(moment: datetime, reader: Reader, last: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """The offset of the first record at or after a moment, the end if there is none."""
    timestamp_ms = int(moment.timestamp() * 1000)
    found = reader.offsets_for_times(dict.fromkeys(last, timestamp_ms))
    return {one: end if (at := found[one]) is None else at for one, end in last.items()}
