"""A shift's plan carried out in Procore: never a second entry."""

from dataclasses import replace

import structlog

from consumer.engine.handler import Handled
from consumer.exceptions import Rejected, UpstreamError
from consumer.model import reasons
from consumer.model.events import TimesheetEvent
from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome
from consumer.sync.classifications import ClassificationMissingError
from consumer.sync.company import Company
from consumer.sync.contacts import carry_out_party, is_taken
from consumer.sync.timecard_differences import CLASSIFICATION, differing, kept_codes, locked
from consumer.sync.timecard_look import existing_entry
from consumer.sync.timecard_plan import ShiftPlan
from consumer.upstream.procore_answers import Timecard


log = structlog.get_logger(__name__)


async def carry_out_shift(plan: ShiftPlan, company: Company) -> Handled:
    """Make the calls. Never makes a second entry; what it made is noted in the links of what it gives.

    Raises Rejected with the upstream's words.
    """
    if plan.locked is not None:
        return Handled(Outcome.SKIPPED, (plan.locked,))
    try:
        classification_id, links = await _enabled(plan, company)
    except ClassificationMissingError as error:
        return Handled(Outcome.FAILED, (reasons.classification_not_on_project(str(error)),))
    settled = await carry_out_party(plan.party, plan.event, company)
    links = (*links, *settled.links)
    party = replace(plan.party, person_id=settled.person_id)
    entry = plan.entry
    if plan.party.person_id is None and not settled.is_new:
        # Somebody else made the contact since we looked, and perhaps the entry.
        entry = await existing_entry(plan.event, company, party, None)
    handled = await _put(replace(plan, entry=entry, party=party), company, classification_id)
    if settled.is_changed and handled.outcome is Outcome.UNCHANGED:
        handled = replace(handled, outcome=Outcome.UPDATED)
    warnings = (*plan.warnings, *settled.warnings, *handled.warnings)
    return replace(handled, warnings=warnings, links=(*links, *handled.links))


async def _enabled(plan: ShiftPlan, company: Company) -> tuple[int | None, tuple[Link, ...]]:
    """Have classifications on the project; the id of the one that the entry is to have, and its link."""
    known = None if plan.classification is None else plan.classification.classification
    classification_id = None if known is None else known.id
    for each in plan.to_enable:
        classification, is_new = await company.classifications.carry_out(each, plan.project_id)
        if each is plan.classification:
            classification_id = classification.id
            if is_new:
                await _tell_smartbarrel(plan.event, company, classification_id)
    if plan.classification is None or classification_id in {None, plan.classification.linked_id}:
        return classification_id, ()
    return classification_id, _position_link(plan.event, classification_id)


async def _put(plan: ShiftPlan, company: Company, classification_id: int | None) -> Handled:
    entry, outcome = plan.entry, Outcome.UNCHANGED
    if entry is None:
        entry, is_new = await _made(plan, company)
        outcome = Outcome.CREATED if is_new else outcome
        plan = replace(plan, entry=entry)
    is_to_be_classified = classification_id is not None and entry.classification_id != classification_id
    if differing(entry, plan.project_id, plan.fields) or is_to_be_classified:
        reason = locked(entry, plan.project_id, plan.fields, is_to_be_classified=is_to_be_classified)
        if reason is not None:
            return Handled(Outcome.SKIPPED, (reason,))
        refused = await _written(plan, entry, company, classification_id if is_to_be_classified else None)
        if refused is not None and outcome is Outcome.CREATED:
            refused = Handled(outcome, warnings=refused.reasons, links=(_link(plan, entry, ""),))
        if refused is not None:
            return refused
        outcome = Outcome.UPDATED if outcome is Outcome.UNCHANGED else outcome
    # What is to be told again, or may be found by then, has no fingerprint: the next event is compared.
    digest = plan.link.fingerprint if plan.is_whole and not plan.left_over else ""
    return Handled(outcome, warnings=plan.left_over, links=(_link(plan, entry, digest),))


def _link(plan: ShiftPlan, entry: Timecard, digest: str) -> Link:
    return replace(plan.link, target_id=str(entry.id), fingerprint=digest)


async def _written(
    plan: ShiftPlan, entry: Timecard, company: Company, classification_id: int | None
) -> Handled | None:
    """Change the entry, and put the classification on it; how the event ends if a known reason forbids it."""
    try:
        if differing(entry, plan.project_id, plan.fields):
            await company.procore.update_timecard(entry.id, plan.project_id, plan.fields)
        if classification_id is not None:
            await company.procore.classify_timecard(entry.id, classification_id)
    except Rejected as error:
        now = await company.procore.timecard(entry.id)
        is_to_be_classified = classification_id not in {None, now.classification_id}
        reason = locked(now, plan.project_id, plan.fields, is_to_be_classified=is_to_be_classified)
        if reason is not None:
            # Approved between our look and our call.
            return Handled(Outcome.SKIPPED, (reason,))
        kept = _refused_codes(error, plan, now, classification_id)
        if not kept:
            raise
        return Handled(Outcome.FAILED, (replace(reasons.codes_kept(kept), upstream="; ".join(error.words)),))
    return None


def _refused_codes(
    error: Rejected, plan: ShiftPlan, entry: Timecard, classification_id: int | None
) -> list[str]:
    """What the entry keeps without our sending it, and Procore complains of."""
    kept = kept_codes(entry, plan.fields)
    if classification_id is None and entry.classification_id is not None:
        kept.append(CLASSIFICATION)
    said = " ".join(error.words).replace("_", " ").casefold()
    return [code for code in kept if code in said]


async def _made(plan: ShiftPlan, company: Company) -> tuple[Timecard, bool]:
    """A new entry, or one that a call of the last owner has made since we looked."""
    try:
        return await company.procore.create_timecard(plan.project_id, plan.fields), True
    except Rejected as error:
        if not is_taken(error):
            raise
        entry = await existing_entry(plan.event, company, plan.party, None)
        if entry is None:
            raise
        return entry, False


def _position_link(event: TimesheetEvent, classification_id: int) -> tuple[Link, ...]:
    position = event.worker.position
    if position is None:
        return ()
    return (
        Link(event.company_id, LinkKind.POSITION, position.id, str(classification_id), event.revision, ""),
    )


async def _tell_smartbarrel(event: TimesheetEvent, company: Company, classification_id: int) -> None:
    """Link the position with the classification that was made of it, so that it follows a new name."""
    if event.worker.position is None:
        return
    try:
        await company.positions.link(event.worker.position.id, classification_id)
    except UpstreamError as error:
        # The names are the same, so the two are found together without it.
        log.warning("position.not_linked", error=str(error), company=event.company_id)
