"""What is known to correspond across the two systems."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class LinkKind(StrEnum):
    """What a link starts from, and what its target is."""

    USER = "user"
    """Procore user id → SmartBarrel worker id."""
    CONTACT = "contact"
    """SmartBarrel worker id → Procore person id, of a worker who is no Procore user."""
    TIMESHEET = "timesheet"
    """SmartBarrel timesheet id → Procore timecard entry id."""
    POSITION = "position"
    """SmartBarrel position id → Procore work classification id."""


@dataclass(frozen=True, slots=True)
class LinkKey:
    """Identity of a link; as text the key of its record on ``links``."""

    company_id: int
    kind: LinkKind
    source_id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``. Raises ValueError."""
        company_id, kind, source_id = text.split(":", 2)
        return cls(int(company_id), LinkKind(kind), source_id)

    def __str__(self) -> str:
        return f"{self.company_id}:{self.kind}:{self.source_id}"


@dataclass(frozen=True, slots=True)
class Link:
    """A correspondence, the last revision that was decided on, and a fingerprint of what was sent.

    An empty ``target_id`` means that nothing corresponds yet, and only the revision is known.
    """

    company_id: int
    kind: LinkKind
    source_id: str
    target_id: str
    revision: int
    fingerprint: str

    @property
    def key(self) -> LinkKey:
        """Its identity."""
        return LinkKey(self.company_id, self.kind, self.source_id)
