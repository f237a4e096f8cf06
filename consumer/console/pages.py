"""What is read: the pages that change nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from consumer.console.actions import MOST_REDRIVEN, chosen_letters
from consumer.console.charts import HEIGHT, WIDTH
from consumer.console.live import SAMPLES
from consumer.console.logs import catalog_of, content_of, key_of, opened, text_file
from consumer.console.progress import shown, stream
from consumer.console.rendering import Pages
from consumer.console.sessions import visitor_of
from consumer.console.sources import Sources
from consumer.model.events import Kind
from consumer.model.results import Outcome
from consumer.runs.dead_letters import Choice, histogram
from consumer.sink.listing import Show, Wanted
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey
from consumer.sync.choices import MEANING


PER_PAGE = 25
RESULTS_PER_PAGE = 100
LETTERS_SHOWN = 100
_LONGEST_TEXT = 200
_HIGHEST_PAGE = 100_000

FIRST_CHOICES: Mapping[Kind, Sequence[tuple[str, str]]] = {
    Kind.USERS: (("sync_classifications", "Sync Classifications"), ("autosync_users", "Autosync")),
    Kind.TIMESHEETS: (("auto_sync_time_card", "Autosync"),),
}
"""The settings beside the Sync button."""
MORE_CHOICES: Mapping[Kind, Sequence[tuple[str, str]]] = {
    Kind.USERS: (
        ("user_sync", "User sync"),
        ("deactivate_workers", "Deactivate workers"),
    ),
    Kind.TIMESHEETS: (
        ("only_approved_shift", "Only Approved Shift"),
        ("include_sub_workers", "Include Sub Workers"),
    ),
}
"""The settings below it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The handlers of requests that read."""

    sources: Sources
    pages: Pages

    def companies(self, request: Request) -> Response:
        """Choose a company; where there is one only, it is chosen."""
        found = self.pages.companies(request)
        if len(found) == 1:
            return RedirectResponse(f"/companies/{next(iter(found))}", HTTPStatus.SEE_OTHER)
        return self.pages.page(request, "companies.html")

    def company(self, request: Request) -> Response:
        """The integration of a company: its newest syncs of both kinds, and what waits for somebody."""
        company_id = self.company_id(request)
        with catalog_of(self.sources) as catalog:
            newest = {
                kind: [] if catalog is None else catalog.newest(company_id=company_id, kind=kind, limit=3)
                for kind in Kind
            }
        letters = self.sources.live.letters(Choice(company_id=company_id))
        return self.pages.page(
            request,
            "company.html",
            company_id=company_id,
            newest=newest,
            settings=self.sources.settings.of(company_id),
            letters=len(letters),
        )

    def syncs(self, request: Request) -> Response:
        """Users or Timesheets: the list of syncs, the settings and the button."""
        company_id, kind = self.company_id(request), kind_of(request)
        page = _page_number(request)
        entries, total = list[LogEntry](), 0
        with catalog_of(self.sources) as catalog:
            if catalog is not None:
                total = catalog.count(company_id=company_id, kind=kind)
                offset = (page - 1) * PER_PAGE
                entries += catalog.newest(company_id=company_id, kind=kind, limit=PER_PAGE, offset=offset)
        run_id = request.query_params.get("run")
        return self.pages.page(
            request,
            "syncs.html",
            company_id=company_id,
            kind=kind,
            entries=entries,
            paging=Paging(page, total, PER_PAGE),
            settings=self.sources.settings.of(company_id),
            first_choices=FIRST_CHOICES[kind],
            more_choices=MORE_CHOICES[kind],
            meaning=MEANING,
            progress=shown(self.sources.live, company_id, kind, run_id),
        )

    def log(self, request: Request) -> Response:
        """A log, opened in the page."""
        company_id, kind = self.company_id(request), kind_of(request)
        wanted = Wanted(_show(request), _text(request, "search"))
        page = _page_number(request)
        with opened(self.sources, self._key(request)) as (catalog, entry):
            found = catalog.page(entry, wanted, RESULTS_PER_PAGE, (page - 1) * RESULTS_PER_PAGE)
        return self.pages.page(
            request,
            "log.html",
            company_id=company_id,
            kind=kind,
            entry=entry,
            found=found,
            wanted=wanted,
            shows=list(Show),
            outcomes=list(Outcome),
            paging=Paging(page, found.total, RESULTS_PER_PAGE),
        )

    def file(self, request: Request) -> Response:
        """A log's txt file, to be saved. Its name is the catalog's, whatever was asked for."""
        with opened(self.sources, self._key(request)) as (catalog, entry):
            return text_file(content_of(catalog, entry, _line_ends(request)), entry)

    def person(self, request: Request) -> Response:
        """What became of one user, shift or name, across all syncs."""
        company_id, kind = self.company_id(request), kind_of(request)
        subject_id, name = _text(request, "id") or None, _text(request, "name") or None
        if (subject_id is None) == (name is None):
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Say either the id or the name of whom you mean.")
        page = _page_number(request)
        with catalog_of(self.sources) as catalog:
            history = (
                None
                if catalog is None
                else catalog.history(
                    company_id,
                    kind,
                    subject_id=subject_id,
                    name=name,
                    limit=PER_PAGE,
                    offset=(page - 1) * PER_PAGE,
                )
            )
        items = () if history is None else history.items
        return self.pages.page(
            request,
            "person.html",
            company_id=company_id,
            kind=kind,
            subject_id=subject_id,
            name=name or (items[0].result.subject_name if items else None),
            items=items,
            paging=Paging(page, 0 if history is None else history.total, PER_PAGE),
        )

    def dead_letters(self, request: Request) -> Response:
        """What was set aside: of a company, or of all for those who see all."""
        company_id = self.company_id(request) if "company_id" in request.path_params else None
        if company_id is None:
            _refuse_unless_all(request)
        letters = self.sources.live.letters(Choice(company_id=company_id))
        reason = _text(request, "reason") or None
        chosen = [one for one in letters if reason in {None, one.reason_code}]
        preview = None
        if request.query_params.get("preview") == "1":
            before = datetime.now(UTC)
            choice = Choice(company_id=company_id, reason=reason, before=before)
            fit, left = chosen_letters(self.sources, choice)
            preview = {
                "before": before.isoformat(),
                "count": min(len(fit), MOST_REDRIVEN),
                "more": max(0, len(fit) - MOST_REDRIVEN),
                "left": left,
                "reasons": histogram(fit),
            }
        return self.pages.page(
            request,
            "dead_letters.html",
            company_id=company_id,
            is_ready=self.sources.live.is_ready,
            letters=chosen[:LETTERS_SHOWN],
            total=len(chosen),
            reasons=histogram(letters),
            reason=reason,
            preview=preview,
            done=_done(request),
        )

    def state(self, request: Request) -> Response:
        """Partitions, lag, breakers and budgets of this process."""
        visitor = visitor_of(request)
        budgets = {
            company_id: budgets
            for company_id, budgets in self.sources.budgets().items()
            if visitor is not None and visitor.sees(company_id)
        }
        engines = self.sources.engine_states()
        breakers = [
            (name, company)
            for name, engine in engines.items()
            if engine is not None
            for company in engine.companies
            if visitor is not None and visitor.sees(company.company_id)
        ]
        sees_all = visitor is not None and visitor.sees_all
        return self.pages.page(
            request,
            "state.html",
            engines=engines if sees_all else {},
            sees_all=sees_all,
            lags=self.sources.live.lags(),
            budgets=budgets,
            breakers=breakers,
            names=self.sources.companies,
            sink=self.sources.sink_state(),
            samples=SAMPLES,
            width=WIDTH,
            height=HEIGHT,
        )

    async def progress(self, request: Request) -> Response:
        """How far a sync is, as a stream of events."""
        company_id, kind = self.company_id(request), kind_of(request)
        run_id = _text(request, "run")
        if shown(self.sources.live, company_id, kind, run_id) is None:
            # The browser asks no more after this.
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return StreamingResponse(
            stream(self.sources.live, company_id, kind, run_id), media_type="text/event-stream"
        )

    def company_id(self, request: Request) -> int:
        """The company of the address. Raises HTTPException if it is none, or another's."""
        return company_of(self.sources, request)

    def _key(self, request: Request) -> LogKey:
        where = request.path_params
        return key_of(self.company_id(request), kind_of(request), where["scope"], where["name"])


@dataclass(frozen=True, slots=True)
class Paging:
    """Which part of a list is shown."""

    page: int
    total: int
    size: int

    @property
    def pages(self) -> int:
        """How many there are, one at least."""
        return max(1, -(-self.total // self.size))


def seen_company(sources: Sources, request: Request, company_id: int) -> int:
    """The company, if there is one and the visitor sees it. Raises HTTPException, the same for both."""
    visitor = visitor_of(request)
    if visitor is None or company_id not in sources.companies or not visitor.sees(company_id):
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such company, or it is not yours to see.")
    return company_id


def company_of(sources: Sources, request: Request) -> int:
    """The company of a page's address. Raises HTTPException as ``seen_company`` does."""
    return seen_company(sources, request, request.path_params["company_id"])


def kind_of(request: Request) -> Kind:
    """The kind of the address, which its route has checked."""
    return Kind(request.path_params["kind"])


def _refuse_unless_all(request: Request) -> None:
    visitor = visitor_of(request)
    if visitor is None or not visitor.sees_all:
        raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such page, or it is not yours to see.")


def _text(request: Request, name: str) -> str:
    text = request.query_params.get(name, "").strip()
    if len(text) > _LONGEST_TEXT:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name}: longer than {_LONGEST_TEXT} characters.")
    return text


def _page_number(request: Request) -> int:
    text = request.query_params.get("page", "1")
    if not (text.isascii() and text.isdigit() and len(text) < 7 and 1 <= int(text) <= _HIGHEST_PAGE):  # noqa: PLR2004
        raise HTTPException(HTTPStatus.BAD_REQUEST, "There is no such page.")
    return int(text)


def _show(request: Request) -> Show:
    try:
        return Show(request.query_params.get("show") or Show.ALL)
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "show: there is no such choice.") from None


def _line_ends(request: Request) -> str | None:
    wanted = request.query_params.get("line_ends")
    if wanted not in {None, "lf", "crlf"}:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "line_ends: say lf or crlf.")
    return wanted


def _done(request: Request) -> Mapping[str, int]:
    """How many letters ended which way, out of the address to which a redrive has led back."""
    found: dict[str, Any] = {}
    for name in ("redriven", "stale"):
        text = request.query_params.get(name, "")
        if text.isascii() and text.isdigit() and len(text) < 7:  # noqa: PLR2004 - fewer than a million
            found[name] = int(text)
    return found
