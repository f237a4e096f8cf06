"""One call: what fails on the way, what is followed, and what never shows in an error."""

import asyncio
import gzip
import traceback
from collections.abc import Awaitable, Callable

import httpx
import pytest

from consumer.exceptions import Misconfigured, Transient, Unsure, UpstreamError
from consumer.secret import Secret
from consumer.upstream import smartbarrel
from consumer.upstream.http import http_client, json_of, may_write, send
from consumer.upstream.procore_tokens import ProcoreCredentials


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

PHONE = "+15125550143"
TOKEN = "token-5f4dcc3b"
QUICK = httpx.Timeout(0.2)


def call(client: httpx.AsyncClient, path: str = "/workers") -> Awaitable[httpx.Response]:
    return send(
        client,
        "smartbarrel",
        "createWorker",
        "POST",
        path,
        params=[("phone_number", PHONE)],
        body={"phone_number": PHONE},
        headers={"Authorization": f"Bearer {TOKEN}"},
    )


def answered_by(serve: Serve, *, timeout: httpx.Timeout = QUICK) -> UpstreamError | httpx.Response:
    """What a call to a server of a test's own making gives."""

    async def run() -> UpstreamError | httpx.Response:
        connections: list[asyncio.StreamWriter] = []

        async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            await reader.readuntil(b"\r\n\r\n")
            await serve(reader, writer)

        server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        try:
            async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=timeout) as client:
                return await call(client)
        except UpstreamError as error:
            return error
        finally:
            server.close()
            for writer in connections:
                writer.close()
            await server.wait_closed()

    return asyncio.run(asyncio.wait_for(run(), 20))


async def _silence(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""


async def _half_an_answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()


async def _cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _half_an_answer(reader, writer)
    writer.close()


async def _reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def _nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
    await writer.drain()


async def _broken_gzip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(b'{"id": 1}')[:-9] + b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"
    head = f"HTTP/1.1 201 Created\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


@pytest.mark.parametrize(
    "serve", [_silence, _half_an_answer, _cut, _reset, _nonsense, _broken_gzip], ids=lambda one: one.__name__
)
def test_an_answer_that_does_not_come_whole_is_transient_and_its_effect_unknown(serve: Serve) -> None:
    error = answered_by(serve)
    assert type(error) is Transient
    assert error.status is None
    assert str(error) == "smartbarrel createWorker: no answer"


def test_a_server_that_is_not_there_is_transient() -> None:
    async def run() -> None:
        # The discard port: nobody listens there.
        async with httpx.AsyncClient(base_url="http://127.0.0.1:9", timeout=QUICK) as client:
            await call(client)

    with pytest.raises(Transient):
        asyncio.run(run())


def raised(handler: Callable[[httpx.Request], httpx.Response]) -> UpstreamError:
    """The error of a call that a function answers."""

    async def run() -> None:
        transport = httpx.MockTransport(handler)
        async with http_client("http://smartbarrel.test/secret-path", transport) as client:
            await call(client)

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(run())
    return caught.value


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_but_refused(status: int) -> None:
    """A redirected POST may become a GET, and the token would go to whoever the redirect names."""
    seen: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(status, headers={"Location": "http://elsewhere.test/"})

    async def run() -> None:
        async with http_client("http://first.test", httpx.MockTransport(redirect)) as client:
            await call(client)

    with pytest.raises(Misconfigured):
        asyncio.run(run())
    assert seen == ["first.test"]


def _refuse(status: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, json={"message": f"{PHONE} belongs to Maria Delgado"})


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError(f"cannot reach {request.url}", request=request)


@pytest.mark.parametrize(
    "handler",
    [*(_refuse(status) for status in (302, 401, 403, 404, 409, 422, 429, 500)), _unreachable],
    ids=["302", "401", "403", "404", "409", "422", "429", "500", "unreachable"],
)
def test_an_error_shows_neither_address_nor_secret_nor_personal_data(
    handler: Callable[[httpx.Request], httpx.Response],
) -> None:
    error = raised(handler)
    shown = f"{error} {error!r} {''.join(traceback.format_exception(error))}"
    hidden = [TOKEN, PHONE, PHONE.lstrip("+"), "Maria", "smartbarrel.test", "secret-path", "http://"]
    assert [each for each in hidden if each in shown] == []


def test_accounts_and_credentials_do_not_show_their_secret() -> None:
    account = smartbarrel.SmartBarrelAccount("granite-ridge", Secret(TOKEN))
    credentials = ProcoreCredentials(Secret("client-7f1e"), Secret(TOKEN))
    assert TOKEN not in f"{account} {account!r} {credentials} {credentials!r}"


def test_a_success_that_is_no_json_is_a_fault_on_the_way() -> None:
    answer = httpx.Response(200, content=b"<html>Please log in to the guest network</html>")
    with pytest.raises(Transient) as caught:
        json_of("procore", "listCompanyPeople", answer)
    assert caught.value.words == ("The answer is not JSON.",)


@pytest.mark.parametrize("body", [b"\xff\xfe\x00\x9f", b"", b"[" * 100_000], ids=["binary", "empty", "deep"])
def test_a_success_that_cannot_be_read_is_a_fault_on_the_way(body: bytes) -> None:
    with pytest.raises(Transient):
        json_of("procore", "listCompanyPeople", httpx.Response(200, content=body))


def test_whoever_may_not_write_any_more_asks_for_no_change_but_may_still_look() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.method)
        return httpx.Response(200, json={})

    async def calls() -> None:
        may_write.set(lambda: False)
        async with http_client("https://api.example", httpx.MockTransport(answer)) as client:
            await send(client, "procore", "showTimecardEntry", "GET", "/entry")
            for method in ("POST", "PATCH"):
                with pytest.raises(Unsure) as caught:
                    await send(client, "procore", "updateTimecardEntry", method, "/entry", body={})
                assert caught.value.status is None

    asyncio.run(calls())
    assert seen == ["GET"]
