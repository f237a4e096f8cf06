"""What a run writes: its events, and how far it is."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from consumer import tracing
from consumer.broker.port import Message
from consumer.model.codec import Codec
from consumer.model.events import Event, UserEvent
from consumer.model.results import RunMarker
from consumer.model.topics import log_key, timesheet_key, user_key
from consumer.topics import TopicNames


def page_messages(
    marker: RunMarker, events: Iterable[Event], topics: TopicNames, codec: Codec
) -> Sequence[Message]:
    """Events of a run, and how far it is with them: to be written in one transaction."""
    written = [event_message(replace(event, run_id=marker.run_id), topics, codec) for event in events]
    return [*written, marker_message(marker, topics, codec)]


def marker_message(marker: RunMarker, topics: TopicNames, codec: Codec) -> Message:
    """How far a run is, as it is written."""
    return Message(topics.sync_log, log_key(marker.company_id, marker.run_id), codec.encode(marker))


def event_message(event: Event, topics: TopicNames, codec: Codec) -> Message:
    """The event as it is written."""
    value = codec.encode(event)
    if isinstance(event, UserEvent):
        return Message(topics.user_events, user_key(event), value, _trace(event, "user"))
    return Message(topics.timesheet_events, timesheet_key(event), value, _trace(event, "timesheet"))


def _trace(event: Event, what: str) -> tracing.Headers:
    return tracing.published(f"publish {what}", {"company": event.company_id, "run": event.run_id or ""})
