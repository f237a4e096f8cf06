"""Waiting for a budget: who goes first, how long one waits, and what is told."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from consumer.exceptions import RateLimited
from consumer.sandbox.limits import RateBudget
from consumer.upstream import procore
from consumer.upstream.allowance import Answer
from consumer.upstream.budget import Budget, TooLongError, be_patient, take_turn
from consumer.upstream.budget_metrics import BudgetFamilies
from tests.contracts import ContractChecker
from tests.upstream.site import COMPANY, Site, company_data


NOW = 1_772_452_800.0


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(registry: CollectorRegistry, clock: Clock) -> Budget:
    """A budget of which nothing is known yet."""
    return Budget(BudgetFamilies.on(registry).of("procore", COMPANY), clock=clock)


def told(remaining: int, limit: int = 25, in_s: float = 8.0, status: int = 200) -> Answer:
    """An answer that tells how a limit stands."""
    headers = {
        "X-Rate-Limit-Limit": str(limit),
        "X-Rate-Limit-Remaining": str(remaining),
        "X-Rate-Limit-Reset": str(int(NOW + in_s)),
    }
    return Answer(status, headers)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_before_the_first_answer_only_one_call_goes(budget: Budget) -> None:
    async def scene() -> list[bool]:
        first = await budget.turn()
        second = asyncio.ensure_future(budget.turn())
        await settle()
        before = second.done()
        with budget.calling(first) as call:
            call.answered(told(24))
        await settle()
        return [before, second.done()]

    assert asyncio.run(scene()) == [False, True]


def test_whoever_began_earlier_goes_first_whenever_they_ask(budget: Budget) -> None:
    went: list[str] = []

    async def ask(name: str) -> None:
        call = await budget.turn()
        went.append(name)
        with budget.calling(call) as made:
            made.answered(told(23))

    async def record(name: str, gate: asyncio.Event) -> None:
        take_turn()
        await gate.wait()
        await ask(name)

    async def scene() -> None:
        old, new = asyncio.Event(), asyncio.Event()
        first = await budget.turn()
        tasks = [asyncio.ensure_future(record("old", old)), asyncio.ensure_future(record("new", new))]
        await settle()
        new.set()
        await settle()
        old.set()
        await settle()
        with budget.calling(first) as call:
            call.answered(told(24))
        await asyncio.gather(*tasks)

    asyncio.run(scene())
    assert went == ["old", "new"]


def test_whoever_would_wait_long_is_told_at_once_and_keeps_no_place(budget: Budget) -> None:
    async def scene() -> float:
        first = await budget.turn()
        with budget.calling(first) as call:
            call.answered(told(0, limit=600, in_s=1800))
        with pytest.raises(TooLongError) as refused:
            await budget.turn()
        assert budget.state().waiting == 0
        return refused.value.wait_s

    assert 1795 < asyncio.run(scene()) < 1802


def test_a_waiter_who_is_cancelled_loses_no_turn_to_the_others(budget: Budget) -> None:
    async def scene() -> tuple[bool, int]:
        first = await budget.turn()
        waiting = [asyncio.ensure_future(budget.turn()) for _ in range(2)]
        await settle()
        with budget.calling(first) as call:
            call.answered(told(24))
        # Let go, and cancelled before it could run.
        waiting[0].cancel()
        await settle()
        assert waiting[0].cancelled()
        return waiting[1].done(), budget.state().running

    assert asyncio.run(scene()) == (True, 1)


def test_a_call_that_is_cancelled_may_have_been_counted(budget: Budget) -> None:
    async def scene() -> int:
        first = await budget.turn()
        with budget.calling(first) as call:
            call.answered(told(5))
        second = await budget.turn()

        async def hang() -> None:
            with budget.calling(second):
                await asyncio.Event().wait()

        task = asyncio.ensure_future(hang())
        await settle()
        task.cancel()
        await settle()
        return budget.state().running

    assert asyncio.run(scene()) == 0


def test_a_refusal_without_headers_is_waited_for_and_then_probed(budget: Budget, clock: Clock) -> None:
    """As SmartBarrel refuses: it never tells what is left."""

    async def scene() -> list[bool]:
        first = await budget.turn()
        with budget.calling(first) as call:
            call.answered(Answer(200, {}))
        many = [await budget.turn() for _ in range(20)]
        with budget.calling(many[0]) as call:
            call.answered(Answer(429, {"Retry-After": "5"}, retry_after_s=5.0))
        for one in many[1:]:
            with budget.calling(one) as call:
                call.answered(Answer(200, {}))
        next_one = asyncio.ensure_future(budget.turn())
        await settle()
        waits = not next_one.done()
        clock.now += 6.0
        budget._wake_others()
        await settle()
        return [waits, next_one.done()]

    assert asyncio.run(scene()) == [True, True]


def test_what_is_left_and_how_long_calls_waited_is_shown(
    budget: Budget, registry: CollectorRegistry, clock: Clock
) -> None:
    async def scene() -> None:
        first = await budget.turn()
        second = asyncio.ensure_future(budget.turn())
        await settle()
        clock.now += 2.0
        with budget.calling(first) as call:
            call.answered(told(7))
        await second

    asyncio.run(scene())
    labels = {"system": "procore", "company": str(COMPANY)}
    assert registry.get_sample_value("crewsync_budget_remaining", labels) == 7
    assert registry.get_sample_value("crewsync_budget_limit", labels) == 25
    assert registry.get_sample_value("crewsync_budget_wait_seconds_total", labels) == pytest.approx(2.0)
    state = budget.state()
    assert (state.limit, state.remaining, state.waiting, state.running) == (25, 7, 0, 1)


@pytest.fixture
def limited(tmp_path: Path, contract_checker: ContractChecker) -> Callable[[RateBudget], Site]:
    """Builds a company whose Procore has so small a budget."""
    return lambda budget: Site(tmp_path / "sandbox.db", contract_checker, company_data(), budget=budget)


def statuses(site: Site) -> list[int]:
    return [entry.status for entry in site.state.requests() if entry.path != "/oauth/token"]


def test_many_calls_at_once_on_a_small_budget_are_spread_and_none_is_refused(
    limited: Callable[[RateBudget], Site],
) -> None:
    with limited(RateBudget(spike=25)) as site:
        budget = Budget(BudgetFamilies.on(CollectorRegistry()).of("procore", COMPANY), clock=site.clock)
        client = procore.Procore(site.api, site.tokens, COMPANY, budget)

        async def all_at_once() -> None:
            tasks = [asyncio.ensure_future(client.probe()) for _ in range(80)]
            while not all(task.done() for task in tasks):
                await asyncio.sleep(0)
                if budget.state().waiting and not budget.state().running:
                    site.clock.now += 0.5
                    budget._wake_others()
            await asyncio.gather(*tasks)

        site.run(all_at_once())
        assert statuses(site) == [200] * 80
        moments = [entry.at for entry in site.state.requests() if entry.path != "/oauth/token"]
        assert all(later - earlier <= 11.0 for earlier, later in pairwise(moments))
        assert moments[-1] - moments[0] < 40


def test_an_hour_that_is_spent_is_told_to_the_engine_with_the_time_to_come_back(
    limited: Callable[[RateBudget], Site],
) -> None:
    with limited(RateBudget(hourly=3, spike=50)) as site:
        budget = Budget(BudgetFamilies.on(CollectorRegistry()).of("procore", COMPANY), clock=site.clock)
        client = procore.Procore(site.api, site.tokens, COMPANY, budget)
        for _ in range(3):
            site.run(client.probe())
        with pytest.raises(RateLimited) as limited_by:
            site.run(client.probe())
        assert limited_by.value.status is None
        assert 0 < limited_by.value.retry_after_s <= 3600
        assert statuses(site) == [200] * 3
        assert isinstance(site.wire.seen[-1], httpx.Request)


def test_whoever_reads_page_by_page_waits_as_long_as_it_takes(budget: Budget, clock: Clock) -> None:
    async def scene() -> list[bool]:
        be_patient()
        first = await budget.turn()
        with budget.calling(first) as call:
            call.answered(told(0, limit=600, in_s=1800))
        second = asyncio.ensure_future(budget.turn())
        await settle()
        waits = not second.done()
        clock.now += 1802
        budget._wake_others()
        await settle()
        return [waits, second.done()]

    assert asyncio.run(scene()) == [True, True]


def test_a_page_that_is_refused_is_asked_for_again_when_it_is_time(site: Site) -> None:
    """As when the budget is used up by others."""
    site.run(site.tokens.get())
    server = site.wire.servers["procore.test"]
    refused: list[httpx.Request] = []

    async def refuse_once(request: httpx.Request) -> httpx.Response:
        if not refused:
            refused.append(request)
            return httpx.Response(429, headers={"Retry-After": "0"}, json={"message": "Too many requests"})
        return await server.handle_async_request(request)

    site.wire.servers["procore.test"] = httpx.MockTransport(refuse_once)

    async def read() -> int:
        be_patient()
        return len(await site.procore.people())

    assert site.run(read()) == 1
    refused.clear()
    with pytest.raises(RateLimited):
        site.run(site.procore.people())
