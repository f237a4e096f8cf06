"""Which companies are held, why, and until when. Lives on the handlers' loop.

A company is held while one of its breakers is not closed, or while an upstream has asked for a pause. Probes
find out when an outage is over. An upstream that asks for one pause after the other and lets nothing come to
an end between them is out, too: otherwise its records would be neither held nor set aside.
"""

import asyncio
import random
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from consumer.engine.breaker import Breaker, BreakerPolicy, BreakerState
from consumer.engine.clock import Clock
from consumer.engine.handler import Handler
from consumer.engine.process import words_of
from consumer.engine.state import CompanyState, Outage
from consumer.exceptions import Misconfigured, RateLimited, Transient, UpstreamError
from consumer.metrics import EngineMetrics, limited


log = structlog.get_logger(__name__)

LASTING_S = 30.0
"""A pause that still takes longer than this is no passing one."""
FRESH_S = 60.0
"""How long a good answer says that a company can be worked for."""
ASK_AGAIN_S = 15.0
"""How long a bad answer to a question from outside is not asked for again."""


class Held(Protocol):
    """Whose companies are held."""

    def hold(self, company_id: int) -> None:
        """Start nothing of the company."""

    def release(self, company_id: int) -> None:
        """Go on with the company."""

    def park(self, company_id: int) -> None:
        """Set aside what waits of the company."""


@dataclass(slots=True)
class _Company:
    breakers: dict[str, Breaker] = field(default_factory=dict)
    outages: dict[str, Outage] = field(default_factory=dict)
    rests: dict[str, float] = field(default_factory=dict)
    held_since: float | None = None
    is_parking: bool = False
    ended_at: float = float("-inf")
    answered_at: float = float("-inf")
    refused_at: float = float("-inf")


class Holds:
    """The breakers of all companies, and what follows from them."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        handler: Handler[Any],
        policy: BreakerPolicy,
        hold_s: float,
        clock: Clock,
        rng: random.Random,
        held: Held,
        metrics: EngineMetrics,
    ) -> None:
        self._handler = handler
        self._policy = policy
        self._hold_s = hold_s
        self._clock = clock
        self._rng = rng
        self._held = held
        self._metrics = metrics
        self._companies: dict[int, _Company] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # ------------------------------------------------------------ what attempts tell

    def answered(self, company_id: int) -> None:
        """An attempt came to an end with answers."""
        company = self._companies.get(company_id)
        if company is not None:
            company.ended_at = company.answered_at = self._clock.now()
            for breaker in company.breakers.values():
                breaker.succeeded()

    def failed(self, company_id: int, error: Transient | Misconfigured, hint_s: float) -> None:
        """An attempt failed; that may open the breaker and hold the company."""
        company = self._company(company_id)
        breaker = company.breakers.setdefault(error.upstream, Breaker(self._policy, self._rng))
        denied = isinstance(error, Misconfigured)
        if breaker.failed(self._clock.now(), denied=denied, hint_s=hint_s):
            what = "access is refused: check its credentials, permissions and the app's connection"
            self._out(company_id, company, error, breaker, what if denied else "its upstream does not answer")

    def rest(self, company_id: int, error: RateLimited, seconds: float, since: float) -> None:
        """The upstream has asked for a pause, on a record that was tried first at ``since``."""
        upstream = error.upstream
        limited(upstream, seconds)
        company, until = self._company(company_id), self._clock.now() + seconds
        if self._patience(company, since) <= 0:
            self._only_pauses(company_id, company, error, seconds)
        elif until > company.rests.get(upstream, 0.0):
            is_new = upstream not in company.rests
            company.rests[upstream] = until
            self._hold(company_id, company)
            if is_new:
                self._spawn(self._rest(company_id, company, error, since))

    # ------------------------------------------------------------ what follows

    def is_held(self, company_id: int) -> bool:
        """Whether nothing of the company is to be started."""
        company = self._companies.get(company_id)
        return company is not None and company.held_since is not None

    def is_parking(self, company_id: int) -> bool:
        """Whether the company has been held for so long that its records are set aside."""
        company = self._companies.get(company_id)
        return company is not None and company.is_parking

    def lasting(self) -> Collection[int]:
        """The companies that will be held for some time yet."""
        late = self._clock.now() + LASTING_S
        return [
            company_id
            for company_id, one in self._companies.items()
            if one.outages or any(until > late for until in one.rests.values())
        ]

    def outage(self, company_id: int) -> Outage | None:
        """Why the company is held, if it is."""
        company = self._companies.get(company_id)
        if company is None or company.held_since is None:
            return None
        return next(
            iter(company.outages.values()),
            Outage(next(iter(company.rests), ""), "its request budget is spent", is_denied=False),
        )

    async def is_clear(self, company_id: int) -> bool:
        """Whether the company can be worked for, as its last answer tells, or else a probe."""
        company = self._company(company_id)
        now = self._clock.now()
        if company.held_since is not None:
            return False
        if company.refused_at < company.answered_at and now < company.answered_at + FRESH_S:
            return True
        if company.answered_at < company.refused_at and now < company.refused_at + ASK_AGAIN_S:
            return False
        if await self._asked(company_id) is None:
            company.answered_at = self._clock.now()
            return True
        company.refused_at = self._clock.now()
        return False

    def companies(self) -> Collection[int]:
        """The companies of which something is known."""
        return self._companies.keys()

    def state(self, company_id: int, waiting: int, running: int) -> CompanyState:
        """How the company stands."""
        company = self._companies.get(company_id, _Company())
        since = company.held_since
        return CompanyState(
            company_id=company_id,
            waiting=waiting,
            running=running,
            held_since_s=None if since is None else (self._clock.now() - since) / self._clock.pace,
            parking=company.is_parking,
            breakers={upstream: str(breaker.state) for upstream, breaker in company.breakers.items()},
        )

    def close(self) -> None:
        """Stop probing."""
        for task in self._tasks:
            task.cancel()

    # ------------------------------------------------------------ inside

    def _company(self, company_id: int) -> _Company:
        return self._companies.setdefault(company_id, _Company())

    def _hold(self, company_id: int, company: _Company) -> None:
        if company.held_since is None:
            company.held_since = self._clock.now()
            self._held.hold(company_id)

    def _release(self, company_id: int, company: _Company) -> None:
        if company.outages or company.rests or company.held_since is None:
            return
        log.info("company.released", company=company_id)
        company.held_since = None
        company.is_parking = False
        self._held.release(company_id)

    def _patience(self, company: _Company, since: float) -> float:
        """For how long pauses are waited for yet, on a record that was tried first at ``since``.

        Whatever came to an end meanwhile shows that calls get through between the pauses. That a probe
        works does not: what it asks for may be all that is answered.
        """
        return max(company.ended_at, since) + self._hold_s - self._clock.now()

    def _out(
        self, company_id: int, company: _Company, error: UpstreamError, breaker: Breaker, what: str
    ) -> None:
        """The breaker has opened: hold the company, and probe."""
        company.outages[error.upstream] = Outage(error.upstream, words_of(error), breaker.is_denied)
        self._shown(company_id, error.upstream, breaker)
        (log.error if breaker.is_denied else log.warning)(
            "company.held", company=company_id, upstream=error.upstream, error=str(error), what=what
        )
        self._hold(company_id, company)
        self._spawn(self._probe(company_id, company, error.upstream, breaker))

    def _only_pauses(self, company_id: int, company: _Company, error: RateLimited, hint_s: float) -> None:
        """Pauses have been asked for, and nothing else, for longer than they are waited for."""
        breaker = company.breakers.setdefault(error.upstream, Breaker(self._policy, self._rng))
        if breaker.failed(self._clock.now(), denied=False, hint_s=hint_s, certain=True):
            self._out(company_id, company, error, breaker, "its upstream asks for pauses only")
        self._park(company_id, company, error.upstream)

    async def _rest(self, company_id: int, company: _Company, error: RateLimited, since: float) -> None:
        while (left := company.rests[error.upstream] - self._clock.now()) > 0:
            patience = self._patience(company, since)
            if patience <= 0:
                self._only_pauses(company_id, company, error, left)
                break
            await self._clock.sleep(min(left, patience))
        del company.rests[error.upstream]
        self._release(company_id, company)

    def _park(self, company_id: int, company: _Company, upstream: str) -> None:
        """From now on, set aside what waits of the company and what comes."""
        if not company.is_parking:
            company.is_parking = True
            log.warning("company.parking", company=company_id, upstream=upstream)
            self._held.park(company_id)

    async def _probe(self, company_id: int, company: _Company, upstream: str, breaker: Breaker) -> None:
        """Wait and probe until the outage is over; park the company's records when that takes too long."""
        give_up = self._clock.now() + self._hold_s
        while breaker.state is not BreakerState.CLOSED:
            now = self._clock.now()
            if now >= give_up:
                self._park(company_id, company, upstream)
            due = breaker.until if company.is_parking else min(breaker.until, give_up)
            if due > now:
                await self._clock.sleep(due - now)
            else:
                await self._probe_once(company_id, upstream, breaker)
        del company.outages[upstream]
        self._shown(company_id, upstream, breaker)
        self._release(company_id, company)

    async def _probe_once(self, company_id: int, upstream: str, breaker: Breaker) -> None:
        breaker.begin_probe()
        self._shown(company_id, upstream, breaker)
        error = await self._asked(company_id)
        if error is None:
            breaker.probe_succeeded()
            self._companies[company_id].answered_at = self._clock.now()
            return
        hint = error.retry_after_s if isinstance(error, RateLimited | Transient) else 0.0
        breaker.probe_failed(self._clock.now(), denied=isinstance(error, Misconfigured), hint_s=hint or 0.0)
        self._shown(company_id, upstream, breaker)

    async def _asked(self, company_id: int) -> Exception | None:
        """What speaks against working for the company, if anything does."""
        try:
            await self._handler.probe(company_id)
        except (Transient, RateLimited, Misconfigured) as error:
            return error
        except UpstreamError:
            # It answers, be it with a refusal.
            return None
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the probing
            log.error("probe.fault", company=company_id, kind=type(error).__name__)  # noqa: TRY400 - may be personal
            return error
        return None

    def _shown(self, company_id: int, upstream: str, breaker: Breaker) -> None:
        if company_id in self._metrics.companies:
            company = self._metrics.company(company_id)
            company.show_breaker(upstream, str(breaker.state), is_denied=breaker.is_denied)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
