"""How SmartBarrel's requests are read and its lists and refusals are written."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from math import ceil
from typing import Any

from consumer.sandbox.documents import Body, Clause, Collection, count, select
from consumer.sandbox.exchange import Call, Refusal, Reply, phrase


DEFAULT_PER_PAGE = 50
MAX_PER_PAGE = 200
STATUSES = frozenset({"active", "inactive"})

_PHONE_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")

FieldErrors = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a request may set. ``label`` is what SmartBarrel's people call it."""

    label: str
    fits: Callable[[str], bool] = lambda _: True
    required: bool = False
    nullable: bool = False

    def error(self, value: Any) -> str | None:
        """What is wrong with a value that was sent, in words for people; None if nothing."""
        if value is None and self.nullable:
            return None
        blank = value is None or (isinstance(value, str) and not value.strip())
        if blank and not self.nullable:
            return f"Missing {self.label}"
        if blank or not isinstance(value, str) or not self.fits(value):
            return f"{self.label[0].upper()}{self.label[1:]} is not valid"
        return None


def is_phone_number(value: str) -> bool:
    """Whether the text is an E.164 number."""
    return _PHONE_NUMBER.fullmatch(value) is not None


def is_email(value: str) -> bool:
    """Whether the text looks like an e-mail address."""
    return _EMAIL.fullmatch(value) is not None


def is_status(value: str) -> bool:
    """Whether the text is a status of a worker or position."""
    return value in STATUSES


def error(status: int, code: str, message: str, **more: Any) -> Refusal:
    """A refusal in SmartBarrel's form."""
    return Refusal(status, {"error": {"code": code, "message": message, **more}})


def error_body(status: int) -> Body:
    """What SmartBarrel might say with a status, whatever was asked."""
    codes: dict[int, str] = {HTTPStatus.TOO_MANY_REQUESTS: "rate_limited"}
    said = "internal_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else phrase(status)
    return {"error": {"code": codes.get(status, said.lower().replace(" ", "_")), "message": phrase(status)}}


def not_found(kind: str) -> Refusal:
    """The thing is not there."""
    return error(404, "not_found", f"{kind} not found")


def rate_limited(wait_s: float) -> Refusal:
    """Too many requests; after the wait, another has a chance."""
    refusal = error(429, "rate_limited", "Too many requests")
    refusal.reply = refusal.reply.having({"Retry-After": str(max(1, ceil(wait_s)))})
    return refusal


def invalid(errors: FieldErrors) -> Refusal:
    """All fields that are wrong; the message is the first one's."""
    return error(422, "invalid", errors[0]["message"], fields=errors)


def one_invalid(field: str, message: str) -> Refusal:
    """One field that is wrong."""
    return invalid([{"field": field, "message": message}])


def read_fields(
    call: Call,
    fields: Mapping[str, Field],
    *,
    partial: bool = False,
    errors: Callable[[Body], FieldErrors] = lambda _: [],
) -> Body:
    """The request's fields. Refused with everything that is wrong, ``errors`` adding what needs a look-up.

    With ``partial`` no field is required, but there must be one.
    """
    try:
        body = json.loads(call.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise one_invalid("body", "Body is not a JSON object")
    if partial and not body:
        raise one_invalid("body", "Body has no field")
    wrong: FieldErrors = []
    for name, field in fields.items():
        if name in body or (field.required and not partial):
            message = field.error(body.get(name))
            wrong += [] if message is None else [{"field": name, "message": message}]
    wrong += [{"field": name, "message": "Unknown field"} for name in sorted(body.keys() - fields.keys())]
    bad = {item["field"] for item in wrong}
    wrong += errors({name: value for name, value in body.items() if name not in bad})
    if wrong:
        raise invalid(wrong)
    return body


def listing(
    call: Call, collection: Collection, where: Sequence[Clause], render: Callable[[Body], Body]
) -> Reply:
    """One page of a list; a page after the last is empty."""
    page = _number(call, "page", 1, None)
    per_page = _number(call, "per_page", DEFAULT_PER_PAGE, MAX_PER_PAGE)
    found = select(call.db, collection, where, limit=per_page, offset=(page - 1) * per_page)
    meta = {"page": page, "per_page": per_page, "total": count(call.db, collection, where)}
    return Reply({"data": [render(body) for body in found], "meta": meta})


def query_text(call: Call, name: str, field: Field) -> str | None:
    """A query parameter that has to be a valid value of the field; None if it is absent."""
    value = call.query.get(name)
    message = None if value is None else field.error(value)
    if message is not None:
        raise one_invalid(name, message)
    return value


def is_day(value: str) -> bool:
    """Whether the text is an ISO 8601 date."""
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def is_moment(value: str) -> bool:
    """Whether the text is an ISO 8601 time with a zone."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _number(call: Call, name: str, default: int, most: int | None) -> int:
    text = call.query.get(name, str(default))
    number = int(text) if text.isdecimal() else 0
    if number < 1 or (most is not None and number > most):
        raise one_invalid(name, f"{name} is not valid")
    return number
