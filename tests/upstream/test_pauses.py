"""How long a server that refuses calls is left alone, whoever calls it."""

import asyncio
import random
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import httpx
import pytest

from consumer.exceptions import RateLimited
from consumer.secret import Secret
from consumer.upstream import http, procore_tokens
from consumer.upstream.allowance import Allowance, Answer
from consumer.upstream.budget import be_patient
from consumer.upstream.http import http_client, send
from consumer.upstream.pauses import pause_s
from consumer.upstream.procore_tokens import ProcoreCredentials, TokenSource


NOW = 1_772_452_800.0
USELESS = [
    pytest.param({"Retry-After": "0"}, id="come back at once"),
    pytest.param({"X-Rate-Limit-Reset": "1"}, id="a reset that is over"),
    pytest.param({}, id="nothing"),
]


class World:
    """Time that passes only while somebody sleeps, and a server that refuses until ``opens_at``."""

    def __init__(self, headers: dict[str, str], opens_at: float) -> None:
        self.now = 1000.0
        self.stands_still = False
        self.sleeps = asyncio.Event()
        self.called_at: list[float] = []
        self.headers, self.opens_at = headers, 1000.0 + opens_at

    async def sleep(self, seconds: float) -> None:
        """Let time pass, or stand still."""
        self.sleeps.set()
        if self.stands_still:
            await asyncio.Event().wait()
        self.now += seconds
        await asyncio.sleep(0)

    def answer(self, _: httpx.Request) -> httpx.Response:
        """Refuse, or give a token."""
        self.called_at.append(self.now)
        if self.now < self.opens_at:
            return httpx.Response(429, headers=self.headers, json={"message": "Too many requests"})
        return httpx.Response(200, json={"access_token": "token-1", "expires_in": 5400})

    def client(self) -> httpx.AsyncClient:
        """One that calls this server."""
        return http_client("http://login.test", httpx.MockTransport(self.answer))

    def tokens(self) -> TokenSource:
        """A source that asks this server."""
        return TokenSource(self.client(), ProcoreCredentials(Secret("client"), Secret("secret")))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    def build(headers: dict[str, str], opens_at: float = 100.0) -> World:
        made = World(headers, opens_at)
        slow = SimpleNamespace(sleep=made.sleep, Lock=asyncio.Lock)
        for module in (http, procore_tokens):
            monkeypatch.setattr(module, "asyncio", slow)
        monkeypatch.setattr(procore_tokens, "time", SimpleNamespace(monotonic=lambda: made.now))
        return made

    return build


def grows(moments: list[float]) -> bool:
    """Whether each pause is as long as it should be: 1, 2, 4 seconds and so on to 60, and a little more."""
    due = [min(60.0, 2.0**number) for number in range(len(moments) - 1)]
    return all(
        least <= later - earlier <= least + 0.51
        for least, (earlier, later) in zip(due, pairwise(moments), strict=True)
    )


def test_a_pause_is_what_is_asked_for_but_an_hour_at_most_and_never_the_same_for_all() -> None:
    rng = random.Random(5)
    assert {20.0 <= pause_s(9, 20.0, rng) <= 20.5 for _ in range(50)} == {True}
    assert 3600.0 <= pause_s(1, 1e9, rng) <= 3600.5
    assert len({pause_s(1, 20.0, rng) for _ in range(20)}) > 10


def test_without_a_useful_hint_pauses_grow_from_a_second_to_a_minute() -> None:
    rng = random.Random(6)
    found = [int(pause_s(refusals, asked, rng)) for asked in (0.0, -5.0, 1.0) for refusals in range(1, 9)]
    assert found == [1, 2, 4, 8, 16, 32, 60, 60] * 3


@pytest.mark.parametrize("headers", USELESS)
def test_whoever_is_patient_asks_a_login_that_refuses_less_and_less_often(
    world: Callable[..., World], headers: dict[str, str]
) -> None:
    at = world(headers)

    async def scene() -> str:
        be_patient()
        return await at.tokens().get()

    assert asyncio.run(scene()) == "token-1"
    assert len(at.called_at) == 8
    assert grows(at.called_at)


def test_a_hundred_who_need_a_token_make_one_call_a_pause_and_keep_no_place_meanwhile(
    world: Callable[..., World],
) -> None:
    at = world({"Retry-After": "0"})

    async def scene() -> list[float]:
        tokens = at.tokens()
        told = []
        for _ in range(5):
            errors = await asyncio.gather(*(tokens.get() for _ in range(100)), return_exceptions=True)
            limited = [one for one in errors if isinstance(one, RateLimited)]
            assert len(limited) == 100
            told.append(min(one.retry_after_s for one in limited))
            at.now += told[-1]
        return told

    told = asyncio.run(scene())
    assert len(at.called_at) == 5
    assert told == sorted(told)
    assert grows(at.called_at)


def test_whoever_waits_patiently_for_the_login_keeps_nobody_else_waiting(
    world: Callable[..., World],
) -> None:
    at = world({"Retry-After": "300"})
    at.stands_still = True

    async def scene() -> None:
        tokens = at.tokens()

        async def patient() -> None:
            be_patient()
            await tokens.get()

        run = asyncio.ensure_future(patient())
        await at.sleeps.wait()
        with pytest.raises(RateLimited) as limited:
            await tokens.get()
        assert 299.0 < limited.value.retry_after_s <= 300.5
        run.cancel()

    asyncio.run(scene())
    assert len(at.called_at) == 1


@pytest.mark.parametrize("headers", USELESS)
def test_whoever_is_patient_asks_a_server_that_refuses_less_and_less_often(
    world: Callable[..., World], headers: dict[str, str]
) -> None:
    at = world(headers)

    async def scene() -> int:
        be_patient()
        return (await send(at.client(), "procore", "listCompanyPeople", "GET", "/people")).status_code

    assert asyncio.run(scene()) == 200
    assert len(at.called_at) == 8
    assert grows(at.called_at)


@pytest.mark.parametrize("headers", USELESS)
def test_nobody_is_told_to_come_back_sooner_than_in_a_second(
    world: Callable[..., World], headers: dict[str, str]
) -> None:
    at = world(headers)
    with pytest.raises(RateLimited) as limited:
        asyncio.run(send(at.client(), "procore", "listCompanyPeople", "GET", "/people"))
    assert limited.value.retry_after_s == 1.0


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(Answer(429, {"Retry-After": "0"}, 0.0), id="429"),
        pytest.param(Answer(503, {"Retry-After": "0"}, 0.0), id="503"),
    ],
)
def test_a_budget_is_closed_for_longer_with_each_refusal_that_says_come_back_at_once(
    refusal: Answer,
) -> None:
    allowance, now, moments = Allowance(random.Random(8)), NOW, []
    for _ in range(6):
        moments.append(now)
        allowance.answered(allowance.begin(now), refusal, now)
        until = allowance.wait_until(now)
        assert until is not None
        now = until
    assert grows(moments)


def test_calls_that_were_under_way_together_are_one_refusal() -> None:
    allowance = Allowance(random.Random(9))
    calls = [allowance.begin(NOW) for _ in range(20)]
    for call in calls:
        allowance.answered(call, Answer(429, {}), NOW + 0.1)
    until = allowance.wait_until(NOW + 0.2)
    assert until is not None
    assert until <= NOW + 0.1 + 1.5
