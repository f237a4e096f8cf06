"""Both systems in this process, holding a small company, behind a wire that can lose answers.

No sockets are used: httpx calls the sandbox's apps, so that tests are quick and their order of events is
their own. Every exchange is checked against the contracts.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from consumer.sandbox.database import connect, seed
from consumer.sandbox.demo import DemoData
from consumer.sandbox.documents import put
from consumer.sandbox.limits import RateBudget
from consumer.sandbox.procore import login_app, procore_app
from consumer.sandbox.smartbarrel import smartbarrel_app
from consumer.sandbox.store import JournalEntry, SandboxState
from consumer.sandbox.tables import PEOPLE, WORK_CLASSIFICATIONS
from consumer.secret import Secret
from consumer.sqlite import transaction
from consumer.upstream import procore, smartbarrel
from consumer.upstream.http import http_client
from consumer.upstream.procore_tokens import ProcoreCredentials, TokenSource
from tests.contracts import ContractChecker


Json = dict[str, Any]
T = TypeVar("T")

NOON = 1772452800.0  # 2026-03-02T12:00:00Z
THEN = "2026-01-12T09:30:00Z"
COMPANY = 4281001
ACCOUNT = "granite-ridge"
TOWER, YARD = 2790001, 2790002
PROCORE, LOGIN, SMARTBARREL = "http://procore.test", "http://login.test", "http://smartbarrel.test"
CLIENT_ID, SECRET, API_KEY = "client-7f1e", "secret-d41d8cd98f", "key-900150983c"


class Clock:
    """The servers' clock, which stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Mishap:
    """What befalls the next exchange that fits: its answer is lost on the way, or it never arrives."""

    fits: Callable[[httpx.Request], bool]
    error: type[httpx.TransportError] = httpx.ReadTimeout
    after_effect: bool = True


@dataclass(slots=True)
class Wire(httpx.AsyncBaseTransport):
    """Leads each request to its server. ``seen`` has those that left the client, ``mishaps`` what is due."""

    servers: dict[str, httpx.AsyncBaseTransport]
    seen: list[httpx.Request] = field(default_factory=list)
    mishaps: deque[Mishap] = field(default_factory=deque)
    befallen: int = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on, unless a mishap is due."""
        self.seen.append(request)
        mishap = self.mishaps[0] if self.mishaps and self.mishaps[0].fits(request) else None
        if mishap is not None:
            self.mishaps.popleft()
            self.befallen += 1
        if mishap is None or mishap.after_effect:
            # Others get their turn between the look and the call, as with real servers.
            await asyncio.sleep(0)
            answer = await self.servers[request.url.host].handle_async_request(request)
            if mishap is None:
                return answer
            await answer.aclose()
        raise mishap.error("invented", request=request)


class Site:
    """The small company: ``state`` to look at and to edit, ``wire`` and clients, a loop to run calls on."""

    def __init__(
        self,
        path: Path,
        checker: ContractChecker,
        data: DemoData,
        *,
        budget: RateBudget | None = None,
        unique_origin_ids: bool = True,
    ) -> None:
        self.clock = Clock()
        with closing(connect(path)) as db:
            seed(db, data)
        self.state = SandboxState(path)
        self._db = connect(path)
        apps = {
            PROCORE: procore_app(
                self._db, self.clock, budget=budget or RateBudget(), unique_origin_ids=unique_origin_ids
            ),
            LOGIN: login_app(self._db, self.clock, client_id=CLIENT_ID, client_secret=SECRET),
            SMARTBARREL: smartbarrel_app(self._db, self.clock, api_key=API_KEY),
        }
        self.wire = Wire(
            {
                httpx.URL(url).host: checker.async_transport(httpx.ASGITransport(app))
                for url, app in apps.items()
            }
        )
        self._runner = asyncio.Runner()
        self.api = http_client(PROCORE, self.wire)
        self.login = http_client(LOGIN, self.wire)
        self.barrel = http_client(SMARTBARREL, self.wire)
        self.tokens = self.new_tokens()
        self.procore = procore.Procore(self.api, self.tokens, COMPANY)
        self.smartbarrel = smartbarrel.SmartBarrel(
            self.barrel, smartbarrel.SmartBarrelAccount(ACCOUNT, Secret(API_KEY)), COMPANY
        )

    def new_tokens(self, secret: str | Secret = SECRET) -> TokenSource:
        """A token source that has none yet."""
        given = secret if isinstance(secret, Secret) else Secret(secret)
        return TokenSource(self.login, ProcoreCredentials(Secret(CLIENT_ID), given))

    def run(self, coroutine: Coroutine[Any, Any, T], seconds: float = 30) -> T:
        """Run it to its end, for so many seconds at most."""
        return self._runner.run(asyncio.wait_for(coroutine, seconds))

    def lose_answer(self, method: str, path_part: str, **options: Any) -> Mishap:
        """The next such request has its effect, but its answer does not come back in time."""
        mishap = Mishap(lambda request: request.method == method and path_part in request.url.path, **options)
        self.wire.mishaps.append(mishap)
        return mishap

    def writes(self, method: str = "") -> list[JournalEntry]:
        """The requests that asked for a change."""
        return [entry for entry in self.state.writes() if entry.method.startswith(method)]

    def put_person(self, body: Json) -> None:
        """Somebody in the office enters a person in Procore."""
        with transaction(self._db):
            put(self._db, PEOPLE, body)

    def put_classification(self, body: Json) -> None:
        """Somebody in the office enters or changes a classification in Procore."""
        with transaction(self._db):
            put(self._db, WORK_CLASSIFICATIONS, body)

    def delete_worker(self, worker_id: str) -> None:
        """A worker vanishes from SmartBarrel."""
        with transaction(self._db):
            self._db.execute("DELETE FROM workers WHERE id = ?", (worker_id,))

    def deactivate_classification(self, project_id: int, classification_id: int) -> None:
        """Somebody in the office deactivates a classification on a project."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE project_classifications SET is_active = 0"
                " WHERE project_id = ? AND classification_id = ?",
                (project_id, classification_id),
            )

    def delete_people(self, *person_ids: int) -> None:
        """Somebody in the office deletes people in Procore."""
        with transaction(self._db):
            self._db.executemany("DELETE FROM people WHERE id = ?", [(one,) for one in person_ids])

    def delete_timecard_entries(self) -> None:
        """Somebody in the office deletes all timecard entries in Procore."""
        with transaction(self._db):
            self._db.execute("DELETE FROM timecard_entries")

    def close(self) -> None:
        """Let go of everything."""
        for client in (self.api, self.login, self.barrel):
            self.run(client.aclose())
        self._runner.close()
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# ------------------------------------------------------------------ what the company holds


def user(number: int, first: str | None, last: str, **fields: Any) -> Json:
    """A Procore user, 8800100 and the number, with a phone number from the fictional range."""
    return {
        "id": 8800100 + number,
        "contact_id": 25210000 + number,
        "name": f"{first} {last}",
        "first_name": first,
        "last_name": last,
        "email_address": f"{first}.{last}@example.com".lower(),
        "mobile_phone": f"(512) 555-01{number:02}",
        "employee_id": f"203{number:02}",
        "is_active": True,
        "is_employee": True,
        "work_classification_id": None,
        "origin_id": None,
        "vendor": {"id": 19170001, "name": "Granite Ridge Builders"},
    } | fields


def person(number: int, first: str, last: str, **fields: Any) -> Json:
    """A Procore person, 25130000 and the number: of the user with that number, unless said otherwise."""
    return {
        "id": 25130000 + number,
        "first_name": first,
        "last_name": last,
        "name": f"{first} {last}",
        "employee_id": f"203{number:02}",
        "work_classification_id": None,
        "is_employee": True,
        "user_id": 8800100 + number,
        "origin_id": None,
        "contact_id": 25210000 + number,
        "contact": {"is_active": True, "email": f"{first}.{last}@example.com".lower()},
        "user_uuid": None,
    } | fields


def worker(number: int, first: str, last: str, **fields: Any) -> Json:
    """A SmartBarrel worker, who has no payroll ID and no external id unless said."""
    return {
        "id": worker_id(number),
        "company_id": ACCOUNT,
        "first_name": first,
        "last_name": last,
        "email": f"{first}.{last}@example.org".lower(),
        "phone_number": f"+1512555{number:04}",
        "payroll_id": None,
        "position_id": None,
        "external_id": None,
        "contractor": None,
        "status": "active",
        "created_at": THEN,
        "updated_at": THEN,
    } | fields


def classification(number: int, name: str, *project_ids: int, **fields: Any) -> Json:
    """A Procore classification, 57800 and the number, active on these projects."""
    return {
        "id": 57800 + number,
        "name": name,
        "abbreviation": None,
        "company_id": COMPANY,
        "company_visible": True,
        "deletable": True,
        "project_ids": list(project_ids),
        "created_at": THEN,
        "updated_at": THEN,
    } | fields


def position(number: int, name: str, **fields: Any) -> Json:
    """A SmartBarrel position."""
    return {
        "id": position_id(number),
        "name": name,
        "code": None,
        "external_id": None,
        "status": "active",
    } | fields


def position_id(number: int) -> str:
    """The id of the position with this number."""
    return f"6a0f7d0c-93c1-4a53-9f62-{number:012x}"


def worker_id(number: int) -> str:
    """The id of the worker with this number."""
    return f"4d1f9c33-2c0a-4a9b-8d57-{number:012x}"


def timesheet(number: int, worker_number: int, **fields: Any) -> Json:
    """A SmartBarrel timesheet of a worker on the tower's first floor."""
    return {
        "id": timesheet_id(number),
        "revision": 1,
        "company_id": ACCOUNT,
        "project": {
            "id": "e81d3f70-0c5b-4c6c-8f2a-6b9a4d2c1e03",
            "procore_project_id": TOWER,
            "name": "Harbor Point Tower",
        },
        "worker_ref": {"id": worker_id(worker_number)},
        "date": "2026-02-24",
        "time_in": "2026-02-24T14:00:00Z",
        "time_out": "2026-02-24T22:30:00Z",
        "break_minutes": 30,
        "total_hours": "8.00",
        "cost_code_segment_1": "FL1",
        "cost_code_segment_2": "03-300",
        "location": None,
        "status": "approved",
        "deleted": False,
        "updated_at": "2026-02-24T23:00:00Z",
    } | fields


def timesheet_id(number: int) -> str:
    """The id of the timesheet with this number."""
    return f"5b7e6c1e-9d0b-4a57-8f33-{number:012x}"


def cost_code(number: int, code: str, biller_type: str, biller_id: int) -> Json:
    """A Procore cost code in division 03."""
    return {
        "id": number,
        "name": f"Work {code}",
        "code": code,
        "full_code": f"03-{code}",
        "biller_id": biller_id,
        "biller_type": biller_type,
        "parent": {"id": None},
        "line_item_types": [],
    }


FLOOR_1, FLOOR_2, YARD_JOB = 348001, 348002, 348009
CONCRETE_1, CONCRETE_2, GENERAL, YARD_CODE = 97120301, 97120302, 97120303, 97120309
NORTH, ROOF = 1550401, 1550402


def company_data(
    *,
    users: list[Json] | None = None,
    people: list[Json] | None = None,
    workers: list[Json] | None = None,
    timesheets: list[Json] | None = None,
    classifications: list[Json] | None = None,
    positions: list[Json] | None = None,
) -> DemoData:
    """A company with a tower and a yard; Maria is number 1, and a user of Procore."""
    tower: Json = {
        "id": TOWER,
        "name": "Harbor Point Tower",
        "display_name": "2601 - Harbor Point Tower",
        "active": True,
        "sub_jobs": [
            {"id": FLOOR_1, "name": "Floor 1", "code": "FL1"},
            {"id": FLOOR_2, "name": "Floor 2", "code": "FL2"},
        ],
        "cost_codes": [
            cost_code(CONCRETE_1, "300", "SubJob", FLOOR_1),
            cost_code(CONCRETE_2, "300", "SubJob", FLOOR_2),
            cost_code(GENERAL, "100", "Project", TOWER),
        ],
        "locations": [
            {"id": NORTH, "name": "North", "node_name": "North", "parent_id": None, "code": "N"},
            {"id": ROOF, "name": "North>Roof", "node_name": "Roof", "parent_id": NORTH, "code": "NR"},
        ],
    }
    yard: Json = {
        "id": YARD,
        "name": "Yard",
        "active": True,
        "sub_jobs": [{"id": YARD_JOB, "name": "Yard", "code": "YD"}],
        "cost_codes": [cost_code(YARD_CODE, "900", "Project", YARD)],
        "locations": [],
    }
    return DemoData(
        procore={
            "company": {"id": COMPANY, "name": "Granite Ridge Builders"},
            "users": [user(1, "Maria", "Delgado")] if users is None else users,
            "people": [person(1, "Maria", "Delgado")] if people is None else people,
            "projects": [tower, yard],
            "work_classifications": classifications or [],
        },
        smartbarrel={
            "company": {"id": ACCOUNT, "name": "Granite Ridge Builders"},
            "positions": positions or [],
            "workers": workers or [],
            "timesheets": timesheets or [],
        },
    )
