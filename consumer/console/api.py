"""The HTTP API: what the pages show and do, for programs. Its OpenAPI document is ``/api/v1/openapi.json``."""

from dataclasses import replace
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from consumer.console import documents
from consumer.console.actions import (
    MOST_REDRIVEN,
    ask_for_sync,
    chosen_letters,
    redrive,
    run_id_of,
    set_settings,
)
from consumer.console.logs import catalog_of, entry_of, key_of
from consumer.console.pages import seen_company, text_file
from consumer.console.problems import MEDIA_TYPE, problem
from consumer.console.progress import Shown, shown
from consumer.console.sessions import visitor_of
from consumer.console.sources import Sources
from consumer.exceptions import BrokerError, CrewsyncError
from consumer.model.events import Kind
from consumer.model.registry import SchemaRegistryError
from consumer.runs.commands import manual_sync
from consumer.runs.dead_letters import Choice, histogram
from consumer.sink.listing import Show, Wanted
from consumer.version import program_version


log = structlog.get_logger(__name__)

CompanyPath = Annotated[int, Path(ge=1, lt=10**18, description="Procore's id of the company.")]
RunPath = Annotated[str, Path(min_length=1, max_length=200, description="The run's id.")]
Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=10**9)]
Search = Annotated[str, Query(max_length=200)]
LineEnds = Annotated[str | None, Query(pattern="^(lf|crlf)$")]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same wish with the same key is one sync, however often it is sent.",
    ),
]

_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
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
_PLAIN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The txt file.", "content": {"text/plain": {"schema": {"type": "string"}}}}
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
    for router in (_companies(sources), _syncs(sources), _logs(sources), _dead_letters(sources)):
        app.include_router(router)
    _document(app)
    return app


def _companies(sources: Sources) -> APIRouter:
    router = APIRouter(tags=["companies"])

    @router.get("/companies")
    def list_companies(request: Request) -> documents.Companies:
        """The companies that the token lets see."""
        visitor = visitor_of(request)
        return documents.Companies(
            items=[
                documents.Company(company_id=company_id, name=name)
                for company_id, name in sorted(sources.companies.items())
                if visitor is not None and visitor.sees(company_id)
            ]
        )

    @router.get("/companies/{company_id}/settings")
    def show_settings(request: Request, company_id: CompanyPath) -> documents.Settings:
        """What a company has chosen."""
        return documents.Settings.of(sources.settings.of(seen_company(sources, request, company_id)))

    @router.patch("/companies/{company_id}/settings")
    def change_settings(
        request: Request, company_id: CompanyPath, change: documents.SettingsChange
    ) -> documents.Settings:
        """Change some settings; every process follows within a second."""
        seen = seen_company(sources, request, company_id)
        return documents.Settings.of(set_settings(sources, seen, change.changes))

    return router


def _syncs(sources: Sources) -> APIRouter:
    router = APIRouter(tags=["syncs"])

    @router.post("/companies/{company_id}/syncs", status_code=HTTPStatus.ACCEPTED)
    def start_sync(
        request: Request,
        response: Response,
        company_id: CompanyPath,
        wish: documents.SyncRequest,
        idempotency_key: IdempotencyKey = None,
    ) -> documents.Sync:
        """Ask for a sync, as the Sync button does. One that is under way already is joined."""
        seen = seen_company(sources, request, company_id)
        visitor = visitor_of(request)
        run_id = None if idempotency_key is None else run_id_of(seen, idempotency_key)
        who = wish.requested_by or (visitor.name if visitor else "API")
        command = replace(
            manual_sync(seen, wish.kind, who, run_id),
            project_id=wish.project_id,
            first_day=wish.since,
            last_day=wish.until,
        )
        ask_for_sync(sources, command, is_keyed=run_id is not None)
        response.headers["Location"] = f"{request.url.path}/{command.run_id}"
        found = shown(sources.live, seen, wish.kind, command.run_id)
        return documents.Sync.of(found or Shown(command.run_id, "Asked for."), wish.kind)

    @router.get("/companies/{company_id}/syncs/{run_id}")
    def show_sync(request: Request, company_id: CompanyPath, run_id: RunPath) -> documents.Sync:
        """How far a sync is. Those of the last days are known; older ones have their logs."""
        seen = seen_company(sources, request, company_id)
        for kind in Kind:
            found = shown(sources.live, seen, kind, run_id)
            if found is not None:
                return documents.Sync.of(found, kind)
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such sync, or it is long over: see its log.")

    return router


def _logs(sources: Sources) -> APIRouter:
    router = APIRouter(tags=["logs"])

    @router.get("/companies/{company_id}/logs")
    def list_logs(
        request: Request,
        company_id: CompanyPath,
        kind: Kind | None = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> documents.Logs:
        """The logs of runs and days, the newest first."""
        seen = seen_company(sources, request, company_id)
        with catalog_of(sources) as catalog:
            if catalog is None:
                return documents.Logs(total=0, next_offset=None, items=[])
            total = catalog.count(company_id=seen, kind=kind)
            entries = catalog.newest(company_id=seen, kind=kind, limit=limit, offset=offset)
        return documents.Logs(
            total=total, next_offset=_next(total, limit, offset), items=list(map(documents.Log.of, entries))
        )

    def results_of(
        request: Request,
        company_id: int,
        kind: Kind,
        scope: str,
        name: str,
        wanted: Wanted,
        limit: int,
        offset: int,
    ) -> documents.Results:
        seen = seen_company(sources, request, company_id)
        with catalog_of(sources) as catalog:
            entry = entry_of(catalog, key_of(seen, kind, scope, name))
            assert catalog is not None  # noqa: S101 - there is no entry without one
            page = catalog.page(entry, wanted, limit, offset)
        return documents.Results(
            total=page.total,
            next_offset=_next(page.total, limit, offset),
            items=list(map(documents.LoggedResult.of, page.results)),
        )

    def log_of(request: Request, company_id: int, kind: Kind, scope: str, name: str) -> documents.Log:
        seen = seen_company(sources, request, company_id)
        with catalog_of(sources) as catalog:
            return documents.Log.of(entry_of(catalog, key_of(seen, kind, scope, name)))

    def file_of(
        request: Request, company_id: int, kind: Kind, scope: str, name: str, line_ends: str | None
    ) -> Response:
        seen = seen_company(sources, request, company_id)
        with catalog_of(sources) as catalog:
            entry = entry_of(catalog, key_of(seen, kind, scope, name))
            assert catalog is not None  # noqa: S101 - as above
            text = catalog.text(entry)
        return text_file(text, entry.path.name if entry.path else "log.txt", line_ends)

    @router.get("/companies/{company_id}/logs/{kind}/runs/{run_id}")
    def show_run(request: Request, company_id: CompanyPath, kind: Kind, run_id: RunPath) -> documents.Log:
        """The log of a run."""
        return log_of(request, company_id, kind, "runs", run_id)

    @router.get("/companies/{company_id}/logs/{kind}/days/{day}")
    def show_day(request: Request, company_id: CompanyPath, kind: Kind, day: date) -> documents.Log:
        """The log of a UTC day's events outside any run."""
        return log_of(request, company_id, kind, "days", day.isoformat())

    @router.get("/companies/{company_id}/logs/{kind}/runs/{run_id}/results")
    def list_results_of_run(
        request: Request,
        company_id: CompanyPath,
        kind: Kind,
        run_id: RunPath,
        show: Show = Show.ALL,
        search: Search = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> documents.Results:
        """What became of each user or shift of a run: not synced first, each by name."""
        return results_of(request, company_id, kind, "runs", run_id, Wanted(show, search), limit, offset)

    @router.get("/companies/{company_id}/logs/{kind}/days/{day}/results")
    def list_results_of_day(
        request: Request,
        company_id: CompanyPath,
        kind: Kind,
        day: date,
        show: Show = Show.ALL,
        search: Search = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> documents.Results:
        """The same of a day."""
        wanted = Wanted(show, search)
        return results_of(request, company_id, kind, "days", day.isoformat(), wanted, limit, offset)

    @router.get(
        "/companies/{company_id}/logs/{kind}/runs/{run_id}/file", response_class=Response, responses=_PLAIN
    )
    def download_run(
        request: Request, company_id: CompanyPath, kind: Kind, run_id: RunPath, line_ends: LineEnds = None
    ) -> Response:
        """The txt file of a run."""
        return file_of(request, company_id, kind, "runs", run_id, line_ends)

    @router.get(
        "/companies/{company_id}/logs/{kind}/days/{day}/file", response_class=Response, responses=_PLAIN
    )
    def download_day(
        request: Request, company_id: CompanyPath, kind: Kind, day: date, line_ends: LineEnds = None
    ) -> Response:
        """The txt file of a day."""
        return file_of(request, company_id, kind, "days", day.isoformat(), line_ends)

    @router.get("/companies/{company_id}/history/{kind}")
    def show_history(
        request: Request,
        company_id: CompanyPath,
        kind: Kind,
        subject_id: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
        name: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> documents.History:
        """What became of one user or shift (by id), or of whoever has a name, across all logs."""
        seen = seen_company(sources, request, company_id)
        if (subject_id is None) == (name is None):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Say either subject_id or name.")
        with catalog_of(sources) as catalog:
            if catalog is None:
                return documents.History(total=0, next_offset=None, items=[])
            found = catalog.history(seen, kind, subject_id=subject_id, name=name, limit=limit, offset=offset)
        return documents.History(
            total=found.total,
            next_offset=_next(found.total, limit, offset),
            items=list(map(documents.PastResult.of, found.items)),
        )

    return router


def _dead_letters(sources: Sources) -> APIRouter:
    router = APIRouter(tags=["dead letters"])

    @router.get("/companies/{company_id}/dead-letters")
    def list_dead_letters(
        request: Request,
        company_id: CompanyPath,
        reason: Annotated[str | None, Query(pattern="^[a-z_]{1,60}$")] = None,
        limit: Limit = 50,
        offset: Offset = 0,
    ) -> documents.DeadLetters:
        """What was set aside and waits for somebody, the oldest first."""
        seen = seen_company(sources, request, company_id)
        letters = [one for one in sources.live.letters() if Choice(seen).has(one)]
        chosen = [one for one in letters if reason in {None, one.reason_code}]
        return documents.DeadLetters(
            total=len(chosen),
            next_offset=_next(len(chosen), limit, offset),
            reasons=dict(histogram(letters)),
            items=list(map(documents.DeadLetter.of, chosen[offset : offset + limit])),
        )

    @router.post("/companies/{company_id}/dead-letters/redrive")
    def redrive_dead_letters(
        request: Request, company_id: CompanyPath, wish: documents.RedriveRequest
    ) -> documents.Redrive:
        """Publish dead letters again, to be handled once more. Tells only how many unless ``dry_run`` is false."""
        seen = seen_company(sources, request, company_id)
        visitor = visitor_of(request)
        before = wish.before or datetime.now(UTC)
        if before.tzinfo is None:
            before = before.replace(tzinfo=UTC)
        choice = Choice(company_id=seen, reason=wish.reason, before=before)
        fit, left = chosen_letters(sources, choice)
        endings = {} if wish.dry_run else redrive(sources, choice, visitor.name if visitor else "API")
        return documents.Redrive(
            dry_run=wish.dry_run,
            letters=min(len(fit), MOST_REDRIVEN),
            left=left,
            endings={str(ending): count for ending, count in endings.items()},
        )

    return router


def _document(app: FastAPI) -> None:
    """Name the token, and the form of problems, in the OpenAPI document."""
    made = app.openapi()
    components = made.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = documents.Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(unused, None)
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"token": []}, {}]


def _next(total: int, limit: int, offset: int) -> int | None:
    return offset + limit if offset + limit < total else None


def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    response = problem(HTTPStatus(error.status_code), error.detail, request.url.path)
    response.headers.update(error.headers or {})
    return response


def _invalid(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:10]]
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(said), request.url.path)


def _unavailable(request: Request, error: Exception) -> Response:
    log.warning("console.unavailable", kind=type(error).__name__)
    why = (
        "The broker does not answer."
        if not isinstance(error, CrewsyncError) or isinstance(error, BrokerError)
        else str(error)
    )
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, why, request.url.path)


def _broken(request: Request, error: Exception) -> Response:
    log.error("console.fault", kind=type(error).__name__)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "An error of this program.", request.url.path)
