"""Which SmartBarrel worker a Procore user is: the match ladder.

The rungs are tried in order, external id, payroll ID, phone number; the first with candidates decides. A
name never links. A later rung that points at somebody else is a conflict.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from consumer.engine.handler import Handled
from consumer.model import reasons
from consumer.model.results import Outcome, Reason
from consumer.sync.mapping import WorkerFields, procore_id
from consumer.upstream.smartbarrel import Worker


class Rung(StrEnum):
    """How a worker was found; the value is for people."""

    LINK = "link"
    EXTERNAL_ID = "external ID"
    PAYROLL_ID = "payroll ID"
    PHONE = "phone number"


@dataclass(frozen=True, slots=True)
class Matched:
    """The one worker that the user is."""

    worker: Worker
    rung: Rung


@dataclass(frozen=True, slots=True)
class Refused:
    """The user cannot be matched, and must not be created either."""

    outcome: Outcome
    reason: Reason

    @property
    def handled(self) -> Handled:
        """How the user's event ends."""
        return Handled(self.outcome, (self.reason,))


Match = Matched | Refused | None


class Finder(Protocol):
    """Who is asked for workers."""

    async def find_workers(self, **filters: str) -> Sequence[Worker]:
        """Workers, active and inactive, that match exactly: external_id, payroll_id or phone_number."""


async def find_match(fields: WorkerFields, finder: Finder) -> Match:
    """Climb the ladder. None means that nobody is the user, so they may be created."""
    for rung, filters in _rungs(fields):
        candidates = await finder.find_workers(**filters)
        match = decide(rung, candidates, fields)
        if isinstance(match, Matched):
            return await later_rungs(match, fields, finder)
        if match is not None:
            return match
    return None


def decide(rung: Rung, candidates: Sequence[Worker], fields: WorkerFields) -> Match:
    """What the candidates of one rung mean."""
    if not candidates:
        return None
    if len(candidates) > 1:
        return Refused(Outcome.FAILED, reasons.ambiguous(rung, [worker.name for worker in candidates]))
    worker = candidates[0]
    if _is_somebody_else(worker, fields) or (
        rung is Rung.PHONE and _differ(worker.payroll_id, fields.payroll_id)
    ):
        return in_use(rung, worker)
    return Matched(worker, rung)


def _differ(one: str | None, other: str | None) -> bool:
    """Whether both are known, and not the same: phone numbers change hands, payroll IDs tell people apart."""
    return bool(one) and bool(other) and one != other


def in_use(rung: Rung, worker: Worker) -> Refused:
    """The value belongs to a worker who cannot be this user."""
    if rung is Rung.PAYROLL_ID:
        return Refused(Outcome.SKIPPED, reasons.payroll_id_in_use(worker.name))
    return Refused(Outcome.SKIPPED, reasons.phone_in_use(worker.name, worker.payroll_id))


def taken(rung: Rung, other: Worker, own: Worker, fields: WorkerFields) -> Refused:
    """The value belongs to another worker than the one who is the user."""
    if _is_somebody_else(other, fields):
        return in_use(rung, other)
    return Refused(Outcome.FAILED, reasons.conflict(rung, own.name, other.name))


async def later_rungs(match: Matched, fields: WorkerFields, finder: Finder) -> Matched | Refused:
    """The match, unless a later rung points at somebody else."""
    worker = match.worker
    # Both values are unique in SmartBarrel: nobody else can have what the match has already.
    for rung, ours, theirs, filters in (
        (Rung.PAYROLL_ID, fields.payroll_id, worker.payroll_id, {"payroll_id": fields.payroll_id or ""}),
        (Rung.PHONE, fields.phone_number, worker.phone_number, {"phone_number": fields.phone_number}),
    ):
        if not ours or ours == theirs:
            continue
        for other in await finder.find_workers(**filters):
            if other.id == worker.id:
                continue
            return taken(rung, other, worker, fields)
    return match


def _rungs(fields: WorkerFields) -> Sequence[tuple[Rung, dict[str, str]]]:
    rungs = [(Rung.EXTERNAL_ID, {"external_id": fields.external_id})]
    if fields.payroll_id:
        rungs.append((Rung.PAYROLL_ID, {"payroll_id": fields.payroll_id}))
    return (*rungs, (Rung.PHONE, {"phone_number": fields.phone_number}))


def is_anothers(worker: Worker, user_id: int, *, is_shared: bool) -> bool:
    """Whether the worker whom the user's link leads to is another user's by now.

    Where the links of two lead to one worker, ``is_shared``, SmartBarrel has to say that they are this one's.
    """
    has = procore_id(worker.external_id)
    return has != user_id and (is_shared or has is not None)


def _is_somebody_else(worker: Worker, fields: WorkerFields) -> bool:
    """Whether the worker is another Procore user's, or a subcontractor's."""
    if worker.external_id == fields.external_id:
        return False
    return worker.contractor is not None or procore_id(worker.external_id) is not None
