"""Procore as this project uses it, after ``schemas/http/procore.openapi.yaml``.

How its answers are read stands in ``procore_answers``.
"""

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import count
from operator import attrgetter
from typing import Any, TypeVar

import httpx

from consumer.exceptions import Misconfigured, NotFound
from consumer.model.events import UserEvent
from consumer.upstream.budget import Budget
from consumer.upstream.calls import PROCORE
from consumer.upstream.http import send
from consumer.upstream.paging import Listing, Page
from consumer.upstream.procore_answers import (
    Classification,
    CostCode,
    Location,
    Person,
    Project,
    SubJob,
    Timecard,
    classification,
    cost_code,
    location,
    person,
    project,
    sub_job,
    timecard,
    user_event,
)
from consumer.upstream.procore_tokens import TokenSource
from consumer.upstream.shapes import read, rows


T = TypeVar("T")
NAME = PROCORE
PER_PAGE = 2000
"""What Procore recommends at most for lists of REST v1. Servers that allow less give less, page for page."""
_EXTENDED = (("view", "extended"),)


class Procore:
    """The calls into one Procore company."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        tokens: TokenSource,
        company_id: int,
        budget: Budget | None = None,
    ) -> None:
        self._client = client
        self._tokens = tokens
        self._budget = budget
        self.company_id = company_id

    # ------------------------------------------------------------ directory

    async def users(self) -> AsyncIterator[Sequence[UserEvent]]:
        """All users, active ones first, page by page, each as an event of the moment of asking.

        Raises Transient at the end of a list that is shorter than it says, and Misconfigured if there is
        nobody at all: then the account has no access.
        """

        def active(item: Mapping[str, Any], asked_at: datetime) -> UserEvent:
            return user_event(self.company_id, item, asked_at)

        def inactive(item: Mapping[str, Any], asked_at: datetime) -> UserEvent:
            # Whoever is on this list is inactive, whether or not the item says so.
            return replace(user_event(self.company_id, item, asked_at), is_active=False)

        path = f"/rest/v1.3/companies/{self.company_id}/users"
        key, found = attrgetter("user_id"), 0
        async for page in self._listing("listCompanyUsers", path, active, key, _EXTENDED).pages():
            found += len(page)
            yield page
        path = f"/rest/v1.0/companies/{self.company_id}/users/inactive"
        async for page in self._listing("listInactiveCompanyUsers", path, inactive, key).pages():
            found += len(page)
            yield page
        _refuse_nobody("listCompanyUsers", found)

    async def people(self) -> Sequence[Person]:
        """Everybody in the directory, users and contacts, active and inactive; raises as ``users`` does."""
        return await self.people_reading()()

    def people_reading(self) -> Callable[[], Coroutine[Any, Any, Sequence[Person]]]:
        """One reading of ``people``, to be called until it succeeds: it goes on at the page that failed."""
        base = f"/rest/v1.0/companies/{self.company_id}/people"
        key = attrgetter("id")
        active = self._listing("listCompanyPeople", base, lambda item, _: person(item), key)
        inactive = self._listing(
            "listInactiveCompanyPeople",
            f"{base}/inactive",
            lambda item, _: replace(person(item), is_active=False),
            key,
        )

        async def go_on() -> Sequence[Person]:
            found = [*await active.whole(), *await inactive.whole()]
            _refuse_nobody("listCompanyPeople", len(found))
            return found

        return go_on

    async def sign_in(self) -> None:
        """Have a token. Raises Misconfigured if the credentials are refused."""
        await self._tokens.get()

    async def probe(self) -> None:
        """Ask for one person. Raises Misconfigured also if the company or its people are hidden."""
        path = f"/rest/v1.0/companies/{self.company_id}/people"
        params = (("page", "1"), ("per_page", "1"))
        try:
            response = await self._send("listCompanyPeople", "GET", path, params=params)
        except NotFound as error:
            raise Misconfigured(error.upstream, error.operation, error.status, error.words) from None
        _refuse_nobody("listCompanyPeople", len(read(NAME, "listCompanyPeople", response, rows(person))))

    async def user(self, user_id: int) -> UserEvent:
        """One user, active or not, as an event of this moment. Raises NotFound."""
        asked_at = datetime.now(UTC)
        path = f"/rest/v1.3/companies/{self.company_id}/users/{user_id}"
        parse = partial(user_event, self.company_id, asked_at=asked_at)
        return await self._call("showCompanyUser", "GET", path, parse)

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
        return await self._call("createCompanyPerson", "POST", path, person, body={"person": fields})

    async def update_person(self, person_id: int, fields: Mapping[str, object]) -> Person:
        """Change a person; ``last_name`` is required, even if it stays. Raises NotFound."""
        path = f"/rest/v1.0/companies/{self.company_id}/people/{person_id}"
        return await self._call("updateCompanyPerson", "PATCH", path, person, body={"person": fields})

    # ------------------------------------------------------------ classifications

    async def classifications(self) -> Sequence[Classification]:
        """The company's work classifications."""
        path = f"/rest/v1.0/companies/{self.company_id}/work_classifications"
        return await self._rows("listCompanyWorkClassifications", path, classification)

    async def create_classification(self, fields: Mapping[str, object]) -> Classification:
        """Create a classification at the company. Look for one first: names may repeat."""
        path = f"/rest/v1.0/companies/{self.company_id}/work_classifications"
        body = {"work_classification": fields}
        return await self._call("createCompanyWorkClassification", "POST", path, classification, body=body)

    async def project_classifications(self, project_id: int) -> Sequence[Classification]:
        """The classifications of a project, active there or not."""
        path = f"/rest/v1.0/projects/{project_id}/work_classifications"
        return await self._rows("listProjectWorkClassifications", path, classification)

    async def import_classifications(self, project_id: int) -> None:
        """Put all of the company's classifications on a project."""
        path = f"/rest/v1.0/projects/{project_id}/work_classifications/initial_setup"
        await self._send("importCompanyWorkClassifications", "POST", path)

    async def activate_classification(self, project_id: int, classification_id: int) -> None:
        """Let a classification be chosen on a project that has it."""
        path = f"/rest/v1.0/projects/{project_id}/work_classifications/{classification_id}"
        body = {"work_classification": {"is_active": True}}
        await self._send("updateProjectWorkClassification", "PATCH", path, body=body)

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
        return await self._rows("listTimecardEntries", path, timecard, params)

    async def timecard(self, entry_id: int) -> Timecard:
        """One entry. Raises NotFound."""
        path = f"/rest/v1.0/companies/{self.company_id}/timecard_entries/{entry_id}"
        return await self._call("showTimecardEntry", "GET", path, timecard)

    async def create_timecard(self, project_id: int, fields: Mapping[str, object]) -> Timecard:
        """Create an entry. Look for one first: this is no upsert."""
        path = f"/rest/v1.0/companies/{self.company_id}/timecard_entries"
        body = {"project_id": project_id, "timecard_entry": fields}
        return await self._call("createTimecardEntry", "POST", path, timecard, body=body)

    async def update_timecard(self, entry_id: int, project_id: int, fields: Mapping[str, object]) -> Timecard:
        """Change an entry."""
        path = f"/rest/v1.0/companies/{self.company_id}/timecard_entries/{entry_id}"
        body = {"project_id": project_id, "timecard_entry": fields}
        return await self._call("updateTimecardEntry", "PATCH", path, timecard, body=body)

    async def classify_timecard(self, entry_id: int, classification_id: int) -> None:
        """Put a classification on an entry, by the one call that documents it: the bulk update."""
        path = f"/rest/v1.0/companies/{self.company_id}/timesheets"
        body = {"updates": [{"id": entry_id}], "work_classification_id": classification_id}
        await self._send("bulkUpdateTimecardEntries", "PATCH", path, body=body)

    # ------------------------------------------------------------ reference data

    async def projects(self) -> Sequence[Project]:
        """The projects that the account can see, active or not. Raises Transient if some are missing."""
        params = (("company_id", str(self.company_id)), ("filters[by_status]", "All"))
        listing = self._listing(
            "listProjects", "/rest/v1.0/projects", lambda item, _: project(item), attrgetter("id"), params
        )
        return await listing.whole()

    async def sub_jobs(self, project_id: int) -> Sequence[SubJob]:
        """The sub jobs of a project."""
        params = (("project_id", str(project_id)),)
        return await self._rows("listSubJobs", "/rest/v1.0/sub_jobs", sub_job, params)

    async def cost_codes(self, project_id: int, sub_job_id: int | None) -> Sequence[CostCode]:
        """The cost codes of a project, or those of one of its sub jobs."""
        params = [("project_id", str(project_id))]
        if sub_job_id is not None:
            params.append(("sub_job_id", str(sub_job_id)))
        return await self._rows("listCostCodes", "/rest/v1.0/cost_codes", cost_code, params)

    async def locations(self, project_id: int) -> Sequence[Location]:
        """The locations of a project."""
        path = f"/rest/v1.0/projects/{project_id}/locations"
        return await self._rows("listProjectLocations", path, location)

    # ------------------------------------------------------------ calls

    async def _rows(
        self,
        operation: str,
        path: str,
        parse: Callable[[Mapping[str, Any]], T],
        params: Sequence[tuple[str, str]] = (),
    ) -> Sequence[T]:
        """All pages, until no ``next`` link is given. The total is not looked at: these lists are short."""
        found: list[T] = []
        for page in count(1):
            response = await self._page(operation, path, params, page)
            found += read(NAME, operation, response, rows(parse))
            if "next" not in response.links:
                break
        return found

    def _listing(
        self,
        operation: str,
        path: str,
        parse: Callable[[Mapping[str, Any], datetime], T],
        key: Callable[[T], int],
        params: Sequence[tuple[str, str]] = (),
    ) -> Listing[T]:
        """A list that has to be whole; ``parse`` is told when a row's page was asked for."""

        async def ask(page: int) -> Page[T]:
            asked_at = datetime.now(UTC)
            response = await self._page(operation, path, params, page)
            found = read(NAME, operation, response, rows(lambda item: parse(item, asked_at)))
            return Page(found, _total(response), "next" not in response.links)

        return Listing(ask, key, NAME, operation)

    async def _page(
        self, operation: str, path: str, params: Sequence[tuple[str, str]], page: int
    ) -> httpx.Response:
        query = (*params, ("page", str(page)), ("per_page", str(PER_PAGE)))
        return await self._send(operation, "GET", path, params=query)

    async def _call(
        self,
        operation: str,
        method: str,
        path: str,
        parse: Callable[[Mapping[str, Any]], T],
        *,
        body: object = None,
    ) -> T:
        return read(NAME, operation, await self._send(operation, method, path, body=body), parse)

    async def _send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        body: object = None,
    ) -> httpx.Response:
        async def ask(token: str) -> httpx.Response:
            return await send(
                self._client,
                NAME,
                operation,
                method,
                path,
                params=params,
                body=body,
                headers={"Authorization": f"Bearer {token}", "Procore-Company-Id": str(self.company_id)},
                budget=self._budget,
            )

        token = await self._tokens.get()
        try:
            return await ask(token)
        except Misconfigured as error:
            if error.status != httpx.codes.UNAUTHORIZED:
                raise
        # Tokens end early when credentials are renewed; a refused call had no effect, so it is made again.
        await self._tokens.refused(token)
        return await ask(await self._tokens.get())


def _total(response: httpx.Response) -> int | None:
    value = response.headers.get("Total", "").strip()
    return int(value) if value.isascii() and value.isdigit() else None


def _refuse_nobody(operation: str, count: int) -> None:
    """Raise Misconfigured if there is nobody: whoever set the company up has to be there.

    Procore answers an account that lacks access to a tool with an empty list, and no error.
    """
    if not count:
        raise Misconfigured(
            NAME, operation, httpx.codes.OK, ("The list is empty: the account has no access.",)
        )
