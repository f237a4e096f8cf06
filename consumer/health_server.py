"""Serves an app from a thread of its own, on an address from the settings."""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from consumer.exceptions import ConfigurationError, CrewsyncError


_START_WITHIN_S = 10.0
_STOP_WITHIN_S = 5.0
_LARGEST_HEAD = 16_384
_BACKLOG = 64


def _short_connection(longest_s: float) -> type[H11Protocol]:
    """A connection that is closed in time, so that whoever says nothing, or ever so slowly, takes no room."""

    class ShortConnection(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
            super().connection_made(transport)
            self.loop.call_later(longest_s, transport.close)

    return ShortConnection


def listen(host: str, port: int, setting: str = "METRICS") -> socket.socket:
    """Take a port, 0 for any free one. Raises ConfigurationError that names the setting to change.

    ``setting`` is what stands in the settings' names before ``_HOST`` and ``_PORT``.
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
    listener: socket.socket, app: Starlette, name: str = "health", longest_s: float = 30.0
) -> Iterator[None]:
    """Answer on a socket until the end, and close it; no connection lasts longer than ``longest_s`` seconds.

    ``name`` is the thread's.
    """
    # Logging and signals belong to the program around it.
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=_short_connection(longest_s),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
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
