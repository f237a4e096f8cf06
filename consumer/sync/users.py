"""Procore user → SmartBarrel worker."""

from dataclasses import replace

from consumer.engine.handler import Handled, Subject
from consumer.engine.links import Links
from consumer.model import reasons
from consumer.model.events import Kind, UserEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.sync.company import Companies, Company, set_up
from consumer.sync.mapping import (
    NotDue,
    is_to_be_deactivated,
    revision_of,
    user_fingerprint,
    user_warnings,
    worker_fields,
)
from consumer.sync.matching import Refused
from consumer.sync.revisions import in_doubt, made, with_doubt_noted, with_revision_noted
from consumer.sync.worker_plan import WorkerPlan, carry_out, plan_deactivation, plan_worker


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
        link = self._links.get(_key(event))
        if link is not None and revision_of(event.asked_at) < link.revision:
            return Handled(Outcome.STALE)
        if event.run_id is None and not company.settings.autosync_users:
            return Handled(Outcome.HELD, (reasons.AUTOSYNC_OFF,))
        return self._decided(event, company, link)

    def _decided(self, event: UserEvent, company: Company, link: Link | None) -> Handled | None:
        linked, revision = made(link), revision_of(event.asked_at)
        is_same = linked is not None and linked.fingerprint == user_fingerprint(event, company.settings)
        if linked is not None and is_same and not event.force:
            again = replace(linked, revision=revision)
            # Whoever is deactivated lacks nothing that would matter.
            warnings = user_warnings(event) if event.is_active else ()
            return Handled(Outcome.UNCHANGED, warnings=warnings, links=(again,))
        fields = worker_fields(event, company.settings)
        if linked is not None and is_to_be_deactivated(event, company.settings):
            return None
        if isinstance(fields, NotDue):
            skipped = Handled(Outcome.SKIPPED, fields.reasons)
            return with_revision_noted(skipped, _key(event), link, revision)
        return None

    async def plan(self, event: UserEvent) -> WorkerPlan | Handled:
        """What would be done, found with reads only; or how the event ends without a call that changes."""
        known = self.at_once(event)
        return await self._plan(event) if known is None else known

    async def handle(self, event: UserEvent) -> Handled:
        """Create, update or leave the worker."""
        known = self.at_once(event)
        if known is not None:
            return known
        key, revision = _key(event), revision_of(event.asked_at)
        plan = await self._plan(event)
        if isinstance(plan, Handled):
            return with_revision_noted(plan, key, self._links.get(key), revision)
        handled = await carry_out(plan, self._companies[event.company_id])
        return with_doubt_noted(handled, self._links, key, revision)

    async def probe(self, company_id: int) -> None:
        """Whether SmartBarrel answers for the company."""
        await set_up(self._companies, company_id).smartbarrel.probe()

    def in_doubt(self, event: UserEvent) -> tuple[Link, ...]:
        """The worker's link, without a fingerprint."""
        return in_doubt(self._links, _key(event), revision_of(event.asked_at))

    def renew(self) -> None:
        """Read classifications and positions anew."""
        for company in self._companies.values():
            company.renew()

    async def _plan(self, event: UserEvent) -> WorkerPlan | Handled:
        company = self._companies[event.company_id]
        link = made(self._links.get(_key(event)))
        new = Link(
            event.company_id,
            LinkKind.USER,
            str(event.user_id),
            "",
            revision_of(event.asked_at),
            user_fingerprint(event, company.settings),
        )
        fields = worker_fields(event, company.settings)
        if isinstance(fields, NotDue):
            return Handled(Outcome.SKIPPED, fields.reasons) if link is None else plan_deactivation(link, new)
        planned = await plan_worker(event, fields, company, link, new)
        return planned.handled if isinstance(planned, Refused) else planned


def _key(event: UserEvent) -> LinkKey:
    return LinkKey(event.company_id, LinkKind.USER, str(event.user_id))
