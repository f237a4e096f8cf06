"""Runs work in order per key and concurrently across keys, fairly between companies.

It lives on the asyncio loop: every method is to be called there. A key has at most one piece of work
running; the others wait behind it. Among the keys that could start, companies take turns, so that a
company with a long queue does not delay another's single record.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from consumer.broker.port import Record, TopicPartition


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may run at the same time: in all, and of one company."""

    in_flight: int = 200
    per_company: int = 100


@dataclass(frozen=True, slots=True)
class Work:
    """A record to be handled, with the epoch of the assignment that it came with."""

    record: Record
    epoch: int
    company_id: int | None
    event: object

    @property
    def key(self) -> tuple[TopicPartition, bytes | None]:
        """What its order is kept within."""
        return (self.record.source, self.record.key)


class Dispatcher:
    """Queues of work by key; a piece of work is over when ``run`` has returned, which must not raise."""

    def __init__(self, run: Callable[[Work], Awaitable[None]], limits: Limits) -> None:
        self._run = run
        self._limits = limits
        self._waiting: dict[tuple[TopicPartition, bytes | None], deque[Work]] = {}
        self._ready: dict[int | None, deque[tuple[TopicPartition, bytes | None]]] = {}
        self._running: dict[asyncio.Task[None], Work] = {}
        self._of_company: dict[int | None, int] = {}

    def submit(self, work: Work) -> None:
        """Queue a piece of work and start what may start."""
        queue = self._waiting.get(work.key)
        if queue is None:
            self._waiting[work.key] = deque([work])
            self._make_ready(work)
        else:
            queue.append(work)
        self._start()

    def drop(self, partitions: frozenset[TopicPartition]) -> int:
        """Forget what waits of these partitions, and return how much that was. What runs goes on."""
        busy = {work.key for work in self._running.values()}
        dropped = 0
        for key in [key for key in self._waiting if key[0] in partitions]:
            dropped += len(self._waiting[key])
            if key in busy:
                self._waiting[key].clear()
            else:
                del self._waiting[key]
        for company, ready in list(self._ready.items()):
            kept = deque(key for key in ready if key in self._waiting)
            if kept:
                self._ready[company] = kept
            else:
                del self._ready[company]
        return dropped

    def cancel(self, partitions: frozenset[TopicPartition]) -> None:
        """Forget what waits of these partitions and stop what runs, at its next await."""
        self.drop(partitions)
        for task, work in self._running.items():
            if work.record.source in partitions:
                task.cancel()

    def running(self) -> int:
        """How many pieces of work run now."""
        return len(self._running)

    def _make_ready(self, work: Work) -> None:
        self._ready.setdefault(work.company_id, deque()).append(work.key)

    def _start(self) -> None:
        blocked = 0
        while self._ready and blocked < len(self._ready) and len(self._running) < self._limits.in_flight:
            # The company at the front has its turn and goes to the back.
            company = next(iter(self._ready))
            keys = self._ready.pop(company)
            if self._of_company.get(company, 0) >= self._limits.per_company:
                self._ready[company] = keys
                blocked += 1
                continue
            blocked = 0
            key = keys.popleft()
            if keys:
                self._ready[company] = keys
            self._launch(self._waiting[key].popleft())

    def _launch(self, work: Work) -> None:
        task = asyncio.ensure_future(self._run(work))
        self._running[task] = work
        self._of_company[work.company_id] = self._of_company.get(work.company_id, 0) + 1
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[None]) -> None:
        work = self._running.pop(task)
        left = self._of_company[work.company_id] - 1
        if left:
            self._of_company[work.company_id] = left
        else:
            del self._of_company[work.company_id]
        queue = self._waiting.get(work.key)
        if queue:
            self._make_ready(queue[0])
        elif queue is not None:
            del self._waiting[work.key]
        self._start()
