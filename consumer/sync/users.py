"""Procore user → SmartBarrel worker."""

from collections.abc import Sequence
from dataclasses import replace

from consumer.engine.handler import Handled, Subject
from consumer.engine.links import Links
from consumer.model import reasons
from consumer.model.events import Kind, UserEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.sync.applied import NO_POSITION, NOT_KNOWN, Applied
from consumer.sync.company import Companies, Company, set_up
from consumer.sync.mapping import (
    NotDue,
    is_to_be_deactivated,
    revision_of,
    user_fingerprint,
    user_warnings,
    worker_fields,
)
from consumer.sync.revisions import in_doubt, made, released, with_doubt_noted, with_revision_noted
from consumer.sync.worker_calls import carry_out
from consumer.sync.worker_plan import Known, WorkerPlan, plan_deactivation, plan_worker


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
        unchanged = None if linked is None or event.force else _unchanged(event, company, linked)
        if unchanged is not None:
            return unchanged
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
        return await self._plan(event, looks=True) if known is None else known

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
        return with_doubt_noted(self._with_others_released(handled), self._links, key, revision)

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

    async def _plan(self, event: UserEvent, *, looks: bool = False) -> WorkerPlan | Handled:
        company, link = self._companies[event.company_id], made(self._links.get(_key(event)))
        new = Link(
            event.company_id,
            LinkKind.USER,
            str(event.user_id),
            "",
            revision_of(event.asked_at),
            user_fingerprint(event, company.settings),
        )
        known = None if link is None else Known(link, bool(self._others(link)), looks, event.force)
        fields = worker_fields(event, company.settings)
        if isinstance(fields, NotDue):
            if known is None:
                return Handled(Outcome.SKIPPED, fields.reasons)
            return await plan_deactivation(known, new, company)
        return await plan_worker(event, fields, company, known, new)

    def _others(self, link: Link) -> Sequence[Link]:
        """Other users' links to the same worker."""
        users = self._links.users_of_worker(link.company_id, link.target_id)
        keys = [replace(link.key, source_id=str(one)) for one in users if str(one) != link.source_id]
        return [other for other in map(self._links.get, keys) if other is not None]

    def _with_others_released(self, handled: Handled) -> Handled:
        """Whoever had the worker before has them no more: their link would take them back one day."""
        own = [link for link in handled.links if link.kind is LinkKind.USER and link.target_id]
        others = [released(other) for link in own for other in self._others(link)]
        return replace(handled, links=(*handled.links, *others))


def _unchanged(event: UserEvent, company: Company, linked: Link) -> Handled | None:
    """How the event ends if the link alone tells that nothing is to be sent, nor looked at."""
    noted = Applied.of(linked.fingerprint)
    # Whoever is deactivated lacks nothing that would matter, and has no position of ours.
    led_to = _led_to(event, company) if event.is_active else None
    wanted = Applied(user_fingerprint(event, company.settings), led_to)
    if led_to == NOT_KNOWN or noted.is_inactive or not noted.covers(wanted):
        return None
    again = replace(linked, revision=revision_of(event.asked_at), fingerprint=str(wanted))
    return Handled(
        Outcome.UNCHANGED, warnings=user_warnings(event) if event.is_active else (), links=(again,)
    )


def _led_to(event: UserEvent, company: Company) -> str | None:
    """What the user's classification leads to, as far as that was looked at just now."""
    if not company.settings.sync_classifications:
        return None
    if event.work_classification_id is None:
        return NO_POSITION
    return company.positions.seen(event.work_classification_id) or NOT_KNOWN


def _key(event: UserEvent) -> LinkKey:
    return LinkKey(event.company_id, LinkKind.USER, str(event.user_id))
