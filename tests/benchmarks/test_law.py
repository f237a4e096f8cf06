"""The law, and the keys that it is reckoned with."""

import pytest

from tests.benchmarks.keys import Keys, spread, users
from tests.benchmarks.law import best_per_s, law_per_s, shortest_s


@pytest.mark.parametrize(
    ("busy", "in_flight", "per_s"),
    [
        pytest.param([0] * 40, 200, 20, id="one key allows one call at a time"),
        pytest.param([*range(100)] * 3, 200, 2000, id="fewer keys than may be in flight: the keys decide"),
        pytest.param([*range(100)] * 3, 50, 1000, id="more keys than may be in flight: the limit decides"),
        pytest.param([*range(400)], 200, 4000, id="all distinct: the limit decides"),
        pytest.param([0] * 50 + [*range(1, 51)], 200, 40, id="a busy key holds up the end"),
    ],
)
def test_the_law_is_the_smaller_of_keys_and_limit_by_work_time(
    busy: list[int], in_flight: int, per_s: float
) -> None:
    assert law_per_s(busy, 0.05, in_flight) == pytest.approx(per_s)


def test_without_work_there_is_no_law() -> None:
    assert law_per_s([1, 2, 3], 0.0, 10) is None


def test_no_events_take_no_time() -> None:
    assert shortest_s([], 0.05, 10) == 0


@pytest.mark.parametrize("keys", list(Keys))
def test_what_is_known_beforehand_is_what_is_drawn(keys: Keys) -> None:
    drawn = users(keys, 20_000, seed=7)
    known = spread(keys)
    assert best_per_s(known.count, known.busiest_share, 0.05, 200) == pytest.approx(
        law_per_s(drawn, 0.05, 200), rel=0.1
    )


@pytest.mark.parametrize("keys", list(Keys))
def test_the_same_seed_draws_the_same_keys(keys: Keys) -> None:
    assert users(keys, 500, seed=1) == users(keys, 500, seed=1)


def test_another_seed_draws_others() -> None:
    assert users(Keys.ZIPF, 500, seed=1) != users(Keys.ZIPF, 500, seed=2)


@pytest.mark.parametrize(
    ("keys", "count"), [(Keys.ONE, 1), (Keys.HUNDRED, 100), (Keys.DISTINCT, 3000)], ids=str
)
def test_so_many_users_are_drawn(keys: Keys, count: int) -> None:
    assert len(set(users(keys, 3000, seed=1))) == count


def test_a_hundred_keys_are_equally_busy() -> None:
    drawn = users(Keys.HUNDRED, 3000, seed=1)
    assert {drawn.count(user) for user in set(drawn)} == {30}
