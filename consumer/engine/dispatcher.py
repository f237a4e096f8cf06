"""Runs work in order per key and concurrently across keys, fairly between companies.

It lives on the asyncio loop: every method is to be called there. A key has at most one piece of work
running; the others wait behind it. Among the keys that could start, companies take turns, so that a
company with a long queue does not delay another's single record. Work that waits for another attempt keeps
its key, but no place among those that run.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field

from consumer.broker.port import TopicPartition
from consumer.engine.clock import Clock
from consumer.engine.limits import Limits
from consumer.engine.work import Again, Key, Work


@dataclass(slots=True)
class _Company:
    """The keys of a company that could start, and how much of it runs and waits."""

    ready: deque[Key] = field(default_factory=deque)
    running: int = 0
    waiting: int = 0
    is_held: bool = False


Company = int | None


class Dispatcher:
    """Queues of work by key.

    ``settle`` decides work without waiting and tells whether it could; it is asked first. ``run`` does the
    rest, and returns the work if it is to be taken up again. Neither may raise, but for cancellation.
    """

    def __init__(
        self,
        settle: Callable[[Work], bool],
        run: Callable[[Work], Coroutine[None, None, Again | None]],
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._settle = settle
        self._run = run
        self._limits = limits
        self._clock = clock
        # The work that waits behind each key that is not idle; one piece, the usual case, stands alone.
        self._queues: dict[Key, Work | deque[Work] | None] = {}
        self._companies: dict[Company, _Company] = {}
        # The companies with keys that could start, in the order of their turns.
        self._turns: dict[Company, None] = {}
        self._running: dict[asyncio.Task[Again | None], Work] = {}
        self._busy: set[Key] = set()
        self._leaving: frozenset[TopicPartition] = frozenset()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._horizons: dict[int, int] = {}
        self._beyond: dict[int, list[tuple[int, Company, bytes | None]]] = {}

    # ------------------------------------------------------------ work comes and goes

    def submit(self, work: Work) -> None:
        """Queue a piece of work, and start or settle what may be."""
        key = work.key
        if self._leaving:
            self._leaving -= {work.source}
        if key not in self._queues and self._is_near(work) and self._settle(work):
            return
        self._company(work.company_id).waiting += 1
        if key not in self._queues:
            self._queues[key] = work
            self._make_ready(key, work)
        else:
            self._append(key, work)
        self.start()

    def start(self) -> None:
        """Start what may start."""
        blocked = 0
        while blocked < len(self._turns) and len(self._running) < self._limits.in_flight:
            # The company at the front has its turn and goes to the back.
            company_id = next(iter(self._turns))
            del self._turns[company_id]
            company = self._companies[company_id]
            if not self._limits.allow(company.running, len(self._running)):
                self._turns[company_id] = None
                blocked += 1
                continue
            blocked = 0
            key = company.ready.popleft()
            if company.ready:
                self._turns[company_id] = None
            work = self._head(key)
            # A key that was emptied and filled again may be in the queue twice.
            if work is not None and key not in self._busy and key not in self._timers:
                self._begin(key, work)
            else:
                self._tidy(company_id)

    def drop(self, partitions: frozenset[TopicPartition]) -> None:
        """Forget what waits of these partitions. What runs goes on, but is not taken up again."""
        self._leaving |= partitions
        gone = {partition.partition for partition in partitions}
        for key in [key for key in self._queues if key[0] in gone]:
            self._taken(key)
        for number in gone:
            self._horizons.pop(number, None)
            self._beyond.pop(number, None)

    def cancel(self, partitions: frozenset[TopicPartition]) -> None:
        """Forget what waits of these partitions and stop what runs, at its next await."""
        self.drop(partitions)
        for task, work in self._running.items():
            if work.source in partitions:
                task.cancel()

    # ------------------------------------------------------------ what is held back

    def hold(self, company_id: Company) -> None:
        """Start nothing of this company until ``release``."""
        self._company(company_id).is_held = True
        self._turns.pop(company_id, None)

    def release(self, company_id: Company) -> None:
        """Let the company have its turns again."""
        company = self._company(company_id)
        company.is_held = False
        if company.ready:
            self._turns[company_id] = None
        self._tidy(company_id)
        self.start()

    def take_waiting(self, company_id: Company) -> list[Work]:
        """Take all of a company that waits out of the queues, in order per key."""
        keys = [key for key in self._queues if (head := self._head(key)) and head.company_id == company_id]
        return [work for key in keys for work in self._taken(key)]

    def confine(self, horizons: Mapping[int, int]) -> None:
        """Start no work at or beyond these offsets, by partition, until told anew."""
        self._horizons = dict(horizons)
        for number, heap in list(self._beyond.items()):
            horizon = self._horizons.get(number)
            while heap and (horizon is None or heap[0][0] < horizon):
                _, company_id, name = heapq.heappop(heap)
                self._put_ready((number, name), company_id)
            if not heap:
                del self._beyond[number]
        self.start()

    # ------------------------------------------------------------ how it stands

    def running(self) -> int:
        """How many pieces of work run now."""
        return len(self._running)

    def running_of(self, partitions: frozenset[TopicPartition]) -> int:
        """How many of these partitions."""
        return sum(work.source in partitions for work in self._running.values())

    def keys(self) -> int:
        """How many keys have work that runs or waits."""
        return len(self._queues)

    def companies(self) -> Mapping[Company, tuple[int, int]]:
        """How much of each company waits and runs. May be called from any thread."""
        return {company_id: (one.waiting, one.running) for company_id, one in list(self._companies.items())}

    # ------------------------------------------------------------ inside

    def _company(self, company_id: Company) -> _Company:
        return self._companies.setdefault(company_id, _Company())

    def _is_near(self, work: Work) -> bool:
        horizon = self._horizons.get(work.record.partition)
        return horizon is None or work.record.offset < horizon

    def _append(self, key: Key, work: Work) -> None:
        queue = self._queues[key]
        if queue is None:
            self._queues[key] = work
        elif isinstance(queue, deque):
            queue.append(work)
        else:
            self._queues[key] = deque((queue, work))

    def _head(self, key: Key) -> Work | None:
        queue = self._queues.get(key)
        return queue[0] if isinstance(queue, deque) else queue

    def _pop(self, key: Key) -> None:
        queue = self._queues[key]
        if isinstance(queue, deque) and len(queue) > 1:
            queue.popleft()
        else:
            self._queues[key] = None

    def _taken(self, key: Key) -> list[Work]:
        """Take what waits behind a key; the key stays if something of it runs."""
        queue = self._queues[key]
        if key in self._busy:
            self._queues[key] = None
        else:
            del self._queues[key]
            if timer := self._timers.pop(key, None):
                timer.cancel()
        taken = [] if queue is None else list(queue) if isinstance(queue, deque) else [queue]
        for work in taken:
            self._companies[work.company_id].waiting -= 1
            self._tidy(work.company_id)
        return taken

    def _tidy(self, company_id: Company) -> None:
        """Forget a company that has nothing here: their ids come from events."""
        company = self._companies[company_id]
        if not (company.waiting or company.running or company.is_held):
            del self._companies[company_id]
            self._turns.pop(company_id, None)

    def _make_ready(self, key: Key, work: Work) -> None:
        if self._is_near(work):
            self._put_ready(key, work.company_id)
        else:
            entry = (work.record.offset, work.company_id, work.record.key)
            heapq.heappush(self._beyond.setdefault(key[0], []), entry)

    def _put_ready(self, key: Key, company_id: Company) -> None:
        company = self._company(company_id)
        company.ready.append(key)
        if not company.is_held:
            self._turns[company_id] = None

    def _begin(self, key: Key, work: Work) -> None:
        if not self._is_near(work):
            # The horizon has come down since it was ready.
            self._make_ready(key, work)
            return
        self._pop(key)
        company = self._companies[work.company_id]
        company.waiting -= 1
        if self._settle(work):
            self._next(key)
            self._tidy(work.company_id)
            return
        task = asyncio.ensure_future(self._run(work))
        self._running[task] = work
        self._busy.add(key)
        company.running += 1
        task.add_done_callback(self._finish)

    def _finish(self, task: asyncio.Task[Again | None]) -> None:
        work = self._running.pop(task)
        self._busy.discard(work.key)
        self._companies[work.company_id].running -= 1
        again = None if task.cancelled() else task.result()
        if again is None or work.source in self._leaving:
            self._next(work.key)
        else:
            self._put_back(again)
        self._tidy(work.company_id)
        self.start()

    def _put_back(self, again: Again) -> None:
        work = again.work
        key = work.key
        queue = self._queues[key]
        if isinstance(queue, deque):
            queue.appendleft(work)
        else:
            self._queues[key] = work if queue is None else deque((work, queue))
        self._companies[work.company_id].waiting += 1
        if again.wait_s <= 0:
            self._make_ready(key, work)
            return

        def ready() -> None:
            del self._timers[key]
            self._make_ready(key, work)
            self.start()

        self._timers[key] = self._clock.call_later(again.wait_s, ready)

    def _next(self, key: Key) -> None:
        """The key's work is done: let the next one behind it be ready, or forget the key."""
        work = self._head(key)
        if work is not None:
            self._make_ready(key, work)
        else:
            self._queues.pop(key, None)
