"""What is to be done in SmartBarrel for a Procore user: planned with reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consumer.engine.handler import Handled
from consumer.exceptions import NotFound
from consumer.model import reasons
from consumer.model.events import UserEvent
from consumer.model.links import Link
from consumer.model.results import Outcome, Reason
from consumer.sync.applied import LEFT, NO_POSITION, NOT_KNOWN, Applied
from consumer.sync.company import Company
from consumer.sync.mapping import WorkerFields, user_warnings
from consumer.sync.matching import Finder, Matched, Refused, Rung, find_match, is_anothers, later_rungs
from consumer.sync.plan import Step
from consumer.sync.positions import PositionPlan
from consumer.sync.revisions import released
from consumer.upstream.smartbarrel import ACTIVE, INACTIVE, Worker


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """The worker to be made or changed, what is to be sent, and the position to be there before.

    ``wanted`` is all that the worker should be, as far as it is known before the position is there;
    ``changes`` is what of it is to be sent: all, if the worker is new or was not looked at, and nothing, if
    the link says that they have it. ``applied`` is what their link is to tell then, and ``noted`` what it
    tells now, if that counts.
    """

    link: Link
    applied: Applied
    wanted: Mapping[str, object]
    changes: Mapping[str, object]
    fields: WorkerFields | None = None
    noted: Applied | None = None
    worker_id: str | None = None
    worker: Worker | None = None
    rung: Rung | None = None
    position: PositionPlan | None = None
    warnings: tuple[Reason, ...] = ()
    instead_of: str = ""

    @property
    def is_applied(self) -> bool:
        """Whether the link says that nothing is to be sent."""
        return self.rung is Rung.LINK and self.noted is not None and self.noted.covers(self.applied)

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
        makes_position = self.position is not None and self.position.position is None
        if self.worker_id is None:
            outcome = Outcome.CREATED
        else:
            outcome = Outcome.UPDATED if self.changes or makes_position else Outcome.UNCHANGED
        stays_inactive = (
            self.worker is not None and not self.worker.is_active and "status" not in self.changes
        )
        return Handled(outcome, warnings=self.all_warnings(is_active=not stays_inactive))

    def all_warnings(self, *, is_active: bool) -> tuple[Reason, ...]:
        """What to look at, once the worker is there."""
        if is_active or self.fields is None:
            return self.warnings
        return (*self.warnings, reasons.WORKER_INACTIVE)


@dataclass(frozen=True, slots=True)
class Known:
    """The worker whom the user's link leads to, and whether another user's does so too.

    With ``looks`` the worker is looked at to show what would be done, with ``compares`` to send only what
    differs from what they are now.
    """

    link: Link
    is_shared: bool = False
    looks: bool = False
    compares: bool = False


async def plan_worker(
    event: UserEvent, fields: WorkerFields, company: Company, known: Known | None, new: Link
) -> WorkerPlan | Handled:
    """What is to be done for a user who is for syncing.

    A linked worker is not looked at unless that is asked for, the link is shared, or says that they were
    inactive.
    """
    plan = await _wanted(event, fields, company, new)
    if known is not None:
        noted = None if known.compares else Applied.of(known.link.fingerprint)
        plan = replace(plan, worker_id=known.link.target_id, rung=Rung.LINK, noted=noted)
        return await _linked(plan, fields, company, known)
    planned = _or_handled(await matched(plan, fields, company.roster))
    if isinstance(planned, Handled) or planned.worker_id is not None:
        return planned
    # A name alone never links, since two people may share one. But it may be the same person.
    same = company.roster.same_name(f"{fields.first_name} {fields.last_name}")
    if not same:
        return planned
    return replace(planned, warnings=(*planned.warnings, reasons.same_name(same[0].name, same[0].payroll_id)))


async def plan_deactivation(known: Known, new: Link, company: Company) -> WorkerPlan | Handled:
    """The linked worker of a user who was deactivated. They may be another user's by now, or gone."""
    try:
        worker = await company.smartbarrel.worker(known.link.target_id)
    except NotFound:
        return gone_with_user(replace(new, target_id=known.link.target_id))
    if is_anothers(worker, int(new.source_id), is_shared=known.is_shared):
        return Handled(Outcome.SKIPPED, (reasons.USER_INACTIVE,), links=(released(new),))
    status = {"status": INACTIVE}
    changes = status if worker.is_active else {}
    applied = Applied(new.fingerprint)
    return WorkerPlan(new, applied, status, changes, worker_id=worker.id, worker=worker, rung=Rung.LINK)


def gone_with_user(link: Link) -> Handled:
    """The user was deactivated, and the worker is gone: noted as done, so that nobody asks for them again.

    The link stays, so that whoever takes the place of the worker is not taken for them.
    """
    return Handled(Outcome.SKIPPED, (reasons.USER_INACTIVE,), links=(link,))


async def matched(plan: WorkerPlan, fields: WorkerFields, finder: Finder) -> WorkerPlan | Refused:
    """The plan on the worker who is the user, or on a new one."""
    match = await find_match(fields, finder)
    if isinstance(match, Refused):
        return match
    if match is None:
        return replace(plan, worker_id=None, worker=None, rung=None, changes=plan.wanted)
    worker = match.worker
    changes = _differing(plan.wanted, worker)
    return replace(plan, worker_id=worker.id, worker=worker, rung=match.rung, changes=changes)


def _differing(wanted: Mapping[str, object], worker: Worker) -> Mapping[str, object]:
    return {name: value for name, value in wanted.items() if getattr(worker, name) != value}


async def matched_instead(plan: WorkerPlan, fields: WorkerFields, company: Company) -> WorkerPlan | Refused:
    """The linked worker is gone for good, or another's: whoever matches now takes the place."""
    return await matched(replace(plan, instead_of=plan.worker_id or ""), fields, company.smartbarrel)


async def _linked(
    plan: WorkerPlan, fields: WorkerFields, company: Company, known: Known
) -> WorkerPlan | Handled:
    was_inactive = plan.noted is not None and plan.noted.is_inactive
    if plan.is_applied and not was_inactive:
        return replace(plan, changes={}, position=None)
    if not (plan.is_applied or known.looks or known.is_shared or known.compares):
        return plan
    try:
        worker = await company.smartbarrel.worker(known.link.target_id)
    except NotFound:
        return _or_handled(await matched_instead(plan, fields, company))
    # A sync without a cause would not look, and a plan foretells what a sync does.
    has_cause = known.is_shared or known.compares or plan.is_applied
    if has_cause and is_anothers(worker, int(plan.link.source_id), is_shared=known.is_shared):
        planned = _or_handled(await matched_instead(plan, fields, company))
        return replace(planned, links=(released(plan.link),)) if isinstance(planned, Handled) else planned
    if known.compares:
        return replace(plan, worker=worker, changes=_differing(plan.wanted, worker))
    return await _looked_at(replace(plan, worker=worker), worker, fields, company)


async def _looked_at(
    plan: WorkerPlan, worker: Worker, fields: WorkerFields, company: Company
) -> WorkerPlan | Handled:
    if plan.is_applied:
        is_to_be_active = "status" in plan.wanted and not worker.is_active
        return replace(plan, changes={"status": ACTIVE} if is_to_be_active else {}, position=None)
    match = await later_rungs(Matched(worker, Rung.LINK), fields, company.smartbarrel)
    return match.handled if isinstance(match, Refused) else plan


def _or_handled(planned: WorkerPlan | Refused) -> WorkerPlan | Handled:
    return planned.handled if isinstance(planned, Refused) else planned


async def _wanted(event: UserEvent, fields: WorkerFields, company: Company, new: Link) -> WorkerPlan:
    """A new worker, with the position to be there before.

    An employee ID that is missing in Procore is never sent: it is recommended only, and to clear the
    payroll ID that somebody entered in SmartBarrel could cost a person their pay.
    """
    sent = fields.as_json()
    if fields.payroll_id is None:
        del sent["payroll_id"]
    if company.settings.deactivate_workers:
        sent["status"] = ACTIVE
    warnings, position = user_warnings(event), None
    if not company.settings.sync_classifications:
        led_to = None
    elif event.work_classification_id is None:
        led_to, sent["position_id"] = NO_POSITION, None
    else:
        # A sync has just brought all positions in step.
        is_fresh = event.run_id is not None
        position = await company.positions.plan(event.work_classification_id, is_fresh=is_fresh)
        if position is None:
            led_to, warnings = LEFT, (*warnings, reasons.CLASSIFICATION_UNKNOWN)
        elif position.position is None:
            led_to = NOT_KNOWN
        else:
            led_to = sent["position_id"] = position.position.id
    applied = Applied(new.fingerprint, led_to)
    return WorkerPlan(new, applied, sent, sent, fields, position=position, warnings=warnings)
