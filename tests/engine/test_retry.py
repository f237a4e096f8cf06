"""How long until an attempt is made again."""

import random

from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.retry import RetryPolicy


POLICY = RetryPolicy(first_wait_s=1.0, longest_wait_s=8.0, deadline_s=100.0)


@given(st.integers(1, 10_000), st.integers())
def test_the_wait_is_random_below_a_ceiling_that_doubles_up_to_the_longest(failures: int, seed: int) -> None:
    wait = POLICY.wait_s(failures, random.Random(seed))
    assert 0 <= wait <= min(8.0, 2.0 ** min(failures - 1, 10))


def test_no_two_of_many_wait_alike() -> None:
    rng = random.Random(7)
    assert len({POLICY.wait_s(4, rng) for _ in range(100)}) == 100


def test_the_upstreams_own_hint_is_waited_for() -> None:
    assert POLICY.wait_s(1, random.Random(7), hint_s=42.0) == 42.0


def test_it_is_over_when_the_next_attempt_would_come_after_the_deadline() -> None:
    assert not POLICY.is_over(since=50.0, now=140.0, wait_s=10.0)
    assert POLICY.is_over(since=50.0, now=140.0, wait_s=10.1)
