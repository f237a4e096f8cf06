"""What is to be done in SmartBarrel for a Procore user: planned with reads only, then carried out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consumer.engine.handler import Handled
from consumer.exceptions import Duplicate, NotFound
from consumer.model import reasons
from consumer.model.events import UserEvent
from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome, Reason
from consumer.sync.company import Company
from consumer.sync.mapping import WorkerFields, user_warnings
from consumer.sync.matching import Finder, Refused, Rung, find_match, in_use, taken
from consumer.sync.plan import Step
from consumer.sync.positions import PositionPlan
from consumer.upstream.smartbarrel import ACTIVE, INACTIVE, Worker


_RUNG_OF_FIELD = {
    "external_id": Rung.EXTERNAL_ID,
    "payroll_id": Rung.PAYROLL_ID,
    "phone_number": Rung.PHONE,
}


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The worker to be made or changed, what is to be sent, and the position to be there before.

    ``wanted`` is all that the worker should be, as far as it is known before the position is there;
    ``changes`` is what of it is to be sent: all, if the worker is new or was not looked at.
    """

    link: Link
    wanted: Mapping[str, object]
    changes: Mapping[str, object]
    fields: WorkerFields | None = None
    worker_id: str | None = None
    worker: Worker | None = None
    rung: Rung | None = None
    position: PositionPlan | None = None
    warnings: tuple[Reason, ...] = ()
    instead_of: str = ""

    @property
    def why(self) -> Sequence[str]:
        """Which rung of the ladder matched."""
        if self.worker_id is None:
            return ("No worker in SmartBarrel has this external ID, payroll ID or phone number.",)
        name = "" if self.worker is None else f", {self.worker.name}"
        return (f"Worker {self.worker_id}{name}: matched by {self.rung}.",)

    @property
    def steps(self) -> Sequence[Step]:
        """The calls that change something."""
        steps = []
        if self.position is not None and self.position.fields:
            verb = "create" if self.position.position is None else "change"
            name = self.position.classification.name
            steps.append(Step(f"{verb} position {name} in SmartBarrel", self.position.fields))
        if self.worker_id is None:
            steps.append(Step("create a worker in SmartBarrel", self.changes))
        elif self.changes:
            steps.append(Step(f"change worker {self.worker_id} in SmartBarrel", self.changes))
        return steps

    @property
    def handled(self) -> Handled:
        """How the event ends once the plan is carried out."""
        if self.worker_id is None:
            outcome = Outcome.CREATED
        else:
            outcome = Outcome.UPDATED if self.changes else Outcome.UNCHANGED
        return Handled(outcome, warnings=self.warnings)


async def plan_worker(
    event: UserEvent, fields: WorkerFields, company: Company, link: Link | None, new: Link
) -> WorkerPlan | Refused:
    """What is to be done for a user who is for syncing. A linked worker is not looked at."""
    position, wanted, warnings = await _wanted(event, fields, company)
    plan = WorkerPlan(new, wanted, wanted, fields, position=position, warnings=warnings)
    if link is not None:
        return replace(plan, worker_id=link.target_id, rung=Rung.LINK)
    planned = await _matched(plan, fields, company.roster)
    if isinstance(planned, Refused) or planned.worker_id is not None:
        return planned
    # A name alone never links, since two people may share one. But it may be the same person.
    same = company.roster.same_name(f"{fields.first_name} {fields.last_name}")
    if not same:
        return planned
    return replace(planned, warnings=(*planned.warnings, reasons.same_name(same[0].name, same[0].payroll_id)))


def plan_deactivation(link: Link, new: Link) -> WorkerPlan:
    """The linked worker of a user who was deactivated."""
    status = {"status": INACTIVE}
    return WorkerPlan(new, status, status, worker_id=link.target_id, rung=Rung.LINK)


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
            return Handled(Outcome.SKIPPED, (reasons.USER_INACTIVE,))
        # The worker that was linked is gone for good; whoever matches now takes the place.
        again = await _matched(
            replace(plan, instead_of=plan.worker_id or ""), plan.fields, company.smartbarrel
        )
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


async def _wanted(
    event: UserEvent, fields: WorkerFields, company: Company
) -> tuple[PositionPlan | None, Mapping[str, object], tuple[Reason, ...]]:
    """The position to be there before, all that is to be sent of what is known by now, and warnings.

    An employee ID that is missing in Procore is never sent: it is recommended only, and to clear the
    payroll ID that somebody entered in SmartBarrel could cost a person their pay.
    """
    sent = fields.as_json()
    if fields.payroll_id is None:
        del sent["payroll_id"]
    if company.settings.deactivate_workers:
        sent["status"] = ACTIVE
    warnings = user_warnings(event)
    if not company.settings.sync_classifications:
        return None, sent, warnings
    if event.work_classification_id is None:
        return None, {**sent, "position_id": None}, warnings
    position = await company.positions.plan(event.work_classification_id)
    if position is None:
        return None, sent, (*warnings, reasons.CLASSIFICATION_UNKNOWN)
    if position.position is not None:
        sent["position_id"] = position.position.id
    return position, sent, warnings


async def _matched(plan: WorkerPlan, fields: WorkerFields, finder: Finder) -> WorkerPlan | Refused:
    match = await find_match(fields, finder)
    if isinstance(match, Refused):
        return match
    if match is None:
        return replace(plan, worker_id=None, worker=None, rung=None, changes=plan.wanted)
    worker = match.worker
    changes = {name: value for name, value in plan.wanted.items() if getattr(worker, name) != value}
    return replace(plan, worker_id=worker.id, worker=worker, rung=match.rung, changes=changes)


async def _put(plan: WorkerPlan, company: Company) -> Handled:
    changes, position_id = plan.changes, None
    if plan.position is not None:
        position_id = (await company.positions.carry_out(plan.position)).id
        if plan.position.position is None:
            changes = {**changes, "position_id": position_id}
    if plan.worker_id is not None and plan.worker is not None and not changes:
        return _synced(Outcome.UNCHANGED, plan.worker, plan, position_id)
    if plan.worker_id is None:
        outcome = Outcome.CREATED
        worker = await company.smartbarrel.create_worker(changes, _idempotency_key(plan, changes))
    else:
        outcome = Outcome.UPDATED
        worker = await company.smartbarrel.update_worker(plan.worker_id, changes)
    company.roster.note(worker)
    return _synced(outcome, worker, plan, position_id)


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
    again = await _matched(plan, fields, company.smartbarrel)
    if isinstance(again, Refused) or again.worker_id is not None:
        return again
    rung = _RUNG_OF_FIELD.get(error.field)
    if rung is None or rung is Rung.EXTERNAL_ID:
        raise error
    return in_use(rung, await company.smartbarrel.worker(error.other_id))


def _synced(outcome: Outcome, worker: Worker, plan: WorkerPlan, position_id: str | None) -> Handled:
    links = _links(worker, plan, position_id)
    if plan.changes.get("status") == INACTIVE:
        return Handled(outcome, detail=f"worker {worker.id}, deactivated", links=links)
    how = "" if plan.rung in {None, Rung.LINK} else f", matched by {plan.rung}"
    warnings = plan.warnings if worker.is_active else (*plan.warnings, reasons.WORKER_INACTIVE)
    return Handled(outcome, warnings=warnings, detail=f"worker {worker.id}{how}", links=links)


def _links(worker: Worker, plan: WorkerPlan, position_id: str | None) -> tuple[Link, ...]:
    # What could not be synced whole has no fingerprint, so that the next event is compared again.
    whole = reasons.CLASSIFICATION_UNKNOWN not in plan.warnings
    linked = replace(plan.link, target_id=worker.id, fingerprint=plan.link.fingerprint if whole else "")
    if plan.position is None or position_id is None or not plan.position.fields:
        return (linked,)
    classification_id = str(plan.position.classification.id)
    made = Link(linked.company_id, LinkKind.POSITION, position_id, classification_id, linked.revision, "")
    return (linked, made)
