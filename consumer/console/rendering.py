"""Turns templates into pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from consumer.console.charts import bar, sparkline
from consumer.console.sessions import visitor_of
from consumer.console.sources import Sources
from consumer.sink.layout import visible


@dataclass(frozen=True, slots=True)
class Pages:
    """The templates, filled for whoever asks."""

    sources: Sources
    environment: Environment

    def page(
        self, request: Request, template: str, *, status: HTTPStatus = HTTPStatus.OK, **context: Any
    ) -> Response:
        """A whole page. ``company_id`` in the context is the one whose menu is shown, else the only one."""
        visitor = visitor_of(request)
        sink = self.sources.sink_state()
        companies = self.companies(request)
        only = next(iter(companies)) if len(companies) == 1 else None
        common = {
            "visitor": visitor,
            "form_token": None if visitor is None else self.sources.access.form_token(visitor),
            "can_log_out": visitor is not None and not self.sources.access.is_open,
            "companies": companies,
            "company_id": None,
            "menu_company": context.get("company_id") or only,
            "sink_problem": None if sink is None else sink.problem,
            "here": request.scope["path"],
        }
        text = self.environment.get_template(template).render({**common, **context})
        return HTMLResponse(text, status_code=status)

    def companies(self, request: Request) -> Mapping[int, str]:
        """The companies that the visitor sees, by name."""
        visitor = visitor_of(request)
        if visitor is None:
            return {}
        seen = {one: name for one, name in self.sources.companies.items() if visitor.sees(one)}
        return dict(sorted(seen.items(), key=lambda item: (item[1].casefold(), item[0])))


def pages_of(sources: Sources) -> Pages:
    """The pages that are made from these sources."""
    environment = Environment(
        loader=PackageLoader("consumer.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "moment": moment,
        "segment": lambda text: quote(str(text), safe=""),
        "query": _query,
        "number": lambda value: f"{value:,}",
    }
    environment.globals |= {"sparkline": sparkline, "bar": bar}
    return Pages(sources, environment)


def moment(at: datetime) -> str:
    """A moment in UTC, to the minute, as a person reads it."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _query(parameters: Mapping[str, object]) -> str:
    """Parameters behind a question mark; those that are None or empty are left out."""
    text = urlencode({name: str(value) for name, value in parameters.items() if value not in {None, ""}})
    return f"?{text}" if text else ""
