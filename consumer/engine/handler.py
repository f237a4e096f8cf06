"""What the engine asks of a handler, and what it gets back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from consumer.model.events import Kind
from consumer.model.links import Link
from consumer.model.results import Outcome, Reason


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom or what an event is about, as the log shows it, and of when it is."""

    id: str
    name: str
    at: datetime
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Handled:
    """How an event ended, and the links that this made or moved."""

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[Reason, ...] = ()
    detail: str | None = None
    links: tuple[Link, ...] = ()


E_contra = TypeVar("E_contra", contravariant=True)


class Handler(Protocol[E_contra]):
    """Turns one event into its effect upstream. Safe to call again with the same event at any time.

    ``handle`` and ``probe`` raise Transient, RateLimited or Misconfigured if they should be called again
    later; ``handle`` raises Rejected or NotFound to end as failed with the upstream's words.
    """

    kind: Kind

    def subject(self, event: E_contra) -> Subject:
        """Whom the event is about."""

    def at_once(self, event: E_contra) -> Handled | None:
        """How the event ends if that is known without any call: unchanged, stale, skipped. None otherwise."""

    async def handle(self, event: E_contra) -> Handled:
        """Bring the upstream in step with the event."""

    async def probe(self, company_id: int) -> None:
        """Make a cheap call that changes nothing, to see whether the company can be worked for.

        Misconfigured is raised for a company that is not set up, too.
        """

    def in_doubt(self, event: E_contra) -> tuple[Link, ...]:
        """Links for an event that is given up: its revision, and no trust in what an attempt has changed."""

    def renew(self) -> None:
        """Forget what was read from upstream: another owner may have changed it. Called from any thread."""
