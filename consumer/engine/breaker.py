"""A circuit breaker for one company and one upstream. Pure: the caller says what time it is.

*Closed*: calls are made. *Open*: none is made until a moment that moves away with each failed probe. *Half
open*: one probe is under way. A refusal of access opens it at once, other failures when several follow each
other without a success between them. An upstream that says when to come back is only waited for, and no
probe is needed then, unless it says so again and again for so long that this is an outage.
"""

import random
from dataclasses import dataclass, field
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether calls are made."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """How many failures in a row open it, and the first and longest wait for a probe, in seconds."""

    failures: int = 8
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0


@dataclass(slots=True)
class Breaker:
    """The state of one breaker.

    ``open_since`` is when the present outage began, ``until`` when the next probe is due. ``is_denied`` tells
    whether access was refused, which somebody has to put right. Closed again by a probe, it stays on
    probation until a real call succeeds: the next failure opens it again, for longer than before.
    """

    policy: BreakerPolicy
    rng: random.Random
    state: BreakerState = BreakerState.CLOSED
    open_since: float | None = None
    until: float = 0.0
    is_denied: bool = False
    _failures: int = field(default=0, init=False)
    _openings: int = field(default=0, init=False)

    def succeeded(self) -> None:
        """A call was answered as it should be, or with a refusal of the data."""
        self._failures = 0
        if self.state is BreakerState.CLOSED:
            self._openings = 0

    def failed(self, now: float, *, denied: bool, hint_s: float = 0.0, certain: bool = False) -> bool:
        """A call failed; ``denied`` if access was refused. True if that opened the breaker.

        ``certain`` says that this is an outage, however many calls have failed.
        """
        self._failures += 1
        limit = 1 if denied or certain or self._openings else self.policy.failures
        if self.state is not BreakerState.CLOSED or self._failures < limit:
            return False
        self.open_since = now
        self.is_denied = denied
        self._open(now, hint_s)
        return True

    def begin_probe(self) -> None:
        """A probe is on its way."""
        self.state = BreakerState.HALF_OPEN

    def probe_failed(self, now: float, *, denied: bool, hint_s: float = 0.0) -> None:
        """The probe failed; the next one comes later."""
        self.is_denied = denied
        self._open(now, hint_s)

    def probe_succeeded(self) -> None:
        """The upstream is there again."""
        self.state = BreakerState.CLOSED
        self.open_since = None
        self.is_denied = False
        self._failures = 0

    def _open(self, now: float, hint_s: float) -> None:
        wait = min(self.policy.longest_wait_s, self.policy.first_wait_s * 2.0 ** min(self._openings, 30))
        # Half of it is chance, so that the companies of one upstream do not come back all at once.
        self.until = now + max(self.rng.uniform(wait / 2, wait), hint_s)
        self._openings += 1
        self.state = BreakerState.OPEN
