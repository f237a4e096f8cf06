"""SmartBarrel as this project uses it, after ``schemas/http/smartbarrel.openapi.yaml``.

SmartBarrel publishes no API: that contract is this project's assumption, and this client the only place
that would have to change.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from http import HTTPStatus
from operator import attrgetter
from typing import Any, TypeVar

import httpx

from consumer.exceptions import Misconfigured, NotFound
from consumer.model.events import Named, ShiftStatus, ShiftWorker, TimesheetEvent, stated
from consumer.secret import Secret
from consumer.upstream.budget import Budget
from consumer.upstream.calls import SMARTBARREL
from consumer.upstream.http import send
from consumer.upstream.paging import Listing, Page
from consumer.upstream.shapes import read, rows


T = TypeVar("T")
NAME = SMARTBARREL
PER_PAGE = 200
ACTIVE = "active"
INACTIVE = "inactive"
_OF_ONE = frozenset({"getWorker", "updateWorker", "updatePosition"})


@dataclass(frozen=True, slots=True)
class SmartBarrelAccount:
    """One company at SmartBarrel, with its key. The key never shows in a repr."""

    company_id: str
    api_key: Secret

    def key_after(self, refused: str) -> str | None:
        """The key after one that was refused, if its file has another one now that HTTP can carry."""
        key = self.api_key.read()
        return key if key != refused and key.isascii() and key.isprintable() else None


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker as SmartBarrel holds them. ``external_id`` is ``procore:`` and a user id, if linked."""

    id: str
    first_name: str
    last_name: str
    email: str
    phone_number: str
    payroll_id: str | None
    external_id: str | None
    contractor: str | None
    status: str
    position_id: str | None

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}"

    @property
    def is_active(self) -> bool:
        """Whether the worker can clock in."""
        return self.status == ACTIVE


@dataclass(frozen=True, slots=True)
class Position:
    """A position as SmartBarrel holds it. ``external_id`` is ``procore:`` and a classification's id."""

    id: str
    name: str
    code: str | None
    external_id: str | None
    status: str


class SmartBarrel:
    """The calls into one SmartBarrel company."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        account: SmartBarrelAccount,
        procore_company_id: int,
        budget: Budget | None = None,
    ) -> None:
        self._client = client
        self._budget = budget
        self._account = account
        self._key = account.api_key.value
        self._procore_company_id = procore_company_id

    async def find_workers(self, **filters: str) -> Sequence[Worker]:
        """Workers, active and inactive, that match exactly: external_id, payroll_id or phone_number.

        As with every list, Transient is raised if it has fewer than it says.
        """
        filtered = tuple(filters.items())
        return await self._listing("listWorkers", "workers", worker, attrgetter("id"), filtered).whole()

    async def worker_page(self, number: int) -> Page[Worker]:
        """A page of all workers, active and inactive, the oldest first; the first page is number 1."""
        return await self._page("listWorkers", "workers", worker, (), number)

    async def probe(self) -> None:
        """Ask for a worker whom nobody is."""
        params = (("external_id", "procore:0"), ("page", "1"), ("per_page", "1"))
        await self._call("listWorkers", "GET", "workers", _page_of(worker), params=params)

    async def worker(self, worker_id: str) -> Worker:
        """One worker. Raises NotFound."""
        return await self._call("getWorker", "GET", f"workers/{worker_id}", worker)

    async def create_worker(self, fields: Mapping[str, object], idempotency_key: str) -> Worker:
        """Create a worker; the same key and fields answer the same worker again. Raises Duplicate."""
        headers = {"Idempotency-Key": idempotency_key}
        return await self._call("createWorker", "POST", "workers", worker, body=fields, headers=headers)

    async def update_worker(self, worker_id: str, fields: Mapping[str, object]) -> Worker:
        """Change the given fields; None clears one. Raises Duplicate, NotFound."""
        return await self._call("updateWorker", "PATCH", f"workers/{worker_id}", worker, body=fields)

    async def positions(self) -> Sequence[Position]:
        """All positions, active and inactive."""
        return await self._listing("listPositions", "positions", position, attrgetter("id")).whole()

    async def create_position(self, fields: Mapping[str, object], idempotency_key: str) -> Position:
        """Create a position; the same key and fields answer the same one again. Raises Duplicate."""
        headers = {"Idempotency-Key": idempotency_key}
        return await self._call("createPosition", "POST", "positions", position, body=fields, headers=headers)

    async def update_position(self, position_id: str, fields: Mapping[str, object]) -> Position:
        """Change the given fields. Raises Duplicate, NotFound."""
        return await self._call("updatePosition", "PATCH", f"positions/{position_id}", position, body=fields)

    async def timesheets(
        self, date_from: date | None = None, date_to: date | None = None, project_id: str | None = None
    ) -> AsyncIterator[Sequence[TimesheetEvent]]:
        """Timesheets of the included days, of one project or all, each once: pages, the oldest change first.

        ``project_id`` is SmartBarrel's.
        """
        params = []
        if date_from is not None:
            params.append(("date_from", date_from.isoformat()))
        if date_to is not None:
            params.append(("date_to", date_to.isoformat()))
        if project_id is not None:
            params.append(("project_id", project_id))

        def event(item: Mapping[str, Any]) -> TimesheetEvent:
            return timesheet_event(self._procore_company_id, item)

        key = attrgetter("timesheet_id")
        async for page in self._listing("listTimesheets", "timesheets", event, key, params).pages():
            yield page

    def _listing(
        self,
        operation: str,
        path: str,
        parse: Callable[[Mapping[str, Any]], T],
        key: Callable[[T], str],
        params: Sequence[tuple[str, str]] = (),
    ) -> Listing[T]:
        async def ask(number: int) -> Page[T]:
            return await self._page(operation, path, parse, params, number)

        return Listing(ask, key, NAME, operation)

    async def _page(
        self,
        operation: str,
        path: str,
        parse: Callable[[Mapping[str, Any]], T],
        params: Sequence[tuple[str, str]],
        number: int,
    ) -> Page[T]:
        query = (*params, ("page", str(number)), ("per_page", str(PER_PAGE)))
        return await self._call(operation, "GET", path, _page_of(parse, number), params=query)

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        parse: Callable[[Mapping[str, Any]], T],
        *,
        params: Sequence[tuple[str, str]] = (),
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        async def ask(key: str) -> httpx.Response:
            return await send(
                self._client,
                NAME,
                operation,
                method,
                f"/api/v1/companies/{self._account.company_id}/{path}",
                params=params,
                body=body,
                headers={"Authorization": f"Bearer {key}", **(headers or {})},
                budget=self._budget,
            )

        try:
            response = await self._with_key(ask)
        except NotFound as error:
            if operation in _OF_ONE:
                raise
            # There is nothing else that could be missing but the company, or the whole address.
            raise Misconfigured(error.upstream, error.operation, error.status, error.words) from None
        return read(NAME, operation, response, parse)

    async def _with_key(self, ask: Callable[[str], Awaitable[httpx.Response]]) -> httpx.Response:
        """Ask, and once more if the key is refused and there is another: a refused call did nothing."""
        used = self._key
        try:
            return await ask(used)
        except Misconfigured as error:
            key = self._account.key_after(used) if error.status == HTTPStatus.UNAUTHORIZED else None
            if key is None:
                raise
        self._key = key
        return await ask(key)


def _page_of(parse: Callable[[Mapping[str, Any]], T], number: int = 1) -> Callable[[Any], Page[T]]:
    """Reads the page of that number of a list."""

    def read_page(body: Any) -> Page[T]:
        total = int(body["meta"]["total"])
        is_last = number * int(body["meta"]["per_page"]) >= total
        return Page(rows(parse)(body["data"]), total, is_last)

    return read_page


def worker(item: Mapping[str, Any]) -> Worker:
    """A worker of any answer."""
    contractor = item.get("contractor")
    return Worker(
        id=str(item["id"]),
        first_name=item["first_name"],
        last_name=item["last_name"],
        email=item["email"],
        phone_number=item["phone_number"],
        payroll_id=stated(item.get("payroll_id")),
        external_id=item.get("external_id"),
        contractor=contractor["name"] if contractor else None,
        status=str(item["status"]),
        position_id=item.get("position_id"),
    )


def position(item: Mapping[str, Any]) -> Position:
    """A position of any answer."""
    return Position(
        str(item["id"]), str(item["name"]), item.get("code"), item.get("external_id"), str(item["status"])
    )


def timesheet_event(company_id: int, item: Mapping[str, Any]) -> TimesheetEvent:
    """A timesheet of a list answer as an event; ``company_id`` is Procore's."""
    project, shift_worker = item["project"], item["worker"]
    return TimesheetEvent(
        company_id=company_id,
        timesheet_id=str(item["id"]),
        revision=int(item["revision"]),
        project=Named(project["id"], project["name"]),
        procore_project_id=project["procore_project_id"],
        worker=ShiftWorker(
            id=shift_worker["id"],
            first_name=shift_worker["first_name"],
            last_name=shift_worker["last_name"],
            payroll_id=shift_worker.get("payroll_id"),
            external_id=shift_worker.get("external_id"),
            position=_named(shift_worker.get("position")),
            contractor=_named(shift_worker.get("contractor")),
        ),
        work_date=date.fromisoformat(item["date"]),
        time_in=datetime.fromisoformat(item["time_in"]),
        time_out=None if item["time_out"] is None else datetime.fromisoformat(item["time_out"]),
        break_minutes=int(item["break_minutes"]),
        total_hours=Decimal(item["total_hours"]),
        cost_code_segment_1=item.get("cost_code_segment_1"),
        cost_code_segment_2=item.get("cost_code_segment_2"),
        location=item.get("location"),
        status=ShiftStatus(item["status"]),
        deleted=bool(item["deleted"]),
        updated_at=datetime.fromisoformat(item["updated_at"]),
    )


def _named(item: Mapping[str, Any] | None) -> Named | None:
    return None if item is None else Named(item["id"], item["name"])
