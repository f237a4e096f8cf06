"""A simulated upstream with limits like Procore's: the budget is used whole, and never more than it."""

import random
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.upstream.allowance import Allowance, Answer
from tests.upstream.rate_server import Caller, Server, Window, play


START = 1_772_452_800.0
HOUR = 3600.0
LATENCY_S = 0.3


def spike(limit: int = 25) -> Window:
    return Window(limit, 10.0)


def hourly(limit: int = 600, *, rolls: bool = False) -> Window:
    return Window(limit, HOUR, rolls=rolls)


def callers(count: int, seed: int, begins: float = 0.0) -> list[Caller]:
    return [
        Caller(Allowance(random.Random(seed + number)), begins=number * begins) for number in range(count)
    ]


def accepted(server: Server, first: float = 0.0) -> int:
    return sum(status == 200 for moment, status in server.statuses if moment >= START + first)


def refusals(server: Server) -> int:
    """Answers of 429 but for the very first answer."""
    return sum(status == 429 for _, status in server.statuses[1:])


ONE = [
    # What is allowed in the time: (windows, seconds, calls)
    pytest.param([spike()], 600.0, 25 * 60, id="spike"),
    pytest.param([spike(), hourly()], 4 * HOUR, 4 * 600, id="spike and fixed hour"),
    pytest.param([spike(), hourly(rolls=True)], 4 * HOUR, 4 * 600, id="spike and rolling hour"),
    pytest.param([Window(100, 60.0)], 1800.0, 100 * 30, id="100 a rolling minute"),
    pytest.param([Window(100, 60.0, rolls=False)], 1800.0, 100 * 30, id="100 a fixed minute"),
    pytest.param([spike(), hourly(3600)], 2 * HOUR, 2 * 3600, id="spike and a large hour"),
]


@pytest.mark.parametrize("seed", [20261123, 20261124, 1, 2, 3])
@pytest.mark.parametrize(("windows", "seconds", "allowed"), ONE)
def test_one_process_uses_the_whole_budget_while_work_waits_and_is_never_refused(
    windows: Sequence[Window], seconds: float, allowed: int, seed: int
) -> None:
    server = Server([Window(one.limit, one.length_s, one.rolls, START) for one in windows])
    play(server, callers(1, seed), START, seconds, random.Random(seed))
    assert refusals(server) == 0
    assert accepted(server) >= 0.97 * allowed


@pytest.mark.parametrize("seed", range(7, 13))
def test_limits_that_change_while_it_runs_are_followed(seed: int) -> None:
    short, long = spike(), Window(600, HOUR, rolls=False, phase=START)
    server = Server([short, long])

    def become(window: Window, limit: int) -> Callable[[], None]:
        return lambda: setattr(window, "limit", limit)

    # The hour's limit is raised out of the way first, so that the spikes decide.
    changes = [(5.0, become(long, 100_000)), (300.0, become(short, 40)), (600.0, become(short, 15))]
    play(server, callers(1, seed), START, 900.0, random.Random(seed), events=changes)
    allowed = 25 * 30 + 40 * 30 + 15 * 30
    assert accepted(server) >= 0.97 * allowed
    # A limit that sinks below what is used already is known by its first refusal, with what was under way.
    refused = [moment - START for moment, status in server.statuses if status == 429]
    assert 600.0 <= min(refused) < 612.0
    assert max(refused) - min(refused) <= LATENCY_S


def test_a_server_without_dates_whose_clock_is_right_is_used_as_well() -> None:
    server = Server([spike(), Window(600, HOUR, rolls=False, phase=START)], dates=False)
    play(server, callers(1, 3), START, 2 * HOUR, random.Random(3))
    assert (refusals(server), accepted(server) >= 0.97 * 1200) == (0, True)


@pytest.mark.parametrize("ahead_s", [-90.0, 90.0])
def test_a_servers_clock_that_is_wrong_does_no_harm(ahead_s: float) -> None:
    phase = START + ahead_s
    server = Server([spike(), Window(600, HOUR, rolls=False, phase=phase)], ahead_s=ahead_s)
    play(server, callers(1, 5), START, 2 * HOUR, random.Random(5))
    assert (refusals(server), accepted(server) >= 0.97 * 1200) == (0, True)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**16),
    short=st.integers(2, 60),
    long=st.integers(20, 900),
    length_s=st.sampled_from([60.0, 600.0, HOUR]),
    rolls=st.booleans(),
    phase=st.floats(0, 1),
    slowest=st.floats(0.02, 1.5),
)
def test_one_process_is_hardly_ever_refused_whatever_the_limits(  # noqa: PLR0917 - one world's parts
    seed: int, short: int, long: int, length_s: float, rolls: bool, phase: float, slowest: float
) -> None:
    windows = [spike(short), Window(long, length_s, rolls, START - phase * length_s)]
    server = Server(windows)
    processes = callers(1, seed)
    slow = partial(_between, slowest=slowest)
    play(server, processes, START, 2 * length_s, random.Random(seed), slow)
    # Both limits used up at one moment, of which an answer tells one: one probe a window.
    assert refusals(server) <= 3


ODD = {"X-Rate-Limit-Limit": "25", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": str(10**11)}


class OddServer(Server):
    """Says with each answer that nothing more is allowed for years."""

    def answer(self, real: float) -> Answer:
        """Let the call pass all the same."""
        self.statuses.append((real, 200))
        return Answer(200, ODD)


@pytest.mark.parametrize("status", [200, 429])
def test_a_reset_that_is_years_away_is_waited_for_an_hour_and_then_asked_about_by_one_call(
    status: int,
) -> None:
    """One odd header, of an answer that was counted or refused, must not stop a company for good."""
    server, process = Server([spike()]), callers(1, 11)
    allowance = process[0].allowance
    allowance.answered(allowance.begin(START - 1.0), Answer(status, ODD), START)
    play(server, process, START, HOUR + 60.0, random.Random(11))
    assert START + HOUR <= server.statuses[0][0] <= START + HOUR + 2.0
    assert server.statuses[1][0] >= server.statuses[0][0] + 0.02, "one call asks, the others wait for it"
    assert (refusals(server), accepted(server) >= 0.97 * 25 * 5) == (0, True)


def test_while_resets_stay_years_away_one_call_an_hour_is_made() -> None:
    server = OddServer([])
    play(server, callers(1, 12), START, 5 * HOUR, random.Random(12))
    assert len(server.statuses) == 5


def _between(rng: random.Random, slowest: float) -> float:
    return rng.uniform(0.01, slowest)


@pytest.mark.parametrize("seed", [20261123, 20261124])
@pytest.mark.parametrize(("count", "refused"), [(2, 0.02), (4, 0.06)])
@pytest.mark.parametrize(
    ("windows", "seconds", "allowed"),
    [
        pytest.param([spike()], 900.0, 25 * 90, id="spike"),
        pytest.param([spike(100)], 900.0, 100 * 90, id="large spike"),
        pytest.param([spike(), hourly()], 4 * HOUR, 4 * 600, id="spike and hour"),
    ],
)
def test_several_processes_share_a_budget_without_knowing_each_other(  # noqa: PLR0917 - as above
    windows: Sequence[Window], seconds: float, allowed: int, count: int, refused: float, seed: int
) -> None:
    """Nine tenths of it are used in all, few calls are refused, and nobody starves."""
    server = Server([Window(one.limit, one.length_s, one.rolls, START) for one in windows])
    processes = callers(count, seed, begins=7.0)
    play(server, processes, START, seconds, random.Random(seed))
    used = accepted(server)
    assert used >= 0.9 * allowed
    assert refusals(server) <= refused * used
    assert min(one.made - one.refused for one in processes) >= 0.6 * used / count
