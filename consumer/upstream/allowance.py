"""Whether one more call may be made to an upstream now, learnt from the headers of its answers. Pure.

An upstream may have several limits at once, and tells with each answer only of the one that is nearest to
being exceeded, so neither the limit nor its window is a constant here. What is known instead:

- The answer that was counted last holds for all calls but those under way. Which one that was cannot be
  told from the order in which answers come, but it came after the latest call that is answered was made. The
  least that any of these answers left, less the calls under way, is there for certain.
- What a window gives back is not used before one call alone, a probe, has told what the other limits say.
- A call is certainly out of a ten-second window ten seconds after its answer came. That is known better than
  the reset, which is rounded up to a whole second.

Other processes of the same company count against the same limits. They are seen by what is used beyond the
calls made here; then only a part of the rest is taken at a time, a little of it is left, and waits end at
random.

Times are Unix seconds of a local clock that does not jump.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from math import inf

from consumer.upstream.concurrency import Concurrency
from consumer.upstream.pauses import JITTER_S, MOST_S, pause_s
from consumer.upstream.quota import Quota, ServerClock
from consumer.upstream.share import Made, Recent, Share


SHORT_S = 10.0
"""The length of the short window, which rolls."""
PATIENCE_S = 2.0
"""How long a probe's answer is waited for before another call may be one."""

_NEAR_S = SHORT_S + 1.5
_SILENT = 20
_MOST_LIMITS = 16
_STALE_S = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back on a call: status, headers by any case, and a pause in seconds if one is asked."""

    status: int
    headers: Mapping[str, str]
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Reading:
    sent: float
    received: float
    quota: Quota


@dataclass(frozen=True, slots=True)
class _Limit:
    """When a limit was told first, and whether its reset was ever too far for the short window.

    By the call with the number ``spent_by`` it may be used up, if nothing was given back since it was told.
    """

    first_at: float
    is_far: bool
    spent_by: int = 0

    def is_settled(self, now: float) -> bool:
        """Whether no call made before it was told is in a short window any more."""
        return now > self.first_at + _NEAR_S


@dataclass(slots=True)
class Allowance:
    """The calls of one process to one upstream for one company.

    Each call that ``wait_until`` allows is told with ``begin``, and by its number how it ends: ``answered``,
    ``unanswered``, or ``withdrawn`` if it was not made after all.
    """

    rng: random.Random
    concurrency: Concurrency = field(default_factory=Concurrency)
    _flying: dict[int, float] = field(default_factory=dict)
    _next: int = 0
    _is_known: bool = False
    _readings: list[_Reading] = field(default_factory=list)
    _latest_sent: float = -inf
    _lost: list[float] = field(default_factory=list)
    _recent: Recent = field(default_factory=lambda: Recent(SHORT_S))
    _share: Share = field(default_factory=Share)
    _clock: ServerClock = field(default_factory=ServerClock)
    _limits: dict[int, _Limit] = field(default_factory=dict)
    _far_at: float = -inf
    _start: float = 1.0
    _closed_until: float = -inf
    _closed_at: float = -inf
    _refusals: int = 0
    _silent: int = 0
    _jitter: float = 0.0

    @property
    def lowest(self) -> Quota | None:
        """The limit that leaves least, as last told; None if nothing is told."""
        return min((one.quota for one in self._readings), key=lambda one: one.remaining, default=None)

    @property
    def running(self) -> int:
        """How many calls are under way."""
        return len(self._flying)

    # ------------------------------------------------------------ may a call be made

    def wait_until(self, now: float) -> float | None:  # noqa: PLR0911 - one rule after the other
        """None if one more call may be made now; else when to ask again, unless an answer comes before."""
        if now < self._closed_until:
            return self._closed_until
        if not self.concurrency.allows(len(self._flying)):
            return inf
        alone_at = self._alone_at()
        if not self._readings:
            return None if self._is_known or now >= alone_at else alone_at
        left = self._left()
        if self._may_join(left, now):
            return None
        if now < alone_at:
            return alone_at
        if left > self._reserve(now):
            return None
        wake = self._wake(now)
        return None if now >= wake else wake

    def _alone_at(self) -> float:
        """From when on a call is as good as alone: those under way hang."""
        return max(self._flying.values()) + PATIENCE_S if self._flying else -inf

    def _left(self) -> int:
        """What is left for certain, but for the calls under way."""
        return min(
            one.quota.remaining - sum(ended > one.sent for ended in self._lost) for one in self._readings
        )

    def _may_join(self, left: int, now: float) -> bool:
        """Whether the call needs no answer of those under way."""
        flying = len(self._flying)
        age = now - self._readings[-1].received
        if not self._share.has_others(now):
            return flying < min(left, self._start) and (age < SHORT_S or not flying)
        rest = left - self._reserve(now)
        return age < _STALE_S and flying < max(min(rest, 1), int(rest * self._share.part(now)))

    def _reserve(self, now: float) -> int:
        return self._share.reserve(min(one.quota.limit for one in self._readings), now)

    def _wake(self, now: float) -> float:
        """When a window gives something back for certain."""
        lowest = min(self._readings, key=lambda one: (one.quota.remaining, -one.quota.reset))
        if lowest.quota.remaining > self._reserve(now):
            # Only lost calls have used it up, and they may never have arrived.
            return now
        # A reset may be nonsense. If it was not, the call that asks too early is one, and refused.
        wake = min(self._clock.local(lowest.quota.reset), lowest.received + MOST_S)
        if self._share.has_others(now):
            wake += self._jitter * JITTER_S
        elif self._is_short(lowest.quota, now) and not self._is_another_spent(lowest.quota):
            wake = min(wake, self._recent.first_out(lowest.quota.limit - lowest.quota.remaining))
        return wake

    def _is_another_spent(self, quota: Quota) -> bool:
        """Whether a longer limit may be used up as well, of which the answer did not tell."""
        others = (known for limit, known in self._limits.items() if limit != quota.limit)
        return any(known.is_far and known.spent_by <= self._next for known in others)

    def _is_short(self, quota: Quota, now: float) -> bool:
        """Whether the limit is known to be the short one: seen for longer than that, and never far."""
        known = self._limits.get(quota.limit)
        if known is None or known.is_far:
            return False
        return known.is_settled(now) and now > self._far_at + _NEAR_S

    # ------------------------------------------------------------ calls begin and end

    def begin(self, now: float) -> int:
        """A call is made. Its number."""
        self._next += 1
        self._flying[self._next] = now
        return self._next

    def withdrawn(self, call: int) -> None:
        """The call was not made."""
        del self._flying[call]

    def unanswered(self, call: int, now: float) -> None:
        """No answer came: the upstream may have counted the call or not."""
        sent = self._flying[call]
        self.concurrency.unanswered(sent, now, len(self._flying))
        self._lose(call, now)

    def answered(self, call: int, answer: Answer, now: float) -> None:
        """An answer came."""
        flying = len(self._flying)
        sent = self._flying[call]
        quota = Quota.of(answer.headers)
        self._clock.heard(answer.headers.get("Date"), now)
        self._is_known |= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
        refused = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        overloaded = answer.status == HTTPStatus.SERVICE_UNAVAILABLE and answer.retry_after_s is not None
        if overloaded or (refused and quota is None):
            self.concurrency.refused(sent, now, flying)
        elif not refused:
            self.concurrency.answered()
        if quota is None:
            self._lose(call, now)
        else:
            del self._flying[call]
            self._recent.add(Made(sent, now))
            self._read(_Reading(sent, now, quota))
            self._start += 1.0
        if refused and quota is not None and self._limits[quota.limit].is_settled(now):
            # Of a limit that has only just sunk, this process's own calls may be the reason.
            self._share.saw_refusal(now)
        if refused or overloaded:
            self._close(sent, answer.retry_after_s, quota, now)
        else:
            self._refusals = 0

    def _lose(self, call: int, now: float) -> None:
        sent = self._flying.pop(call)
        self._recent.add(Made(sent, now))
        if self._readings:
            self._lost.append(now)
            self._silent += 1
            if self._silent >= _SILENT:
                # What is no longer told is no longer true.
                self._readings.clear()
                self._lost.clear()

    def _read(self, reading: _Reading) -> None:
        self._silent = 0
        self._latest_sent = max(self._latest_sent, reading.sent)
        self._readings = [one for one in self._readings if one.received >= self._latest_sent]
        if reading.received >= self._latest_sent:
            self._readings.append(reading)
        oldest = min(one.sent for one in self._readings)
        self._lost = [ended for ended in self._lost if ended > oldest]
        self._jitter = self.rng.random()
        self._learn(reading)

    def _learn(self, reading: _Reading) -> None:
        quota = reading.quota
        before = self._limits.pop(quota.limit, _Limit(reading.received, is_far=False))
        is_far = before.is_far or self._clock.local(quota.reset) > reading.received + _NEAR_S
        spent_by = self._next - len(self._flying) + quota.remaining
        self._limits[quota.limit] = _Limit(before.first_at, is_far, spent_by)
        if len(self._limits) > _MOST_LIMITS:
            del self._limits[next(iter(self._limits))]
        if is_far:
            self._far_at = reading.received
            self._share.saw_count(quota, len(self._flying), reading.received)
        else:
            own = self._recent.since(reading.sent - SHORT_S) + len(self._flying)
            self._share.saw_window(quota.limit - quota.remaining, own, reading.received)

    def _close(self, sent: float, asked_s: float | None, quota: Quota | None, now: float) -> None:
        """Let no call go for as long as is asked, and a little longer by chance."""
        if sent >= self._closed_at:
            # What was under way together is refused together, which is one refusal.
            self._refusals += 1
            self._closed_at = now
        if asked_s is None and quota is not None:
            until = self._clock.local(quota.reset)
            if now < until <= now + _NEAR_S and not quota.remaining:
                # A limit that has sunk is used up for longer than until the first of its calls is out of it.
                out = self._recent.first_out(quota.limit)
                until = until if out == inf else max(until, out)
            asked_s = until - now
        until = now + pause_s(self._refusals, asked_s or 0.0, self.rng)
        self._closed_until = max(self._closed_until, until)
