"""What a delivery says, in each of Procore's payload versions. Pure.

v2.0 and v3.0 call what has changed ``resource_name`` and have numbers as ids; v4.0 calls it
``resource_type`` and has texts. Either is read in either form, and what is not needed may be missing.
"""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from consumer.exceptions import CrewsyncError
from consumer.model.notices import WebhookNotice


RESOURCES = frozenset({"company users", "project users"})
"""What is about people: a project's user is the company's, and one edit is told once for each project."""

_LARGEST_ID = 2**63
_MOST_DIGITS = 19
_LONGEST_WORD = 200


class UnreadablePayload(CrewsyncError):
    """It is no delivery of a webhook. The message has no value of it."""


def notice_of(body: bytes, received_at: datetime) -> WebhookNotice | None:
    """The notice in a delivery's body; None if it is about something that is not of interest.

    Raises UnreadablePayload.
    """
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadablePayload("it is not JSON") from None
    if not isinstance(payload, dict):
        raise UnreadablePayload("it is no object")
    is_newer = "resource_type" in payload
    resource = _word(payload, "resource_type" if is_newer else "resource_name")
    if resource.casefold() not in RESOURCES:
        return None
    metadata = payload.get("metadata")
    source: Mapping[str, Any] = metadata if isinstance(metadata, dict) else {}
    return WebhookNotice(
        company_id=_id(payload, "company_id"),
        user_id=_id(payload, "resource_id"),
        notice_id=_text(payload.get("ulid")) or _word(payload, "id"),
        resource=resource,
        reason=_word(payload, "reason" if is_newer else "event_type"),
        payload_version="v4.0" if is_newer else _text(payload.get("api_version")) or "v2.0",
        received_at=received_at,
        changed_at=_moment(payload.get("timestamp")),
        changed_by=_text(source.get("source_user_id")) or _text(payload.get("user_id")),
        application=_text(source.get("source_application_id")),
    )


def is_own(notice: WebhookNotice, own_ids: Collection[str]) -> bool:
    """Whether crewsync itself has made the change, by the ids as which it is known to Procore."""
    return notice.changed_by in own_ids or notice.application in own_ids


def _word(payload: Mapping[str, Any], name: str) -> str:
    word = _text(payload.get(name))
    if word is None:
        raise UnreadablePayload(f"{name} is missing")
    return word


def _id(payload: Mapping[str, Any], name: str) -> int:
    text = _word(payload, name)
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0
    if not 0 < number < _LARGEST_ID:
        raise UnreadablePayload(f"{name} is no id")
    return number


def _text(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        # Of a number with thousands of digits Python makes no text.
        return str(value) if abs(value) < _LARGEST_ID else None
    if not isinstance(value, str) or len(value) > _LONGEST_WORD:
        return None
    # What no encoding has would end up on the topic.
    return value.strip() or None if value.isprintable() else None


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment and (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
