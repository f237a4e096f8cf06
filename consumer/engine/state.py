"""What an engine tells of itself, for ``/state``: a snapshot that any thread may read."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PartitionState:
    """A partition that is owned. Offsets are absolute; None means not known yet.

    ``position`` is the offset after the last record that was read here, ``frontier`` the lowest offset
    without a completion, ``committed`` the frontier that was committed last, ``end`` the offset after the
    last record that can be read. ``lag`` records have no result yet, the oldest of them is ``lag_s`` seconds
    old. ``in_flight`` are records without a completion; the oldest of them has been
    here for ``oldest_age_s`` seconds.
    """

    topic: str
    partition: int
    epoch: int
    position: int
    frontier: int
    committed: int | None
    end: int | None
    in_flight: int
    oldest_age_s: float | None
    lag: int = 0
    lag_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CompanyState:
    """A company that has work here, or is held.

    It has been held for ``held_since_s`` seconds, None if it is not; ``parking`` says that its records are
    set aside instead of waiting. ``breakers`` are ``closed``, ``half_open`` or ``open``, by upstream.
    """

    company_id: int
    waiting: int
    running: int
    held_since_s: float | None
    parking: bool
    breakers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineState:
    """A snapshot. ``turned_at`` is in seconds of the monotonic clock, ``committed_at`` in Unix time.

    ``is_assigned`` says that it has partitions; ``is_ready`` that it has them, or stands by as a member that
    needs none, and that its producer can commit. ``finished`` are results that wait for their commit.
    """

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


@dataclass(frozen=True, slots=True)
class Outage:
    """Why a company is held: the upstream, its words, and whether it refuses access."""

    upstream: str
    words: str
    is_denied: bool
