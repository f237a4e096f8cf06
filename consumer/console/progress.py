"""How far a sync is, in words and in numbers, once for the page and once for each event of its stream."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass

from consumer.console.live import Live
from consumer.display import outcome_words
from consumer.model.events import Kind
from consumer.model.results import Phase
from consumer.runs.progress import RunState


_LOOK_S = 0.4
_HEARTBEAT_S = 10.0
_SYSTEM = {Kind.USERS: "Procore", Kind.TIMESHEETS: "SmartBarrel"}
WAITING_S = 15.0
"""After this long without a runner it is worth saying that there may be none."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A sync as it is shown. ``most`` is None while nobody knows how many there will be."""

    run_id: str
    text: str
    done: int = 0
    most: int | None = None
    is_over: bool = False
    is_failed: bool = False


def shown(live: Live, company_id: int, kind: Kind, run_id: str | None) -> Shown | None:
    """The run with this id, else the one that is under way or was asked for; None if there is none."""
    state = live.running(company_id, kind) if run_id is None else live.run_state(run_id)
    if state is not None and (state.marker.company_id, state.marker.kind) == (company_id, kind):
        return _of_state(state)
    asked = live.newest_asked(company_id, kind) if run_id is None else live.asked(run_id)
    if asked is None or (asked.command.company_id, asked.command.kind) != (company_id, kind):
        return None
    if run_id is None and live.run_state(asked.command.run_id) is not None:
        return None
    text = "Asked for; waiting for a runner to take it up."
    if time.time() - asked.at > WAITING_S:
        text = "Asked for, but no runner has taken it up yet. It is done as soon as one is at work."
    return Shown(asked.command.run_id, text)


async def stream(live: Live, company_id: int, kind: Kind, run_id: str) -> AsyncIterator[str]:
    """Server-sent events until the run is over; each has the whole of what is shown."""
    before, said_at = "", time.monotonic()
    while True:
        now = shown(live, company_id, kind, run_id)
        if now is None:
            return
        text = json.dumps(asdict(now))
        if text != before:
            before, said_at = text, time.monotonic()
            yield f"retry: 1000\ndata: {text}\n\n"
        elif time.monotonic() - said_at > _HEARTBEAT_S:
            said_at = time.monotonic()
            yield ": still here\n\n"
        if now.is_over:
            return
        await asyncio.sleep(_LOOK_S)


def _of_state(state: RunState) -> Shown:
    marker, words = state.marker, outcome_words(state.outcomes)
    if marker.phase is Phase.FAILED and state.is_over:
        text = f"Could not go on: {marker.reason or 'no reason was given'}. Before: {words or 'nothing'}."
        return Shown(marker.run_id, text, state.done, marker.expected, is_over=True, is_failed=True)
    if state.is_over:
        return Shown(
            marker.run_id, f"Complete: {words or 'nothing to do'}.", state.done, marker.expected, is_over=True
        )
    if marker.phase is Phase.READING:
        read = f"{marker.expected} read from {_SYSTEM[marker.kind]} so far, {state.done} done."
        return Shown(marker.run_id, read, state.done)
    so_far = f" ({words})" if words else ""
    return Shown(marker.run_id, f"{state.done} of {marker.expected}{so_far}", state.done, marker.expected)
