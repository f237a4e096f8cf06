"""The server's side of the contract tests: what other programs ask of a sandbox, and what it answers.

``Middleware(CheckedApp, checker=checker)`` goes around its apps. Since the programs that ask know of no
assertions, what is wrong is told by ``checker.check_served()``.
"""

from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.contracts import ContractChecker


class CheckedApp:
    """ASGI middleware that keeps every request which a server gets, and its answer, to be checked."""

    def __init__(self, app: ASGIApp, checker: ContractChecker) -> None:
        self._app = app
        self._checker = checker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on as it comes."""
        sent, answered = bytearray(), bytearray()
        start: dict[str, Any] = {}

        async def receive_kept() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(status_code=message["status"], headers=message["headers"])
            answered.extend(message.get("body", b""))
            await send(message)

        await self._app(scope, receive_kept, send_kept)
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        request = httpx.Request(
            scope["method"], f"http://server{target.decode()}", headers=scope["headers"], content=bytes(sent)
        )
        response = httpx.Response(**start, content=bytes(answered)) if start else None
        self._checker.served.append((request, response))
