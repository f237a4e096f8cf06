"""Which values no worker of a company has, so that nobody need be asked for them.

A first sync of thousands of users would ask for each one's external id, payroll ID and phone number, to
hear that nobody has them. All workers are read instead, once that costs less.

Only look-ups that find nobody are saved. Where the roster knows of somebody, SmartBarrel is asked. What it
knows may be old: SmartBarrel keeps the three values unique, and refuses a creation or a change that rests on
old knowledge; then SmartBarrel is asked, too.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from consumer.sync.classifications import folded
from consumer.upstream.smartbarrel import PER_PAGE, SmartBarrel, Worker


KEEP_S = 3600.0
MOST = 200_000
"""Workers of one company. Beyond that each is asked for: the values would take some hundred megabytes."""
_AT_ONCE = 3
"""Pages that are read at once, since they cost no more than the look-ups of one user."""
_GO_ON_S = 300.0
_VALUES = ("external_id", "payroll_id", "phone_number")


@dataclass(slots=True)
class _Known:
    """What the pages that were read so far have."""

    began: float
    values: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in _VALUES})
    by_name: dict[str, dict[str, Worker]] = field(default_factory=lambda: defaultdict(dict))
    pages_read: int = 0
    total: int = 0

    @property
    def pages(self) -> int:
        return -(-self.total // PER_PAGE)

    @property
    def is_whole(self) -> bool:
        return 0 < self.pages_read >= self.pages

    def add(self, worker: Worker) -> None:
        for name, values in self.values.items():
            value = getattr(worker, name)
            if value is not None:
                values.add(value)
        self.by_name[folded(worker.name)][worker.id] = worker


class Roster:
    """The workers of one company, as they were read last."""

    def __init__(self, smartbarrel: SmartBarrel, clock: Callable[[], float] = time.monotonic) -> None:
        self._smartbarrel = smartbarrel
        self._clock = clock
        self._reading = asyncio.Lock()
        self._known: _Known | None = None
        self._asked = 0
        self._renewed_at = float("-inf")

    async def find_workers(self, **filters: str) -> Sequence[Worker]:
        """Workers, active and inactive, that match exactly: by one of the three unique values."""
        known = await self._read()
        ((name, value),) = filters.items()
        if known.is_whole and value not in known.values[name]:
            return []
        self._asked += 1
        return await self._smartbarrel.find_workers(**filters)

    def note(self, worker: Worker) -> None:
        """Somebody was created or changed. The values that they had may stay."""
        if self._known is not None:
            self._known.add(worker)

    def same_name(self, name: str) -> Sequence[Worker]:
        """The company's own workers of this name who are linked to nobody, as far as they are known."""
        if self._known is None:
            return ()
        found = self._known.by_name.get(folded(name), {}).values()
        return [one for one in found if one.external_id is None and one.contractor is None]

    def renew(self) -> None:
        """Read everything anew before it is used again. May be called from any thread."""
        self._renewed_at = self._clock()

    async def _read(self) -> _Known:
        """Read on, as far as that is worth it by now."""
        if self._is_fresh(self._known) and not self._wants_more(self._known):
            return self._known
        async with self._reading:
            known = self._known
            if not self._is_fresh(known):
                known = self._known = _Known(self._clock())
                self._asked = 0
            while self._wants_more(known):
                page = await self._smartbarrel.worker_page(known.pages_read + 1)
                known.total = page.total or 0
                known.pages_read += 1
                for worker in page.rows:
                    known.add(worker)
            return known

    def _wants_more(self, known: _Known) -> bool:
        if known.pages_read == 0:
            return True
        if known.is_whole or known.total > MOST:
            return False
        # What was spent on asking would have paid for reading: so never more than twice the least.
        return known.pages <= _AT_ONCE or known.pages_read > 1 or self._asked >= known.pages

    def _is_fresh(self, known: _Known | None) -> TypeGuard[_Known]:
        if known is None or known.began < self._renewed_at:
            return False
        return self._clock() - known.began < (KEEP_S if known.is_whole or known.pages_read == 1 else _GO_ON_S)
