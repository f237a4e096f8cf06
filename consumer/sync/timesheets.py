"""SmartBarrel timesheet → Procore timecard entry, and a contact for a worker whom Procore does not know."""

from dataclasses import replace

from consumer.engine.handler import Handled, Subject
from consumer.engine.links import Links
from consumer.exceptions import NotFound, Rejected
from consumer.model import reasons
from consumer.model.events import Kind, TimesheetEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.sync.company import Companies, Company, set_up
from consumer.sync.identity import stated_or_linked, user_of
from consumer.sync.mapping import shift_detail, shift_fingerprint, shift_not_due
from consumer.sync.revisions import in_doubt, made, with_doubt_noted, with_revision_noted
from consumer.sync.timecard_calls import carry_out_shift
from consumer.sync.timecard_plan import ShiftPlan, plan_shift


class TimesheetHandler:
    """Keeps one Procore timecard entry for each SmartBarrel timesheet."""

    kind = Kind.TIMESHEETS

    def __init__(self, companies: Companies, links: Links) -> None:
        self._companies = companies
        self._links = links

    def subject(self, event: TimesheetEvent) -> Subject:
        """The worker's shift."""
        name = f"{event.worker.first_name} {event.worker.last_name}"
        return Subject(event.timesheet_id, name, event.updated_at, event.run_id)

    def at_once(self, event: TimesheetEvent) -> Handled | None:
        """Stale, unchanged, or not for Procore: from the links and the event's own fields alone."""
        company = self._companies.get(event.company_id)
        if company is None:
            return Handled(Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))
        key = _key(event)
        link = self._links.get(key)
        if link is not None and event.revision < link.revision:
            return Handled(Outcome.STALE, detail=shift_detail(event))
        if event.run_id is None and not company.settings.auto_sync_time_card:
            return Handled(Outcome.HELD, (reasons.AUTOSYNC_OFF,), detail=shift_detail(event))
        due = shift_not_due(event, company.settings)
        if due is not None:
            skipped = Handled(Outcome.SKIPPED, due.reasons, detail=shift_detail(event))
            return with_revision_noted(skipped, key, link, event.revision)
        user_id = stated_or_linked(event.worker, event.company_id, self._links)
        return self._unchanged(event, shift_fingerprint(event, user_id, company.settings))

    async def plan(self, event: TimesheetEvent) -> ShiftPlan | Handled:
        """What would be done, found with reads only; or how the event ends without a call that changes."""
        known = self.at_once(event)
        return await self._plan(event) if known is None else known

    async def handle(self, event: TimesheetEvent) -> Handled:
        """Create, update or leave the entry."""
        known = self.at_once(event)
        if known is not None:
            return known
        key = _key(event)
        plan = await self._plan(event)
        if isinstance(plan, Handled):
            handled = with_revision_noted(plan, key, self._links.get(key), event.revision)
        else:
            handled = await self._carry_out(plan, self._companies[event.company_id])
            handled = with_doubt_noted(handled, self._links, key, event.revision)
        return replace(handled, detail=shift_detail(event))

    async def probe(self, company_id: int) -> None:
        """Whether Procore answers for the company."""
        await set_up(self._companies, company_id).procore.probe()

    def in_doubt(self, event: TimesheetEvent) -> tuple[Link, ...]:
        """The entry's link, without a fingerprint."""
        return in_doubt(self._links, _key(event), event.revision)

    def renew(self) -> None:
        """Read Procore's people anew: the last owner may have made contacts."""
        for company in self._companies.values():
            company.renew()

    def _unchanged(self, event: TimesheetEvent, digest: str) -> Handled | None:
        """The ending of a shift that says what was sent last."""
        entry = made(self._links.get(_key(event)))
        if event.force or entry is None or entry.fingerprint != digest:
            return None
        again = replace(entry, revision=event.revision)
        return Handled(Outcome.UNCHANGED, detail=shift_detail(event), links=(again,))

    async def _plan(self, event: TimesheetEvent, *, trust_link: bool = True) -> ShiftPlan | Handled:
        company = self._companies[event.company_id]
        user_id = await user_of(event.worker, company, self._links)
        digest = shift_fingerprint(event, user_id, company.settings)
        unchanged = self._unchanged(event, digest)
        if unchanged is not None:
            return unchanged
        new = Link(event.company_id, LinkKind.TIMESHEET, event.timesheet_id, "", event.revision, digest)
        link = self._links.get(_key(event))
        try:
            return await plan_shift(
                event, user_id, company, self._links, entry_link=link, new=new, trust_link=trust_link
            )
        except NotFound as error:
            return await self._project_gone(error, event)

    async def _project_gone(self, error: NotFound, event: TimesheetEvent) -> Handled:
        """The ending of a shift whose project Procore does not show. Raises the error if it does."""
        projects = self._companies[event.company_id].projects
        if event.procore_project_id is None or not await projects.is_gone(event.procore_project_id):
            raise error
        reason = reasons.project_not_found(event.project.name)
        return Handled(Outcome.FAILED, (replace(reason, upstream="; ".join(error.words) or None),))

    async def _carry_out(self, plan: ShiftPlan, company: Company) -> Handled:
        try:
            return await carry_out_shift(plan, company)
        except NotFound as error:
            return await self._project_gone(error, plan.event)
        except Rejected as error:
            if not plan.party.is_trusted or not _is_of_party(error):
                raise
        # The contact that was linked is gone; whoever the worker is now takes the place.
        company.directory.renew()
        again = await self._plan(plan.event, trust_link=False)
        return again if isinstance(again, Handled) else await carry_out_shift(again, company)


def _is_of_party(error: Rejected) -> bool:
    """Whether Procore says that the person does not exist."""
    return any("party" in words for words in error.words)


def _key(event: TimesheetEvent) -> LinkKey:
    return LinkKey(event.company_id, LinkKind.TIMESHEET, event.timesheet_id)
