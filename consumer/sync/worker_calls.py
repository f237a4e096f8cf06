"""The calls that a plan for a Procore user's worker takes."""

from collections.abc import Mapping
from dataclasses import replace

from consumer.engine.handler import Handled
from consumer.engine.process import words_of
from consumer.exceptions import Duplicate, NotFound, Rejected
from consumer.model import reasons
from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome
from consumer.sync.applied import LEFT
from consumer.sync.company import Company
from consumer.sync.mapping import WorkerFields
from consumer.sync.matching import Refused, Rung, in_use, taken
from consumer.sync.positions import PositionPlan
from consumer.sync.worker_plan import WorkerPlan, gone_with_user, matched, matched_instead
from consumer.upstream.smartbarrel import Worker


_RUNG_OF_FIELD = {
    "external_id": Rung.EXTERNAL_ID,
    "payroll_id": Rung.PAYROLL_ID,
    "phone_number": Rung.PHONE,
}


async def carry_out(plan: WorkerPlan, company: Company) -> Handled:
    """Make the calls. What somebody else has changed since the plan was made is looked at again, once."""
    if plan.worker is None or plan.fields is None or plan.rung is None:
        return await _carried_out(plan, company)
    return await _linked(plan, plan.worker, plan.rung, plan.fields.external_id, company)


async def _linked(
    plan: WorkerPlan, worker: Worker, rung: Rung, external_id: str, company: Company
) -> Handled:
    """Two users may match one worker who is free, at one moment. The first to come has them."""
    if company.linked.get(worker.id, external_id) != external_id:
        worker = await company.smartbarrel.worker(worker.id)
        if worker.external_id not in {None, external_id}:
            return in_use(rung, worker).handled
    if worker.id in company.linking:
        return in_use(rung, worker).handled
    company.linking.add(worker.id)
    try:
        handled = await _carried_out(plan, company)
    finally:
        company.linking.discard(worker.id)
    company.linked[worker.id] = external_id
    return handled


async def _carried_out(plan: WorkerPlan, company: Company) -> Handled:
    try:
        return await _put(plan, company)
    except NotFound:
        if plan.rung is not Rung.LINK:
            raise
        if plan.fields is None:
            return gone_with_user(replace(plan.link, target_id=plan.worker_id or ""))
        again = await matched_instead(plan, plan.fields, company)
        return again.handled if isinstance(again, Refused) else await carry_out(again, company)
    except Duplicate as error:
        if plan.fields is None:
            raise
        if plan.rung is Rung.LINK:
            again = await _taken_from_linked(error, plan, plan.fields, company)
        else:
            # Somebody else took the value between our look and our call, so a second look decides.
            again = await _after_duplicate(error, plan, plan.fields, company)
    return again.handled if isinstance(again, Refused) else await _put(again, company)


async def _put(plan: WorkerPlan, company: Company) -> Handled:
    if plan.position is not None:
        plan = await _with_position(plan, plan.position, company)
    if plan.worker_id is None:
        outcome = Outcome.CREATED
        worker = await company.smartbarrel.create_worker(plan.changes, _idempotency_key(plan, plan.changes))
    elif plan.changes:
        outcome = Outcome.UPDATED
        worker = await company.smartbarrel.update_worker(plan.worker_id, plan.changes)
    elif plan.worker is None:
        was_inactive = plan.noted is not None and plan.noted.is_inactive
        links = _links(plan.worker_id, plan, is_inactive=was_inactive)
        return Handled(Outcome.UNCHANGED, warnings=plan.all_warnings(is_active=not was_inactive), links=links)
    else:
        return _synced(Outcome.UNCHANGED, plan.worker, plan)
    company.roster.note(worker)
    return _synced(outcome, worker, plan)


async def _with_position(plan: WorkerPlan, position: PositionPlan, company: Company) -> WorkerPlan:
    """Make or change the position. A person is synced without one that SmartBarrel refuses."""
    known_id = None if position.position is None else position.position.id
    try:
        position_id: str | None = (await company.positions.carry_out(position)).id
    except (Rejected, NotFound) as error:
        position_id = known_id
        refused = replace(reasons.position_refused(position.classification.name), upstream=words_of(error))
        plan = replace(plan, position=None, warnings=(*plan.warnings, refused))
    plan = replace(plan, applied=replace(plan.applied, position=position_id or LEFT))
    if plan.is_applied:
        return replace(plan, changes={})
    if position_id == known_id:
        return plan
    return replace(plan, changes={**plan.changes, "position_id": position_id})


def _idempotency_key(plan: WorkerPlan, fields: Mapping[str, object]) -> str:
    """One for each intended creation.

    Whoever takes the place of a worker who is gone must not be answered with the one who is gone, and the
    position is no part of the fingerprint.
    """
    link, position_id = plan.link, fields.get("position_id")
    parts = [link.company_id, link.source_id, link.fingerprint, position_id, plan.instead_of]
    return "-".join(["user", *(str(part) for part in parts if part)])


async def _taken_from_linked(
    error: Duplicate, plan: WorkerPlan, fields: WorkerFields, company: Company
) -> Refused:
    """The user's own worker is known, so whoever has the value is somebody else."""
    rung = _RUNG_OF_FIELD.get(error.field)
    if rung is None or plan.worker_id is None:
        raise error
    other = await company.smartbarrel.worker(error.other_id)
    own = await company.smartbarrel.worker(plan.worker_id)
    return taken(rung, other, own, fields)


async def _after_duplicate(
    error: Duplicate, plan: WorkerPlan, fields: WorkerFields, company: Company
) -> WorkerPlan | Refused:
    again = await matched(plan, fields, company.smartbarrel)
    if isinstance(again, Refused) or again.worker_id is not None:
        return again
    rung = _RUNG_OF_FIELD.get(error.field)
    if rung is None or rung is Rung.EXTERNAL_ID:
        raise error
    return in_use(rung, await company.smartbarrel.worker(error.other_id))


def _synced(outcome: Outcome, worker: Worker, plan: WorkerPlan) -> Handled:
    if plan.fields is None:
        return Handled(
            outcome,
            detail=f"worker {worker.id}, deactivated",
            links=_links(worker.id, plan, is_inactive=False),
        )
    how = "" if plan.rung in {None, Rung.LINK} else f", matched by {plan.rung}"
    links = _links(worker.id, plan, is_inactive=not worker.is_active)
    warnings = plan.all_warnings(is_active=worker.is_active)
    return Handled(outcome, warnings=warnings, detail=f"worker {worker.id}{how}", links=links)


def _links(worker_id: str, plan: WorkerPlan, *, is_inactive: bool) -> tuple[Link, ...]:
    applied = replace(plan.applied, is_inactive=is_inactive)
    linked = replace(plan.link, target_id=worker_id, fingerprint=str(applied))
    position_id = plan.applied.position
    if plan.position is None or position_id is None or not plan.position.fields:
        return (linked,)
    classification_id = str(plan.position.classification.id)
    made = Link(linked.company_id, LinkKind.POSITION, position_id, classification_id, linked.revision, "")
    return (linked, made)
