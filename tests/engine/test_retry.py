"""A handler is tried again in place, as the kind of failure asks."""

import asyncio
import random

import pytest

from consumer.engine.retry import RetryPolicy, with_retries
from consumer.exceptions import Misconfigured, RateLimited, Rejected, Transient, UpstreamError


POLICY = RetryPolicy(first_wait_s=1.0, longest_wait_s=8.0, deadline_s=100.0)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)


def tries(failures: list[UpstreamError], policy: RetryPolicy = POLICY) -> tuple[str | UpstreamError, Clock]:
    clock, left = Clock(), list(failures)

    async def attempt() -> str:
        if left:
            raise left.pop(0)
        return "done"

    async def run() -> str:
        return await with_retries(
            attempt,
            policy,
            sleep=clock.sleep,
            clock=lambda: clock.now,
            rng=random.Random(7),
            on_wait=lambda _error, _wait: None,
        )

    try:
        return asyncio.run(run()), clock
    except UpstreamError as error:
        return error, clock


def transient(hint: float | None = None) -> Transient:
    error = Transient("procore", "listProjects", 503)
    error.retry_after_s = hint
    return error


def limited(hint: float) -> RateLimited:
    error = RateLimited("procore", "listProjects", 429)
    error.retry_after_s = hint
    return error


def test_a_passing_failure_is_tried_again_with_growing_waits_up_to_the_longest() -> None:
    outcome, clock = tries([transient() for _ in range(8)])
    assert outcome == "done"
    assert all(wait <= min(8.0, 2.0**number) for number, wait in enumerate(clock.waits))
    assert len(set(clock.waits)) == 8, "full jitter: no two waits alike"


def test_the_upstreams_own_hint_is_waited_for() -> None:
    _, clock = tries([transient(hint=42.0)])
    assert clock.waits == [42.0]


def test_after_the_deadline_the_last_failure_is_raised() -> None:
    outcome, clock = tries([transient() for _ in range(10_000)])
    assert isinstance(outcome, Transient)
    assert clock.now <= POLICY.deadline_s


@pytest.mark.parametrize("kind", ["limited", "misconfigured"])
def test_a_rate_limit_and_wrong_credentials_spend_no_deadline(kind: str) -> None:
    failure = limited(30.0) if kind == "limited" else Misconfigured("procore", "listProjects", 401)
    outcome, clock = tries([failure] * 50)
    assert outcome == "done"
    assert clock.now > POLICY.deadline_s


def test_a_refusal_is_raised_at_once() -> None:
    outcome, clock = tries([Rejected("procore", "createTimecardEntry", 422)])
    assert isinstance(outcome, Rejected)
    assert clock.waits == []
