"""Names and limits of one engine."""

from dataclasses import dataclass, field

from consumer.engine.breaker import BreakerPolicy
from consumer.engine.clock import Clock
from consumer.engine.limits import Limits
from consumer.engine.outbox import Topics
from consumer.engine.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Names and limits of one engine. Times are seconds, limits are records or bytes.

    Reading pauses with ``waiting_high`` records or ``waiting_bytes`` without a completion, and goes on at
    ``waiting_low``. ``clock`` measures retries and outages: a company that was held for ``hold_s`` has its
    records parked. Handlers change nothing upstream if the group has not confirmed the membership for
    ``lease_s``, which is less than a session: somebody else may own the partitions by then. A broker that
    cannot be reached is waited for, for ``outage_s``.
    """

    group: str
    topics: Topics
    transactional_id: str
    instance_id: str | None = None
    limits: Limits = field(default_factory=Limits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    hold_s: float = 600.0
    clock: Clock = field(default_factory=Clock)
    waiting_high: int = 120_000
    waiting_low: int = 100_000
    waiting_bytes: int = 128 * 2**20
    commit_every_s: float = 0.2
    commit_records: int = 5000
    drain_s: float = 10.0
    lease_s: float = 8.0
    outage_s: float = 300.0
    poll_records: int = 1000
    poll_idle_s: float = 0.3
    poll_busy_s: float = 0.02
