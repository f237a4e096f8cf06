"""Reference data that is read once and kept: one reader per key at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar


K = TypeVar("K")
V = TypeVar("V")


class ReadThrough(Generic[K, V]):
    """Keeps what ``read`` gave per key, for ``keep_s`` seconds and at most ``most`` keys.

    Ages are counted from the moment at which reading began, so what changed while it was read counts as
    unseen.
    """

    def __init__(
        self,
        read: Callable[[K], Awaitable[V]],
        *,
        keep_s: float = 3600.0,
        most: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._keep_s = keep_s
        self._most = most
        self._clock = clock
        self._kept: dict[K, tuple[float, V]] = {}
        self._locks: dict[K, asyncio.Lock] = {}
        self._renewed_at = float("-inf")

    async def get(self, key: K, younger_than_s: float | None = None) -> V:
        """The value, read anew if it is older than asked for. Raises what ``read`` raises."""
        oldest = max(
            self._clock() - (self._keep_s if younger_than_s is None else younger_than_s), self._renewed_at
        )
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is None or kept[0] < oldest:
                began = self._clock()
                try:
                    kept = (began, await self._read(key))
                except BaseException:
                    # Keys come from events: what cannot be read must leave nothing behind.
                    if key not in self._kept:
                        self._locks.pop(key, None)
                    raise
                self._kept.pop(key, None)
                self._kept[key] = kept
                self._shrink()
            return kept[1]

    def renew(self) -> None:
        """Read everything anew from now on. May be called from any thread."""
        self._renewed_at = self._clock()

    def _shrink(self) -> None:
        while len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._locks.pop(oldest, None)
