"""What a completion writes: its result, its links, and a dead letter if it was set aside."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from consumer import tracing
from consumer.broker.port import Message, Record
from consumer.engine.deadletters import dead_letter, moment_of
from consumer.engine.handler import Handled, Handler, Subject
from consumer.engine.process import place_of
from consumer.engine.work import Completion
from consumer.exceptions import SchemaError
from consumer.model import reasons
from consumer.model.codec import Codec
from consumer.model.links import Link
from consumer.model.results import Outcome, Result
from consumer.model.topics import link_key, log_key


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of the topics that one engine reads and writes."""

    events: str
    sync_log: str
    links: str
    dead_letters: str


class Finished(NamedTuple):
    """What is to be committed of a record: messages, and the links and the result that are among them.

    ``dead`` has the stage and the reason's code of its dead letter.
    """

    offset: int
    messages: tuple[Message, ...] = ()
    links: tuple[Link, ...] = ()
    result: Result | None = None
    dead: tuple[str, str] | None = None
    timestamp_ms: int = 0


def finished(
    completion: Completion, handled: Handled, handler: Handler[Any], topics: Topics, codec: Codec
) -> Finished:
    """Encode all that the completion writes.

    What cannot be encoded, such as an upstream's words that are no text, becomes an error of this program and
    a dead letter: one record must not stop the others.
    """
    try:
        return _encoded(completion, handled, handler, topics, codec)
    except SchemaError as error:
        failed = Handled(Outcome.FAILED, (replace(reasons.INTERNAL_ERROR, upstream=type(error).__name__),))
        return _encoded(completion._replace(dead_stage="encode"), failed, handler, topics, codec)


def _encoded(
    completion: Completion, handled: Handled, handler: Handler[Any], topics: Topics, codec: Codec
) -> Finished:
    result = _result(completion, handled, handler)
    record, dead = completion.work.record, None
    key = log_key(result.company_id, result.run_id)
    trace = tracing.passed_on(record.headers, place_of(record))
    messages = [Message(topics.sync_log, key, codec.encode(result), trace)]
    if handled.links:
        messages += [Message(topics.links, link_key(link.key), codec.encode(link)) for link in handled.links]
    if completion.dead_stage is not None:
        reason = handled.reasons[0]
        dead = (completion.dead_stage, reason.code)
        messages.append(
            dead_letter(
                record,
                result.company_id,
                topic=topics.dead_letters,
                stage=completion.dead_stage,
                reason=reason,
                at=result.handled_at,
                run_id=result.run_id,
                codec=codec,
            )
        )
    return Finished(record.offset, tuple(messages), handled.links, result, dead, record.timestamp_ms)


def _result(completion: Completion, handled: Handled, handler: Handler[Any]) -> Result:
    work = completion.work
    subject = handler.subject(work.event) if work.event is not None else _unknown_subject(work.record)
    return Result(
        company_id=work.company_id,
        kind=handler.kind,
        run_id=subject.run_id,
        subject_id=subject.id,
        subject_name=subject.name,
        outcome=handled.outcome,
        reasons=handled.reasons,
        warnings=handled.warnings,
        detail=handled.detail,
        source_topic=work.record.topic,
        source_partition=work.record.partition,
        source_offset=work.record.offset,
        event_at=subject.at,
        handled_at=datetime.now(UTC),
    )


def _unknown_subject(record: Record) -> Subject:
    key = (record.key or b"").decode(errors="replace")
    at = moment_of(record)
    return Subject(key or "unknown", "(unreadable record)", at, None)
