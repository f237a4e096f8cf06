"""How many calls may be under way at once, learnt from failures alone. Pure.

There is no limit until a call fails. Then it is halved at once and grows again with the answers, as a
sender's window on a congested network does: by one for each answer up to half of what failed, from there by
one for each round.
"""

from dataclasses import dataclass


_ENOUGH = 500.0


@dataclass(slots=True)
class Concurrency:
    """``most`` calls at once; None is no limit."""

    most: float | None = None
    _goal: float = 1.0
    _cut_at: float = float("-inf")

    def allows(self, flying: int) -> bool:
        """Whether one more may join those under way."""
        return self.most is None or flying < max(1, int(self.most))

    def unanswered(self, sent: float, now: float, flying: int) -> None:
        """A call made at ``sent`` had no answer, with so many under way, itself among them.

        One that fails alone says nothing of the load.
        """
        if flying > 1:
            self._cut(sent, now, flying, start=None)

    def refused(self, sent: float, now: float, flying: int) -> None:
        """The upstream said that this was too much: begin again with one call."""
        self._cut(sent, now, flying, start=1.0)

    def answered(self) -> None:
        """A call was answered as calls should be."""
        if self.most is None:
            return
        self.most += 1.0 if self.most < self._goal else 1.0 / self.most
        if self.most >= _ENOUGH:
            self.most = None

    def _cut(self, sent: float, now: float, flying: int, start: float | None) -> None:
        # Calls of before the last cut tell nothing of what it has changed.
        if sent < self._cut_at:
            return
        now_allowed = flying if self.most is None else min(self.most, flying)
        self._goal = max(1.0, now_allowed / 2)
        self.most = self._goal if start is None else start
        self._cut_at = now
