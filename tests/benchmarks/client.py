"""Calls of the upstream, with and without asyncio, over connections that are kept.

Both do the least that HTTP/1.1 takes, so that what is measured is the consumers and not an HTTP library.
"""

import asyncio
import socket
import threading

from consumer.exceptions import Misconfigured
from consumer.model.events import UserEvent


NAME = "smartbarrel"
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
_REFUSED = 401
_BODY = b'{"first_name":"Maria","last_name":"Hernandez","email":"maria@example.com","payroll_id":"E-1"}'


def number_of(event: UserEvent) -> int:
    """The event's number within its topic, by which the upstream tells the events of one user apart."""
    return int(event.employee_id or 0)


def upsert(event: UserEvent, work_ms: int) -> bytes:
    """The request that an event leads to."""
    return (
        f"POST /{event.company_id}/{event.user_id}/{number_of(event)}/{work_ms} HTTP/1.1\r\n"
        f"Host: upstream\r\nContent-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    ).encode() + _BODY


def probe(company_id: int) -> bytes:
    """The request that asks whether a company is served."""
    return f"GET /probe/{company_id} HTTP/1.1\r\nHost: upstream\r\n\r\n".encode()


def checked(status: int) -> None:
    """Raises Misconfigured where the upstream refuses the company."""
    if status == _REFUSED:
        raise Misconfigured(NAME, "upsert", status)


def whole(data: bytes) -> bool:
    """Whether an answer has come to its end."""
    end = data.find(_END)
    if end < 0:
        return False
    at = data.lower().find(_LENGTH, 0, end)
    length = int(data[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return len(data) >= end + len(_END) + length


def status_of(data: bytes) -> int:
    """The status of an answer."""
    return int(data[9:12])


class Plain:
    """Blocking calls; each thread has a connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._own = threading.local()

    def upsert(self, event: UserEvent, work_ms: int) -> None:
        """Make the call that an event leads to."""
        checked(status_of(self.ask(upsert(event, work_ms))))

    def ask(self, request: bytes) -> bytes:
        """Send a request and wait for its answer."""
        connection = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = socket.create_connection(("127.0.0.1", self._port), 30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        data = b""
        while not whole(data):
            more = connection.recv(65536)
            if not more:
                raise ConnectionError("the upstream has closed the connection")
            data += more
        return data


class _Wire(asyncio.Protocol):
    """One connection on the loop, for one call at a time."""

    def __init__(self) -> None:
        self._data = b""
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._answer is not None and whole(self._data):
            answer, self._answer = self._answer, None
            if not answer.done():
                answer.set_result(status_of(self._data))
            self._data = b""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the upstream has closed the connection"))

    def ask(self, request: bytes, answer: "asyncio.Future[int]") -> None:
        assert self._transport is not None
        self._answer = answer
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Waiting:
    """Calls that wait on the running loop; there are as many connections as calls at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._free: list[_Wire] = []

    async def upsert(self, event: UserEvent, work_ms: int) -> None:
        """Make the call that an event leads to."""
        checked(await self._ask(upsert(event, work_ms)))

    async def probe(self, company_id: int) -> None:
        """See whether the company is served. Raises Misconfigured if not."""
        checked(await self._ask(probe(company_id)))

    async def _ask(self, request: bytes) -> int:
        loop = asyncio.get_running_loop()
        if self._free:
            wire = self._free.pop()
        else:
            _, wire = await loop.create_connection(_Wire, "127.0.0.1", self._port)
        answer: asyncio.Future[int] = loop.create_future()
        wire.ask(request, answer)
        try:
            status = await answer
        except BaseException:
            # Its answer may still come, and must not be taken for that of another call.
            wire.close()
            raise
        self._free.append(wire)
        return status
