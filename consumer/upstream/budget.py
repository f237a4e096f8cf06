"""One company's request budget at one upstream: whoever calls waits here for their turn.

What may be called when is decided in ``allowance``. Whoever began earlier goes first, so that records that
have made some of their calls are finished before others begin: a budget spent on halves is wasted.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

from consumer.upstream.allowance import Allowance, Answer
from consumer.upstream.budget_metrics import BudgetMetrics


LONGEST_WAIT_S = 15.0
"""Whoever would have to wait longer is told so instead, and need not keep a place meanwhile."""

_turns = count(1)
_turn: ContextVar[int | None] = ContextVar("turn", default=None)
_patient: ContextVar[bool] = ContextVar("patient", default=False)


def take_turn() -> None:
    """Note that the running task begins something now, all of whose calls go before those of later ones."""
    _turn.set(next(_turns))


def be_patient() -> None:
    """Let the running task wait for as long as it takes: it keeps nobody from their place."""
    _patient.set(True)


def is_patient() -> bool:
    """Whether the running task waits for as long as it takes."""
    return _patient.get()


class TooLongError(Exception):
    """The budget gives nothing for ``wait_s`` seconds, which is longer than anybody waits in place."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"nothing is left for {wait_s:.0f} s")
        self.wait_s = wait_s


Clock = Callable[[], float]
"""Gives Unix seconds of a local clock that does not jump."""


def steady_clock() -> Clock:
    """The time of day as it was when this was called, moved on by a clock that nobody sets."""
    ahead = time.time() - time.monotonic()
    return lambda: time.monotonic() + ahead


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What is known of a budget: a limit and what of it is left, and how many calls wait and run.

    ``limit``, ``remaining`` and ``resets_at`` (Unix seconds of the upstream) are None if it tells nothing.
    """

    limit: int | None
    remaining: int | None
    resets_at: float | None
    waiting: int
    running: int


@dataclass(order=True, slots=True)
class _Waiter:
    turn: int
    number: int
    future: asyncio.Future[int] = field(compare=False)
    is_patient: bool = field(compare=False, default=False)


class Call:
    """A call that may be made now; it is to be told how it ends, or counts as unanswered."""

    def __init__(self, budget: "Budget", number: int) -> None:
        self._budget = budget
        self._number = number
        self.is_over = False

    def answered(self, answer: Answer) -> None:
        """An answer came."""
        self.is_over = True
        self._budget.allowance.answered(self._number, answer, self._budget.now())
        self._budget.metrics.told(self._budget.allowance.lowest)

    def unanswered(self) -> None:
        """No answer came."""
        self.is_over = True
        self._budget.allowance.unanswered(self._number, self._budget.now())

    def withdrawn(self) -> None:
        """It was not made after all."""
        self.is_over = True
        self._budget.allowance.withdrawn(self._number)


class Budget:
    """Shared by all who call one upstream for one company, on one loop."""

    def __init__(
        self, metrics: BudgetMetrics, rng: random.Random | None = None, clock: Clock | None = None
    ) -> None:
        self.allowance = Allowance(rng or random.Random())  # noqa: S311 - spreads calls, keeps no secret
        self.metrics = metrics
        self.now = clock or steady_clock()
        self._waiters: list[_Waiter] = []
        self._numbers = count()
        self._alarm: asyncio.TimerHandle | None = None

    async def turn(self) -> Call:
        """Wait until one more call may be made. Raises TooLongError."""
        if not self._waiters and self.allowance.wait_until(self.now()) is None:
            return Call(self, self.allowance.begin(self.now()))
        began = self.now()
        turn = _turn.get()
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        turn = next(_turns) if turn is None else turn
        heappush(self._waiters, _Waiter(turn, next(self._numbers), future, is_patient()))
        self._wake_others()
        try:
            number = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                # It may go, but nobody is there any more.
                self.allowance.withdrawn(future.result())
            self._wake_others()
            raise
        finally:
            self.metrics.waited(self.now() - began)
        return Call(self, number)

    @contextmanager
    def calling(self, call: Call) -> Iterator[Call]:
        """While the call is made. Whatever ends it, it is over then, and others may go."""
        try:
            yield call
        finally:
            if not call.is_over:
                call.unanswered()
            self._wake_others()

    def state(self) -> BudgetState:
        """What is known of it."""
        quota, waiting, running = self.allowance.lowest, len(self._waiters), self.allowance.running
        if quota is None:
            return BudgetState(None, None, None, waiting, running)
        return BudgetState(quota.limit, quota.remaining, quota.reset, waiting, running)

    def _wake_others(self) -> None:
        """Let go whoever may, in the order of their turns; the rest is looked at again in time."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._waiters:
            if self._waiters[0].future.done():
                heappop(self._waiters)
                continue
            now = self.now()
            until = self.allowance.wait_until(now)
            if until is None:
                heappop(self._waiters).future.set_result(self.allowance.begin(now))
                continue
            if until - now > LONGEST_WAIT_S and until != inf:
                self._send_away(until - now)
            if until != inf:
                loop = asyncio.get_running_loop()
                self._alarm = loop.call_later(max(0.0, until - now), self._wake_others)
            return

    def _send_away(self, wait_s: float) -> None:
        for waiter in self._waiters:
            if not waiter.is_patient and not waiter.future.done():
                waiter.future.set_exception(TooLongError(wait_s))
        self._waiters = [waiter for waiter in self._waiters if waiter.is_patient]
        heapify(self._waiters)
