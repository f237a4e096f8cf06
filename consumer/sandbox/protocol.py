"""HTTP connections that the app itself can close, without an answer."""

import asyncio

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol


ABORT = "crewsync.abort"
"""The extension of a scope that closes the request's connection at once."""


class AbortableProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, whose every request has the extension ``ABORT``."""

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override]  # uvicorn narrows it, too
    ) -> None:
        """Keep the connection where the app finds it."""
        super().connection_made(transport)
        app = self.app

        async def with_abort(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = {"abort": transport.abort}
            await app(scope, receive, send)

        self.app = with_abort


async def abort(scope: Scope, receive: Receive) -> None:
    """Close the connection of a request, and return when it is closed. Nothing is sent, then or later.

    Raises ConnectionAbortedError where no connection can be closed, as in a test without sockets.
    """
    extension = scope.get("extensions", {}).get(ABORT)
    if extension is None:
        raise ConnectionAbortedError("the sandbox closed the connection")
    extension["abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass
