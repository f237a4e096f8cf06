"""What an engine shows of itself: a snapshot that its own thread makes and any thread may read."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition that is owned now. Offsets are absolute; None means not known yet.

    ``position`` is the offset after the last received record, ``frontier`` the lowest offset without a
    result, ``committed`` the frontier that was committed last, ``end`` the partition's end as it was last
    asked for. ``in_flight`` are records without a result, the oldest of them ``oldest_age_s`` seconds here.
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


@dataclass(frozen=True, slots=True)
class CompanyState:
    """One company's work; ``company_id`` is None for records that name no company.

    ``breakers`` are ``closed``, ``half_open`` or ``open``, by system. ``held_since_s`` is how many seconds
    ago the first of them opened, None while none is open; ``parking`` says that records are set aside
    instead of waiting.
    """

    company_id: int | None
    waiting: int
    running: int
    held_since_s: float | None
    parking: bool
    breakers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EngineState:
    """An engine as it was at the end of a turn of its loop.

    ``is_assigned`` says that it has partitions. ``is_ready`` says that it has them, or stably stands by as a
    member of its group that needs none, and that its producer can commit. ``finished`` are results that wait
    for their commit. ``committed_at`` is Unix time in seconds, ``turned_at`` is monotonic time in seconds.
    """

    kind: str
    group: str
    is_assigned: bool
    is_ready: bool
    is_paused: bool
    is_stopping: bool
    in_flight: int
    finished: int
    committed_at: float | None
    turned_at: float
    partitions: tuple[PartitionState, ...]
    companies: tuple[CompanyState, ...]
