"""Lets faults befall requests: middleware that stands before and after the transaction."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from random import Random
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumer.sandbox.exchange import Clock
from consumer.sandbox.fault_rules import Asked, FaultFile
from consumer.sandbox.faults import HEADER, Answer, Fault, parse_fault
from consumer.sandbox.limits import Quota
from consumer.sandbox.protocol import abort


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What injection knows of the app behind it.

    ``routes`` are named as the contract's operations. ``error_body`` is what the system says with a status.
    ``take`` counts a request that is answered here as the app would have, and tells how the limits stand.
    """

    system: str
    routes: Sequence[Route]
    error_body: Callable[[int], Any]
    clock: Clock
    take: Callable[[float], Quota | None] = lambda _: None
    rules: FaultFile | None = None
    latency_s: float = 0.0


class FaultInjection:
    """Middleware that delays, loses and replaces answers.

    A request is read as a whole before anything befalls it, so that from then on it takes effect, or not,
    whatever becomes of its caller.
    """

    def __init__(self, app: ASGIApp, around: Surroundings) -> None:
        self._app = app
        self._around = around

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request have its fault, if one is due."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        whole = await _read(receive)
        if whole is None:
            # The caller was killed or gave up while sending: nothing happened, and nobody listens.
            return
        try:
            fault = self._due(scope)
        except ValueError as error:
            wrong = Response(f"{HEADER}: {error}\n", HTTPStatus.BAD_REQUEST, media_type="text/plain")
            await wrong(scope, receive, send)
            return
        await asyncio.sleep(self._around.latency_s + fault.latency_s[0])
        if fault.after_effect or fault.page is not None:
            await self._after(fault, scope, _replayed(whole, receive), send)
        elif fault.reset:
            await abort(scope, receive)
        elif fault.answer is not None:
            answer = self._answered(fault.answer, self._standing())
            await answer(scope, receive, send)
        else:
            await self._app(scope, _replayed(whole, receive), send)

    def _due(self, scope: Scope) -> Fault:
        wanted = Headers(scope=scope).get(HEADER)
        if wanted is not None:
            return parse_fault(wanted).drawn(Random(0))  # noqa: S311 - it has to be the same each time
        rules = self._around.rules
        asked = None if rules is None else self._asked(scope)
        due = None if rules is None or asked is None else rules.fault_for(asked)
        return due or Fault("")

    def _asked(self, scope: Scope) -> Asked:
        fitting = (route.name for route in self._around.routes if route.matches(scope)[0] is Match.FULL)
        return Asked(self._around.system, next(fitting, None), scope["method"], scope["path"])

    async def _after(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        true = _Kept()
        await self._app(scope, receive, true)
        if fault.reset:
            await abort(scope, receive)
        elif fault.answer is not None:
            standing = {name: value for name, value in true.headers.items() if name.startswith("x-rate-")}
            await self._answered(fault.answer, standing)(scope, receive, send)
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(fault.late_s[0]):
                    while fault.late_s[0] and (await receive())["type"] != "http.disconnect":
                        pass
            if fault.page is not None and scope["method"] == "GET":
                true.shorten(empty=fault.page == "empty")
            await true.pass_on(send)

    def _standing(self) -> Mapping[str, str]:
        quota = self._around.take(self._around.clock())
        return {} if quota is None or self._around.system != "procore" else quota.headers()

    def _answered(self, answer: Answer, standing: Mapping[str, str]) -> Response:
        headers = dict(standing)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS and standing:
            reset = ceil(self._around.clock() + (answer.retry_after_s or 1))
            headers |= {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": str(reset)}
        if answer.retry_after_s is not None:
            headers["Retry-After"] = str(answer.retry_after_s)
        body = self._around.error_body(answer.status) if answer.body is None else answer.body
        if isinstance(body, str):
            return Response(body, answer.status, headers, "text/html")
        return Response(json.dumps(body), answer.status, headers, "application/json")


class _Kept:
    """Takes an answer in, to be passed on later."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    async def __call__(self, message: Message) -> None:
        self._messages.append(message)

    @property
    def headers(self) -> MutableHeaders:
        return MutableHeaders(raw=self._messages[0]["headers"])

    async def pass_on(self, send: Send) -> None:
        for message in self._messages:
            await send(message)

    def shorten(self, *, empty: bool) -> None:
        """Take items out of a list; what is no list stays as it is."""
        start, *parts = self._messages
        shorter = _shorter(json.loads(b"".join(part.get("body", b"") for part in parts)), empty=empty)
        if shorter is None or start["status"] != HTTPStatus.OK:
            return
        headers = self.headers
        if empty and "total" in headers:
            links = (link for link in headers["link"].split(", ") if 'rel="next"' not in link)
            headers.update({"total": "0", "link": ", ".join(links)})
        content = json.dumps(shorter).encode()
        headers["content-length"] = str(len(content))
        body = {"type": "http.response.body", "body": content}
        self._messages = [{**start, "headers": headers.raw}, body]


def _shorter(body: Any, *, empty: bool) -> Any:
    """A list's body with half of its items, or none; None if it is no list's."""
    if isinstance(body, list):
        return body[: 0 if empty else len(body) // 2]
    if isinstance(body, dict) and "meta" in body:
        meta = {**body["meta"], "total": 0} if empty else body["meta"]
        return {"data": _shorter(body["data"], empty=empty), "meta": meta}
    return None


async def _read(receive: Receive) -> bytes | None:
    """The whole body of a request; None if its caller left before."""
    parts: list[bytes] = []
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The request once more, and then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again
