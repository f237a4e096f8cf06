"""Whom a run has published already, found on the topic of events itself."""

import time
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import datetime

from consumer.broker.port import Broker, Record
from consumer.broker.table import Table
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.events import Event, Kind, TimesheetEvent, UserEvent


_LIMIT_S = 600.0
_MARGIN_S = 600.0
"""How far the clocks of two machines may differ."""


def subject_of(event: Event) -> str:
    """Whom or what an event is about, within its company."""
    return str(event.user_id) if isinstance(event, UserEvent) else event.timesheet_id


def before_ms(started_at: datetime) -> int:
    """A moment in Unix milliseconds that is before the first event of a run that began at ``started_at``."""
    return int((started_at.timestamp() - _MARGIN_S) * 1000)


def published_by(
    broker: Broker, codec: Codec, topic: str, kind: Kind, *, run_id: str, since_ms: int
) -> AbstractSet[str]:
    """The subjects of the run's events on ``topic``; ``since_ms`` is a moment before the first.

    Waits for transactions that are open now to end, whose ever they are. Raises BrokerError.
    """
    event_type: type[Event] = UserEvent if kind is Kind.USERS else TimesheetEvent
    found: set[str] = set()

    def take(record: Record) -> None:
        with suppress(SchemaError):
            event = None if record.value is None else codec.decode(record.value, event_type)
            if event is not None and event.run_id == run_id:
                found.add(subject_of(event))

    table = Table(broker, topic, take, since_ms)
    try:
        table.catch_up(time.monotonic, _LIMIT_S)
    finally:
        table.close()
    return found
