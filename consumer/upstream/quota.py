"""What an answer's headers tell of a rate limit, and of the server's clock. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from math import inf
from typing import Self


_FRESH_S = 300.0
_MOST_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Quota:
    """One of an upstream's limits after a call; ``reset`` is in Unix seconds of its clock, rounded up."""

    limit: int
    remaining: int
    reset: float

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self | None:
        """What the headers tell; None if one of the three is missing or no number."""
        names = ("Limit", "Remaining", "Reset")
        values = [headers.get(f"X-Rate-Limit-{name}", "").strip() for name in names]
        if not all(one.isascii() and one.isdigit() and len(one) <= _MOST_DIGITS for one in values):
            return None
        limit, remaining, reset = map(int, values)
        return cls(limit, remaining, reset)


@dataclass(slots=True)
class ServerClock:
    """How far a server's clock is ahead of the local one: at least so much as any of its answers shows.

    ``Date`` names the second in which an answer was made, which was before it came. The greatest difference
    of some minutes is off by little more than an answer's way, and always to the safe side.
    """

    _began: float = -inf
    _last: float = -inf
    _before: float = field(default=-inf)

    def heard(self, date: str | None, received: float) -> None:
        """An answer with this ``Date`` came."""
        try:
            ahead = parsedate_to_datetime(date or "").timestamp() - received
        except (ValueError, OverflowError):
            return
        if received > self._began + _FRESH_S:
            self._began, self._before, self._last = received, self._last, -inf
        self._last = max(self._last, ahead)

    def local(self, moment: float) -> float:
        """When it is that moment on the server, at the latest. Without a ``Date``, clocks agree."""
        ahead = max(self._last, self._before)
        return moment if ahead == -inf else moment - ahead
