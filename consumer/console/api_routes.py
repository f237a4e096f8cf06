"""The API's routes to companies, their settings, syncs and dead letters."""

from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from pydantic import Field
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
from consumer.console.api_parts import From, Part, SeenCompany
from consumer.console.progress import Shown, shown
from consumer.console.sessions import visitor_of
from consumer.model.events import Kind
from consumer.runs.commands import manual_sync
from consumer.runs.dead_letters import Choice, histogram


router = APIRouter()

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


class LettersQuery(Part):
    """Which dead letters."""

    reason: Annotated[str | None, Field(pattern="^[a-z_]{1,60}$")] = None


@router.get("/companies", tags=["companies"])
def list_companies(sources: From, request: Request) -> documents.Companies:
    """The companies that the token lets see."""
    visitor = visitor_of(request)
    return documents.Companies(
        items=[
            documents.Company(company_id=company_id, name=name)
            for company_id, name in sorted(sources.companies.items())
            if visitor is not None and visitor.sees(company_id)
        ]
    )


@router.get("/companies/{company_id}/settings", tags=["companies"])
def show_settings(sources: From, company_id: SeenCompany) -> documents.Settings:
    """What a company has chosen."""
    return documents.Settings.of(sources.settings.of(company_id))


@router.patch("/companies/{company_id}/settings", tags=["companies"])
def change_settings(
    sources: From, company_id: SeenCompany, change: documents.SettingsChange
) -> documents.Settings:
    """Change some settings; every process follows within a second."""
    return documents.Settings.of(set_settings(sources, company_id, change.changes))


@router.post("/companies/{company_id}/syncs", status_code=HTTPStatus.ACCEPTED, tags=["syncs"])
def start_sync(
    sources: From,
    request: Request,
    company_id: SeenCompany,
    wish: documents.SyncRequest,
    idempotency_key: IdempotencyKey = None,
) -> documents.Sync:
    """Ask for a sync, as the Sync button does. One that is under way already is joined."""
    run_id = None if idempotency_key is None else run_id_of(company_id, idempotency_key)
    command = manual_sync(company_id, wish.kind, wish.requested_by or _name(request), run_id)
    if isinstance(wish, documents.SyncTimesheets):
        command = replace(command, project_id=wish.project_id, first_day=wish.since, last_day=wish.until)
    ask_for_sync(sources, command, is_keyed=run_id is not None)
    found = shown(sources.live, company_id, wish.kind, command.run_id)
    return documents.Sync.of(found or Shown(command.run_id, "Asked for."), wish.kind)


@router.get("/companies/{company_id}/syncs/{run_id}", tags=["syncs"])
def show_sync(
    sources: From,
    company_id: SeenCompany,
    run_id: Annotated[str, Path(min_length=1, max_length=200, description="The run's id.")],
) -> documents.Sync:
    """How far a sync is. Those of the last days are known; older ones have their logs."""
    for kind in Kind:
        found = shown(sources.live, company_id, kind, run_id)
        if found is not None:
            return documents.Sync.of(found, kind)
    raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such sync, or it is long over: see its log.")


@router.get("/companies/{company_id}/dead-letters", tags=["dead letters"])
def list_dead_letters(
    sources: From, company_id: SeenCompany, query: Annotated[LettersQuery, Query()]
) -> documents.DeadLetters:
    """What was set aside and waits for somebody, the oldest first."""
    letters = sources.live.letters(Choice(company_id))
    chosen = [one for one in letters if query.reason in {None, one.reason_code}]
    return documents.DeadLetters(
        total=len(chosen),
        next_offset=query.next_offset(len(chosen)),
        reasons=dict(histogram(letters)),
        items=list(map(documents.DeadLetter.of, chosen[query.offset : query.offset + query.limit])),
    )


@router.post("/companies/{company_id}/dead-letters/redrive", tags=["dead letters"])
def redrive_dead_letters(
    sources: From, request: Request, company_id: SeenCompany, wish: documents.RedriveRequest
) -> documents.Redrive:
    """Publish dead letters again, to be handled once more; a dry run, unless told otherwise."""
    before = wish.before or datetime.now(UTC)
    if before.tzinfo is None:
        before = before.replace(tzinfo=UTC)
    choice = Choice(company_id=company_id, reason=wish.reason, before=before)
    fit, left = chosen_letters(sources, choice)
    endings = {} if wish.dry_run else redrive(sources, choice, _name(request))
    return documents.Redrive(
        dry_run=wish.dry_run,
        letters=min(len(fit), MOST_REDRIVEN),
        left=left,
        endings={str(ending): count for ending, count in endings.items()},
    )


def _name(request: Request) -> str:
    visitor = visitor_of(request)
    return "API" if visitor is None else visitor.name
