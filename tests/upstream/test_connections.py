"""Connections are shared, limited, and given back whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from consumer.upstream.connections import Connections


class Server:
    """Counts connections and requests, and answers each after a turn of the loop, or cuts it off."""

    def __init__(self) -> None:
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.cut = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(0.01)
                self.at_once -= 1
                if self.cut:
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(most: int, pool_s: float = 5.0) -> AsyncIterator[tuple[Server, httpx.AsyncClient]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    timeout = httpx.Timeout(5.0, pool=pool_s)
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", transport=Connections(most), timeout=timeout
    ) as client:
        yield server, client
    listening.close()


def on_a_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(body())


def test_one_request_after_the_other_uses_one_connection() -> None:
    async def test() -> None:
        async with serving(10) as (server, client):
            for _ in range(5):
                assert (await client.get("/")).text == "ok"
            assert server.connections == 1

    on_a_loop(test)


def test_many_requests_at_once_use_as_many_connections_as_they_may() -> None:
    async def test() -> None:
        async with serving(4) as (server, client):
            answers = await asyncio.gather(*(client.get("/") for _ in range(40)))
            assert {answer.text for answer in answers} == {"ok"}
            assert (server.connections, server.most_at_once) == (4, 4)

    on_a_loop(test)


def test_a_connection_is_given_back_when_the_server_cuts_it_or_the_caller_gives_up() -> None:
    async def test() -> None:
        async with serving(1) as (server, client):
            server.cut = True
            for _ in range(3):
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.get("/")
            server.cut = False
            given_up = asyncio.ensure_future(client.get("/"))
            await asyncio.sleep(0.002)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up
            assert (await client.get("/")).text == "ok"

    on_a_loop(test)


def test_who_finds_no_connection_in_time_is_told_so() -> None:
    async def test() -> None:
        async with serving(1, pool_s=0.001) as (_, client):
            first = asyncio.ensure_future(client.get("/"))
            await asyncio.sleep(0)
            with pytest.raises(httpx.PoolTimeout):
                await client.get("/")
            assert (await first).text == "ok"

    on_a_loop(test)
