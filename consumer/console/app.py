"""The console: pages, forms, API and static files under one guard."""

from http import HTTPStatus
from urllib.parse import quote

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from consumer.console.api import api_app
from consumer.console.convertors import register
from consumer.console.forms import Writing
from consumer.console.guard import Guard, Rates
from consumer.console.pages import Reading
from consumer.console.problems import API, problem, unavailable
from consumer.console.rendering import Pages, pages_of
from consumer.console.sessions import Sessions, visitor_of
from consumer.console.sources import Sources
from consumer.exceptions import BrokerError, CrewsyncError
from consumer.model.registry import SchemaRegistryError


log = structlog.get_logger(__name__)

_TITLES = {
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available now",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong here",
}


def console_app(sources: Sources) -> ASGIApp:
    """The whole console."""
    register()
    pages, rates = pages_of(sources), Rates()
    app = Starlette(
        routes=_routes(sources, pages, rates),
        middleware=[
            Middleware(GZipMiddleware, minimum_size=1000),
            Middleware(Sessions, access=sources.access, who=sources.who, rates=rates),
            Middleware(_OnlyVisitors),
        ],
        exception_handlers={
            HTTPException: lambda request, error: _failed(pages, request, error),
            BrokerError: lambda request, error: _unavailable(pages, request, error),
            SchemaRegistryError: lambda request, error: _unavailable(pages, request, error),
            CrewsyncError: lambda request, error: _unavailable(pages, request, error),
            Exception: lambda request, error: _broken(pages, request, error),
        },
    )

    def refuse(request: Request, status: HTTPStatus, why: str) -> Response:
        request.state.visitor = None
        return _answer(pages, request, status, why)

    # Each page has one address.
    app.router.redirect_slashes = False
    return Guard(app, rates, sources.access.is_open, refuse)


def _routes(sources: Sources, pages: Pages, rates: Rates) -> list[BaseRoute]:
    reading, writing = Reading(sources, pages), Writing(sources, pages, rates)
    company = "/companies/{company_id:company}"
    syncs = company + "/{kind:kind}"
    log_ = syncs + "/{scope:scope}/{name}"
    return [
        Route("/", reading.companies),
        Route("/login", writing.login_page),
        Route("/login", writing.log_in, methods=["POST"]),
        Route("/logout", writing.log_out, methods=["POST"]),
        Route("/state", reading.state),
        Route("/dead-letters", reading.dead_letters),
        Route("/dead-letters/redrive", writing.redrive, methods=["POST"]),
        Route(company, reading.company),
        Route(f"{company}/dead-letters", reading.dead_letters),
        Route(f"{company}/dead-letters/redrive", writing.redrive, methods=["POST"]),
        Route(syncs, reading.syncs),
        Route(f"{syncs}/sync", writing.sync, methods=["POST"]),
        Route(f"{syncs}/settings", writing.settings, methods=["POST"]),
        Route(f"{syncs}/progress", reading.progress),
        Route(f"{syncs}/person", reading.person),
        Route(log_, reading.log),
        Route(f"{log_}/file", reading.file),
        Mount("/static", StaticFiles(packages=[("consumer.console", "static")])),
        Mount(API, api_app(sources)),
    ]


class _OnlyVisitors:
    """Lets nobody pass whom no token has let in; but everybody may log in."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        path = scope["path"] if scope["type"] == "http" else "/login"
        if path == "/login" or path.startswith("/static/") or visitor_of(request) is not None:
            await self._app(scope, receive, send)
            return
        if path.startswith(f"{API}/"):
            response = problem(HTTPStatus.UNAUTHORIZED, "A token is needed.", path)
            response.headers["WWW-Authenticate"] = 'Bearer realm="crewsync"'
        else:
            target = "" if path == "/" or request.method != "GET" else f"?target={quote(path)}"
            response = RedirectResponse(f"/login{target}", HTTPStatus.SEE_OTHER)
        await response(scope, receive, send)


def _failed(pages: Pages, request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    why = error.detail if error.detail != status.phrase else "There is nothing here."
    response = _answer(pages, request, status, why)
    response.headers.update(error.headers or {})
    return response


def _unavailable(pages: Pages, request: Request, error: Exception) -> Response:
    why = unavailable(error)
    return _answer(pages, request, HTTPStatus.SERVICE_UNAVAILABLE, why)


def _broken(pages: Pages, request: Request, error: Exception) -> Response:
    log.error("console.fault", kind=type(error).__name__)
    return _answer(
        pages, request, HTTPStatus.INTERNAL_SERVER_ERROR, "An error of this program; its log says where."
    )


def _answer(pages: Pages, request: Request, status: HTTPStatus, why: str) -> Response:
    path = request.scope["path"]
    if path.startswith(f"{API}/"):
        return problem(status, why, path)
    return pages.page(request, "error.html", status=status, title=_TITLES.get(status, status.phrase), why=why)
