"""Finds out who asks: by a session's cookie, a token sent along, or, where none is needed, by being here."""

from dataclasses import dataclass, replace

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumer.console.access import SESSION_S, Access, Visitor
from consumer.console.guard import Rates


COOKIE = "crewsync_session"


@dataclass(frozen=True, slots=True)
class Sessions:
    """Puts the visitor, or None, where ``visitor_of`` finds it; ``who`` they are where nobody logs in.

    Wrong tokens are counted in ``rates``.
    """

    app: ASGIApp
    access: Access
    who: str
    rates: Rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell the app who asks; begin a session where no token is needed."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        visitor, begun = self._visitor(request)
        scope.setdefault("state", {})["visitor"] = visitor

        async def with_session(message: Message) -> None:
            if begun is not None and message["type"] == "http.response.start":
                response = Response()
                _set(response, request, begun)
                MutableHeaders(scope=message).append("Set-Cookie", response.headers["set-cookie"])
            await send(message)

        await self.app(scope, receive, with_session)

    def _visitor(self, request: Request) -> tuple[Visitor | None, str | None]:
        """Who asks, and the value of the cookie with which their session begins, if it begins now."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            if self.access.is_open:
                return Visitor(None, self.who), None
            visitor = self.access.visitor_with(token.strip(), "API")
            if visitor is None:
                self.rates.sent_wrong_token(request)
            return visitor, None
        visitor = self.access.visitor_of(request.cookies.get(COOKIE, ""))
        if visitor is not None or not self.access.is_open:
            return visitor, None
        if request.scope["path"].startswith("/static/"):
            return Visitor(None, self.who), None
        value = self.access.session_of(Visitor(None, self.who))
        return self.access.visitor_of(value), value


def visitor_of(connection: HTTPConnection) -> Visitor | None:
    """Whoever asks, None if they were not let in."""
    found: Visitor | None = connection.state.visitor
    return found


def begin(response: Response, request: Request, access: Access, visitor: Visitor) -> None:
    """Let the visitor in from now on."""
    name = " ".join(visitor.name.split())
    _set(response, request, access.session_of(replace(visitor, name=name)))


def end(response: Response) -> None:
    """Forget the session on the visitor's side."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")


def _set(response: Response, request: Request, value: str) -> None:
    # A proxy that speaks TLS to the visitor says so; whoever lies about it harms nobody else.
    proxied = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    is_secure = "https" in {request.scope["scheme"], proxied}
    response.set_cookie(
        COOKIE, value, max_age=SESSION_S, path="/", httponly=True, samesite="lax", secure=is_secure
    )
