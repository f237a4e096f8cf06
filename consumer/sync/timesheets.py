"""SmartBarrel timesheet → Procore timecard entry, and a contact for a worker whom Procore does not know."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from http import HTTPStatus

from consumer.engine.handler import Handled, Subject
from consumer.engine.links import Links
from consumer.exceptions import NotFound, Rejected, Transient
from consumer.model import reasons
from consumer.model.events import Kind, ShiftWorker, TimesheetEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome, Reason
from consumer.sync.codes import Resolved
from consumer.sync.company import Companies, Company, set_up
from consumer.sync.directory import Ambiguous
from consumer.sync.fingerprint import fingerprint
from consumer.sync.mapping import (
    Booking,
    hours_text,
    origin_id,
    procore_id,
    shift_detail,
    shift_fingerprint,
    shift_not_due,
    timecard_fields,
)
from consumer.sync.revisions import in_doubt, made, with_doubt_noted, with_revision_noted
from consumer.upstream.procore import CREATE_CONTACT, Person, Timecard


_LOCKED = frozenset({"approved", "completed"})
_SOME_DAYS = timedelta(days=3)


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
        due = shift_not_due(event, company.settings)
        if due is not None:
            skipped = Handled(Outcome.SKIPPED, due.reasons, detail=shift_detail(event))
            return with_revision_noted(skipped, key, link, event.revision)
        entry = made(link)
        if entry is not None and entry.fingerprint == shift_fingerprint(event, self._user_of(event)):
            again = replace(entry, revision=event.revision)
            return Handled(Outcome.UNCHANGED, detail=shift_detail(event), links=(again,))
        return None

    async def handle(self, event: TimesheetEvent) -> Handled:
        """Create, update or leave the entry."""
        known = self.at_once(event)
        if known is not None:
            return known
        company = self._companies[event.company_id]
        link = self._links.get(_key(event))
        handled = await self._decide(event, company, made(link))
        handled = with_doubt_noted(handled, self._links, _key(event), event.revision)
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
            company.directory.renew()
            company.codes.renew()

    def _user_of(self, event: TimesheetEvent) -> int | None:
        stated = procore_id(event.worker.external_id)
        return stated if stated is not None else self._links.user_of_worker(event.company_id, event.worker.id)

    async def _decide(self, event: TimesheetEvent, company: Company, link: Link | None) -> Handled:
        user_id = self._user_of(event)
        digest = shift_fingerprint(event, user_id)
        new = Link(event.company_id, LinkKind.TIMESHEET, event.timesheet_id, "", event.revision, digest)
        try:
            return await self._sync(event, company, user_id, link, new)
        except Transient as error:
            if error.operation == CREATE_CONTACT:
                # It may have been made without our knowing: look at the directory again before trying.
                company.directory.renew()
            raise

    async def _sync(
        self, event: TimesheetEvent, company: Company, user_id: int | None, link: Link | None, new: Link
    ) -> Handled:
        project_id = event.procore_project_id
        if project_id is None:
            raise AssertionError("a shift without a Procore project is not due")
        resolved = await company.codes.resolve(event, project_id)
        if not isinstance(resolved, Resolved):
            return Handled(Outcome.FAILED, (resolved,))
        party, links = await self._party(event, company, user_id)
        if isinstance(party, Reason):
            return Handled(Outcome.FAILED, (party,))
        booking = Booking(project_id, party, resolved.codes)
        entry = await _existing(company, event, party, link)
        handled = await _put(company, event, booking, entry, new)
        warnings = (*resolved.warnings, *handled.warnings)
        return replace(handled, warnings=warnings, links=(*links, *handled.links))

    async def _party(
        self, event: TimesheetEvent, company: Company, user_id: int | None
    ) -> tuple[int | Reason, tuple[Link, ...]]:
        """The person id to book on, with the link of a contact that was found or made."""
        worker = event.worker
        if user_id is not None:
            person = await company.directory.of_user(user_id)
            return (person.id if person else reasons.person_not_found(_name(worker))), ()
        digest = fingerprint(worker.first_name, worker.last_name, worker.payroll_id)
        link = self._links.get(LinkKey(event.company_id, LinkKind.CONTACT, worker.id))
        try:
            person = await self._user_with(event, company)
            if link is not None and link.fingerprint == digest and person is None:
                return int(link.target_id), ()
            if person is None:
                person = await company.directory.of_worker(worker.id, worker.payroll_id)
        except Ambiguous as found:
            names = [_full_name(one) for one in found.people]
            return reasons.employee_id_ambiguous(worker.payroll_id or "", names), ()
        if person is None:
            person = await _contact(company, worker)
        elif self._is_another_worker(event, person):
            return reasons.employee_id_of_another(worker.payroll_id or "", _full_name(person)), ()
        new = Link(event.company_id, LinkKind.CONTACT, worker.id, str(person.id), event.revision, digest)
        return person.id, (new,)

    async def _user_with(self, event: TimesheetEvent, company: Company) -> Person | None:
        """The user whom a worker without a link has become since, by their employee ID.

        Not a user who is another worker already: then somebody has mistyped the payroll ID.
        """
        worker = event.worker
        if not worker.payroll_id:
            return None
        person = await company.directory.user_with(worker.id, worker.payroll_id)
        return None if person is None or self._is_another_worker(event, person) else person

    def _is_another_worker(self, event: TimesheetEvent, person: Person) -> bool:
        if person.user_id is None:
            return False
        link = self._links.get(LinkKey(event.company_id, LinkKind.USER, str(person.user_id)))
        return link is not None and link.target_id not in {"", event.worker.id}


def _key(event: TimesheetEvent) -> LinkKey:
    return LinkKey(event.company_id, LinkKind.TIMESHEET, event.timesheet_id)


def _full_name(person: Person) -> str:
    return " ".join(filter(None, (person.first_name, person.last_name)))


async def _contact(company: Company, worker: ShiftWorker) -> Person:
    try:
        person = await company.procore.create_contact(
            first_name=worker.first_name,
            last_name=worker.last_name,
            employee_id=worker.payroll_id,
            origin_id=origin_id(worker.id),
        )
    except Rejected as error:
        found = await _contact_made_meanwhile(company, worker) if _is_taken(error) else None
        if found is None:
            raise
        return found
    await company.directory.add(person)
    return person


async def _contact_made_meanwhile(company: Company, worker: ShiftWorker) -> Person | None:
    """A call of the last owner may take effect after we looked."""
    company.directory.renew()
    return await company.directory.of_worker(worker.id, worker.payroll_id)


def _is_taken(error: Rejected) -> bool:
    """Whether Procore says that our origin id is in use; no source tells the status for sure."""
    return error.status == HTTPStatus.CONFLICT or any("origin_id" in words for words in error.words)


async def _existing(
    company: Company, event: TimesheetEvent, party: int, link: Link | None
) -> Timecard | None:
    """The entry that stands for the timesheet: the linked one, else one with its origin id.

    It may have been made for an earlier revision, which nobody could commit: on another day, and on the
    worker's contact rather than on the user whom they became. So both are looked at, within a week.
    """
    if link is not None:
        try:
            return await company.procore.timecard(int(link.target_id))
        except NotFound:
            pass
    origin = origin_id(event.timesheet_id)
    contact = await company.directory.contact_of(event.worker.id)
    parties = {party} if contact is None else {party, contact.id}
    first, last = event.work_date - _SOME_DAYS, event.work_date + _SOME_DAYS
    entries = await company.procore.timecards(parties, first, last)
    return next((entry for entry in entries if entry.origin_id == origin), None)


async def _put(
    company: Company,
    event: TimesheetEvent,
    booking: Booking,
    entry: Timecard | None,
    new: Link,
) -> Handled:
    project_id, fields = booking.project_id, timecard_fields(event, booking)
    if entry is None:
        try:
            made = await company.procore.create_timecard(project_id, fields)
        except Rejected as error:
            entry = await _existing(company, event, booking.party_id, None) if _is_taken(error) else None
            if entry is None:
                raise
        else:
            return Handled(Outcome.CREATED, links=(replace(new, target_id=str(made.id)),))
    link = replace(new, target_id=str(entry.id))
    if _agrees(entry, project_id, fields):
        return Handled(Outcome.UNCHANGED, links=(link,))
    if entry.approval_status in _LOCKED:
        in_procore = "no" if entry.hours is None else hours_text(entry.hours)
        reason = reasons.locked(entry.approval_status, in_procore, hours_text(event.total_hours))
        return Handled(Outcome.SKIPPED, (reason,))
    await company.procore.update_timecard(entry.id, project_id, fields)
    return Handled(Outcome.UPDATED, warnings=_left_over(entry, fields), links=(link,))


def _left_over(entry: Timecard, fields: Mapping[str, object]) -> tuple[Reason, ...]:
    """Codes that the shift no longer has. Procore's API documents no way to take one off an entry."""
    names = {"sub_job_id": "sub job", "cost_code_id": "cost code", "location_id": "location"}
    left = [words for name, words in names.items() if getattr(entry, name) is not None and name not in fields]
    return (reasons.left_over(left),) if left else ()


def _agrees(entry: Timecard, project_id: int, fields: Mapping[str, object]) -> bool:
    return (
        entry.project_id == project_id
        and entry.date.isoformat() == fields["date"]
        and entry.hours == Decimal(str(fields["hours"]))
        and entry.party_id == fields["party_id"]
        and entry.description == fields["description"]
        and entry.origin_id == fields["origin_id"]
        and entry.sub_job_id == fields.get("sub_job_id")
        and entry.cost_code_id == fields.get("cost_code_id")
        and entry.location_id == fields.get("location_id")
    )


def _name(worker: ShiftWorker) -> str:
    return f"{worker.first_name} {worker.last_name}"
