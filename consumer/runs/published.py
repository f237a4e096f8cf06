"""Whom a run has published already, found on the topic of events itself."""

import time
from collections.abc import Iterator
from datetime import datetime

from consumer.broker.port import Broker
from consumer.exceptions import BrokerUnavailable, SchemaError
from consumer.model.codec import Codec
from consumer.model.events import Event, Kind, TimesheetEvent, UserEvent


_POLL_S = 0.5
_MOST = 5000
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
) -> Iterator[str]:
    """Give the subjects of the run's events on ``topic``; ``since_ms`` is a moment before the first.

    Waits for transactions that are open now to end, whose ever they are. Raises BrokerError.
    """
    event_type: type[Event] = UserEvent if kind is Kind.USERS else TimesheetEvent
    partitions = broker.partitions(topic)
    ends = broker.written_offsets(partitions)
    reader = broker.reader(partitions)
    deadline = time.monotonic() + _LIMIT_S
    try:
        starts = reader.offsets_for_times(dict.fromkeys(partitions, since_ms))
        for partition in partitions:
            start = starts[partition]
            reader.seek(partition, ends[partition] if start is None else start)
        while any(reader.position(partition) < ends[partition] for partition in partitions):
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"reading {topic} to its end took longer than {_LIMIT_S:.0f} s")
            for record in reader.poll(_POLL_S, _MOST):
                try:
                    event = None if record.value is None else codec.decode(record.value, event_type)
                except SchemaError:
                    continue
                if event is not None and event.run_id == run_id:
                    yield subject_of(event)
    finally:
        reader.close()
