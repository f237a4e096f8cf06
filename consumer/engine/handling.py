"""What happens on the handlers' loop: attempts, waits between them, and companies that are held.

Completions are handed to the engine's thread. Every method without a note is to be called on the loop.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from consumer.broker.port import TopicPartition
from consumer.engine.config import EngineConfig
from consumer.engine.dispatcher import Dispatcher
from consumer.engine.handler import Handler
from consumer.engine.holds import Holds
from consumer.engine.links import Links
from consumer.engine.process import Later, at_once, attempt, faulty, parked, words_of
from consumer.engine.state import CompanyState
from consumer.engine.work import Again, Completion, Work
from consumer.exceptions import Misconfigured, RateLimited, Transient, Unsure
from consumer.metrics import EngineMetrics
from consumer.upstream.budget import take_turn
from consumer.upstream.http import may_write


log = structlog.get_logger(__name__)

_PAUSED_S = 0.5


class Handling:
    """Brings each piece of work to its completion, however often that takes an attempt."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        handler: Handler[Any],
        links: Links,
        config: EngineConfig,
        rng: random.Random,
        done: Callable[[Completion], None],
        is_owner: Callable[[], bool],
        metrics: EngineMetrics,
    ) -> None:
        self._handler = handler
        self._links = links
        self._config = config
        self._clock = config.clock
        self._rng = rng
        self._done = done
        self._is_owner = is_owner
        self._metrics = metrics
        self._dispatcher = Dispatcher(self._settle, self._attempt, config.limits, config.clock)
        self._holds = Holds(handler, config.breaker, config.hold_s, self._clock, rng, self, metrics)

    # ------------------------------------------------------------ from the engine

    def submit(self, batch: Sequence[Work]) -> None:
        """Take over records that were just read."""
        for work in batch:
            self._dispatcher.submit(work)
        for company_id in {work.company_id for work in batch}:
            if company_id is not None and self._holds.is_parking(company_id):
                self.park(company_id)

    def drop(self, partitions: frozenset[TopicPartition]) -> None:
        """Forget what waits of these partitions."""
        self._dispatcher.drop(partitions)

    async def running_of(self, partitions: frozenset[TopicPartition]) -> int:
        """How many attempts of these partitions are under way."""
        return self._dispatcher.running_of(partitions)

    def cancel(self, partitions: frozenset[TopicPartition]) -> None:
        """Forget what waits of these partitions, and stop what runs."""
        self._dispatcher.cancel(partitions)

    def confine(self, horizons: Mapping[int, int]) -> None:
        """Start no work at or beyond these offsets, by partition."""
        self._dispatcher.confine(horizons)

    def relieve(self) -> None:
        """Make room: park what waits of companies that will be held for some time yet."""
        for company_id in self._holds.lasting():
            self.park(company_id)

    def close(self) -> None:
        """Stop probing."""
        self._holds.close()

    # ------------------------------------------------------------ from the holds

    def hold(self, company_id: int) -> None:
        """Start nothing of the company."""
        self._dispatcher.hold(company_id)

    def release(self, company_id: int) -> None:
        """Go on with the company."""
        self._dispatcher.release(company_id)

    def park(self, company_id: int) -> None:
        """Set aside what waits of a company."""
        outage = self._holds.outage(company_id)
        if outage is None:
            return
        for work in self._dispatcher.take_waiting(company_id):
            self._end(parked(work, self._handler, outage.upstream, outage.words, is_denied=outage.is_denied))

    # ------------------------------------------------------------ for others

    async def is_clear(self, company_id: int) -> bool:
        """Whether records of the company can be handled now, as far as a probe tells."""
        return await self._holds.is_clear(company_id)

    async def companies(self) -> tuple[CompanyState, ...]:
        """How each company stands that has work here or is held."""
        counts = self._dispatcher.companies()
        known = {*self._holds.companies(), *(one for one in counts if one is not None)}
        return tuple(self._holds.state(one, *counts.get(one, (0, 0))) for one in sorted(known))

    def counts(self) -> Mapping[int | None, tuple[int, int]]:
        """How much of each company waits and runs. May be called from any thread."""
        return self._dispatcher.companies()

    def running(self) -> int:
        """How many attempts are under way. May be called from any thread."""
        return self._dispatcher.running()

    def keys(self) -> int:
        """How many keys have work that runs or waits. May be called from any thread."""
        return self._dispatcher.keys()

    # ------------------------------------------------------------ inside

    def _settle(self, work: Work) -> bool:
        completion = at_once(work, self._handler)
        if completion is None:
            return False
        self._end(completion)
        return True

    async def _attempt(self, work: Work) -> Again | None:
        company_id = work.company_id
        if company_id is None:
            raise AssertionError("every event has a company")
        # Who was cut off from the group may have lost the partition without knowing it yet.
        may_write.set(self._is_owner)
        take_turn()
        started = self._clock.now()
        work = work if work.since is not None else work._replace(since=started)
        try:
            ended = await attempt(work, self._handler)
        except Exception as error:  # noqa: BLE001 - its key would wait for ever
            ended = faulty(work, error)
        self._metrics.handler_seconds.observe((self._clock.now() - started) / self._clock.pace)
        if isinstance(ended, Completion):
            self._holds.answered(company_id)
            self._end(ended)
            return None
        if isinstance(ended, RateLimited | Unsure):
            return self._postponed(work, company_id, ended)
        return self._failed(work, company_id, ended)

    def _postponed(self, work: Work, company_id: int, error: RateLimited | Unsure) -> Again | None:
        """No attempt is spent: the record keeps its place, unless its company's are set aside by now."""
        wait = _PAUSED_S
        if isinstance(error, RateLimited):
            wait = error.retry_after_s + self._rng.uniform(0, self._config.retry.first_wait_s)
            self._metrics.retries["rate_limited"].inc()
            if not self._holds.is_parking(company_id):
                self._holds.rest(company_id, error, wait, work.since or 0.0)
        if self._holds.is_parking(company_id):
            self._end(parked(work, self._handler, error.upstream, words_of(error), is_denied=False))
            return None
        if isinstance(error, Unsure):
            return Again(work, wait)
        self._tell(work, error, wait)
        return Again(work)

    def _failed(self, work: Work, company_id: int, error: Transient | Misconfigured) -> Again | None:
        denied = isinstance(error, Misconfigured)
        # One that was refused before, and whose company was found in order since, is alone to blame.
        alone = denied and work.accused
        hint = 0.0 if isinstance(error, Misconfigured) else error.retry_after_s or 0.0
        self._metrics.retries["misconfigured" if denied else "transient"].inc()
        tried = work._replace(failures=work.failures + 1, accused=work.accused or denied)
        if not alone:
            self._holds.failed(company_id, error, hint)
        retry = self._config.retry
        wait = retry.longest_wait_s if alone else retry.wait_s(tried.failures, self._rng, hint)
        over = (alone or not denied) and retry.is_over(work.since or 0.0, self._clock.now(), wait)
        if over or self._holds.is_parking(company_id):
            self._end(parked(tried, self._handler, error.upstream, words_of(error), is_denied=denied))
            return None
        self._tell(work, error, wait)
        # Whose company is held waits for its release.
        return Again(tried, 0.0 if self._holds.is_held(company_id) else wait)

    def _end(self, completion: Completion) -> None:
        if completion.handled is not None and completion.handled.links:
            # The next record of this key may start before the commit, and must see these.
            self._links.add_pending(completion.handled.links)
        self._done(completion)

    def _tell(self, work: Work, error: Later, wait_s: float) -> None:
        record = work.record
        log.warning(
            "upstream.waiting",
            error=str(error),
            kind=type(error).__name__,
            company=work.company_id,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            wait_s=round(wait_s, 2),
        )
