"""What every arm does with a record besides the call: decode the event before, encode the result after."""

from datetime import UTC, datetime

from consumer.model.codec import Codec
from consumer.model.events import Kind, UserEvent
from consumer.model.results import Outcome, Result
from consumer.model.topics import log_key


class Job:
    """The peers' part of the work that our engine does by itself; the same codec, schema and keys."""

    def __init__(self, topic: str, work_ms: int) -> None:
        self._codec = Codec()
        self._topic = topic
        self._outcome = Outcome.UPDATED if work_ms else Outcome.UNCHANGED

    def event(self, value: bytes) -> UserEvent:
        """The event in a record."""
        return self._codec.decode(value, UserEvent)

    def result(self, event: UserEvent, partition: int, offset: int) -> tuple[bytes, bytes]:
        """Key and value of its result."""
        result = Result(
            company_id=event.company_id,
            kind=Kind.USERS,
            run_id=event.run_id,
            subject_id=str(event.user_id),
            subject_name=f"{event.first_name} {event.last_name}",
            outcome=self._outcome,
            reasons=(),
            warnings=(),
            detail=None,
            source_topic=self._topic,
            source_partition=partition,
            source_offset=offset,
            event_at=event.asked_at,
            handled_at=datetime.now(UTC),
        )
        return log_key(event.company_id, event.run_id), self._codec.encode(result)
