"""The API's routes to logs and histories."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from consumer.console import documents
from consumer.console.api_parts import AnyPart, From, Part, SeenCompany
from consumer.console.logs import catalog_of, content_of, key_of, opened, text_file
from consumer.model.events import Kind
from consumer.sink.listing import History, Show, Wanted
from consumer.sink.naming import LogKey


router = APIRouter(tags=["logs"])

_PLAIN: dict[int | str, dict[str, Any]] = {
    200: {"description": "The txt file.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


class Scope(StrEnum):
    """What a log is of: a run, or a UTC day's events outside any run."""

    RUNS = "runs"
    DAYS = "days"


class LogsQuery(Part):
    """Which logs."""

    kind: Kind | None = None


class ResultsQuery(Part):
    """Which results of a log; ``search`` is without regard to case and accents."""

    show: Show = Show.ALL
    search: Annotated[str, Field(max_length=200)] = ""


class HistoryQuery(Part):
    """Whose history: of everybody with just this name."""

    name: Annotated[str, Field(min_length=1, max_length=200)]


def _key(
    company_id: SeenCompany,
    kind: Kind,
    scope: Scope,
    name: Annotated[str, Path(min_length=1, max_length=200, description="A run's id, or a day.")],
) -> LogKey:
    return key_of(company_id, kind, scope, name)


Key = Annotated[LogKey, Depends(_key)]


@router.get("/companies/{company_id}/logs")
def list_logs(sources: From, company_id: SeenCompany, query: Annotated[LogsQuery, Query()]) -> documents.Logs:
    """The logs of runs and days, the newest first."""
    with catalog_of(sources) as catalog:
        if catalog is None:
            return documents.Logs(total=0, next_offset=None, items=[])
        total = catalog.count(company_id=company_id, kind=query.kind)
        entries = catalog.newest(
            company_id=company_id, kind=query.kind, limit=query.limit, offset=query.offset
        )
    return documents.Logs(
        total=total, next_offset=query.next_offset(total), items=list(map(documents.Log.of, entries))
    )


@router.get("/companies/{company_id}/logs/{kind}/{scope}/{name}")
def show_log(sources: From, key: Key) -> documents.Log:
    """One log."""
    with opened(sources, key) as (_, entry):
        return documents.Log.of(entry)


@router.get("/companies/{company_id}/logs/{kind}/{scope}/{name}/results")
def list_results(sources: From, key: Key, query: Annotated[ResultsQuery, Query()]) -> documents.Results:
    """What became of each user or shift: not synced first, each by name."""
    with opened(sources, key) as (catalog, entry):
        page = catalog.page(entry, Wanted(query.show, query.search), query.limit, query.offset)
    return documents.Results(
        total=page.total,
        next_offset=query.next_offset(page.total),
        items=list(map(documents.LoggedResult.of, page.results)),
    )


@router.get(
    "/companies/{company_id}/logs/{kind}/{scope}/{name}/file",
    response_class=Response,
    responses=_PLAIN,
)
def download(
    sources: From, key: Key, line_ends: Annotated[str | None, Query(pattern="^(lf|crlf)$")] = None
) -> Response:
    """The txt file."""
    with opened(sources, key) as (catalog, entry):
        return text_file(content_of(catalog, entry, line_ends), entry)


@router.get("/companies/{company_id}/history/{kind}")
def show_history_of_name(
    sources: From, company_id: SeenCompany, kind: Kind, query: Annotated[HistoryQuery, Query()]
) -> documents.History:
    """What became of whoever has a name, across all logs, newest first."""
    with catalog_of(sources) as catalog:
        if catalog is None:
            return _NO_HISTORY
        found = catalog.history(company_id, kind, name=query.name, limit=query.limit, offset=query.offset)
    return _history(found, query)


@router.get("/companies/{company_id}/history/{kind}/{subject_id}")
def show_history(
    sources: From,
    company_id: SeenCompany,
    kind: Kind,
    subject_id: Annotated[str, Path(min_length=1, max_length=200, description="Of a user or a shift.")],
    query: AnyPart,
) -> documents.History:
    """What became of one user or shift, across all logs, newest first."""
    with catalog_of(sources) as catalog:
        if catalog is None:
            return _NO_HISTORY
        found = catalog.history(
            company_id, kind, subject_id=subject_id, limit=query.limit, offset=query.offset
        )
    return _history(found, query)


_NO_HISTORY = documents.History(total=0, next_offset=None, items=[])


def _history(found: History, part: Part) -> documents.History:
    return documents.History(
        total=found.total,
        next_offset=part.next_offset(found.total),
        items=list(map(documents.PastResult.of, found.items)),
    )
