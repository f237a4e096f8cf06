"""What can go wrong with one request, and how that is written.

A fault is written as parts with semicolons between them, in the header ``X-Sandbox-Fault`` of the request
that it befalls, or in a file of rules (see ``fault_rules``): ``latency=2; status=503; retry-after=5``.

============================  =====================================================================
``latency=S``                 the request waits S seconds before anything is done with it
``status=N``                  it is answered with this status, and has no effect
``body=NAME``                 it is answered with this error body; without ``status``, with 422
``retry-after=S``             that answer has this header
``after-effect``              that answer comes after the effect, in place of the true one
``expired-token``             401, as when the token is too old
``reset``                     the connection is closed without an answer; no effect
``reset-after``               the same after the effect
``timeout-after-effect``      the effect is there at once, the answer two minutes later; or after
                              S seconds with ``timeout-after-effect=S``
``partial-page``              a list has half of the items that it should; totals keep the truth
``empty-page``                a list has no item and a total of 0, as without access
============================  =====================================================================

Seconds S may be a range, ``0.05..1``, of which some number is taken. Of the faults in the table only one may
be named, but ``latency`` goes with each, and ``status``, ``body``, ``retry-after`` and ``after-effect`` go
together. NAME is one of ``ERROR_BODIES``. What is written is sent, even if no contract has it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from http import HTTPStatus
from random import Random
from typing import Any


HEADER = "X-Sandbox-Fault"

ERROR_BODIES: Mapping[str, Any] = {
    "message": {"message": "You do not have the required permissions."},
    "text": {"errors": "The access token is invalid"},
    "list": {"errors": ["App is not connected to this company."]},
    "fields": {"errors": {"last_name": ["can't be blank"], "origin_id": ["has already been taken"]}},
    "reason": {"error": {"reason": "Cost code not found"}},
    "details": {
        "error": {
            "code": "422",
            "message": "Validation failed",
            "details": [{"code": "invalid", "message": "is invalid", "source": "party_id"}],
        }
    },
    "flat": {"code": 403, "message": "Forbidden", "fields": "", "reason": "tool_disabled"},
    "string": {"error": "invalid_token", "error_description": "The access token expired"},
    "item": {"id": 0, "name": "Nobody", "errors": {"id": ["Entity with this ID not found"]}},
    "html": "<html><body><h1>502 Bad Gateway</h1></body></html>",
    "empty": "",
}
"""Procore's error bodies: the eight of its contract, a sync action's item, and what stands before it sends.

Texts are sent as HTML, everything else as JSON.
"""

EXPIRED_TOKEN: Mapping[str, Any] = {
    "code": 401,
    "message": "Unauthorized",
    "fields": "",
    "reason": "token_expired",
}
LONGEST_S = 3600.0

_FIRST_STATUS, _LAST_STATUS = 200, 599
_LATE_S = 120.0

Span = tuple[float, float]
"""Seconds, from and to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in place of the true one. Without a body, what the system says with such a status."""

    status: int
    body: Any = None
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as ``text`` says it. ``late_s`` is how long the true answer is held back."""

    text: str
    latency_s: Span = (0.0, 0.0)
    late_s: Span = (0.0, 0.0)
    answer: Answer | None = None
    reset: bool = False
    after_effect: bool = False
    page: str | None = None

    def drawn(self, chance: Random) -> "Fault":
        """The same with one number of seconds in place of each range."""
        latency, late = chance.uniform(*self.latency_s), chance.uniform(*self.late_s)
        return replace(self, latency_s=(latency, latency), late_s=(late, late))


def parse_fault(text: str) -> Fault:
    """Read a fault as the module says it is written. Raises ValueError that tells what is wrong."""
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in _PARTS:
            raise ValueError(f"there is no fault {name!r}; there are {', '.join(sorted(_PARTS))}")
        if name in parts:
            raise ValueError(f"{name} is there twice")
        parts[name] = value
    first = set(parts) & _ALONE
    answered = set(parts) & _ANSWER
    if len(first) > 1 or (first and answered):
        raise ValueError(f"{' and '.join(sorted(first | answered))} do not go together")
    if answered and not answered & {"status", "body"}:
        raise ValueError(f"{' and '.join(sorted(answered))} only with status or body")
    fault = Fault(text.strip(), answer=Answer(HTTPStatus.UNPROCESSABLE_ENTITY) if answered else None)
    return reduce(lambda made, part: _PARTS[part[0]](made, part[1]), parts.items(), fault)


def _latency(fault: Fault, value: str) -> Fault:
    return replace(fault, latency_s=_span(value))


def _status(fault: Fault, value: str) -> Fault:
    status = int(value) if value.isascii() and value.isdigit() else 0
    if not _FIRST_STATUS <= status <= _LAST_STATUS:
        raise ValueError(f"status is {_FIRST_STATUS} to {_LAST_STATUS}, not {value!r}")
    return _answering(fault, status=status)


def _body(fault: Fault, value: str) -> Fault:
    if value not in ERROR_BODIES:
        raise ValueError(f"there is no body {value!r}; there are {', '.join(ERROR_BODIES)}")
    return _answering(fault, body=ERROR_BODIES[value])


def _retry_after(fault: Fault, value: str) -> Fault:
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"retry-after is whole seconds, not {value!r}")
    return _answering(fault, retry_after_s=int(value))


def _late(fault: Fault, value: str) -> Fault:
    return replace(fault, after_effect=True, late_s=_span(value) if value else (_LATE_S, _LATE_S))


def _answering(fault: Fault, **changes: Any) -> Fault:
    if fault.answer is None:
        raise TypeError("only a fault that has an answer is given a part of it")
    return replace(fault, answer=replace(fault.answer, **changes))


def _flag(**changes: Any) -> Callable[[Fault, str], Fault]:
    def set_flag(fault: Fault, value: str) -> Fault:
        if value:
            raise ValueError(f"{value!r} is one value too many")
        return replace(fault, **changes)

    return set_flag


def _span(value: str) -> Span:
    start, dots, end = value.partition("..")
    try:
        span = float(start), float(end if dots else start)
    except ValueError:
        span = -1.0, -1.0
    if not 0 <= span[0] <= span[1] <= LONGEST_S:
        raise ValueError(f"seconds are a number up to {LONGEST_S:.0f} or a range like 0.05..1, not {value!r}")
    return span


_ANSWER = {"status", "body", "retry-after", "after-effect"}
_PARTS: Mapping[str, Callable[[Fault, str], Fault]] = {
    "latency": _latency,
    "status": _status,
    "body": _body,
    "retry-after": _retry_after,
    "after-effect": _flag(after_effect=True),
    "expired-token": _flag(answer=Answer(HTTPStatus.UNAUTHORIZED, EXPIRED_TOKEN)),
    "reset": _flag(reset=True),
    "reset-after": _flag(reset=True, after_effect=True),
    "timeout-after-effect": _late,
    "partial-page": _flag(page="partial"),
    "empty-page": _flag(page="empty"),
}
_ALONE = _PARTS.keys() - _ANSWER - {"latency"}
