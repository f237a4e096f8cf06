"""Procore as this project uses it, after ``schemas/http/procore.openapi.yaml``.

Absent keys, null and empty strings all mean "none". Ids may exceed 32 bits.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx

from consumer.exceptions import Misconfigured, NotFound, Rejected
from consumer.model.events import UserEvent
from consumer.upstream.http import json_of, send


NAME = "procore"
PER_PAGE = 100
CREATE_CONTACT = "createCompanyPerson"
_RENEW_EARLY_S = 60.0


@dataclass(frozen=True, slots=True)
class ProcoreCredentials:
    """Client credentials of a service account. The secret never shows in a repr."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the company's directory: a user, or a contact if ``user_id`` is None.

    ``id`` is the *person* id, which is what a timecard calls its party.
    """

    id: int
    user_id: int | None
    first_name: str | None
    last_name: str
    employee_id: str | None
    origin_id: str | None
    is_employee: bool
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class SubJob:
    """A sub job of a project."""

    id: int
    code: str | None


@dataclass(frozen=True, slots=True)
class CostCode:
    """A cost code of a project, or of one of its sub jobs (``sub_job_id``)."""

    id: int
    full_code: str
    sub_job_id: int | None


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a project; nested ones have names like ``Building>Floor``."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Timecard:
    """A timecard entry as it stands in Procore."""

    id: int
    project_id: int
    party_id: int | None
    date: date
    hours: Decimal | None
    approval_status: str
    origin_id: str | None
    description: str | None
    cost_code_id: int | None
    sub_job_id: int | None
    location_id: int | None


class TokenSource:
    """Fetches the access token and shares it: one request at a time, however many callers wait."""

    def __init__(self, client: httpx.AsyncClient, credentials: ProcoreCredentials) -> None:
        self._client = client
        self._credentials = credentials
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._renew_at = 0.0

    async def get(self) -> str:
        """A token with some life left. Raises Misconfigured if the credentials are refused."""
        async with self._lock:
            if self._token is None or time.monotonic() >= self._renew_at:
                self._token = await self._fetch()
            return self._token

    async def refused(self, token: str) -> None:
        """Forget a token that was answered with 401, unless it has been renewed already."""
        async with self._lock:
            if self._token == token:
                self._token = None

    async def _fetch(self) -> str:
        asked = time.monotonic()
        request = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
        }
        try:
            response = await send(
                self._client, NAME, "createAccessToken", "POST", "/oauth/token", body=request
            )
        except (Rejected, NotFound) as error:
            # RFC 6749 lets a server answer wrong credentials with 400; a 404 means a wrong login address.
            raise Misconfigured(error.upstream, error.operation, error.status, error.words) from None
        body = json_of(NAME, "createAccessToken", response)
        self._renew_at = asked + max(float(body["expires_in"]) - _RENEW_EARLY_S, 1.0)
        return str(body["access_token"])


class Procore:
    """The calls into one Procore company."""

    def __init__(self, client: httpx.AsyncClient, tokens: TokenSource, company_id: int) -> None:
        self._client = client
        self._tokens = tokens
        self.company_id = company_id

    # ------------------------------------------------------------ directory

    async def users(self) -> AsyncIterator[Sequence[UserEvent]]:
        """All users, active ones first, page by page, each as an event of the moment of asking."""
        active = f"/rest/v1.3/companies/{self.company_id}/users"
        async for asked_at, page in self._pages("listCompanyUsers", active, (("view", "extended"),)):
            yield [user_event(self.company_id, item, asked_at) for item in page]
        inactive = f"/rest/v1.0/companies/{self.company_id}/users/inactive"
        async for asked_at, page in self._pages("listInactiveCompanyUsers", inactive):
            # Whoever is on this list is inactive, whether or not the item says so.
            yield [replace(user_event(self.company_id, item, asked_at), is_active=False) for item in page]

    async def people(self) -> Sequence[Person]:
        """Everybody in the directory, users and contacts, active and inactive."""
        base = f"/rest/v1.0/companies/{self.company_id}/people"
        active = [person(item) async for _, page in self._pages("listCompanyPeople", base) for item in page]
        pages = self._pages("listInactiveCompanyPeople", f"{base}/inactive")
        inactive = [replace(person(item), is_active=False) async for _, page in pages for item in page]
        return [*active, *inactive]

    async def probe(self) -> None:
        """Ask for one person. Raises Misconfigured also if the company is not there, or hidden."""
        path = f"/rest/v1.0/companies/{self.company_id}/people"
        params = (("page", "1"), ("per_page", "1"))
        try:
            await self._send("listCompanyPeople", "GET", path, params=params)
        except NotFound as error:
            raise Misconfigured(error.upstream, error.operation, error.status, error.words) from None

    async def create_contact(
        self, *, first_name: str, last_name: str, employee_id: str | None, origin_id: str
    ) -> Person:
        """Create a contact who shows up on timesheets. Look for one first: this is no upsert."""
        fields = {
            "first_name": first_name,
            "last_name": last_name,
            "is_employee": True,
            "origin_id": origin_id,
        }
        if employee_id is not None:
            fields["employee_id"] = employee_id
        path = f"/rest/v1.0/companies/{self.company_id}/people"
        return person(await self._call(CREATE_CONTACT, "POST", path, body={"person": fields}))

    # ------------------------------------------------------------ timecards

    async def timecards(self, party_ids: Collection[int], first: date, last: date) -> Sequence[Timecard]:
        """These people's entries of the included days, in-progress ones too; ask for a week at most."""
        params = (
            ("start_date", first.isoformat()),
            ("end_date", last.isoformat()),
            *(("filters[party_id][]", str(party_id)) for party_id in sorted(party_ids)),
            ("filters[include_in_progress]", "true"),
        )
        path = f"/rest/v1.0/companies/{self.company_id}/timecard_entries"
        return [
            timecard(item)
            async for _, page in self._pages("listTimecardEntries", path, params)
            for item in page
        ]

    async def timecard(self, entry_id: int) -> Timecard:
        """One entry. Raises NotFound."""
        path = f"/rest/v1.0/companies/{self.company_id}/timecard_entries/{entry_id}"
        return timecard(await self._call("showTimecardEntry", "GET", path))

    async def create_timecard(self, project_id: int, fields: Mapping[str, object]) -> Timecard:
        """Create an entry. Look for one first: this is no upsert."""
        path = f"/rest/v1.0/companies/{self.company_id}/timecard_entries"
        body = {"project_id": project_id, "timecard_entry": fields}
        return timecard(await self._call("createTimecardEntry", "POST", path, body=body))

    async def update_timecard(self, entry_id: int, project_id: int, fields: Mapping[str, object]) -> Timecard:
        """Change an entry."""
        path = f"/rest/v1.0/companies/{self.company_id}/timecard_entries/{entry_id}"
        body = {"project_id": project_id, "timecard_entry": fields}
        return timecard(await self._call("updateTimecardEntry", "PATCH", path, body=body))

    # ------------------------------------------------------------ reference data

    async def sub_jobs(self, project_id: int) -> Sequence[SubJob]:
        """The sub jobs of a project."""
        params = (("project_id", str(project_id)),)
        pages = self._pages("listSubJobs", "/rest/v1.0/sub_jobs", params)
        return [SubJob(int(item["id"]), text(item.get("code"))) async for _, page in pages for item in page]

    async def cost_codes(self, project_id: int, sub_job_id: int | None) -> Sequence[CostCode]:
        """The cost codes of a project, or those of one of its sub jobs."""
        params = [("project_id", str(project_id))]
        if sub_job_id is not None:
            params.append(("sub_job_id", str(sub_job_id)))
        pages = self._pages("listCostCodes", "/rest/v1.0/cost_codes", params)
        return [cost_code(item) async for _, page in pages for item in page]

    async def locations(self, project_id: int) -> Sequence[Location]:
        """The locations of a project."""
        pages = self._pages("listProjectLocations", f"/rest/v1.0/projects/{project_id}/locations")
        return [Location(int(item["id"]), str(item["name"])) async for _, page in pages for item in page]

    # ------------------------------------------------------------ calls

    async def _pages(
        self, operation: str, path: str, params: Sequence[tuple[str, str]] = ()
    ) -> AsyncIterator[tuple[datetime, list[Mapping[str, Any]]]]:
        """Each page with the moment at which it was asked for, until no ``next`` link is given."""
        page = 1
        while True:
            asked_at = datetime.now(UTC)
            query = (*params, ("page", str(page)), ("per_page", str(PER_PAGE)))
            response = await self._send(operation, "GET", path, params=query)
            yield asked_at, json_of(NAME, operation, response)
            if "next" not in response.links:
                return
            page += 1

    async def _call(
        self, operation: str, method: str, path: str, *, body: object = None
    ) -> Mapping[str, Any]:
        response = await self._send(operation, method, path, body=body)
        answer: Mapping[str, Any] = json_of(NAME, operation, response)
        return answer

    async def _send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        body: object = None,
    ) -> httpx.Response:
        token = await self._tokens.get()
        headers = {"Authorization": f"Bearer {token}", "Procore-Company-Id": str(self.company_id)}
        try:
            return await send(
                self._client, NAME, operation, method, path, params=params, body=body, headers=headers
            )
        except Misconfigured as error:
            if error.status != httpx.codes.UNAUTHORIZED:
                raise
        # Tokens end early when credentials are renewed; a refused call had no effect, so it is made again.
        await self._tokens.refused(token)
        headers["Authorization"] = f"Bearer {await self._tokens.get()}"
        return await send(
            self._client, NAME, operation, method, path, params=params, body=body, headers=headers
        )


def text(value: object) -> str | None:
    """A text field, with surrounding white space taken off; None for null and for nothing but white space."""
    return (str(value).strip() or None) if value is not None else None


def user_event(company_id: int, item: Mapping[str, Any], asked_at: datetime) -> UserEvent:
    """A user of a list or show answer as an event of the moment of asking."""
    classification = item.get("work_classification_id")
    return UserEvent(
        company_id=company_id,
        user_id=int(item["id"]),
        asked_at=asked_at,
        first_name=text(item.get("first_name")),
        last_name=text(item.get("last_name")),
        email=text(item.get("email_address")),
        mobile_phone=text(item.get("mobile_phone")),
        country_code=text(item.get("country_code")),
        employee_id=text(item.get("employee_id")),
        is_employee=bool(item.get("is_employee")),
        is_active=bool(item.get("is_active", True)),
        work_classification_id=None if classification is None else int(classification),
    )


def person(item: Mapping[str, Any]) -> Person:
    """A person of a list or create answer."""
    user_id = item.get("user_id")
    return Person(
        id=int(item["id"]),
        user_id=None if user_id is None else int(user_id),
        first_name=text(item.get("first_name")),
        last_name=text(item.get("last_name")) or "",
        employee_id=text(item.get("employee_id")),
        origin_id=text(item.get("origin_id")),
        is_employee=bool(item.get("is_employee")),
    )


def cost_code(item: Mapping[str, Any]) -> CostCode:
    """A cost code of a list answer."""
    of_sub_job = item.get("biller_type") == "SubJob"
    return CostCode(int(item["id"]), str(item["full_code"]), int(item["biller_id"]) if of_sub_job else None)


def timecard(item: Mapping[str, Any]) -> Timecard:
    """A timecard entry of any answer. ``hours`` comes as "8.0", also when "8.00" was sent."""
    location = item.get("location") or {}
    hours = item.get("hours")
    return Timecard(
        id=int(item["id"]),
        project_id=int(item["project_id"]),
        party_id=item.get("party_id"),
        date=date.fromisoformat(item["date"]),
        hours=None if hours is None else Decimal(str(hours)),
        approval_status=text(item.get("approval_status")) or "pending",
        origin_id=text(item.get("origin_id")),
        description=text(item.get("description")),
        cost_code_id=item.get("cost_code_id"),
        sub_job_id=item.get("sub_job_id"),
        location_id=location.get("id"),
    )
