"""What is to be done in Procore for a shift: planned with reads only, then carried out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import structlog

from consumer.engine.handler import Handled
from consumer.engine.links import Links
from consumer.exceptions import NotFound, Rejected, UpstreamError
from consumer.model import reasons
from consumer.model.events import TimesheetEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome, Reason
from consumer.model.settings import TimeEntry
from consumer.sync.classifications import ClassificationMissingError, ClassificationPlan, OnProject
from consumer.sync.codes import Resolved
from consumer.sync.company import Company
from consumer.sync.contacts import carry_out_party, is_taken
from consumer.sync.mapping import (
    Booking,
    Codes,
    hours_text,
    moment_text,
    origin_id,
    shift_times,
    timecard_fields,
)
from consumer.sync.party import Party, find_party
from consumer.sync.plan import Step
from consumer.sync.revisions import is_doubted
from consumer.sync.zones import zone_of
from consumer.upstream.procore_answers import Timecard


log = structlog.get_logger(__name__)

LOCKED = frozenset({"approved", "completed"})
_SOME_DAYS = timedelta(days=3)
_TO_COME = 0
"""Stands for the id of a person who is still to be made, where a plan is only shown."""


@dataclass(frozen=True, slots=True)
class ShiftPlan:
    """The entry to be made, changed or left, on whom, and what has to be there before."""

    event: TimesheetEvent
    link: Link
    project_id: int
    codes: Codes
    times: Mapping[str, object]
    party: Party
    classification: ClassificationPlan | None
    entry: Timecard | None
    warnings: tuple[Reason, ...] = ()
    is_whole: bool = True
    """Whether nothing was left out that the next event may find."""

    @property
    def fields(self) -> Mapping[str, object]:
        """The entry as it should be, as Procore's API names its fields."""
        party_id = self.party.person_id or _TO_COME
        return timecard_fields(self.event, Booking(self.project_id, party_id, self.codes), self.times)

    @property
    def why(self) -> Sequence[str]:
        """How person, classification and entry were found."""
        why = [self.party.why]
        if self.classification is not None:
            found = self.classification.classification
            known = "does not exist in Procore" if found is None else f"is classification {found.id}"
            where = self.classification.on_project
            why.append(f"The position {self.classification.name} {known}, {where}.")
        if self.entry is None:
            why.append("No time card in Procore has this shift's origin id.")
        else:
            why.append(f"The shift is time card {self.entry.id}, {self.entry.approval_status}.")
        return why

    @property
    def steps(self) -> Sequence[Step]:
        """The calls that change something."""
        if self.is_locked:
            return []
        steps = [*_classification_steps(self.classification), *_party_steps(self.party, self.event)]
        fields = {"project_id": self.project_id, **self.fields}
        if self.entry is None:
            steps.append(Step("create a time card in Procore", fields))
        elif not agrees(self.entry, self.project_id, self.fields):
            steps.append(Step(f"change time card {self.entry.id} in Procore", fields))
        if self._is_to_be_classified:
            name = self.classification.name if self.classification else ""
            steps.append(Step(f"put the classification {name} on the time card"))
        return steps

    @property
    def handled(self) -> Handled:
        """How the event ends once the plan is carried out."""
        if self.entry is None:
            return Handled(Outcome.CREATED, warnings=self.warnings)
        if self.is_locked:
            return locked(self.entry, self.event)
        return Handled(Outcome.UPDATED if self.steps else Outcome.UNCHANGED, warnings=self.warnings)

    @property
    def _is_to_be_classified(self) -> bool:
        if self.classification is None:
            return False
        found = self.classification.classification
        return found is None or self.entry is None or self.entry.classification_id != found.id

    @property
    def is_locked(self) -> bool:
        """Whether the entry should be changed, and must not be."""
        if self.entry is None or self.entry.approval_status not in LOCKED:
            return False
        return not agrees(self.entry, self.project_id, self.fields) or self._is_to_be_classified


async def plan_shift(
    event: TimesheetEvent,
    user_id: int | None,
    company: Company,
    links: Links,
    *,
    entry_link: Link | None,
    new: Link,
    trust_link: bool = True,
) -> ShiftPlan | Handled:
    """What is to be done for a shift that is due; ``user_id`` is the user who its worker is."""
    project_id = event.procore_project_id
    if project_id is None:
        raise AssertionError("a shift without a Procore project is not due")
    resolved = await company.codes.resolve(event, project_id)
    if not isinstance(resolved, Resolved):
        return Handled(Outcome.FAILED, (resolved,))
    party = await find_party(event, user_id, company, links, trust_link=trust_link)
    if isinstance(party, Reason):
        return Handled(Outcome.FAILED, (party,))
    classification = await _classification(event, company, links, party, project_id)
    entry = await _existing(event, company, party, entry_link)
    time_entry = company.settings.time_entry_of(project_id)
    return ShiftPlan(
        event,
        new,
        project_id,
        resolved.codes,
        shift_times(event, time_entry),
        party,
        classification,
        entry,
        warnings=(
            *party.warnings,
            *resolved.warnings,
            *await _day_warning(event, company, project_id, time_entry),
        ),
        is_whole=not resolved.warnings,
    )


async def carry_out_shift(plan: ShiftPlan, company: Company) -> Handled:
    """Make the calls. Never makes a second entry; what it made is noted in the links of what it gives.

    Raises Rejected with the upstream's words.
    """
    if plan.is_locked and plan.entry is not None:
        return locked(plan.entry, plan.event)
    links: tuple[Link, ...] = ()
    classification_id = None
    if plan.classification is not None:
        try:
            classification, is_new = await company.classifications.carry_out(
                plan.classification, plan.project_id
            )
        except ClassificationMissingError as error:
            return Handled(Outcome.FAILED, (reasons.classification_not_on_project(str(error)),))
        classification_id = classification.id
        if classification_id != plan.classification.linked_id:
            links = _position_link(plan.event, classification_id)
        if is_new:
            await _tell_smartbarrel(plan.event, company, classification_id)
    settled = await carry_out_party(plan.party, plan.event, company)
    links = (*links, *settled.links)
    party = replace(plan.party, person_id=settled.person_id)
    entry = plan.entry
    if plan.party.person_id is None and not settled.is_new:
        # Somebody else made the contact since we looked, and perhaps the entry.
        entry = await _existing(plan.event, company, party, None)
    handled = await _put(replace(plan, entry=entry, party=party), company, classification_id)
    warnings = (*plan.warnings, *settled.warnings, *handled.warnings)
    return replace(handled, warnings=warnings, links=(*links, *handled.links))


def locked(entry: Timecard, event: TimesheetEvent) -> Handled:
    """Approved and completed entries stay as they are."""
    in_procore = "no" if entry.hours is None else hours_text(entry.hours)
    reason = reasons.locked(entry.approval_status, in_procore, hours_text(event.total_hours))
    return Handled(Outcome.SKIPPED, (reason,))


def agrees(entry: Timecard, project_id: int, fields: Mapping[str, object]) -> bool:
    """Whether the entry is as it should be. Of hours and times, only what is sent is compared."""
    same_times = all(
        (
            "hours" not in fields or entry.hours == Decimal(str(fields["hours"])),
            "time_in" not in fields or moment_text(entry.time_in) == fields["time_in"],
            "time_out" not in fields or moment_text(entry.time_out) == fields["time_out"],
            "lunch_time" not in fields or str(entry.lunch_minutes or 0) == fields["lunch_time"],
        )
    )
    return (
        same_times
        and entry.project_id == project_id
        and entry.date.isoformat() == fields["date"]
        and entry.party_id == fields["party_id"]
        and entry.description == fields["description"]
        and entry.origin_id == fields["origin_id"]
        and entry.sub_job_id == fields.get("sub_job_id")
        and entry.cost_code_id == fields.get("cost_code_id")
        and entry.location_id == fields.get("location_id")
    )


async def _classification(
    event: TimesheetEvent, company: Company, links: Links, party: Party, project_id: int
) -> ClassificationPlan | None:
    """The classification that the worker's position is; a synced user keeps Procore's own."""
    position = event.worker.position
    if position is None or (party.is_user and company.settings.user_sync):
        return None
    link = links.get(LinkKey(event.company_id, LinkKind.POSITION, position.id))
    known_id = int(link.target_id) if link is not None and link.target_id else None
    return await company.classifications.plan(position.name, known_id, project_id)


async def _day_warning(
    event: TimesheetEvent, company: Company, project_id: int, time_entry: TimeEntry
) -> tuple[Reason, ...]:
    """Where times are shown in Procore, they should be of the day on which the entry stands."""
    if time_entry is TimeEntry.TOTAL_HOURS:
        return ()
    project = await company.projects.get(project_id)
    zone = None if project is None else zone_of(project.time_zone)
    if zone is None:
        return ()
    began = event.time_in.astimezone(zone).date()
    if began == event.work_date:
        return ()
    return (reasons.other_day(event.work_date.isoformat(), began.isoformat()),)


async def _existing(
    event: TimesheetEvent, company: Company, party: Party, link: Link | None
) -> Timecard | None:
    """The entry that stands for the timesheet: the linked one, else one with its origin id.

    It may have been made for an earlier revision, which nobody could commit: on another day, and on the
    worker's contact rather than on the user whom they became. So both are looked at, within a week.
    """
    if link is not None and link.target_id:
        entry = await _shown(company, int(link.target_id))
        if entry is not None:
            return entry
    contact = await company.directory.contact_of(event.worker.id)
    known = {party.person_id, None if contact is None else contact.id}
    parties = {person_id for person_id in known if person_id is not None}
    # What an earlier revision, perhaps of another worker, has led to is not known: look at everybody's.
    is_in_doubt = link is not None and is_doubted(link)
    origin = origin_id(event.timesheet_id)
    if parties or is_in_doubt:
        first, last = event.work_date - _SOME_DAYS, event.work_date + _SOME_DAYS
        entries = await company.procore.timecards(() if is_in_doubt else parties, first, last)
        entry = next((one for one in entries if one.origin_id == origin), None)
        if entry is not None:
            return entry
    entry_id = await company.entries.find(event.work_date, origin)
    return None if entry_id is None else await _shown(company, entry_id)


async def _shown(company: Company, entry_id: int) -> Timecard | None:
    try:
        return await company.procore.timecard(entry_id)
    except NotFound:
        return None


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


async def _put(plan: ShiftPlan, company: Company, classification_id: int | None) -> Handled:
    fields = plan.fields
    entry, outcome = plan.entry, Outcome.UNCHANGED
    if entry is None:
        entry, is_new = await _made(plan, company)
        outcome = Outcome.CREATED if is_new else outcome
    is_as_sent = agrees(entry, plan.project_id, fields)
    is_to_be_classified = classification_id is not None and entry.classification_id != classification_id
    if not is_as_sent or is_to_be_classified:
        if entry.approval_status in LOCKED:
            return locked(entry, plan.event)
        outcome = Outcome.UPDATED if outcome is Outcome.UNCHANGED else outcome
    if not is_as_sent:
        try:
            await company.procore.update_timecard(entry.id, plan.project_id, fields)
        except Rejected:
            now = await company.procore.timecard(entry.id)
            if now.approval_status in LOCKED:
                # Approved between our look and our call.
                return locked(now, plan.event)
            raise
    if classification_id is not None and is_to_be_classified:
        await company.procore.classify_timecard(entry.id, classification_id)
    # What could not be synced whole has no fingerprint, so that the next event is compared again.
    digest = plan.link.fingerprint if plan.is_whole else ""
    link = replace(plan.link, target_id=str(entry.id), fingerprint=digest)
    warnings = _left_over(entry, fields, is_user=plan.party.is_user, classification_id=classification_id)
    return Handled(outcome, warnings=warnings, links=(link,))


async def _made(plan: ShiftPlan, company: Company) -> tuple[Timecard, bool]:
    """A new entry, or one that a call of the last owner has made since we looked."""
    try:
        return await company.procore.create_timecard(plan.project_id, plan.fields), True
    except Rejected as error:
        if not is_taken(error):
            raise
        entry = await _existing(plan.event, company, plan.party, None)
        if entry is None:
            raise
        return entry, False


def _left_over(
    entry: Timecard, fields: Mapping[str, object], *, is_user: bool, classification_id: int | None
) -> tuple[Reason, ...]:
    """Codes that the shift no longer has. Procore's API documents no way to take one off an entry."""
    names = {"sub_job_id": "sub job", "cost_code_id": "cost code", "location_id": "location"}
    left = [words for name, words in names.items() if getattr(entry, name) is not None and name not in fields]
    if not is_user and classification_id is None and entry.classification_id is not None:
        left.append("classification")
    return (reasons.left_over(left),) if left else ()


def _party_steps(party: Party, event: TimesheetEvent) -> Sequence[Step]:
    worker = event.worker
    if party.person_id is None:
        fields = {"first_name": worker.first_name, "last_name": worker.last_name}
        fields |= {"employee_id": party.employee_id} if party.employee_id else {}
        return [Step("create a contact in Procore", {**fields, "origin_id": origin_id(worker.id)})]
    if party.changes:
        return [Step(f"change contact {party.person_id} in Procore", party.changes)]
    return []


def _classification_steps(plan: ClassificationPlan | None) -> Sequence[Step]:
    if plan is None:
        return []
    steps = []
    if plan.classification is None:
        steps.append(Step(f"create the classification {plan.name} in Procore", {"name": plan.name}))
    if plan.on_project is OnProject.ABSENT:
        steps.append(Step("put the company's classifications on the project"))
    if plan.on_project is OnProject.INACTIVE:
        steps.append(Step(f"activate the classification {plan.name} on the project"))
    return steps
