"""The envelope in which a record is set aside: itself untouched, and headers that say why."""

from datetime import UTC, datetime
from enum import StrEnum

from consumer.broker.port import Message, Record
from consumer.model.codec import Codec
from consumer.model.deadletters import DeadLetter
from consumer.model.results import Reason


HEADER = "crewsync.dead-letter"
"""The whole story, in Avro."""
REASON_HEADER = "crewsync.reason"
"""The reason's code as text, for whoever looks at the topic with a plain tool."""
REDRIVEN_HEADER = "crewsync.redriven"
"""On a record that was published again: how often that was done, as a decimal number."""
SETTLED_HEADER = "crewsync.settled"
"""On a record without a value: the offset, in the same partition, of the letter that it settles."""
ENDING_HEADER = "crewsync.ending"
"""Beside it: what became of the letter, one of ``Ending``."""
BY_HEADER = "crewsync.by"
"""Beside it: who did that."""
_LONGEST_COUNT, _LONGEST_OFFSET = 9, 18


class Ending(StrEnum):
    """What became of a letter."""

    REDRIVEN = "redriven"
    DROPPED = "dropped"
    STALE = "stale"
    """A newer event of its subject was applied."""
    MOVED = "moved"
    """It stands further on in the topic."""


def moment_of(record: Record) -> datetime:
    """The record's timestamp; 1970 for one that no calendar has, since any producer may write anything."""
    try:
        return datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def redrive_count(record: Record) -> int:
    """How often the record was set aside and published again."""
    count = dict(record.headers).get(REDRIVEN_HEADER, b"")
    return int(count) if count.isdigit() and len(count) <= _LONGEST_COUNT else 0


def letter_of(record: Record, codec: Codec) -> DeadLetter:
    """The story of a dead letter. Raises SchemaError if it has none that can be read."""
    return codec.decode(dict(record.headers).get(HEADER, b""), DeadLetter)


def settled(record: Record, ending: Ending, by: str) -> Message:
    """The record that settles a letter: it is in no list any more, and is not redriven again."""
    headers = (
        (SETTLED_HEADER, str(record.offset).encode()),
        (ENDING_HEADER, ending.encode()),
        (BY_HEADER, by.encode()),
    )
    return Message(record.topic, record.key, None, headers, record.partition)


def settled_offset(record: Record) -> int | None:
    """Which letter of the same partition the record settles; None if it is a letter itself."""
    offset = b"" if record.value is not None else dict(record.headers).get(SETTLED_HEADER, b"")
    return int(offset) if offset.isdigit() and len(offset) <= _LONGEST_OFFSET else None


def redriven(record: Record, letter: DeadLetter) -> Message:
    """The record as it is published again to where it came from; a new event, with its count."""
    ours = {HEADER, REASON_HEADER, REDRIVEN_HEADER}
    kept = tuple(header for header in record.headers if header[0] not in ours)
    count = str(letter.redrive_count + 1).encode()
    return Message(letter.source_topic, record.key, record.value, (*kept, (REDRIVEN_HEADER, count)))


def dead_letter(
    record: Record,
    company_id: int | None,
    *,
    topic: str,
    stage: str,
    reason: Reason,
    at: datetime,
    run_id: str | None,
    codec: Codec,
) -> Message:
    """Wrap a record. Headers that it had stay, but for those of an earlier dead letter."""
    letter = DeadLetter(
        source_topic=record.topic,
        source_partition=record.partition,
        source_offset=record.offset,
        source_timestamp=moment_of(record),
        stage=stage,
        reason_code=reason.code,
        reason=reason.message,
        failed_at=at,
        redrive_count=redrive_count(record),
        company_id=company_id,
        run_id=run_id,
    )
    kept = tuple(header for header in record.headers if header[0] not in {HEADER, REASON_HEADER})
    return Message(
        topic=topic,
        key=record.key,
        value=record.value,
        headers=(*kept, (HEADER, codec.encode(letter)), (REASON_HEADER, reason.code.encode())),
    )
