"""A breaker opens when calls fail, and closes when a probe shows that they work again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.engine.breaker import Breaker, BreakerPolicy, BreakerState


POLICY = BreakerPolicy(failures=3, first_wait_s=1.0, longest_wait_s=8.0)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(POLICY, random.Random(7))


def test_failures_in_a_row_open_it_and_a_success_between_them_starts_the_count_anew(breaker: Breaker) -> None:
    assert [breaker.failed(0.0, denied=False) for _ in range(2)] == [False, False]
    breaker.succeeded()
    assert [breaker.failed(0.0, denied=False) for _ in range(3)] == [False, False, True]
    assert breaker.state is BreakerState.OPEN
    assert breaker.open_since == 0.0


def test_a_refusal_of_access_opens_it_at_once(breaker: Breaker) -> None:
    assert breaker.failed(5.0, denied=True)
    assert breaker.is_denied
    assert 5.5 <= breaker.until <= 6.0


def test_what_is_certainly_an_outage_opens_it_at_once_and_is_no_refusal_of_access(breaker: Breaker) -> None:
    assert breaker.failed(5.0, denied=False, hint_s=30.0, certain=True)
    assert (breaker.state, breaker.is_denied, breaker.until) == (BreakerState.OPEN, False, 35.0)
    assert not breaker.failed(6.0, denied=False, certain=True), "it is open already"


def test_each_probe_that_fails_doubles_the_wait_up_to_the_longest(breaker: Breaker) -> None:
    breaker.failed(0.0, denied=True)
    for ceiling in (2.0, 4.0, 8.0, 8.0, 8.0):
        breaker.begin_probe()
        states = [breaker.state]
        breaker.probe_failed(100.0, denied=False)
        assert [*states, breaker.state] == ["half_open", "open"]
        assert 100.0 + ceiling / 2 <= breaker.until <= 100.0 + ceiling
    assert not breaker.is_denied, "it is another fault by now"


def test_what_the_upstream_asks_for_is_waited_for(breaker: Breaker) -> None:
    breaker.failed(0.0, denied=True, hint_s=40.0)
    assert breaker.until == 40.0
    breaker.begin_probe()
    breaker.probe_failed(40.0, denied=True, hint_s=50.0)
    assert breaker.until == 90.0


def test_closed_by_a_probe_it_opens_at_the_next_failure_unless_a_call_has_worked(breaker: Breaker) -> None:
    for worked, opens in ((False, True), (True, False)):
        breaker.failed(0.0, denied=True)
        breaker.begin_probe()
        breaker.probe_succeeded()
        assert breaker.state is BreakerState.CLOSED
        assert breaker.open_since is None
        if worked:
            breaker.succeeded()
        assert breaker.failed(1.0, denied=False) is opens
        breaker.begin_probe()
        breaker.probe_succeeded()
        breaker.succeeded()


@given(st.lists(st.sampled_from(["ok", "bad", "denied", "probe_ok", "probe_bad"])), st.integers())
def test_whatever_happens_no_failure_but_the_first_opens_it_and_only_a_probe_closes_it(
    events: list[str], seed: int
) -> None:
    breaker = Breaker(POLICY, random.Random(seed))
    for now, event in enumerate(events):
        before = breaker.state
        if event.startswith("probe"):
            if before is BreakerState.CLOSED:
                continue
            breaker.begin_probe()
            if event == "probe_ok":
                breaker.probe_succeeded()
            else:
                breaker.probe_failed(now, denied=False)
            assert (breaker.state is BreakerState.CLOSED) == (event == "probe_ok")
        elif event == "ok":
            breaker.succeeded()
            assert breaker.state is before
        else:
            opened = breaker.failed(now, denied=event == "denied")
            assert opened == (before is BreakerState.CLOSED and breaker.state is BreakerState.OPEN)
        if breaker.state is BreakerState.OPEN and breaker.state is not before:
            assert now < breaker.until <= now + POLICY.longest_wait_s
