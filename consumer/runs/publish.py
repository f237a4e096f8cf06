"""A run's events: read whole from an upstream, published whole in one transaction."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from consumer.broker.port import Broker, Message
from consumer.model.codec import Codec
from consumer.model.events import Event, Kind, TimesheetEvent, Trigger, UserEvent
from consumer.model.results import RunMarker
from consumer.model.topics import log_key, timesheet_key, user_key
from consumer.sync.company import Company
from consumer.topics import TopicNames
from consumer.upstream.budget import be_patient


@dataclass(frozen=True, slots=True)
class Publisher:
    """Where runs are published."""

    broker: Broker
    codec: Codec
    topics: TopicNames

    def publish(self, marker: RunMarker, events: Sequence[Event]) -> None:
        """Publish the run's start and all of its events, or nothing. Raises BrokerError."""
        producer = self.broker.transactional_producer(f"{self.topics.prefix}crewsync-run-{marker.run_id}")
        try:
            producer.begin()
            key = log_key(marker.company_id, marker.run_id)
            producer.send(Message(self.topics.sync_log, key, self.codec.encode(marker)))
            for event in events:
                producer.send(self._message(replace(event, run_id=marker.run_id)))
            producer.commit()
        finally:
            producer.close()

    def _message(self, event: Event) -> Message:
        value = self.codec.encode(event)
        if isinstance(event, UserEvent):
            return Message(self.topics.user_events, user_key(event), value)
        return Message(self.topics.timesheet_events, timesheet_key(event), value)


async def read_events(company: Company, kind: Kind, on_page: Callable[[int], None]) -> list[Event]:
    """All users or all timesheets of a company. ``on_page`` is told how many were read so far.

    With *Sync Classifications* on, all of Procore's become positions before, whether or not a user has them.
    """
    be_patient()
    settings = company.settings
    if kind is Kind.USERS and settings.user_sync and settings.sync_classifications:
        await company.positions.sync_all()
    pages: AsyncIterator[Sequence[UserEvent] | Sequence[TimesheetEvent]] = (
        company.procore.users() if kind is Kind.USERS else company.smartbarrel.timesheets()
    )
    events: list[Event] = []
    async for page in pages:
        events.extend(page)
        on_page(len(events))
    return events


def marker_of(company_id: int, kind: Kind, events: Sequence[Event], requested_by: str) -> RunMarker:
    """The start of a manual run of these events, now."""
    return RunMarker(
        company_id=company_id,
        kind=kind,
        run_id=secrets.token_hex(4),
        trigger=Trigger.MANUAL,
        requested_by=requested_by,
        started_at=datetime.now(UTC),
        expected=len(events),
    )
