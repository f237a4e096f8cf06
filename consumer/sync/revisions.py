"""An old event never overwrites a newer one: revisions that were synced, skipped or failed are noted."""

from dataclasses import replace

from consumer.engine.handler import Handled
from consumer.engine.links import Links
from consumer.model.links import Link, LinkKey
from consumer.model.results import Outcome


_NOT_SYNCED = frozenset({Outcome.SKIPPED, Outcome.FAILED})
_UNTRIED = "-"
"""The fingerprint of a link that leads nowhere because nothing was tried."""


def made(link: Link | None) -> Link | None:
    """The link if it leads somewhere; None if it only notes a revision."""
    return link if link is not None and link.target_id else None


def is_doubted(link: Link) -> bool:
    """Whether something was tried, and nobody knows what it has led to."""
    return not link.target_id and link.fingerprint != _UNTRIED


def in_doubt(links: Links, key: LinkKey, revision: int) -> tuple[Link, ...]:
    """A note of the revision, and no fingerprint: what the link leads to may be anything.

    A call whose answer was lost, or one of several, may have changed it. So the next event is compared with
    what is there, even if it says what was sent last with an answer.
    """
    known = links.get(key) or Link(key.company_id, key.kind, key.source_id, "", revision, "")
    return (replace(known, revision=max(known.revision, revision), fingerprint=""),)


def released(link: Link) -> Link:
    """The link leads nowhere any more: where it led is another's by now."""
    return replace(link, target_id="", fingerprint=_UNTRIED)


def with_revision_noted(handled: Handled, key: LinkKey, link: Link | None, revision: int) -> Handled:
    """Add the note for an event that was decided on without a call.

    Otherwise a parked event that is redriven later would be applied although a newer one, say the
    deletion of the same shift, was seen.
    """
    if handled.outcome not in _NOT_SYNCED or _has_note(handled, key):
        return handled
    known = link or Link(key.company_id, key.kind, key.source_id, "", revision, _UNTRIED)
    return replace(handled, links=(*handled.links, replace(known, revision=revision)))


def with_doubt_noted(handled: Handled, links: Links, key: LinkKey, revision: int) -> Handled:
    """Add the note for an event that was decided against after calls, one of which may have had effect."""
    if handled.outcome not in _NOT_SYNCED or _has_note(handled, key):
        return handled
    return replace(handled, links=(*handled.links, *in_doubt(links, key, revision)))


def _has_note(handled: Handled, key: LinkKey) -> bool:
    return any(link.key == key for link in handled.links)
