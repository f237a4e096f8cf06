"""What part of a company's budget this process uses, when others use it too. Pure."""

from bisect import bisect_right
from dataclasses import dataclass, field
from math import ceil, inf

from consumer.upstream.quota import Quota


_REMEMBER_S = 150.0
_LEAST = 0.05
_WEIGHT = 0.1
_ROUNDING = 1.2


@dataclass(frozen=True, slots=True)
class Made:
    """A call that is over: when it was made, and when its answer came or none could any more."""

    sent: float
    received: float


@dataclass(slots=True)
class Recent:
    """The calls of this process that may still be in a window of ``window_s`` seconds, as they ended."""

    window_s: float
    _made: list[Made] = field(default_factory=list)

    def add(self, made: Made) -> None:
        """A call is over. They come in the order of their ends."""
        self._made.append(made)
        old = self._first_after(made.received - 2 * self.window_s)
        if 2 * old > len(self._made):
            del self._made[:old]

    def since(self, moment: float) -> int:
        """How many may have been counted by the upstream after the moment."""
        return len(self._made) - self._first_after(moment)

    def first_out(self, used: int) -> float:
        """When the first of the latest so many calls is certainly out of the window.

        Each was counted before its answer came, so the first of them was before the first of those answers.
        Infinite if fewer are known.
        """
        return self._made[-used].received + self.window_s if 0 < used <= len(self._made) else inf

    def _first_after(self, moment: float) -> int:
        return bisect_right(self._made, moment, key=lambda one: one.received)


@dataclass(slots=True)
class Share:
    """Whether others use the budget, and how much of what is used is this process's own, from 0 to 1."""

    own: float = 1.0
    _others_at: float = -inf
    _first: Quota | None = None
    _made: int = 0

    def has_others(self, now: float) -> bool:
        """Whether others were seen during the last minute."""
        return now < self._others_at + _REMEMBER_S

    def part(self, now: float) -> float:
        """What part of the rest to take at once.

        Alone, all. Else no more than a quarter, and the less the more is had already: whoever has little gets
        as much as whoever has much, and all of them together no more than there is.
        """
        return max(_LEAST, self.own * (1.0 - self.own)) if self.has_others(now) else 1.0

    def reserve(self, limit: int, now: float) -> int:
        """What to leave of a limit: a probe for each of the others, so that theirs are not refused."""
        if not self.has_others(now):
            return 0
        return max(1, min(ceil(1.0 / max(self.own, _LEAST) - _ROUNDING), limit // 8))

    def saw_window(self, used: int, own: int, now: float) -> None:
        """So much of a window is used, of which at most ``own`` by this process."""
        if used > own:
            self._others_at = now
            self.own += _WEIGHT * (own / used - self.own)
        elif not self.has_others(now):
            self.own = 1.0

    def saw_refusal(self, now: float) -> None:
        """A call was refused that should have been allowed: others were quicker."""
        if not self.has_others(now):
            self.own = 0.5
        self._others_at = now

    def saw_count(self, quota: Quota, flying: int, now: float) -> None:
        """An answer of this process, with so many more calls under way, told how a fixed window stands."""
        first = self._first
        if first is None or (first.limit, first.reset) != (quota.limit, quota.reset):
            self._first, self._made = quota, 0
            return
        self._made += 1
        used = first.remaining - quota.remaining
        if used > 0:
            self.saw_window(used, self._made + flying, now)
