"""How a handler is tried again: in place, so that the order of its key is kept."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from consumer.exceptions import Misconfigured, RateLimited, Transient


Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds: the first and the longest wait, and how long a record is tried before it is parked."""

    first_wait_s: float = 0.2
    longest_wait_s: float = 30.0
    deadline_s: float = 600.0


async def with_retries(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    sleep: Sleep,
    clock: Clock,
    rng: random.Random,
    on_wait: Callable[[Exception, float], None],
) -> T:
    """Try until it works, with exponential backoff, full jitter and the upstream's own hints.

    Waiting for a rate limit or for credentials to be mended spends no attempt and knows no deadline: the
    record keeps its place. Raises the last Transient when the deadline has passed, and at once whatever
    is neither Transient, RateLimited nor Misconfigured.
    """
    deadline = clock() + policy.deadline_s
    failures = 0
    while True:
        try:
            return await attempt()
        except RateLimited as error:
            wait = error.retry_after_s + rng.uniform(0, policy.first_wait_s)
            on_wait(error, wait)
        except Misconfigured as error:
            wait = rng.uniform(policy.longest_wait_s / 2, policy.longest_wait_s)
            on_wait(error, wait)
        except Transient as error:
            ceiling = min(policy.longest_wait_s, policy.first_wait_s * 2.0**failures)
            wait = max(rng.uniform(0, ceiling), error.retry_after_s or 0.0)
            failures += 1
            if clock() + wait > deadline:
                raise
            on_wait(error, wait)
        await sleep(wait)
