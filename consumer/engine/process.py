"""One attempt: runs a handler on a piece of work, and tells how that ended."""

import traceback
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import structlog

from consumer import tracing
from consumer.broker.port import Record
from consumer.engine.handler import Handled, Handler
from consumer.engine.work import Completion, Work
from consumer.exceptions import Misconfigured, RateLimited, SchemaError, Transient, UpstreamError
from consumer.model import reasons
from consumer.model.links import Link
from consumer.model.results import Outcome


log = structlog.get_logger(__name__)

_NAMES = {"procore": "Procore", "smartbarrel": "SmartBarrel"}

Later = Transient | RateLimited | Misconfigured
"""Failures that may pass."""


def undecodable(work: Work, error: SchemaError) -> Completion:
    """The completion of a record that cannot be read."""
    reason = replace(reasons.UNDECODABLE, upstream=str(error))
    return Completion(work, Handled(Outcome.FAILED, (reason,)), dead_stage="decode")


async def attempt(work: Work, handler: Handler[Any]) -> Completion | Later:
    """Call the handler once. Raises nothing but cancellation."""
    with _span(work, handler):
        ended = await _attempt(work, handler)
        _note(work, ended)
        return ended


def place_of(record: Record) -> str:
    """Where the record stands, by which its trace is known if it came without one."""
    return f"{record.topic}:{record.partition}:{record.offset}"


def _span(work: Work, handler: Handler[Any]) -> AbstractContextManager[None]:
    record = work.record
    where: tracing.Attributes = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
    }
    return tracing.handling(f"handle {handler.kind}", record.headers, place_of(record), where)


def _note(work: Work, ended: Completion | Later) -> None:
    outcome = f"later: {type(ended).__name__}"
    if isinstance(ended, Completion) and ended.handled is not None:
        outcome = ended.handled.outcome
    tracing.note({"outcome": outcome, "company": work.company_id or 0})


async def _attempt(work: Work, handler: Handler[Any]) -> Completion | Later:
    try:
        handled = await handler.handle(work.event)
    except (Transient, RateLimited, Misconfigured) as error:
        return error
    except UpstreamError as error:
        reason = replace(reasons.rejected(name_of(error.upstream)), upstream=words_of(error))
        return Completion(work, Handled(Outcome.FAILED, (reason,), links=handler.in_doubt(work.event)))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the others, nor lose the record
        return faulty(work, error, handler.in_doubt(work.event))
    return completed(work, handled)


def at_once(work: Work, handler: Handler[Any]) -> Completion | None:
    """The completion of work that needs no call; None if it needs one."""
    try:
        handled = handler.at_once(work.event)
    except Exception as error:  # noqa: BLE001 - as above
        return faulty(work, error)
    if handled is None:
        return None
    completion = completed(work, handled)
    with _span(work, handler):
        _note(work, completion)
    return completion


def completed(work: Work, handled: Handled) -> Completion:
    """The completion that a handler has given."""
    return Completion(work, handled, dead_stage="handle" if handled.outcome is Outcome.PARKED else None)


def parked(work: Work, handler: Handler[Any], upstream: str, words: str, *, is_denied: bool) -> Completion:
    """The completion of a record that is given up for now, and redriven once its company is in order."""
    reason = reasons.access_refused if is_denied else reasons.upstream_unavailable
    # Without an attempt of its own, nothing can have become untrue.
    was_tried = work.since is not None
    links = handler.in_doubt(work.event) if was_tried else ()
    handled = Handled(
        Outcome.PARKED, (replace(reason(name_of(upstream)), upstream=words or None),), links=links
    )
    return Completion(work, handled, dead_stage="handle" if was_tried else "held")


def faulty(work: Work, error: Exception, links: tuple[Link, ...] = ()) -> Completion:
    """The completion of a record on which this program failed."""
    # The error's text may hold personal data; where it happened does not.
    frames = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)[-6:]]
    record = work.record
    log.error(
        "handler.fault",
        kind=type(error).__name__,
        frames=frames,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )
    reason = replace(reasons.INTERNAL_ERROR, upstream=type(error).__name__)
    return Completion(work, Handled(Outcome.FAILED, (reason,), links=links), dead_stage="handle")


def words_of(error: UpstreamError) -> str:
    """What the upstream said, else what became of the call."""
    return "; ".join(error.words) or str(error)


def name_of(upstream: str) -> str:
    """The upstream's name as people write it."""
    return _NAMES.get(upstream, upstream)
