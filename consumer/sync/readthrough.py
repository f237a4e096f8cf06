"""Reference data that is read once and kept: one reader per key at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Self, TypeVar


K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")
FRESH_S = 60.0
"""What is missing may be new: it is looked for once more in a value that is no older than this."""
_MOST = 1000


@dataclass(slots=True)
class _Turn:
    """Those who want one key: one of them reads, the others wait for what comes of it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    callers: int = 0
    failure: Exception | None = None


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
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin: Callable[[K], Callable[[], Awaitable[V]]] = lambda key: partial(read, key)
        self._keep_s = keep_s
        self._most = most
        self._clock = clock
        self._go_on_s = 0.0
        self._kept: dict[K, tuple[float, V]] = {}
        self._broken_off: dict[K, tuple[float, Callable[[], Awaitable[V]]]] = {}
        self._turns: dict[K, _Turn] = {}
        self._renewed_at = float("-inf")

    @classmethod
    def going_on(
        cls,
        begin: Callable[[K], Callable[[], Awaitable[V]]],
        *,
        go_on_s: float = 300.0,
        keep_s: float = 3600.0,
        most: int = _MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """One whose readings may be gone on with: ``begin`` gives a function to call until it succeeds.

        Not for longer than ``go_on_s`` seconds, and not after ``renew``; then the next reading is a new one.
        So a value that somebody asked to be younger may be that old.
        """
        made = cls(lambda key: begin(key)(), keep_s=keep_s, most=most, clock=clock)
        made._begin = begin
        made._go_on_s = go_on_s
        return made

    async def get(self, key: K, younger_than_s: float | None = None) -> V:
        """The value, read anew if it is older than asked for.

        Raises what reading raises. Whoever waited for a reading that failed is told the same, and does not
        make the upstream fail once more.
        """
        oldest = max(
            self._clock() - (self._keep_s if younger_than_s is None else younger_than_s), self._renewed_at
        )
        kept = self._kept.get(key)
        if kept is not None and kept[0] >= oldest:
            return kept[1]
        turn = self._turns.setdefault(key, _Turn())
        turn.callers += 1
        try:
            async with turn.lock:
                if turn.failure is not None:
                    raise turn.failure
                kept = self._kept.get(key)
                return kept[1] if kept is not None and kept[0] >= oldest else await self._read(key, turn)
        finally:
            turn.callers -= 1
            if not turn.callers:
                self._end(key, turn)

    async def find(self, key: K, look: Callable[[V], R | None]) -> R | None:
        """What ``look`` sees in the value; if that is None, what it sees in a fresh one."""
        found = look(await self.get(key))
        return found if found is not None else look(await self.get(key, younger_than_s=FRESH_S))

    def kept(self, key: K) -> V | None:
        """What is kept, however old; nothing is read for it."""
        kept = self._kept.get(key)
        return None if kept is None else kept[1]

    def renew(self) -> None:
        """Read everything anew from now on. May be called from any thread."""
        self._renewed_at = self._clock()

    async def _read(self, key: K, turn: _Turn) -> V:
        began, go_on = self._begun(key)
        try:
            value = await go_on()
        except BaseException as error:
            if self._go_on_s:
                self._broken_off[key] = (began, go_on)
                _shrink(self._broken_off, self._most)
            if isinstance(error, Exception):
                turn.failure = error
                # Who comes later is none of those who waited.
                self._end(key, turn)
            raise
        self._kept.pop(key, None)
        self._kept[key] = (began, value)
        _shrink(self._kept, self._most)
        return value

    def _begun(self, key: K) -> tuple[float, Callable[[], Awaitable[V]]]:
        broken_off = self._broken_off.pop(key, None)
        now = self._clock()
        if broken_off is not None and broken_off[0] >= max(now - self._go_on_s, self._renewed_at):
            return broken_off
        return now, self._begin(key)

    def _end(self, key: K, turn: _Turn) -> None:
        if self._turns.get(key) is turn:
            del self._turns[key]


def _shrink(values: dict[K, V], most: int) -> None:
    while len(values) > most:
        del values[next(iter(values))]
