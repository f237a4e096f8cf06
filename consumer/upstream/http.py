"""One HTTP call, and one table that says what its answer means."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from itertools import count
from typing import Any

import httpx

from consumer import tracing
from consumer.exceptions import (
    Duplicate,
    Misconfigured,
    NotFound,
    RateLimited,
    Rejected,
    Transient,
    Unsure,
    UpstreamError,
)
from consumer.upstream.allowance import Answer
from consumer.upstream.budget import Budget, TooLongError, is_patient
from consumer.upstream.calls import CALLS
from consumer.upstream.connections import Connections
from consumer.upstream.error_words import error_words
from consumer.upstream.pauses import LEAST_S, MOST_S, pause_s


TIMEOUT = httpx.Timeout(30.0, connect=5.0, pool=60.0)
"""Seconds. Both upstreams answer single calls well below; a pool slot may take longer under load."""

MOST_CONNECTIONS = 500
"""To one server. How many calls are under way is limited elsewhere."""

_LONGEST_WORDS = 1000
_MOST_DIGITS = 12
_CHANCE = random.Random()  # noqa: S311 - spreads calls, keeps no secret
_KINDS: Mapping[int, type[UpstreamError]] = {
    HTTPStatus.UNAUTHORIZED: Misconfigured,
    HTTPStatus.FORBIDDEN: Misconfigured,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.METHOD_NOT_ALLOWED: Misconfigured,
    HTTPStatus.REQUEST_TIMEOUT: Transient,
    HTTPStatus.TOO_EARLY: Transient,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
}


may_write: ContextVar[Callable[[], bool]] = ContextVar("may_write", default=lambda: True)
"""Whether whoever makes a call is still sure to be the one who should. Asked right before each change."""


def http_client(base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """A client for one server; connections are kept and shared, redirects are not followed."""
    return httpx.AsyncClient(
        base_url=base_url,
        timeout=TIMEOUT,
        transport=transport or Connections(MOST_CONNECTIONS),
        follow_redirects=False,
    )


def classify(upstream: str, operation: str, response: httpx.Response, now: float) -> UpstreamError | None:
    """Say what an answer means; None for success. ``now`` is Unix time in seconds.

    The one table: 401, 403, 405 and redirects are *configuration*, 404 *not found*, 429 and a 503 that says
    when to come back *rate limited*, 408, 425 and every other 5xx *transient* (after a POST: of unknown
    effect), a 409 that names another record *duplicate*, and every other 4xx *rejected*.
    """
    status = response.status_code
    if response.is_success:
        return None
    body = _json(response)
    words = error_words(body) or _plain_words(response)
    if status == HTTPStatus.CONFLICT and (duplicate := _duplicate(upstream, operation, body, words)):
        return duplicate
    error = _kind(response)(upstream, operation, status, words)
    if isinstance(error, RateLimited):
        hint = retry_hint(response.headers, now)
        error.retry_after_s = max(LEAST_S, hint or 0.0)
    elif isinstance(error, Transient):
        error.retry_after_s = retry_after(response.headers, now)
    return error


def _kind(response: httpx.Response) -> type[UpstreamError]:
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" in response.headers:
        return RateLimited
    if response.is_redirect:
        return Misconfigured
    return _KINDS.get(response.status_code, Transient if response.is_server_error else Rejected)


async def send(
    client: httpx.AsyncClient,
    upstream: str,
    operation: str,
    method: str,
    path: str,
    *,
    params: Sequence[tuple[str, str]] = (),
    body: object = None,
    headers: Mapping[str, str] | None = None,
    budget: Budget | None = None,
    may_wait: bool = True,
) -> httpx.Response:
    """Make one call, once the budget allows it. If it is refused for now, who is patient waits, if they may.

    A change is not asked for, and Unsure raised, while ``may_write`` says no. Raises an UpstreamError whose
    text has neither address, headers nor personal data.
    """
    request = client.build_request(
        method,
        path,
        params=list(params) or None,
        content=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
        headers={**({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})},
    )
    for refusals in count(1):
        if budget is None:
            response = await _sent(client, upstream, operation, request)
        else:
            response = await _in_turn(budget, client, upstream, operation, request)
        failure = classify(upstream, operation, response, time.time())
        if failure is None:
            break
        if not isinstance(failure, RateLimited) or not is_patient() or not may_wait:
            raise failure
        # A refused call had no effect, and whoever reads page by page would have to begin anew.
        await asyncio.sleep(pause_s(refusals, failure.retry_after_s, _CHANCE))
    return response


async def _in_turn(
    budget: Budget, client: httpx.AsyncClient, upstream: str, operation: str, request: httpx.Request
) -> httpx.Response:
    try:
        turn = await budget.turn()
    except TooLongError as error:
        limited = RateLimited(upstream, operation, None, ("The request budget is spent.",))
        limited.retry_after_s = error.wait_s
        raise limited from None
    with budget.calling(turn) as call:
        try:
            response = await _sent(client, upstream, operation, request)
        except Unsure:
            call.withdrawn()
            raise
        now = time.time()
        call.answered(Answer(response.status_code, response.headers, retry_after(response.headers, now)))
    return response


async def _sent(
    client: httpx.AsyncClient, upstream: str, operation: str, request: httpx.Request
) -> httpx.Response:
    # Asked last: whoever waited for the budget may have lost what it works on meanwhile.
    if request.method != "GET" and not may_write.get()():
        raise Unsure(upstream, operation, None, ("This process was paused.",))
    began = time.perf_counter()
    with tracing.calling(f"{upstream} {operation}", request.method) as answered:
        try:
            response = await client.send(request)
        except httpx.RequestError as error:
            answered(None)
            CALLS.made(upstream, operation, None, time.perf_counter() - began)
            raise Transient(upstream, operation, None, (type(error).__name__,)) from None
        answered(response.status_code)
    CALLS.made(upstream, operation, response.status_code, time.perf_counter() - began)
    return response


def json_of(upstream: str, operation: str, response: httpx.Response) -> Any:
    """The body of a success. A body that is no JSON is a fault on the way: Transient."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        raise Transient(upstream, operation, response.status_code, ("The answer is not JSON.",)) from None


def retry_after(headers: httpx.Headers, now: float) -> float | None:
    """Seconds until ``Retry-After``, which is a number of seconds or a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if _is_number(value):
        return _bounded(float(value))
    try:
        moment = parsedate_to_datetime(value)
        # A date without a zone is of UTC, as all of HTTP's are, and not of this machine's.
        return _bounded((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def retry_hint(headers: httpx.Headers, now: float) -> float | None:
    """Seconds to wait after a 429: ``Retry-After``, else until ``X-Rate-Limit-Reset`` (Unix time).

    Procore sends the second with every answer, but only with a 429 does it say when to come back.
    """
    hint = retry_after(headers, now)
    value = headers.get("X-Rate-Limit-Reset", "").strip()
    if hint is None and _is_number(value):
        hint = _bounded(float(value) - now)
    return hint


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MOST_S)


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit() and len(value) <= _MOST_DIGITS


def _duplicate(upstream: str, operation: str, body: object, words: tuple[str, ...]) -> Duplicate | None:
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping) or error.get("code") != "duplicate":
        return None
    duplicate = Duplicate(upstream, operation, HTTPStatus.CONFLICT, words)
    duplicate.field = str(error.get("field", ""))
    duplicate.other_id = str(error.get("worker_id") or error.get("position_id") or "")
    return duplicate


def _json(response: httpx.Response) -> object:
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


def _plain_words(response: httpx.Response) -> tuple[str, ...]:
    text = response.text.strip()
    return (text[:_LONGEST_WORDS],) if text and not text.startswith("<") else ()
