"""How many requests each system has answered, held against the budget that is in force."""

import sqlite3
from collections.abc import Callable

from consumer.sandbox.limits import HOUR_S, SPIKE_S, Quota, RateBudget, RateLimits


TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path

_ANSWERED = """SELECT at FROM requests
    WHERE system = ? AND (at >= ? OR at > ?) AND path <> ? AND status <> 429 ORDER BY number"""


class Meter:
    """Counts one system's requests. Without a budget it has no limit.

    A budget that has changed counts what the journal has of the time before.
    """

    def __init__(self, system: str, db: sqlite3.Connection, budget: Callable[[], RateBudget | None]) -> None:
        self._system = system
        self._db = db
        self._budget = budget
        self._counted: RateBudget | None = None
        self._limits: RateLimits | None = None

    def take(self, now: float) -> Quota | None:
        """Count a request made at Unix time ``now``, if the limits allow it; None if there are none."""
        budget = self._budget()
        if budget != self._counted:
            self._counted = budget
            self._limits = None if budget is None else self._continued(budget, now)
        return None if self._limits is None else self._limits.take(now)

    def _continued(self, budget: RateBudget, now: float) -> RateLimits:
        since = now // HOUR_S * HOUR_S
        rows = self._db.execute(_ANSWERED, (self._system, since, now - SPIKE_S, TOKEN_PATH))
        answered = [at for (at,) in rows]
        recent = [at for at in answered if at > now - SPIKE_S]
        limits = RateLimits(budget, recent[0] if recent else now, len(answered) - len(recent))
        for at in recent:
            limits.take(at)
        return limits
