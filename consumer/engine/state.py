"""What an engine tells of itself, for ``/state``."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition that is owned. ``end`` is the offset after the last record that can be read."""

    topic: str
    partition: int
    epoch: int
    position: int
    frontier: int
    committed: int | None
    end: int | None
    in_flight: int
    oldest_age_s: float | None


@dataclass(frozen=True, slots=True)
class CompanyState:
    """A company that has work here, or is held. ``breakers`` has a state by upstream."""

    company_id: int
    waiting: int
    running: int
    held_since_s: float | None
    parking: bool
    breakers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineState:
    """A snapshot. ``turned_at`` is in seconds of the monotonic clock, ``committed_at`` in Unix time."""

    kind: str
    group: str
    is_assigned: bool = False
    is_ready: bool = False
    is_paused: bool = False
    is_stopping: bool = False
    in_flight: int = 0
    finished: int = 0
    committed_at: float | None = None
    turned_at: float = 0.0
    partitions: tuple[PartitionState, ...] = ()
    companies: tuple[CompanyState, ...] = ()
