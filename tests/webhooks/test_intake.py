"""The endpoint: whom it lets in, what it answers, and that success means written."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Broker, Message
from consumer.exceptions import BrokerUnavailable
from consumer.health_server import listen, serving, url_of
from consumer.model.codec import Codec
from consumer.model.notices import WebhookNotice
from consumer.topics import TopicNames
from consumer.webhooks import intake as intake_module
from consumer.webhooks.inbox import Inbox
from consumer.webhooks.intake import LARGEST_BODY, LONGEST_CONNECTION_S, PATH, Intake, intake_app
from consumer.webhooks.webhook_metrics import ANSWERS
from tests.upstream.site import COMPANY
from tests.webhooks.deliveries import MARIA, TOKEN, as_body, v2, v3, v4


TOPIC = TopicNames().webhooks
PATIENCE_S = 20.0


@dataclass
class Written:
    """A place to write to that may fail, or hang until it is let go."""

    messages: list[Message] = field(default_factory=list)
    error: Exception | None = None
    hangs: bool = False

    async def put(self, message: Message) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.messages.append(message)


@contextmanager
def served(put: Callable[[Message], Any], longest_s: float = LONGEST_CONNECTION_S) -> Iterator[str]:
    listener = listen("127.0.0.1", 0, "WEBHOOKS")
    app = intake_app(Intake(put, Codec(), TOPIC, {COMPANY}), TOKEN)
    with serving(listener, app, "webhooks", longest_s):
        yield f"{url_of(listener)}{PATH.removeprefix('/')}"


def post(url: str, body: bytes, token: str | None = TOKEN) -> httpx.Response:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.post(url, content=body, headers=headers, timeout=PATIENCE_S)


def counted(result: str) -> float:
    return ANSWERS.labels(result)._value.get()  # type: ignore[no-any-return] # the library has no type for it


@pytest.mark.parametrize("payload", [v2(), v3(), v4()])
def test_a_delivery_is_written_with_its_users_key_before_it_is_accepted(payload: dict[str, Any]) -> None:
    written = Written()
    before = counted("accepted")
    with served(written.put) as url:
        assert post(url, as_body(payload)).status_code == 202
    (message,) = written.messages
    assert (message.topic, message.key) == (TOPIC, f"{COMPANY}:{MARIA}".encode())
    assert Codec().decode(message.value or b"", WebhookNotice).user_id == MARIA
    assert counted("accepted") == before + 1


@pytest.mark.parametrize("given", [None, "wrong", TOKEN[:-1], f"{TOKEN}x", "ä"])
def test_whoever_lacks_the_token_is_refused_and_nothing_is_written(given: str | None) -> None:
    written = Written()
    with served(written.put) as url:
        headers = [] if given is None else [(b"Authorization", f"Bearer {given}".encode())]
        answer = httpx.post(url, content=as_body(v2()), headers=headers, timeout=PATIENCE_S)
    assert answer.status_code == 401
    assert not written.messages


@pytest.mark.parametrize("value", [TOKEN, f"bearer {TOKEN}", f"Bearer  {TOKEN}"])
def test_the_token_may_come_with_or_without_its_scheme(value: str) -> None:
    with served(Written().put) as url:
        answer = httpx.post(url, content=as_body(v2()), headers={"Authorization": value})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("body", "status", "result"),
    [
        (b"no JSON", 400, "unreadable"),
        (b"x" * (LARGEST_BODY + 1), 413, "too_large"),
        (as_body(v2(resource_name="RFIs")), 202, "ignored"),
        (as_body(v2(company_id=7)), 202, "unknown_company"),
    ],
)
def test_what_cannot_be_used_is_answered_counted_and_not_written(
    body: bytes, status: int, result: str
) -> None:
    written = Written()
    before = counted(result)
    with served(written.put) as url:
        answer = post(url, body)
    assert (answer.status_code, answer.json()) == (status, {"result": result})
    assert not written.messages
    assert counted(result) == before + 1


def test_an_unreadable_delivery_leaves_no_trace_of_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    with served(Written().put) as url:
        assert post(url, as_body(v2(resource_id="maria@example.com"))).status_code == 400
    said = capsys.readouterr()
    assert "maria@example.com" not in said.out + said.err


def test_nobody_but_a_post_to_the_path_gets_anything() -> None:
    with served(Written().put) as url:
        assert httpx.get(url).status_code == 405
        assert post(url + "x", as_body(v2())).status_code == 404


def test_what_cannot_be_written_is_to_come_again() -> None:
    with served(Written(error=BrokerUnavailable("gone")).put) as url:
        answer = post(url, as_body(v2()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


def test_a_broker_that_hangs_is_answered_for_well_within_procores_five_seconds() -> None:
    with served(Written(hangs=True).put) as url:
        began = time.monotonic()
        assert post(url, as_body(v2())).status_code == 503
    assert time.monotonic() - began < 4


def test_a_body_that_comes_ever_so_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "BODY_WITHIN_S", 0.2)
    with served(Written().put, 1.0) as url:
        address = httpx.URL(url)
        assert address.port is not None
        with socket.create_connection((address.host, address.port), PATIENCE_S) as connection:
            head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {TOKEN}\r\nContent-Length: 100\r\n\r\n"
            connection.sendall(head.encode() + b"{")
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")
        with socket.create_connection((address.host, address.port), PATIENCE_S) as connection:
            connection.sendall(b"POST ")
            assert connection.recv(1000) == b"", "hung up on after a second"


# ------------------------------------------------------------------ with a broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(tmp_path / "broker.db") as opened:
        opened.ensure_topics(TopicNames().specs())
        yield opened


@contextmanager
def at_work(inbox: Inbox) -> Iterator[None]:
    stop, turned = threading.Event(), threading.Event()
    thread = threading.Thread(target=inbox.run, args=(stop, turned.set))
    thread.start()
    assert turned.wait(PATIENCE_S)
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def count_of(broker: Broker) -> int:
    return sum(broker.written_offsets(broker.partitions(TOPIC)).values())


def test_what_was_accepted_is_on_the_topic_at_that_moment(broker: EmbeddedBroker) -> None:
    inbox = Inbox(broker)
    with at_work(inbox), served(inbox.put) as url:
        for number in range(1, 4):
            assert post(url, as_body(v2(8800100 + number))).status_code == 202
            assert count_of(broker) == number


def test_deliveries_at_once_are_all_written(broker: EmbeddedBroker) -> None:
    inbox = Inbox(broker)

    async def all_at_once(url: str) -> list[int]:
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            headers = {"Authorization": TOKEN}
            calls = [client.post(url, content=as_body(v2(n)), headers=headers) for n in range(1, 81)]
            return [answer.status_code for answer in await asyncio.gather(*calls)]

    with at_work(inbox), served(inbox.put) as url:
        assert asyncio.run(all_at_once(url)) == [202] * 80
    assert count_of(broker) == 80


class _Down:
    """A broker that fails until it is back."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.is_down = True

    def producer(self) -> Any:
        if self.is_down:
            raise BrokerUnavailable("no broker")
        return self._broker.producer()


def test_while_the_broker_is_down_deliveries_are_to_come_again_and_then_are_taken(
    broker: EmbeddedBroker,
) -> None:
    down = _Down(broker)
    inbox = Inbox(cast("Broker", down))
    with at_work(inbox), served(inbox.put) as url:
        assert post(url, as_body(v2())).status_code == 503
        down.is_down = False
        assert post(url, as_body(v2())).status_code == 202
    assert count_of(broker) == 1


def test_before_it_is_at_work_and_after_it_nothing_is_accepted(broker: EmbeddedBroker) -> None:
    inbox = Inbox(broker)
    with served(inbox.put) as url:
        assert post(url, as_body(v2())).status_code == 503
        with at_work(inbox):
            pass
        assert post(url, as_body(v2())).status_code == 503
    assert count_of(broker) == 0


def test_what_nobody_waits_for_any_more_is_not_written_and_too_much_is_refused(
    broker: EmbeddedBroker,
) -> None:
    inbox = Inbox(broker, most=1)
    inbox._is_open = True

    async def put_and_give_up() -> None:
        message = Message(TOPIC, b"1:1", b"x")
        with suppress(TimeoutError):
            await asyncio.wait_for(inbox.put(message), 0.05)
        with pytest.raises(BrokerUnavailable, match="too much"):
            await inbox.put(message)

    asyncio.run(put_and_give_up())
    assert inbox.step(0.0)
    assert count_of(broker) == 0
