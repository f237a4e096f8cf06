"""Procore user → SmartBarrel worker."""

from dataclasses import replace

from consumer.engine.handler import Handled, Subject
from consumer.engine.links import Links
from consumer.exceptions import Duplicate, NotFound
from consumer.model import reasons
from consumer.model.events import Kind, UserEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import SYNCED, Outcome
from consumer.sync.company import Companies, Company, set_up
from consumer.sync.mapping import (
    NotDue,
    WorkerFields,
    revision_of,
    user_fingerprint,
    user_warnings,
    worker_fields,
)
from consumer.sync.matching import Matched, Refused, Rung, find_match, in_use, taken
from consumer.sync.revisions import in_doubt, made, with_doubt_noted, with_revision_noted
from consumer.upstream.smartbarrel import Worker


_RUNG_OF_FIELD = {
    "external_id": Rung.EXTERNAL_ID,
    "payroll_id": Rung.PAYROLL_ID,
    "phone_number": Rung.PHONE,
}


class UserHandler:
    """Keeps one SmartBarrel worker for each Procore user who is an employee."""

    kind = Kind.USERS

    def __init__(self, companies: Companies, links: Links) -> None:
        self._companies = companies
        self._links = links

    def subject(self, event: UserEvent) -> Subject:
        """The user."""
        name = " ".join(part for part in (event.first_name, event.last_name) if part)
        return Subject(str(event.user_id), name or "(no name)", event.asked_at, event.run_id)

    def at_once(self, event: UserEvent) -> Handled | None:
        """Stale, unchanged or not for syncing: from the links and the event's own fields alone."""
        company = self._companies.get(event.company_id)
        if company is None:
            return Handled(Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))
        key = _key(event)
        link = self._links.get(key)
        revision = revision_of(event.asked_at)
        if link is not None and revision < link.revision:
            return Handled(Outcome.STALE)
        linked = made(link)
        if linked is not None and linked.fingerprint == user_fingerprint(event, company.settings):
            again = replace(linked, revision=revision)
            return Handled(Outcome.UNCHANGED, warnings=user_warnings(event), links=(again,))
        fields = worker_fields(event, company.settings)
        if isinstance(fields, NotDue):
            skipped = Handled(Outcome.SKIPPED, fields.reasons)
            return with_revision_noted(skipped, key, link, revision)
        return None

    async def handle(self, event: UserEvent) -> Handled:
        """Create, update or leave the worker."""
        known = self.at_once(event)
        if known is not None:
            return known
        company = self._companies[event.company_id]
        fields = worker_fields(event, company.settings)
        if isinstance(fields, NotDue):
            return Handled(Outcome.SKIPPED, fields.reasons)
        link = self._links.get(_key(event))
        new = Link(
            event.company_id,
            LinkKind.USER,
            str(event.user_id),
            "",
            revision_of(event.asked_at),
            user_fingerprint(event, company.settings),
        )
        try:
            handled = await _apply(fields, company, made(link), new)
        except Duplicate as error:
            # Somebody else took the value between our look and our call, so a second look decides.
            handled = await _after_duplicate(error, fields, company, new)
        if handled.outcome in SYNCED:
            return replace(handled, warnings=user_warnings(event))
        return with_doubt_noted(handled, self._links, _key(event), new.revision)

    async def probe(self, company_id: int) -> None:
        """Whether SmartBarrel answers for the company."""
        await set_up(self._companies, company_id).smartbarrel.probe()

    def in_doubt(self, event: UserEvent) -> tuple[Link, ...]:
        """The worker's link, without a fingerprint."""
        return in_doubt(self._links, _key(event), revision_of(event.asked_at))

    def renew(self) -> None:
        """Nothing is kept of SmartBarrel."""


def _key(event: UserEvent) -> LinkKey:
    return LinkKey(event.company_id, LinkKind.USER, str(event.user_id))


async def _apply(fields: WorkerFields, company: Company, link: Link | None, new: Link) -> Handled:
    if link is not None:
        try:
            worker = await company.smartbarrel.update_worker(link.target_id, _changes(None, fields))
        except NotFound:
            # The worker that was linked is gone for good; whoever matches now takes the place.
            pass
        except Duplicate as error:
            return await _taken_from_linked(error, fields, company, link)
        else:
            return _synced(Outcome.UPDATED, worker, Rung.LINK, new)
    match = await find_match(fields, company.smartbarrel)
    if isinstance(match, Refused):
        return Handled(match.outcome, (match.reason,))
    if match is None:
        # Whoever takes the place of a worker who is gone must not be answered with the one who is gone.
        instead_of = f"-{link.target_id}" if link is not None else ""
        key = f"user-{new.company_id}-{new.source_id}-{new.fingerprint}{instead_of}"
        worker = await company.smartbarrel.create_worker(_changes(None, fields), key)
        return _synced(Outcome.CREATED, worker, None, new)
    return await _update(match, fields, company, new)


async def _update(match: Matched, fields: WorkerFields, company: Company, new: Link) -> Handled:
    changes = _changes(match.worker, fields)
    if not changes:
        return _synced(Outcome.UNCHANGED, match.worker, match.rung, new)
    worker = await company.smartbarrel.update_worker(match.worker.id, changes)
    return _synced(Outcome.UPDATED, worker, match.rung, new)


async def _taken_from_linked(error: Duplicate, fields: WorkerFields, company: Company, link: Link) -> Handled:
    """The user's own worker is known, so whoever has the value is somebody else."""
    rung = _RUNG_OF_FIELD.get(error.field)
    if rung is None:
        raise error
    other = await company.smartbarrel.worker(error.other_id)
    own = await company.smartbarrel.worker(link.target_id)
    refused = taken(rung, other, own, fields)
    return Handled(refused.outcome, (refused.reason,))


async def _after_duplicate(error: Duplicate, fields: WorkerFields, company: Company, new: Link) -> Handled:
    match = await find_match(fields, company.smartbarrel)
    if isinstance(match, Matched):
        return await _update(match, fields, company, new)
    if match is None:
        rung = _RUNG_OF_FIELD.get(error.field)
        if rung is None or rung is Rung.EXTERNAL_ID:
            raise error
        match = in_use(rung, await company.smartbarrel.worker(error.other_id))
    return Handled(match.outcome, (match.reason,))


def _changes(worker: Worker | None, fields: WorkerFields) -> dict[str, object]:
    """The fields to send, all of them or those that differ.

    An employee ID that is missing in Procore is never sent: it is recommended only, and to clear the
    payroll ID that somebody entered in SmartBarrel could cost a person their pay.
    """
    wanted = fields.as_json()
    if fields.payroll_id is None:
        del wanted["payroll_id"]
    if worker is None:
        return wanted
    return {name: value for name, value in wanted.items() if getattr(worker, name) != value}


def _synced(outcome: Outcome, worker: Worker, rung: Rung | None, new: Link) -> Handled:
    how = "" if rung in {None, Rung.LINK} else f", matched by {rung}"
    return Handled(outcome, detail=f"worker {worker.id}{how}", links=(replace(new, target_id=worker.id),))
