"""What every request passes first: its host, other sites, its size, its rate; and what answers carry."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from limits import RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumer.config import is_loopback


LARGEST_BODY = 65_536
"""Bytes of a request's body."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_READS = RateLimitItemPerSecond(50)
_WRITES = RateLimitItemPerSecond(10)
_LOGINS = RateLimitItemPerMinute(10)
_TOKENS = RateLimitItemPerMinute(30)
"""Wrong tokens of programs, whose own mistakes must not keep people at the same address from logging in."""
WAIT_S = "60"
"""How long whoever had too many wrong tokens waits, as ``Retry-After`` has it."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

Refuse = Callable[[Request, HTTPStatus, str], Response]
"""Makes the answer to a request that is refused, with a sentence that says why."""


class Rates:
    """How often one address may ask. All in this process's memory."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def allows(self, request: Request) -> bool:
        """Count a request, and tell whether it is one too many."""
        limit = _READS if request.method in _SAFE else _WRITES
        return self._limiter.hit(limit, _address(request), str(request.method in _SAFE))

    def may_log_in(self, request: Request) -> bool:
        """Whether the address has not failed to log in too often."""
        return self._limiter.test(_LOGINS, _address(request), "login")

    def failed_to_log_in(self, request: Request) -> None:
        """Count a wrong token."""
        self._limiter.hit(_LOGINS, _address(request), "login")

    def may_send_token(self, request: Request) -> bool:
        """Whether the address has not sent too many wrong tokens along with requests."""
        return self._limiter.test(_TOKENS, _address(request), "token")

    def sent_wrong_token(self, request: Request) -> None:
        """Count a wrong token that came along with a request."""
        self._limiter.hit(_TOKENS, _address(request), "token")


@dataclass(frozen=True, slots=True)
class Guard:
    """The outermost layer. ``is_open``: no token is asked for, so only this machine's names are let in."""

    app: ASGIApp
    rates: Rates
    is_open: bool
    refuse: Refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refused = self._refused(request)
        if refused is not None:
            response = self.refuse(request, HTTPStatus(refused.status_code), refused.detail)
            response.headers.update(refused.headers or {})
            await response(scope, receive, with_headers)
            return
        await self.app(scope, _counted(receive), with_headers)

    def _refused(self, request: Request) -> HTTPException | None:
        if self.is_open and not _is_own(request.headers.get("host", "")):
            return HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST, "This console answers to this machine's own names only."
            )
        if not self.rates.allows(request):
            return too_many("Too many requests; wait a second and try again.", "1")
        if "authorization" in request.headers and not self.rates.may_send_token(request):
            return too_many(TOO_MANY_TOKENS, WAIT_S)
        if request.method not in _SAFE and not _is_from_here(request.headers):
            return HTTPException(
                HTTPStatus.FORBIDDEN, "The request comes from another site. Nothing was changed."
            )
        length = request.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and int(length[:12]) <= LARGEST_BODY):
            return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return None


TOO_MANY_TOKENS = "Too many wrong tokens; wait a minute and try again."
_TOO_LARGE = f"The request is larger than {LARGEST_BODY} bytes."


def too_many(why: str, wait_s: str) -> HTTPException:
    """Whoever asks has to wait for so many seconds."""
    return HTTPException(HTTPStatus.TOO_MANY_REQUESTS, why, {"Retry-After": wait_s})


def _counted(receive: Receive) -> Receive:
    """The same body, as far as it may be large; it may come without saying how large it is."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LARGEST_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        return message

    return counted


def _is_own(host: str) -> bool:
    """Whether a page of another site cannot have got here by a name of its own that leads to this machine."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _is_from_here(headers: Headers) -> bool:
    """Whether a request that changes something was not sent by another site's page."""
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None:
        return True
    try:
        # Of the scheme only a proxy in front knows.
        netloc = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return netloc != "" and netloc == headers.get("host", "").lower()


def _address(request: Request) -> str:
    """Whom to count a request for: an address, or of the newer kind the network that one customer gets."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))  # noqa: PLR2004
