"""What can be done from the console: ask for a sync, set a setting, redrive dead letters."""

import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException

from consumer.broker.port import Record
from consumer.broker.table import Table
from consumer.console.live import Asked
from consumer.console.sources import Sources
from consumer.engine.deadletters import Ending
from consumer.exceptions import SchemaError, TopicMissing
from consumer.model.events import SyncCommand
from consumer.model.settings import CompanySettings
from consumer.runs.commands import send_command
from consumer.runs.dead_letters import Choice, Letter, Settlement, redrivable
from consumer.runs.planning import known_links
from consumer.sync.choices import write_settings


_FOLLOWED_WITHIN_S = 3.0
_LOOK_S = 0.02
_LOOKED_UP_WITHIN_S = 10.0
_ASKING, _SETTING, _REDRIVING = threading.Lock(), threading.Lock(), threading.Lock()
"""What two requests at once would do twice, or half: each looks first, and writes then."""
MOST_REDRIVEN = 5000
"""Letters that are redriven at once; the rest with the next press of the button."""


def ask_for_sync(sources: Sources, command: SyncCommand, *, is_keyed: bool = False) -> None:
    """Ask for a sync. One whose run's id comes of a key is asked for once, however often this is called.

    Raises HTTPException if the key was used for another wish; BrokerError: then it may or may not be asked
    for, and may be tried again with the same key.
    """
    if not is_keyed:
        _send(sources, command)
        return
    with _ASKING:
        before = sources.live.asked(command.run_id) or _asked_elsewhere(sources, command)
        if before is None:
            _send(sources, command)
        elif before.fingerprint != Asked(command, before.at).fingerprint:
            raise HTTPException(
                HTTPStatus.UNPROCESSABLE_ENTITY, "This Idempotency-Key was used for another request."
            )
        else:
            sources.live.note(before)


def run_id_of(company_id: int, idempotency_key: str) -> str:
    """The id of the run that is asked for with a key: the same whichever process is asked, and when."""
    return hashlib.sha256(f"{company_id}:{idempotency_key}".encode()).hexdigest()[:12]


def set_settings(sources: Sources, company_id: int, changes: Mapping[str, Any]) -> CompanySettings:
    """Set some of a company's settings; what every process follows is written. Raises BrokerError."""
    with _SETTING:
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
    chosen = sources.live.letters(choice)
    fit = redrivable(chosen, sources.topics)
    return fit, len(chosen) - len(fit)


def redrive(sources: Sources, choice: Choice, who: str) -> Mapping[Ending, int]:
    """Publish letters of a choice again, MOST_REDRIVEN at most, and tell how many ended which way.

    Raises HTTPException if somebody does so right now; BrokerError: what was not told may have been done.
    """
    if not _REDRIVING.acquire(blocking=False):
        raise HTTPException(HTTPStatus.CONFLICT, "Somebody redrives dead letters already; wait a moment.")
    try:
        return _redrive(sources, choice, who)
    finally:
        _REDRIVING.release()


def _redrive(sources: Sources, choice: Choice, who: str) -> Mapping[Ending, int]:
    letters, _ = chosen_letters(sources, choice)
    if not letters:
        return {}
    try:
        links = known_links(sources.broker, sources.topics.links, sources.codec)
    except TopicMissing as error:
        raise HTTPException(HTTPStatus.CONFLICT, "Nothing was ever synced here.") from error
    settlement = Settlement(sources.broker, sources.codec, sources.topics, links, who)
    return settlement.settle(letters[:MOST_REDRIVEN], lambda _: None, lambda: True)


def _send(sources: Sources, command: SyncCommand) -> None:
    send_command(sources.broker, sources.codec, sources.topics.sync_commands, command)
    sources.live.note(Asked(command, time.time()))


def _asked_elsewhere(sources: Sources, command: SyncCommand) -> Asked | None:
    """The first wish for this run on the topic: another process may have written it, or this one long ago."""
    found: list[SyncCommand] = []

    def take(record: Record) -> None:
        with suppress(SchemaError):
            wish = sources.codec.decode(record.value or b"", SyncCommand)
            if wish.run_id == command.run_id:
                found.append(wish)

    table = Table(sources.broker, sources.topics.sync_commands, take)
    try:
        table.catch_up(time.monotonic, _LOOKED_UP_WITHIN_S)
    finally:
        table.close()
    return Asked(found[0], found[0].requested_at.timestamp()) if found else None
