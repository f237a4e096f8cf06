"""A server with rate limits, and processes that call it, in virtual time: exact, and an hour in a blink."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from math import ceil

from consumer.upstream.allowance import Allowance, Answer


@dataclass(slots=True)
class Window:
    """A limit: so many calls in so many seconds, which roll or are fixed, beginning at ``phase``."""

    limit: int
    length_s: float
    rolls: bool = True
    phase: float = 0.0
    counted: deque[float] = field(default_factory=deque)

    def left(self, now: float) -> int:
        """How many more it takes."""
        start = now - self.length_s if self.rolls else self._start(now)
        while self.counted and (self.counted[0] <= start if self.rolls else self.counted[0] < start):
            self.counted.popleft()
        return max(0, self.limit - len(self.counted))

    def reset(self, now: float) -> int:
        """When it gives back what it took first, in whole seconds, rounded up."""
        if not self.rolls:
            return ceil(self._start(now) + self.length_s)
        return ceil((self.counted[0] if self.counted else now) + self.length_s)

    def _start(self, now: float) -> float:
        return now - (now - self.phase) % self.length_s


class Server:
    """Answers with the headers of whichever limit is nearer to being exceeded. Refused calls do not count."""

    def __init__(self, windows: Sequence[Window], ahead_s: float = 0.0, *, dates: bool = True) -> None:
        self.windows = windows
        self.ahead_s = ahead_s
        self.dates = dates
        self.statuses: list[tuple[float, int]] = []

    def answer(self, real: float) -> Answer:
        """Count a call, if every limit allows it."""
        now = real + self.ahead_s
        allowed = all(window.left(now) > 0 for window in self.windows)
        if allowed:
            for window in self.windows:
                window.counted.append(now)
        nearest = min(self.windows, key=lambda window: (window.left(now), -window.reset(now)))
        self.statuses.append((real, 200 if allowed else 429))
        headers = {
            "X-Rate-Limit-Limit": str(nearest.limit),
            "X-Rate-Limit-Remaining": str(nearest.left(now)),
            "X-Rate-Limit-Reset": str(nearest.reset(now)),
        }
        if self.dates:
            headers["Date"] = formatdate(int(now), usegmt=True)
        return Answer(200 if allowed else 429, headers)


@dataclass(slots=True)
class Caller:
    """A process with ``work`` calls to make, as soon as its allowance lets it."""

    allowance: Allowance
    work: int = 1_000_000
    begins: float = 0.0
    made: int = 0
    refused: int = 0
    due: float = -1.0


def play(  # noqa: C901, PLR0917 - one small world, whose parts are told together
    server: Server,
    callers: Sequence[Caller],
    start: float,
    seconds: float,
    rng: random.Random,
    latency: Callable[[random.Random], float] = lambda rng: rng.uniform(0.02, 0.3),
    events: Sequence[tuple[float, Callable[[], None]]] = (),
) -> None:
    """Let so much time pass. ``events`` change things at their moments."""
    agenda: list[tuple[float, int, Callable[[float], object]]] = []
    order = 0

    def at(moment: float, do: Callable[[float], object]) -> None:
        nonlocal order
        order += 1
        heapq.heappush(agenda, (moment, order, do))

    def call(caller: Caller, number: int, now: float) -> None:
        whole = latency(rng)
        there = now + whole * rng.random()

        def arrive(moment: float) -> None:
            answer = server.answer(moment)
            at(now + whole, lambda back: end(caller, number, answer, back))

        at(there, arrive)

    def end(caller: Caller, number: int, answer: Answer, now: float) -> None:
        caller.allowance.answered(number, answer, now)
        caller.refused += answer.status == 429
        caller.work += answer.status == 429
        go(caller, now)

    def go(caller: Caller, now: float) -> None:
        while caller.work > 0:
            until = caller.allowance.wait_until(now)
            if until is not None:
                if until < float("inf") and caller.due != until:
                    caller.due = until
                    at(until, lambda moment: go(caller, moment))
                return
            caller.work -= 1
            caller.made += 1
            call(caller, caller.allowance.begin(now), now)

    for caller in callers:
        at(start + caller.begins, lambda now, caller=caller: go(caller, now))  # type: ignore[misc]
    for moment, change in events:
        at(start + moment, lambda _, change=change: change())  # type: ignore[misc]
    while agenda and agenda[0][0] <= start + seconds:
        moment, _, do = heapq.heappop(agenda)
        do(moment)
