"""Access tokens are shared, renewed in time, and used on while their endpoint fails."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from consumer.broker.kafka_refusal import Refusal
from consumer.broker.kafka_tokens import PAUSE_S, Tokens
from consumer.broker.security import OAuth
from consumer.secret import Secret
from tests.broker.secure_kafka import CLIENT_ID, CLIENT_SECRET, TokenEndpoint, token_endpoint


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    """A token endpoint whose tokens live for a thousand seconds."""
    with token_endpoint() as made:
        made.life_s = 1000.0
        yield made


@pytest.fixture
def forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds go by for the tokens."""
    now = [10_000.0]
    monkeypatch.setattr("consumer.broker.kafka_tokens.time.monotonic", lambda: now[0])

    def go(seconds: float) -> None:
        now[0] += seconds

    return go


def tokens_of(endpoint: TokenEndpoint) -> Tokens:
    return Tokens(OAuth(endpoint.url, CLIENT_ID, Secret(CLIENT_SECRET)), None)


def test_many_who_ask_at_once_cause_one_call(endpoint: TokenEndpoint) -> None:
    tokens = tokens_of(endpoint)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: tokens.token(), range(32)))) == 1
    assert len(endpoint.forms) == 1


def test_a_token_is_renewed_before_it_runs_out(
    endpoint: TokenEndpoint, forward: Callable[[float], None]
) -> None:
    tokens = tokens_of(endpoint)
    first = tokens.token()
    forward(700)
    assert tokens.token() == first
    forward(150)
    tokens.token()
    assert len(endpoint.forms) == 2


def test_a_token_is_used_until_its_end_while_the_endpoint_fails_which_is_not_asked_without_a_pause(
    endpoint: TokenEndpoint, forward: Callable[[float], None]
) -> None:
    tokens = tokens_of(endpoint)
    first = tokens.token()
    endpoint.is_failing = True
    forward(900)
    assert [tokens.token(), tokens.token()] == [first, first]
    assert endpoint.failures == 1
    forward(101)
    with pytest.raises(Refusal, match="gives no token"):
        tokens.token()
    endpoint.is_failing = False
    forward(PAUSE_S)
    assert tokens.token()
