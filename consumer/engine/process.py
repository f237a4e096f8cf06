"""Runs a handler on one piece of work and turns whatever happens into a completion."""

import asyncio
import random
import time
import traceback
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from consumer.engine.dispatcher import Work
from consumer.engine.handler import Handled, Handler
from consumer.engine.retry import RetryPolicy, with_retries
from consumer.exceptions import SchemaError, Transient, UpstreamError
from consumer.model import reasons
from consumer.model.results import Outcome


log = structlog.get_logger(__name__)

_NAMES = {"procore": "Procore", "smartbarrel": "SmartBarrel"}


@dataclass(frozen=True, slots=True)
class Completion:
    """A piece of work with its outcome. ``handled`` is None for a record that is no event.

    With a ``dead_stage`` the record is set aside in the dead letters, as of that stage.
    """

    work: Work
    handled: Handled | None
    dead_stage: str | None = None


def undecodable(work: Work, error: SchemaError) -> Completion:
    """The completion of a record that cannot be read."""
    reason = replace(reasons.UNDECODABLE, upstream=str(error))
    return Completion(work, Handled(Outcome.FAILED, (reason,)), dead_stage="decode")


async def process(work: Work, handler: Handler[Any], policy: RetryPolicy, rng: random.Random) -> Completion:
    """Call the handler, again if need be, until its outcome is known. Raises nothing but cancellation."""
    try:
        handled = await with_retries(
            lambda: handler.handle(work.event),
            policy,
            sleep=asyncio.sleep,
            clock=time.monotonic,
            rng=rng,
            on_wait=partial(_log_wait, work),
        )
    except Transient as error:
        reason = replace(reasons.upstream_unavailable(_name(error)), upstream=_words(error))
        parked = Handled(Outcome.PARKED, (reason,), links=handler.in_doubt(work.event))
        return Completion(work, parked, dead_stage="handle")
    except UpstreamError as error:
        reason = replace(reasons.rejected(_name(error)), upstream=_words(error))
        return Completion(work, Handled(Outcome.FAILED, (reason,)))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the others, nor lose the record
        _log_fault(work, error)
        reason = replace(reasons.INTERNAL_ERROR, upstream=type(error).__name__)
        return Completion(work, Handled(Outcome.FAILED, (reason,)), dead_stage="handle")
    return Completion(work, handled, dead_stage="handle" if handled.outcome is Outcome.PARKED else None)


def _log_wait(work: Work, error: Exception, wait_s: float) -> None:
    record = work.record
    log.warning(
        "upstream.waiting",
        error=str(error),
        kind=type(error).__name__,
        company=work.company_id,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        wait_s=round(wait_s, 2),
    )


def _log_fault(work: Work, error: Exception) -> None:
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


def _words(error: UpstreamError) -> str:
    return "; ".join(error.words) or str(error)


def _name(error: UpstreamError) -> str:
    return _NAMES.get(error.upstream, error.upstream)
