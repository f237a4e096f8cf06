"""What a user's link tells of the last sync: what was sent, with which position, and to whom.

It stands in the link's fingerprint, as a digest of the user's fields and, where there is more to tell, words
after it.
"""

from dataclasses import dataclass
from typing import Self


NO_POSITION = "none"
"""The position was cleared, since the user has no classification."""
LEFT = "left"
"""The position was left as it was, since the classification leads to none."""
NOT_KNOWN = ""
"""The position is yet to be made."""
_POSITION = "position:"
_INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Applied:
    """What was sent, or is to be sent.

    ``position`` is a position's id or one of the words above; None if positions are nothing to us. A worker
    ``is_inactive`` who should clock in, and may be active by now.
    """

    fields: str
    position: str | None = None
    is_inactive: bool = False

    @classmethod
    def of(cls, text: str) -> Self:
        """As a link holds it."""
        fields, *more = text.split(" ")
        positions = [word.removeprefix(_POSITION) for word in more if word.startswith(_POSITION)]
        return cls(fields, positions[0] if positions else None, _INACTIVE in more)

    def covers(self, wanted: "Applied") -> bool:
        """Whether nothing is to be sent any more."""
        return self.fields == wanted.fields and wanted.position in {None, self.position}

    def __str__(self) -> str:
        words = [self.fields]
        words += [] if self.position is None else [_POSITION + self.position]
        words += [_INACTIVE] if self.is_inactive else []
        return " ".join(words)
