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
_LONGEST_CONNECTION_S = 30.0
_LARGEST_HEAD = 16_384
_BACKLOG = 64


class _ShortConnection(H11Protocol):
    """A connection that is closed in time, so that whoever says nothing, or ever so slowly, takes no room."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own
        super().connection_made(transport)
        self.loop.call_later(_LONGEST_CONNECTION_S, transport.close)


def listen(host: str, port: int) -> socket.socket:
    """Take a port, 0 for any free one. Raises ConfigurationError that names the setting to change."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"CREWSYNC_METRICS_HOST: {host} is no address ({error})") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(_why(error, host, port)) from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Where it listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if listener.family == socket.AF_INET6 else f"http://{host}:{port}/"


@contextmanager
def serving(listener: socket.socket, app: Starlette) -> Iterator[None]:
    """Answer on a socket until the end, and close it."""
    # Logging and signals belong to the program around it.
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=_ShortConnection,
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
        target=lambda: asyncio.run(server.serve(sockets=[listener])), name="health", daemon=True
    )
    thread.start()
    try:
        deadline = time.monotonic() + _START_WITHIN_S
        while not server.started:
            if time.monotonic() > deadline or not thread.is_alive():
                raise CrewsyncError("the server of health and metrics did not start")
            time.sleep(0.002)
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_WITHIN_S)
        listener.close()


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"CREWSYNC_METRICS_PORT: {port} is taken on {host}; choose another, or 0 for any free one"
    if error.errno == errno.EACCES:
        return f"CREWSYNC_METRICS_PORT: {port} may not be used by this user; choose one above 1023"
    return f"CREWSYNC_METRICS_HOST: {host} cannot be listened on ({error.strerror})"
