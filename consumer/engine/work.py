"""A record to be handled, and what is decided about it after each attempt."""

from dataclasses import dataclass
from typing import NamedTuple

from consumer.broker.port import Record, TopicPartition
from consumer.engine.handler import Handled


Key = tuple[int, bytes | None]
"""Partition and key of a record: what its order is kept within."""


class Work(NamedTuple):
    """A record to be handled, with the epoch of the assignment that it came with.

    ``failures`` counts attempts that failed and may work later; ``since`` is when the first one began, in
    seconds of the engine's clock. ``accused`` is set once it was refused access, and its company was not
    to blame.
    """

    record: Record
    source: TopicPartition
    epoch: int
    company_id: int | None
    event: object
    failures: int = 0
    since: float | None = None
    accused: bool = False

    @property
    def key(self) -> Key:
        """What its order is kept within."""
        return (self.record.partition, self.record.key)


class Completion(NamedTuple):
    """A piece of work with its outcome. ``handled`` is None for a record that is no event.

    With a ``dead_stage`` the record is set aside in the dead letters, as of that stage.
    """

    work: Work
    handled: Handled | None
    dead_stage: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """The work is to be taken up again: after ``wait_s`` seconds, or at once, unless its company is held."""

    work: Work
    wait_s: float = 0.0
