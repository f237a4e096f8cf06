"""One HTTP exchange is one transaction, which holds its effect and its line in the journal.

So the journal never disagrees with the state, wherever the process is killed.
"""

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from consumer.sqlite import transaction


Clock = Callable[[], float]
"""Tells the Unix time in seconds."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as a handler sees it. ``url`` is the absolute address without the query."""

    method: str
    url: str
    path: Mapping[str, Any]
    query: QueryParams
    headers: Headers
    body: bytes
    now: float
    db: sqlite3.Connection


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered: a JSON body."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def having(self, headers: Mapping[str, str]) -> "Reply":
        """The same with more headers."""
        return replace(self, headers={**self.headers, **headers})


def phrase(status: int) -> str:
    """The words that HTTP has for a status, or one of its class."""
    return HTTPStatus(status if status in set(HTTPStatus) else status // 100 * 100).phrase


class Refusal(Exception):
    """The request is refused with this reply, and changes nothing."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.reply = Reply(body, status)


Handler = Callable[[Call], Reply]


def endpoint(
    system: str, db: sqlite3.Connection, clock: Clock, handler: Handler
) -> Callable[[Request], Awaitable[Response]]:
    """The handler as starlette calls it; ``system`` names it in the journal."""

    async def answer(request: Request) -> Response:
        body = await request.body()
        call = Call(
            method=request.method,
            url=str(request.url.replace(query="")),
            path=request.path_params,
            query=request.query_params,
            headers=request.headers,
            body=body,
            now=clock(),
            db=db,
        )
        # No await from here on: the one connection serves one exchange at a time.
        with transaction(db):
            db.execute("SAVEPOINT effect")
            try:
                reply = handler(call)
            except Refusal as refusal:
                db.execute("ROLLBACK TO effect")
                reply = refusal.reply
            db.execute("RELEASE effect")
            db.execute(
                "INSERT INTO requests (system, method, path, query, status, at) VALUES (?, ?, ?, ?, ?, ?)",
                (system, call.method, request.url.path, request.url.query, reply.status, call.now),
            )
        content = json.dumps(reply.body, ensure_ascii=False, separators=(",", ":"))
        return Response(content, reply.status, dict(reply.headers), "application/json")

    return answer
