"""Many connections to one server, each handed out by itself.

The pool that httpx brings looks at all of its connections for every request, so that with two hundred
requests under way a request costs milliseconds. Here an idle connection is taken from a stack: the one that
was used last, so that the others may end.
"""

import asyncio
from collections.abc import AsyncIterator

import httpx


_ONE = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)


class Connections(httpx.AsyncBaseTransport):
    """A transport with at most so many connections; whoever finds none waits as long as the pool's time-out.

    ``make`` gives a transport of one connection. Raises PoolTimeout.
    """

    def __init__(self, most: int) -> None:
        # One context for all: to read the certificates takes some twenty milliseconds.
        self._context = httpx.create_ssl_context()
        self._free = asyncio.Semaphore(most)
        self._idle: list[httpx.AsyncHTTPTransport] = []
        self._made: list[httpx.AsyncHTTPTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request on an idle connection, which is idle again when the answer is read."""
        patience_s = request.extensions.get("timeout", {}).get("pool")
        try:
            async with asyncio.timeout(patience_s):
                await self._free.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout("no connection became free in time", request=request) from None
        transport = self._idle.pop() if self._idle else self._new()
        try:
            response = await transport.handle_async_request(request)
        except BaseException:
            self._give_back(transport)
            raise
        response.stream = _Answer(response.stream, self, transport)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._made:
            await transport.aclose()

    def _new(self) -> httpx.AsyncHTTPTransport:
        transport = httpx.AsyncHTTPTransport(verify=self._context, limits=_ONE)
        self._made.append(transport)
        return transport

    def _give_back(self, transport: httpx.AsyncHTTPTransport) -> None:
        self._idle.append(transport)
        self._free.release()


class _Answer(httpx.AsyncByteStream):
    """The body of an answer; whoever closes it lets go of the connection."""

    def __init__(
        self,
        stream: httpx.AsyncByteStream | httpx.SyncByteStream,
        owner: Connections,
        transport: httpx.AsyncHTTPTransport,
    ) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport gives asynchronous streams")
        self._stream = stream
        self._owner = owner
        self._transport: httpx.AsyncHTTPTransport | None = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk

    async def aclose(self) -> None:
        """Close the stream, and give the connection back, once."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        try:
            await self._stream.aclose()
        finally:
            self._owner._give_back(transport)  # noqa: SLF001 - two halves of one thing
