"""SmartBarrel's workers one by one, as they were a moment ago."""

import time
from collections.abc import Callable

from consumer.exceptions import NotFound
from consumer.sync.readthrough import FRESH_S, ReadThrough
from consumer.upstream.smartbarrel import SmartBarrel, Worker


class Workers:
    """The workers of one company. To be asked only where an event and the links do not tell enough."""

    def __init__(self, smartbarrel: SmartBarrel, clock: Callable[[], float] = time.monotonic) -> None:
        async def read(worker_id: str) -> Worker | None:
            try:
                return await smartbarrel.worker(worker_id)
            except NotFound:
                return None

        self._by_id: ReadThrough[str, Worker | None] = ReadThrough(read, keep_s=FRESH_S, clock=clock)

    async def get(self, worker_id: str) -> Worker | None:
        """The worker; None if there is none any more."""
        return await self._by_id.get(worker_id)

    def renew(self) -> None:
        """Ask for each worker anew."""
        self._by_id.renew()
