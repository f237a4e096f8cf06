"""Serves an app from a thread of its own, on an address from the settings."""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from consumer.exceptions import ConfigurationError, CrewsyncError


_START_WITHIN_S = 10.0
_STOP_WITHIN_S = 5.0
LONGEST_REQUEST_S = 10.0
"""How long a request may take to arrive, from its first byte to its last."""
STALLED_S = 30.0
"""How long an answer may wait for whoever asked to read LEAST_READ bytes of it."""
LEAST_READ = 16_384
_LARGEST_HEAD = 16_384
_BACKLOG = 64
_MOST_CONNECTIONS = 200


class _Connection(H11Protocol):
    """A connection that is closed in time.

    So whoever says nothing, or ever so slowly, or does not listen, takes no room.
    """

    longest_s: ClassVar[float]
    _late: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        super().connection_made(transport)
        self.loop.call_later(self.longest_s, transport.abort)
        self._expect()

    def data_received(self, data: bytes) -> None:
        self._expect()
        super().data_received(data)
        if self.conn.their_state not in {h11.IDLE, h11.SEND_BODY} and self._late is not None:
            self._late.cancel()
            self._late = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _watch(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(STALLED_S, self._look, left)

    def _look(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < LEAST_READ:
            self.transport.abort()
        else:
            self._watch()

    def _expect(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(LONGEST_REQUEST_S, self.transport.abort)


def _connection(longest_s: float) -> type[_Connection]:
    return type("_Connection", (_Connection,), {"longest_s": longest_s})


def listen(host: str, port: int, setting: str = "METRICS") -> socket.socket:
    """Take a port, 0 for any free one.

    Raises ConfigurationError that names the setting to change, ``CREWSYNC_{setting}_HOST`` or ``_PORT``.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"CREWSYNC_{setting}_HOST: {host} is no address ({error})") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_why(error, host, port, setting)) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where it listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if listener.family == socket.AF_INET6 else f"http://{host}:{port}/"


@contextmanager
def serving(
    listener: socket.socket, app: ASGIApp, name: str = "health", longest_s: float = 30.0
) -> Iterator[None]:
    """Answer on a socket until the end, and close it. No connection lasts longer than ``longest_s``."""
    # Logging and signals belong to the program around it.
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=_connection(longest_s),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
            limit_concurrency=_MOST_CONNECTIONS,
        )
    )
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), name=name, daemon=True
    )
    thread.start()
    try:
        deadline = time.monotonic() + _START_WITHIN_S
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise CrewsyncError(f"the server of {name} did not start")
            time.sleep(0.002)
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_WITHIN_S)
        listener.close()


def _why(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"CREWSYNC_{setting}_PORT: {port} is taken on {host}; choose another, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"CREWSYNC_{setting}_PORT: {port} may not be used by this user; choose one above 1023"
    return f"CREWSYNC_{setting}_HOST: {host} cannot be listened on ({error.strerror})"
