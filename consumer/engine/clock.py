"""The time by which waits, outages and deadlines are measured. Tests let it run faster."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds that pass ``pace`` times as fast as real ones."""

    pace: float = 1.0

    def now(self) -> float:
        """Seconds since some moment in the past."""
        return time.monotonic() * self.pace

    def call_later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back on the running asyncio loop."""
        return asyncio.get_running_loop().call_later(delay_s / self.pace, call)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds / self.pace)
