"""Answers Procore's deliveries: at once, and with success only for what is written durably.

Procore gives up after 5 s, sends again for up to 12 hours what was not answered with 2xx, and then discards
it. So a success is said also of what nobody here wants, such as another resource or a company that is not set
up: it would be sent for hours, to no end, and would crowd out what matters.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from consumer.broker.port import Message
from consumer.exceptions import BrokerError
from consumer.model.codec import Codec
from consumer.model.notices import WebhookNotice
from consumer.model.registry import SchemaRegistryError
from consumer.model.topics import notice_key
from consumer.secret import is_same
from consumer.webhooks.payload import UnreadablePayload, notice_of
from consumer.webhooks.webhook_metrics import ANSWER_SECONDS, ANSWERS, Answer


log = structlog.get_logger(__name__)

PATH = "/webhooks/procore"
LARGEST_BODY = 65_536
BODY_WITHIN_S = 1.0
WRITTEN_WITHIN_S = 3.0
LONGEST_CONNECTION_S = 10.0
"""Longer than Procore itself waits, and not much: whoever says nothing is to take no room."""
_RETRY_AFTER_S = "30"
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_STATUS = {
    Answer.ACCEPTED: 202,
    Answer.IGNORED: 202,
    Answer.UNKNOWN_COMPANY: 202,
    Answer.UNREADABLE: 400,
    Answer.UNAUTHORIZED: 401,
    Answer.TOO_LARGE: 413,
    Answer.TOO_SLOW: 408,
    Answer.UNAVAILABLE: 503,
}
_MORE = {
    Answer.UNAUTHORIZED: {"WWW-Authenticate": 'Bearer realm="crewsync"'},
    Answer.UNAVAILABLE: {"Retry-After": _RETRY_AFTER_S},
}


@dataclass(frozen=True, slots=True)
class Intake:
    """Where notices are written, how, and for which companies. ``put`` raises BrokerError."""

    put: Callable[[Message], Awaitable[None]]
    codec: Codec
    topic: str
    company_ids: Collection[int]

    async def take(self, request: Request, token: str) -> Answer:
        """How to answer a delivery."""
        # Before anything else is read, so that strangers cost next to nothing.
        if not _is_trusted(request, token):
            return Answer.UNAUTHORIZED
        try:
            body = await asyncio.wait_for(_body(request), BODY_WITHIN_S)
        except TimeoutError:
            return Answer.TOO_SLOW
        if body is None:
            return Answer.TOO_LARGE
        return await self._answer(body)

    async def _answer(self, body: bytes) -> Answer:
        try:
            notice = notice_of(body, datetime.now(UTC))
        except UnreadablePayload as error:
            log.warning("webhook.unreadable", bytes=len(body), why=str(error))
            return Answer.UNREADABLE
        if notice is None:
            return Answer.IGNORED
        if notice.company_id not in self.company_ids:
            log.info("webhook.unknown_company", company=notice.company_id)
            return Answer.UNKNOWN_COMPANY
        return await self._written(notice)

    async def _written(self, notice: WebhookNotice) -> Answer:
        try:
            await asyncio.wait_for(self._write(notice), WRITTEN_WITHIN_S)
        except TimeoutError:
            log.warning("webhook.not_written", company=notice.company_id, error="no answer in time")
            return Answer.UNAVAILABLE
        except (BrokerError, SchemaRegistryError) as error:
            log.warning("webhook.not_written", company=notice.company_id, error=str(error))
            return Answer.UNAVAILABLE
        return Answer.ACCEPTED

    async def _write(self, notice: WebhookNotice) -> None:
        # With a schema registry, the first of all asks for the schema's id.
        value = await asyncio.to_thread(self.codec.encode, notice)
        await self.put(Message(self.topic, notice_key(notice), value))


def intake_app(intake: Intake, token: str) -> Starlette:
    """Takes deliveries at ``PATH`` from whoever sends the token, with or without ``Bearer`` before it."""

    async def deliver(request: Request) -> Response:
        began = time.perf_counter()
        try:
            answer = await intake.take(request, token)
        except ClientDisconnect:
            answer = Answer.TOO_SLOW
        ANSWERS.labels(answer).inc()
        ANSWER_SECONDS.observe(time.perf_counter() - began)
        headers = {**_HEADERS, **_MORE.get(answer, {})}
        return JSONResponse({"result": answer}, status_code=_STATUS[answer], headers=headers)

    return Starlette(routes=[Route(PATH, deliver, methods=["POST"])])


def _is_trusted(request: Request, token: str) -> bool:
    given = request.headers.get("Authorization", "").strip()
    scheme, _, rest = given.partition(" ")
    said = rest.strip() if scheme.lower() == "bearer" else given
    return is_same(said, token)


async def _body(request: Request) -> bytes | None:
    """The body, None if it is too large."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)
