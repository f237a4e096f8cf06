"""What goes to ``sync-log``: the one result of each event, and the start of each run."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from consumer.model.events import Kind, Trigger


class Outcome(StrEnum):
    """The closed set of ways in which an event can end."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    STALE = "stale"
    HELD = "held"
    FAILED = "failed"
    PARKED = "parked"


SYNCED = frozenset({Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED})
"""Outcomes after which both systems agree about the event's subject."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an event ended as it did, or a warning: a stable code, a sentence, the upstream's own words."""

    code: str
    message: str
    upstream: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The terminal record of one event; (topic, partition, offset) of the event is its identity."""

    company_id: int | None
    kind: Kind
    run_id: str | None
    subject_id: str
    subject_name: str
    outcome: Outcome
    reasons: tuple[Reason, ...]
    warnings: tuple[Reason, ...]
    detail: str | None
    source_topic: str
    source_partition: int
    source_offset: int
    event_at: datetime
    handled_at: datetime


class Phase(StrEnum):
    """How far a run is with its events; what is published still has to get its results."""

    READING = "reading"
    PUBLISHED = "published"
    FAILED = "failed"
    """It cannot go on. What was published until then gets its results all the same."""
    JOINED = "joined"
    """Another run, which was under way already, stands for it."""


@dataclass(frozen=True, slots=True)
class RunMarker:
    """How far a run is, and who asked for it. The last one that was written holds.

    ``expected`` results complete it; while it is ``reading``, so many events are published so far.
    """

    company_id: int
    kind: Kind
    run_id: str
    trigger: Trigger
    requested_by: str
    started_at: datetime
    expected: int
    phase: Phase = Phase.PUBLISHED
    joined: str | None = None
    reason: str | None = None
    scope: str | None = None
