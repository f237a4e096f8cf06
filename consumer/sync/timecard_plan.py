"""What is to be done in Procore for a shift: planned with reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consumer.engine.handler import Handled
from consumer.engine.links import Links
from consumer.model import reasons
from consumer.model.events import TimesheetEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome, Reason
from consumer.model.settings import TimeEntry
from consumer.sync.classifications import ClassificationPlan, OnProject
from consumer.sync.codes import Resolved
from consumer.sync.company import Company
from consumer.sync.mapping import Booking, Codes, origin_id, shift_times, timecard_fields
from consumer.sync.party import Party, find_party
from consumer.sync.plan import Step
from consumer.sync.timecard_differences import CLASSIFICATION, differing, kept_codes, locked
from consumer.sync.timecard_look import existing_entry
from consumer.sync.zones import zone_of
from consumer.upstream.procore_answers import Timecard


_TO_COME = 0
"""Stands for the id of a person who is still to be made, where a plan is only shown."""


@dataclass(frozen=True, slots=True)
class ShiftPlan:
    """The entry to be made, changed or left, on whom, and what has to be there before.

    ``kept`` is a classification that the entry keeps on its way to another project.
    """

    event: TimesheetEvent
    link: Link
    project_id: int
    codes: Codes
    times: Mapping[str, object]
    party: Party
    classification: ClassificationPlan | None
    entry: Timecard | None
    kept: ClassificationPlan | None = None
    warnings: tuple[Reason, ...] = ()
    is_whole: bool = True
    """Whether each sync may take it for settled: nothing was left out, and nothing is to be told again."""

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
        if self.locked is not None:
            return []
        steps = [step for plan in self.to_enable for step in _classification_steps(plan)]
        steps += _party_steps(self.party, self.event)
        fields = {"project_id": self.project_id, **self.fields}
        if self.entry is None:
            steps.append(Step("create a time card in Procore", fields))
        elif self._differs:
            steps.append(Step(f"change time card {self.entry.id} in Procore", fields))
        if self._is_to_be_classified:
            name = self.classification.name if self.classification else ""
            steps.append(Step(f"put the classification {name} on the time card"))
        return steps

    @property
    def handled(self) -> Handled:
        """How the event ends once the plan is carried out."""
        if self.locked is not None:
            return Handled(Outcome.SKIPPED, (self.locked,))
        warnings = (*self.warnings, *self.left_over)
        if self.entry is None:
            return Handled(Outcome.CREATED, warnings=warnings)
        return Handled(Outcome.UPDATED if self.steps else Outcome.UNCHANGED, warnings=warnings)

    @property
    def to_enable(self) -> Sequence[ClassificationPlan]:
        """The classifications that have to be active on the project; none if the entry is as it should be."""
        if not (self._differs or self._is_to_be_classified):
            return ()
        return [plan for plan in (self.kept, self.classification) if plan is not None]

    @property
    def left_over(self) -> tuple[Reason, ...]:
        """The warning of codes that the shift no longer has, and the entry keeps."""
        if self.entry is None:
            return ()
        left = kept_codes(self.entry, self.fields)
        if (
            not self.party.is_user
            and self.classification is None
            and self.entry.classification_id is not None
        ):
            left.append(CLASSIFICATION)
        return (reasons.left_over(left),) if left else ()

    @property
    def locked(self) -> Reason | None:
        """Why the entry must not be changed, if it should be."""
        if self.entry is None:
            return None
        return locked(self.entry, self.project_id, self.fields, is_to_be_classified=self._is_to_be_classified)

    @property
    def _differs(self) -> bool:
        return self.entry is None or bool(differing(self.entry, self.project_id, self.fields))

    @property
    def _is_to_be_classified(self) -> bool:
        if self.classification is None:
            return False
        found = self.classification.classification
        return found is None or self.entry is None or self.entry.classification_id != found.id


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
    entry = await existing_entry(event, company, party, entry_link)
    if await _is_unknown(event, company, classification, entry):
        return Handled(Outcome.FAILED, (reasons.project_not_found(event.project.name),))
    time_entry = company.settings.time_entry_of(project_id)
    day_warning = await _day_warning(event, company, project_id, time_entry)
    return ShiftPlan(
        event,
        new,
        project_id,
        resolved.codes,
        shift_times(event, time_entry),
        party,
        classification,
        entry,
        await _kept(entry, company, classification, project_id),
        warnings=(*party.warnings, *resolved.warnings, *day_warning),
        is_whole=not resolved.warnings and not day_warning,
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


async def _is_unknown(
    event: TimesheetEvent, company: Company, classification: ClassificationPlan | None, entry: Timecard | None
) -> bool:
    """Whether the project is unknown in Procore, or hidden, where no look-up in it would have told."""
    has_codes = event.cost_code_segment_1 or event.cost_code_segment_2 or event.location
    was_looked_for = classification is not None and classification.classification is not None
    is_there = entry is not None and entry.project_id == event.procore_project_id
    if has_codes or was_looked_for or is_there:
        return False
    return await company.projects.get(event.procore_project_id or 0) is None


async def _kept(
    entry: Timecard | None, company: Company, coming: ClassificationPlan | None, project_id: int
) -> ClassificationPlan | None:
    """The classification that an entry keeps on its way to another project, where it must be active too."""
    if entry is None or entry.classification_id is None or entry.project_id == project_id:
        return None
    if coming and coming.classification and coming.classification.id == entry.classification_id:
        return None
    return await company.classifications.plan_known(entry.classification_id, project_id)


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
