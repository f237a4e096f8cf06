"""Wishes to sync: what they say, and how they get to whoever carries them out."""

import secrets
from datetime import UTC, date, datetime

from consumer.broker.port import Broker, Message
from consumer.broker.writing import write
from consumer.model.codec import Codec
from consumer.model.events import Kind, SyncCommand, Trigger
from consumer.model.topics import company_key


def new_run_id() -> str:
    """An id that no other run has."""
    return secrets.token_hex(6)


def manual_sync(company_id: int, kind: Kind, requested_by: str, run_id: str | None = None) -> SyncCommand:
    """The wish of a person for everything of a kind, as of now."""
    return SyncCommand(
        company_id=company_id,
        kind=kind,
        trigger=Trigger.MANUAL,
        requested_by=requested_by,
        requested_at=datetime.now(UTC),
        run_id=run_id or new_run_id(),
    )


def partition_of(company_id: int, partitions: int) -> int:
    """The partition of a company's commands, of so many: its owner carries them out, and schedules more.

    Spelt out here, and not left to the broker's own choice by key, because the scheduler has to know it.
    """
    return company_id % partitions


def message_of(command: SyncCommand, topic: str, codec: Codec, partitions: int) -> Message:
    """The command as it is written."""
    partition = partition_of(command.company_id, partitions)
    return Message(topic, company_key(command.company_id), codec.encode(command), partition=partition)


def send_command(broker: Broker, codec: Codec, topic: str, command: SyncCommand) -> None:
    """Write a command durably. Raises BrokerError."""
    write(broker, message_of(command, topic, codec, len(broker.partitions(topic))))


def scope_of(command: SyncCommand) -> str | None:
    """What the command is limited to, in words; None if it is not."""
    project = None if command.project_id is None else f"SmartBarrel project {command.project_id}"
    return ", ".join(part for part in (project, _days(command.first_day, command.last_day)) if part) or None


def _days(first: date | None, last: date | None) -> str | None:
    if first is not None and last is not None:
        return f"working days {first.isoformat()} to {last.isoformat()}"
    if first is not None:
        return f"working days from {first.isoformat()}"
    return None if last is None else f"working days until {last.isoformat()}"
