"""How Procore's requests are read and its lists and refusals are written."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, overload
from urllib.parse import urlencode

from consumer.sandbox.documents import Body, Clause, Collection, count, get, one_of, select
from consumer.sandbox.exchange import Call, Refusal, Reply, phrase
from consumer.sandbox.tables import PROJECTS, instant


DEFAULT_PER_PAGE = 100
MAX_PER_PAGE = 2000

Writable = Mapping[str, type | tuple[type, ...]]
"""The fields that a request may set, with the JSON types of their values."""


def not_found() -> Refusal:
    """What is not there, or hidden from the account."""
    return Refusal(404, {"message": "Not found"})


def bad_request(message: str) -> Refusal:
    """A request that cannot be read."""
    return Refusal(400, {"message": message})


def unprocessable(**errors: str) -> Refusal:
    """Values that break a rule, each with the field's name."""
    return Refusal(422, {"errors": {name: [text] for name, text in errors.items()}})


def error_body(status: int) -> Body:
    """What Procore might say with a status, whatever was asked."""
    if status == HTTPStatus.UNAUTHORIZED:
        return {"errors": "The access token is invalid"}
    return {"message": phrase(status)}


def listing(
    call: Call,
    collection: Collection,
    where: list[Clause],
    render: Callable[[Body], Body],
    order: str | None = None,
) -> Reply:
    """One page of a list, with the headers ``Link``, ``Total`` and ``Per-Page``."""
    page = whole_number(call, "page", 1)
    per_page = min(whole_number(call, "per_page", DEFAULT_PER_PAGE), MAX_PER_PAGE)
    if page < 1 or per_page < 1:
        raise bad_request("page and per_page start at 1")
    total = count(call.db, collection, where)
    last = max(1, -(-total // per_page))
    found = select(call.db, collection, where, order=order, limit=per_page, offset=(page - 1) * per_page)
    links = {"first": 1, "prev": page - 1, "next": page + 1, "last": last}
    if page == 1:
        del links["prev"]
    if page >= last:
        del links["next"]
    headers = {
        "Link": ", ".join(f'<{_page_url(call, number)}>; rel="{rel}"' for rel, number in links.items()),
        "Total": str(total),
        "Per-Page": str(per_page),
    }
    return Reply([render(body) for body in found], headers=headers)


def project(call: Call, project_id: int | None) -> Body:
    """The project, or a refusal as not found."""
    found = get(call.db, PROJECTS, project_id)
    if found is None:
        raise not_found()
    return found


@overload
def whole_number(call: Call, name: str) -> int | None: ...
@overload
def whole_number(call: Call, name: str, default: int) -> int: ...
def whole_number(call: Call, name: str, default: int | None = None) -> int | None:
    """A query parameter that is a whole number, or the default if it is absent."""
    numbers = whole_numbers(call, name)
    return numbers[-1] if numbers else default


def whole_numbers(call: Call, name: str) -> list[int]:
    """All values of a query parameter that are whole numbers."""
    try:
        return [int(value) for value in call.query.getlist(name)]
    except ValueError:
        raise bad_request(f"{name} is invalid") from None


def flag(call: Call, name: str) -> bool | None:
    """A query parameter that is true or false; None if it is absent."""
    value = call.query.get(name)
    if value is None:
        return None
    if value not in {"true", "false"}:
        raise bad_request(f"{name} is invalid")
    return value == "true"


def ids_filter(call: Call, name: str, column: str) -> list[Clause]:
    """The filter ``filters[name][]``, which takes several ids; sent without brackets it is read, too."""
    ids = [*whole_numbers(call, f"filters[{name}][]"), *whole_numbers(call, f"filters[{name}]")]
    return [one_of(column, ids)] if ids else []


def text_filter(call: Call, name: str, column: str) -> list[Clause]:
    """The filter ``filters[name]``, which is exact."""
    value = call.query.get(f"filters[{name}]")
    return [] if value is None else [(f"{column} = ?", (value,))]


def search_filter(call: Call, name: str = "search") -> list[Clause]:
    """The filter ``filters[search]``, which looks for a part of any of the words, without regard to case."""
    value = call.query.get(f"filters[{name}]")
    return [] if value is None else [("instr(words, ?)", (value.casefold(),))]


def range_filter(call: Call, name: str) -> list[Clause]:
    """The filter ``filters[name]``, an ISO 8601 range with three dots, with or without double quotes."""
    value = call.query.get(f"filters[{name}]")
    if value is None:
        return []
    start, dots, end = value.strip('"').partition("...")
    try:
        first, last = instant(start.strip()), instant(end.strip())
    except ValueError:
        dots = ""
    if not dots:
        raise bad_request(f"filters[{name}] is no range of ISO 8601 times")
    return [(f"{name} BETWEEN ? AND ?", (first, last))]


def json_object(call: Call) -> Body:
    """The request's body. Refused as a bad request if it is no JSON object."""
    try:
        body = json.loads(call.body)
    except ValueError:
        raise bad_request("The body is not JSON") from None
    if not isinstance(body, dict):
        raise bad_request("The body is not a JSON object")
    return body


def wrapped(body: Body, name: str, kind: type = dict) -> Any:
    """The object in which a request wraps its fields. Refused as a bad request if it is missing or empty."""
    value = body.get(name)
    if not value or not isinstance(value, kind) or isinstance(value, bool):
        raise Refusal(
            400, {"error": {"code": "400", "message": f"param is missing or the value is empty: {name}"}}
        )
    return value


def permitted(fields: Body, writable: Writable) -> Body:
    """Those fields that may be written; others are ignored. Refused if a value has the wrong type."""
    known = {name: value for name, value in fields.items() if name in writable}
    wrong = {name: "is invalid" for name, value in known.items() if not _fits(value, writable[name])}
    if wrong:
        raise unprocessable(**wrong)
    return known


def _fits(value: Any, kind: type | tuple[type, ...]) -> bool:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    return type(value) in kinds


def _page_url(call: Call, page: int) -> str:
    others = [(name, value) for name, value in call.query.multi_items() if name != "page"]
    return f"{call.url}?{urlencode([*others, ('page', str(page))])}"
