"""What is done: the forms of the pages, each answered with a way to the page that shows what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from http import HTTPStatus
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from consumer.console.access import LONGEST_NAME, Visitor
from consumer.console.actions import ask_for_sync, redrive, set_settings
from consumer.console.guard import TOO_MANY_TOKENS, WAIT_S, Rates, too_many
from consumer.console.pages import company_of, kind_of
from consumer.console.rendering import Pages
from consumer.console.sessions import begin, end, visitor_of
from consumer.console.sources import Sources
from consumer.exceptions import ConfigurationError
from consumer.model.events import Kind
from consumer.runs.commands import manual_sync
from consumer.runs.dead_letters import Choice
from consumer.sync.choices import choice, plain


@dataclass(frozen=True, slots=True)
class Writing:
    """The handlers of requests that change something."""

    sources: Sources
    pages: Pages
    rates: Rates

    def login_page(self, request: Request) -> Response:
        """The form for a token."""
        if visitor_of(request) is not None:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER)
        return self.pages.page(request, "login.html", problem=None, target=_target(request))

    async def log_in(self, request: Request) -> Response:
        """Begin a session for whoever has a token."""
        form = await _form(request)
        if not self.rates.may_log_in(request):
            raise too_many(TOO_MANY_TOKENS, WAIT_S)
        name = _name(form)
        visitor = self.sources.access.visitor_with(form.get("token", "").strip(), name or "console")
        if visitor is None:
            self.rates.failed_to_log_in(request)
            return self.pages.page(
                request,
                "login.html",
                status=HTTPStatus.UNAUTHORIZED,
                problem="That is no token of this console.",
                target=_safe(form.get("target", "/")),
            )
        response = RedirectResponse(_safe(form.get("target", "/")), HTTPStatus.SEE_OTHER)
        begin(response, request, self.sources.access, visitor)
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        visitor, _ = await self._checked(request)
        self.sources.access.end(visitor)
        response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
        end(response)
        return response

    async def sync(self, request: Request) -> Response:
        """The Sync button."""
        visitor, form = await self._checked(request)
        company_id, kind = company_of(self.sources, request), kind_of(request)
        command = manual_sync(company_id, kind, visitor.name)
        if kind is Kind.TIMESHEETS:
            first, last = _day(form, "since"), _day(form, "until")
            if first and last and first > last:
                raise HTTPException(HTTPStatus.BAD_REQUEST, "The days end before they begin.")
            command = replace(command, first_day=first, last_day=last)
        await run_in_threadpool(ask_for_sync, self.sources, command)
        return RedirectResponse(f"/companies/{company_id}/{kind}?run={command.run_id}", HTTPStatus.SEE_OTHER)

    async def settings(self, request: Request) -> Response:
        """A checkbox, toggle or choice; a script is told in JSON what is set now."""
        _, form = await self._checked(request)
        company_id, kind = company_of(self.sources, request), kind_of(request)
        names = form.get("names", "").split()
        try:
            # A checkbox that is not ticked is not sent.
            changes = dict(choice(f"{name}={form.get(name, 'off')}") for name in names)
        except ConfigurationError as error:
            raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from None
        if not changes:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Nothing was chosen.")
        after = await run_in_threadpool(set_settings, self.sources, company_id, changes)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({name: plain(getattr(after, name)) for name in changes})
        return RedirectResponse(f"/companies/{company_id}/{kind}", HTTPStatus.SEE_OTHER)

    async def redrive(self, request: Request) -> Response:
        """Publish dead letters again: those of the preview, and none that came later."""
        visitor, form = await self._checked(request)
        company_id = None
        if "company_id" in request.path_params:
            company_id = company_of(self.sources, request)
        elif not visitor.sees_all:
            raise HTTPException(HTTPStatus.NOT_FOUND, "There is no such page, or it is not yours to see.")
        try:
            before = datetime.fromisoformat(form.get("before", ""))
        except ValueError:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Look at the preview first.") from None
        if before.tzinfo is None:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Look at the preview first.")
        wanted = Choice(company_id=company_id, reason=form.get("reason") or None, before=before)
        endings = await run_in_threadpool(redrive, self.sources, wanted, visitor.name)
        counts = urlencode({str(ending): count for ending, count in endings.items()} or {"redriven": 0})
        where = "" if company_id is None else f"/companies/{company_id}"
        return RedirectResponse(f"{where}/dead-letters?{counts}", HTTPStatus.SEE_OTHER)

    async def _checked(self, request: Request) -> tuple[Visitor, Mapping[str, str]]:
        """The form of one of our own pages. Raises HTTPException if it is not."""
        visitor, form = visitor_of(request), await _form(request)
        if visitor is None or not self.sources.access.is_form_token(visitor, form.get("form_token", "")):
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "The page was open for too long, or is not ours. Nothing was changed: reload it, try again.",
            )
        return visitor, form


async def _form(request: Request) -> Mapping[str, str]:
    """The fields of a form; those that are files are left out."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This is no form of ours.")
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _name(form: Mapping[str, str]) -> str:
    """A name as it was given, in one line and without what nobody can see."""
    words = " ".join(form.get("name", "").split())
    return "".join(one for one in words if one.isprintable())[:LONGEST_NAME]


def _day(form: Mapping[str, str], name: str) -> date | None:
    text = form.get(name, "").strip()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"{name}: {text[:20]} is no day.") from None


def _target(request: Request) -> str:
    return _safe(request.query_params.get("target", "/"))


def _safe(target: str) -> str:
    """A way within this console; never to another site."""
    is_own = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return quote(target, safe="/?=&%-._~") if is_own and target.isprintable() else "/"
