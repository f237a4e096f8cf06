"""The sandbox's state as the commands find it, and what they say where there is no such thing in it."""

from collections.abc import Mapping
from contextlib import closing
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from consumer.config import Config, load
from consumer.exceptions import ConfigurationError, CrewsyncError
from consumer.sandbox.database import connect, is_new
from consumer.sandbox.store import SandboxState
from consumer.sink.layout import visible


_SUGGESTED = 3
_CLOSE = 0.5
"""From 0, nothing in common, to 1, the same."""


def sandbox_config() -> Config:
    """The settings. Raises ConfigurationError if they name real upstreams: those are not edited from here."""
    config = load()
    if not config.uses_sandbox:
        raise ConfigurationError(
            "real upstreams are configured, and this is for the sandbox only; "
            "leave out CREWSYNC_COMPANIES, the upstreams' URLs and the credentials for this command"
        )
    return config


def sandbox_state() -> SandboxState:
    """The state that the settings name. Raises CrewsyncError if there is none yet."""
    path = sandbox_config().sandbox_state
    if not path.exists() or _is_empty(path):
        raise CrewsyncError(
            f"there is no sandbox state {path} yet: crewsync run, demo and sandbox serve make it"
        )
    return SandboxState(path)


def _is_empty(path: Path) -> bool:
    with closing(connect(path)) as db:
        return is_new(db)


def number(text: str) -> int:
    """A Procore id as somebody wrote it; 0, which is nobody's, if it is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0  # noqa: PLR2004 - 64 bits


def require(what: str, given: str, known: Mapping[str, str]) -> None:
    """Raise CrewsyncError unless the id is known; it names those whose id or name comes closest."""
    if given in known:
        return
    folded = given.casefold()
    named = list(islice((key for key, name in known.items() if folded in name.casefold()), _SUGGESTED))
    close = named or get_close_matches(given, known, n=_SUGGESTED, cutoff=_CLOSE)
    words = "; the closest are:" + "".join(f"\n  {key}  {visible(known[key])}" for key in close)
    where = f"; list them with: crewsync sandbox {what.replace(' entry', '')}s"
    raise CrewsyncError(f"the sandbox has no {what} {visible(given)}{words if close else where}")


def name_of(person: Mapping[str, Any]) -> str:
    """First and last name, as far as there are any."""
    return " ".join(filter(None, (person.get("first_name"), person.get("last_name"))))
