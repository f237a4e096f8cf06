"""Who waits to be read, company by company. Pure: the caller says what time it is, and does the reading.

All notices of a user that wait are answered by one reading. What comes while a user is being read needs
another one: nobody knows whether the change was there yet.
"""

import random
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

from consumer.broker.port import TopicPartition
from consumer.engine.breaker import Breaker, BreakerPolicy, BreakerState
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import Misconfigured, RateLimited, Transient
from consumer.model.notices import WebhookNotice


AT_ONCE = 4
"""How many users of one company are read at once: webhooks are few, and others share the budget."""


class Spot(NamedTuple):
    """A notice, and where it stands in which assignment of its partition."""

    partition: TopicPartition
    epoch: int
    offset: int
    notice: WebhookNotice


@dataclass(slots=True, eq=False)
class User:
    """A user who waits. ``asked`` has the notices that the reading under way answers."""

    company_id: int
    user_id: int
    waiting: list[Spot] = field(default_factory=list)
    asked: list[Spot] = field(default_factory=list)
    failures: int = 0

    @property
    def is_read(self) -> bool:
        """Whether a reading is under way."""
        return bool(self.asked)

    @property
    def spots(self) -> Sequence[Spot]:
        """All notices."""
        return [*self.asked, *self.waiting]


@dataclass(slots=True)
class _Company:
    breaker: Breaker
    ready: deque[User] = field(default_factory=deque)
    delayed: list[tuple[float, int, User]] = field(default_factory=list)
    reading: int = 0
    paused_until: float = float("-inf")


@dataclass(slots=True)
class Waiting:
    """Everybody who waits. Times are in seconds of the caller's clock."""

    rng: random.Random
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    _users: dict[tuple[int, int], User] = field(default_factory=dict)
    _companies: dict[int, _Company] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=count)

    def __len__(self) -> int:
        """How many users wait or are read."""
        return len(self._users)

    @property
    def reading(self) -> int:
        """How many are being read."""
        return sum(company.reading for company in self._companies.values())

    def held(self) -> dict[int, float]:
        """The companies that Procore does not answer for, each with the moment since which it does not."""
        return {
            company_id: company.breaker.open_since
            for company_id, company in self._companies.items()
            if company.breaker.open_since is not None
        }

    def add(self, spot: Spot) -> None:
        """A notice waits."""
        notice = spot.notice
        key = (notice.company_id, notice.user_id)
        user = self._users.get(key)
        if user is None:
            user = self._users[key] = User(*key)
            self._company(notice.company_id).ready.append(user)
        user.waiting.append(spot)

    def due(self, now: float) -> Sequence[User]:
        """Those who are to be read now; each is to be ended by ``read`` or ``failed``."""
        return [user for company in self._companies.values() for user in self._due_of(company, now)]

    def _due_of(self, company: _Company, now: float) -> Iterator[User]:
        while company.delayed and company.delayed[0][0] <= now:
            company.ready.append(heappop(company.delayed)[2])
        breaker = company.breaker
        while company.ready and company.reading < AT_ONCE and now >= company.paused_until:
            if breaker.state is BreakerState.HALF_OPEN or (
                breaker.state is BreakerState.OPEN and now < breaker.until
            ):
                return
            user = company.ready.popleft()
            if not self.has(user):
                continue
            if breaker.state is BreakerState.OPEN:
                breaker.begin_probe()
            company.reading += 1
            user.asked, user.waiting = user.waiting, []
            yield user

    def has(self, user: User) -> bool:
        """Whether the user waits still: whoever was lost, or moved, does not."""
        return self._users.get((user.company_id, user.user_id)) is user

    def read(self, user: User) -> Sequence[Spot]:
        """Procore has answered. The notices that are done with; none if the user was lost meanwhile."""
        company = self._company(user.company_id)
        company.reading -= 1
        _answered(company.breaker)
        if not self.has(user):
            return ()
        done, user.asked, user.failures = user.asked, [], 0
        if user.waiting:
            company.ready.append(user)
        else:
            self._drop(user)
        return done

    def failed(self, user: User, error: Exception, now: float) -> bool:
        """Procore has not answered. True if the company is held from now on."""
        company = self._company(user.company_id)
        company.reading -= 1
        hint = (error.retry_after_s or 0.0) if isinstance(error, RateLimited | Transient) else 0.0
        user.failures += 1
        user.waiting, user.asked = [*user.asked, *user.waiting], []
        wait = self.retry.wait_s(user.failures, self.rng, hint)
        if isinstance(error, RateLimited):
            _answered(company.breaker)
            company.paused_until = now + hint
            wait = 0.0
        # A user on whom Procore fails again and again waits behind the others.
        heappush(company.delayed, (now + wait, next(self._number), user))
        if isinstance(error, RateLimited):
            return False
        denied = isinstance(error, Misconfigured)
        if company.breaker.state is BreakerState.HALF_OPEN:
            company.breaker.probe_failed(now, denied=denied, hint_s=hint)
            return False
        return company.breaker.failed(now, denied=denied, hint_s=hint)

    def lose(self, partitions: Collection[TopicPartition]) -> None:
        """Forget the notices of these partitions; readings under way end in nothing."""
        for user in list(self._users.values()):
            user.waiting = [spot for spot in user.waiting if spot.partition not in partitions]
            if any(spot.partition in partitions for spot in user.asked) or not user.spots:
                self._drop(user)
                # With more partitions than before a user's notices may stand in two.
                for spot in user.waiting:
                    self.add(spot)

    def moved(self, partition: TopicPartition, most: int) -> Sequence[User]:
        """Take out those of a partition who are not being read, so many at most; the longest first."""
        taken = [
            user
            for user in self._users.values()
            if not user.is_read and all(spot.partition == partition for spot in user.waiting)
        ][:most]
        for user in taken:
            self._drop(user)
        return taken

    def _drop(self, user: User) -> None:
        del self._users[user.company_id, user.user_id]

    def _company(self, company_id: int) -> _Company:
        company = self._companies.get(company_id)
        if company is None:
            company = self._companies[company_id] = _Company(Breaker(self.breaker, self.rng))
        return company


def _answered(breaker: Breaker) -> None:
    if breaker.state is BreakerState.HALF_OPEN:
        breaker.probe_succeeded()
    breaker.succeeded()
