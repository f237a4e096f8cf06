"""One HTTP call, and one table that says what its answer means."""

import json
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from consumer.exceptions import (
    Duplicate,
    Misconfigured,
    NotFound,
    RateLimited,
    Rejected,
    Transient,
    UpstreamError,
)


TIMEOUT = httpx.Timeout(30.0, connect=5.0, pool=60.0)
"""Seconds. Both upstreams answer single calls well below; a pool slot may take longer under load."""

_LONGEST_HINT_S = 3600.0
_LONGEST_WORDS = 1000
_KINDS: Mapping[int, type[UpstreamError]] = {
    HTTPStatus.UNAUTHORIZED: Misconfigured,
    HTTPStatus.FORBIDDEN: Misconfigured,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.REQUEST_TIMEOUT: Transient,
    HTTPStatus.TOO_EARLY: Transient,
    HTTPStatus.TOO_MANY_REQUESTS: RateLimited,
    HTTPStatus.SERVICE_UNAVAILABLE: Transient,
}


def classify(upstream: str, operation: str, response: httpx.Response, now: float) -> UpstreamError | None:
    """Say what an answer means; None for success. ``now`` is Unix time in seconds.

    The one table: 401 and 403 are *configuration*, 404 *not found*, 408, 425 and all 5xx *transient*
    (after a POST: of unknown effect), 429 *rate limited*, a 409 that names another record *duplicate*, and
    every other 4xx, as well as a redirect, *rejected*.
    """
    status = response.status_code
    if response.is_success:
        return None
    body = _json(response)
    words = error_words(body) or _plain_words(response)
    if status == HTTPStatus.CONFLICT and (duplicate := _duplicate(upstream, operation, body, words)):
        return duplicate
    fallback = Transient if response.is_server_error else Rejected
    error = _KINDS.get(status, fallback)(upstream, operation, status, words)
    if isinstance(error, (RateLimited, Transient)):
        hint = retry_hint(response.headers, now)
        if hint is not None:
            error.retry_after_s = hint
    return error


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
) -> httpx.Response:
    """Make one call. Raises an UpstreamError whose text has neither address, headers nor personal data."""
    try:
        response = await client.request(
            method,
            path,
            params=list(params) or None,
            content=None if body is None else json.dumps(body, ensure_ascii=False).encode(),
            headers={**({"Content-Type": "application/json"} if body is not None else {}), **(headers or {})},
        )
    except (httpx.TimeoutException, httpx.TransportError) as error:
        raise Transient(upstream, operation, None, (type(error).__name__,)) from None
    failure = classify(upstream, operation, response, time.time())
    if failure is not None:
        raise failure
    return response


def json_of(upstream: str, operation: str, response: httpx.Response) -> Any:
    """The body of a success. A body that is no JSON is a fault on the way: Transient."""
    try:
        return response.json()
    except ValueError:
        raise Transient(upstream, operation, response.status_code, ("The answer is not JSON.",)) from None


def retry_hint(headers: httpx.Headers, now: float) -> float | None:
    """Seconds to wait as ``Retry-After`` (seconds or a date) or ``X-Rate-Limit-Reset`` (Unix time) says."""
    after = headers.get("Retry-After", "")
    hint: float | None = None
    if after.isdigit():
        hint = float(after)
    elif after:
        try:
            hint = parsedate_to_datetime(after).timestamp() - now
        except ValueError:
            hint = None
    if hint is None and (reset := headers.get("X-Rate-Limit-Reset", "")).isdigit():
        hint = float(reset) - now
    return None if hint is None else min(max(hint, 0.0), _LONGEST_HINT_S)


def error_words(body: object) -> tuple[str, ...]:
    """Every message in an error body, word for word, whichever of the known shapes it has.

    ``{"message"}``, ``{"errors": "…"}``, ``{"errors": ["…"]}``, ``{"errors": {field: ["…"]}}``,
    ``{"error": {"reason"}}``, ``{"error": {"code", "message"}}``, ``{"error", "error_description"}`` and
    SmartBarrel's ``{"error": {"message", "fields": [{"field", "message"}]}}``.
    """
    if not isinstance(body, Mapping):
        return ()
    words = [*_from_errors(body.get("errors")), *_from_error(body.get("error"))]
    words += [body[key] for key in ("error_description", "message", "reason") if _is_said(body.get(key))]
    return tuple(dict.fromkeys(words))


def _from_errors(errors: object) -> list[str]:
    if isinstance(errors, str):
        return [errors]
    if isinstance(errors, Sequence):
        return [error for error in errors if isinstance(error, str)]
    if isinstance(errors, Mapping):
        return [
            f"{field} {message}"
            for field, messages in errors.items()
            for message in (messages if isinstance(messages, list) else [messages])
        ]
    return []


def _from_error(error: object) -> list[str]:
    if isinstance(error, str):
        return [error]
    if not isinstance(error, Mapping):
        return []
    fields = error.get("fields")
    if isinstance(fields, list) and fields:
        return [
            str(entry.get("message", entry)) if isinstance(entry, Mapping) else str(entry) for entry in fields
        ]
    return [str(error[key]) for key in ("reason", "message") if error.get(key)]


def _is_said(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


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
    except ValueError:
        return None


def _plain_words(response: httpx.Response) -> tuple[str, ...]:
    text = response.text.strip()
    return (text[:_LONGEST_WORDS],) if text and not text.startswith("<") else ()
