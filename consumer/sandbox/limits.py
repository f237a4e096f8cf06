"""Procore's two rate limits: so many requests in an hour, and so many in ten seconds."""

from collections import deque
from dataclasses import dataclass
from math import ceil


HOUR_S = 3600
SPIKE_S = 10


@dataclass(frozen=True, slots=True)
class RateBudget:
    """How many requests Procore answers. Its guide's examples are 600 an hour and 25 in ten seconds.

    The default is so generous that only tests which ask for less meet a limit.
    """

    hourly: int = 1_000_000
    spike: int = 50_000


@dataclass(frozen=True, slots=True)
class Quota:
    """How the nearer of both limits stands after a request."""

    limit: int
    remaining: int
    reset: int
    exceeded: bool

    def headers(self) -> dict[str, str]:
        """As Procore tells it with every answer; the reset is in Unix seconds."""
        return {
            "X-Rate-Limit-Limit": str(self.limit),
            "X-Rate-Limit-Remaining": str(self.remaining),
            "X-Rate-Limit-Reset": str(self.reset),
        }


class RateLimits:
    """Counts requests: the hourly limit by the clock's hours, the spike limit over the last ten seconds.

    Refused requests are not counted, so that waiting always helps. ``spent`` is how many were counted in
    the present hour before this object was made.
    """

    def __init__(self, budget: RateBudget, now: float, spent: int = 0) -> None:
        self._budget = budget
        self._hour = now // HOUR_S
        self._spent = spent
        self._recent: deque[float] = deque()

    def take(self, now: float) -> Quota:
        """Count a request made at Unix time ``now``, if both limits allow it, and tell how they stand."""
        if now // HOUR_S != self._hour:
            self._hour, self._spent = now // HOUR_S, 0
        while self._recent and self._recent[0] <= now - SPIKE_S:
            self._recent.popleft()
        exceeded = self._spent >= self._budget.hourly or len(self._recent) >= self._budget.spike
        if not exceeded:
            self._spent += 1
            self._recent.append(now)
        hourly_left = self._budget.hourly - self._spent
        spike_left = self._budget.spike - len(self._recent)
        if spike_left < hourly_left:
            oldest = self._recent[0] if self._recent else now
            return Quota(self._budget.spike, max(0, spike_left), ceil(oldest + SPIKE_S), exceeded)
        return Quota(self._budget.hourly, max(0, hourly_left), int((self._hour + 1) * HOUR_S), exceeded)
