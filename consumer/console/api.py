"""The HTTP API: what the pages show and do, for programs. ``/api/v1/openapi.json`` describes it."""

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from consumer.console import api_logs, api_routes, documents
from consumer.console.problems import MEDIA_TYPE, problem, unavailable
from consumer.console.sources import Sources
from consumer.exceptions import CrewsyncError
from consumer.model.registry import SchemaRegistryError
from consumer.version import program_version


log = structlog.get_logger(__name__)

_ROUTERS = (api_routes.router, api_logs.router)

_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    int(status): {
        "description": status.phrase,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for status in _REFUSALS
}


def api_app(sources: Sources) -> FastAPI:
    """The API on these sources."""
    app = FastAPI(
        title="crewsync",
        version=program_version(),
        description="Syncs between Procore and SmartBarrel: asked for, followed, and read about.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        responses=_PROBLEMS,
        exception_handlers={
            HTTPException: _refused,
            RequestValidationError: _invalid,
            CrewsyncError: _unavailable,
            SchemaRegistryError: _unavailable,
            Exception: _broken,
        },
        separate_input_output_schemas=False,
    )
    app.state.sources = sources
    for router in _ROUTERS:
        app.include_router(router)
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """Name the token, and the form of problems, in the OpenAPI document."""
    made = app.openapi()
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = documents.Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}, {}]


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    response = problem(HTTPStatus(error.status_code), error.detail, request.scope["path"])
    response.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        response.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return response


def _methods(request: Request) -> set[str]:
    """What may be done at the request's path; each of its routes has one method."""
    routes = [route for router in _ROUTERS for route in router.routes]
    return {
        method
        for route in routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


async def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:10]]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(said), request.scope["path"])


async def _unavailable(request: Request, error: Exception) -> Response:
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, unavailable(error), request.scope["path"])


async def _broken(request: Request, error: Exception) -> Response:
    log.error("console.fault", kind=type(error).__name__)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "An error of this program.", request.scope["path"])
