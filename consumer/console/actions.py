"""What can be done from the console: ask for a sync, set a setting, redrive dead letters."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from consumer.console.live import Asked
from consumer.console.sources import Sources
from consumer.engine.deadletters import Ending
from consumer.exceptions import TopicMissing
from consumer.model.events import SyncCommand
from consumer.model.settings import CompanySettings
from consumer.runs.commands import scope_of, send_command
from consumer.runs.dead_letters import Choice, Letter, Settlement, redrivable
from consumer.runs.planning import known_links
from consumer.sync.choices import write_settings


_FOLLOWED_WITHIN_S = 3.0
_LOOK_S = 0.02
MOST_REDRIVEN = 5000
"""Letters that are redriven at once; the rest with the next press of the button."""


def ask_for_sync(sources: Sources, command: SyncCommand, *, is_keyed: bool = False) -> None:
    """Ask for a sync. One whose run's id comes of a key is asked for once, however often this is called.

    Raises HTTPException if the key was used for another wish; BrokerError: then it may or may not be asked
    for, and may be tried again with the same key.
    """
    asked = Asked(command, time.time())
    if is_keyed and _is_known(sources, asked):
        return
    send_command(sources.broker, sources.codec, sources.topics.sync_commands, command)
    sources.live.note(asked)


def run_id_of(company_id: int, idempotency_key: str) -> str:
    """The id of the run that is asked for with a key: the same whichever process is asked, and when."""
    return hashlib.sha256(f"{company_id}:{idempotency_key}".encode()).hexdigest()[:12]


def set_settings(sources: Sources, company_id: int, changes: Mapping[str, Any]) -> CompanySettings:
    """Set some of a company's settings; what every process follows is written. Raises BrokerError."""
    before = sources.settings.of(company_id)
    after = replace(before, **changes)
    if after == before and sources.settings.is_chosen(company_id):
        return after
    topic = sources.topics.company_settings
    write_settings(sources.broker, sources.codec, topic, after)
    deadline = time.monotonic() + _FOLLOWED_WITHIN_S
    while sources.settings.of(company_id) != after and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
    return after


def chosen_letters(sources: Sources, choice: Choice) -> tuple[Sequence[Letter], int]:
    """The letters of a choice that can go back, the oldest first, and how many of it cannot."""
    chosen = [one for one in sources.live.letters() if choice.has(one)]
    fit = redrivable(chosen, sources.topics)
    return fit, len(chosen) - len(fit)


def redrive(sources: Sources, choice: Choice, who: str) -> Mapping[Ending, int]:
    """Publish letters of a choice again, MOST_REDRIVEN at most, and tell how many ended which way.

    Raises BrokerError: what was not told may have been done.
    """
    letters, _ = chosen_letters(sources, choice)
    if not letters:
        return {}
    try:
        links = known_links(sources.broker, sources.topics.links, sources.codec)
    except TopicMissing as error:
        raise HTTPException(HTTPStatus.CONFLICT, "Nothing was ever synced here.") from error
    settlement = Settlement(sources.broker, sources.codec, sources.topics, links, who)
    return settlement.settle(letters[:MOST_REDRIVEN], lambda _: None, lambda: True)


def _is_known(sources: Sources, asked: Asked) -> bool:
    """Whether this very wish was asked for before. Raises HTTPException if its key was used for another."""
    command = asked.command
    before = sources.live.asked(command.run_id)
    state = sources.live.own_state(command.run_id)
    is_other = (before is not None and before.fingerprint != asked.fingerprint) or (
        state is not None and (state.marker.kind, state.marker.scope) != (command.kind, scope_of(command))
    )
    if is_other:
        raise HTTPException(
            HTTPStatus.UNPROCESSABLE_ENTITY, "This Idempotency-Key was used for another request."
        )
    return before is not None or state is not None
