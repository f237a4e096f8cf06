"""What a sync would do for one person or shift: read from the upstreams, and written nowhere."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from time import monotonic

from consumer.broker.port import Broker
from consumer.engine.handler import Handled, Subject
from consumer.engine.links import Links, follow_links
from consumer.exceptions import CrewsyncError, NotFound, TopicMissing
from consumer.model.codec import Codec
from consumer.model.events import Event, TimesheetEvent, UserEvent
from consumer.model.results import Outcome, Reason
from consumer.sync.company import Company
from consumer.sync.plan import Plan, Step
from consumer.sync.timesheets import TimesheetHandler
from consumer.sync.users import UserHandler


_WHY: Mapping[Outcome, str] = {
    Outcome.UNCHANGED: "The same was synced before, and nothing has changed since.",
    Outcome.STALE: "A newer revision was seen before.",
}


_A_SYNC = "plan"
"""Stands for the run whose event it would be: a sync is never held."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How the event of one person or shift would end, why, and the calls that would change something."""

    subject: Subject
    outcome: Outcome
    reasons: tuple[Reason, ...]
    warnings: tuple[Reason, ...]
    why: Sequence[str]
    steps: Sequence[Step]


def known_links(broker: Broker, topic: str, codec: Codec) -> Links:
    """The links as they stand now; none if nothing was ever synced. Raises BrokerError."""
    links = Links(codec)
    try:
        table = follow_links(broker, topic, links)
    except TopicMissing:
        return links
    with closing(table):
        table.catch_up(monotonic)
    return links


async def plan_user(company: Company, links: Links, user_id: int) -> Shown:
    """What would be done for a Procore user as they are now. Raises CrewsyncError."""
    try:
        event = await company.procore.user(user_id)
    except NotFound:
        raise CrewsyncError(f"Procore knows no user {user_id}, or hides them from this account") from None
    return await plan_event(company, links, event, force=False)


async def plan_timesheet(company: Company, links: Links, timesheet_id: str, day: date | None) -> Shown:
    """What would be done for a SmartBarrel timesheet as it is now; ``day`` saves reading all others.

    Raises CrewsyncError.
    """
    event = await _timesheet(company, timesheet_id, day)
    if event is None:
        when = "" if day is None else f" on {day.isoformat()}"
        raise CrewsyncError(f"SmartBarrel has no timesheet {timesheet_id}{when}")
    return await plan_event(company, links, event, force=False)


async def plan_event(company: Company, links: Links, event: Event, *, force: bool) -> Shown:
    """What would be done for an event if it were part of a run. Raises UpstreamError."""
    companies = {company.company_id: company}
    event = replace(event, run_id=_A_SYNC, force=force)
    if isinstance(event, UserEvent):
        users = UserHandler(companies, links)
        return _shown(users.subject(event), await users.plan(event))
    sheets = TimesheetHandler(companies, links)
    return _shown(sheets.subject(event), await sheets.plan(event))


async def _timesheet(company: Company, timesheet_id: str, day: date | None) -> TimesheetEvent | None:
    async for page in company.smartbarrel.timesheets(day, day):
        for event in page:
            if event.timesheet_id == timesheet_id:
                return event
    return None


def _shown(subject: Subject, plan: Plan | Handled) -> Shown:
    if isinstance(plan, Handled):
        why = (_WHY[plan.outcome],) if plan.outcome in _WHY else ()
        return Shown(subject, plan.outcome, plan.reasons, plan.warnings, why, ())
    handled = plan.handled
    return Shown(subject, handled.outcome, handled.reasons, handled.warnings, plan.why, plan.steps)
