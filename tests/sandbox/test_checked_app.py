"""The server's side of the checker says no where it should, and changes nothing of what it sees."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.checked_app import CheckedApp
from tests.contracts import ContractChecker


PEOPLE = "http://127.0.0.1:1/rest/v1.0/companies/1/people"
HEADERS = {"Authorization": "Bearer t", "Procore-Company-Id": "1"}
RATE = {"X-Rate-Limit-Limit": "25", "X-Rate-Limit-Remaining": "24", "X-Rate-Limit-Reset": "1772460010"}
PERSON = {"id": 1, "last_name": "Nair", "is_employee": True, "user_id": None}


def serve(body: Any, answer: Any) -> tuple[httpx.Response, ContractChecker]:
    """Let a server behind the checker answer one request to create a person."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert await Request(scope, receive).json() == body
        await JSONResponse(answer, 201, RATE)(scope, receive, send)

    checker = ContractChecker()

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(CheckedApp(app, checker))
        async with httpx.AsyncClient(transport=transport, headers=HEADERS) as client:
            return await client.post(PEOPLE, params={"view": "normal"}, json=body)

    response = asyncio.run(ask())
    checker.check_served()
    return response, checker


def test_an_exchange_that_keeps_the_contract_passes_and_is_counted_by_its_operation() -> None:
    response, checker = serve({"person": {"last_name": "Nair"}}, PERSON)
    assert (response.status_code, response.json()) == (201, PERSON)
    assert (checker.checked, checker.failures) == (1, [])
    assert checker.operations == {"createCompanyPerson": 1}


@pytest.mark.parametrize(
    ("body", "answer", "complaint"),
    [
        ({"person": {"last_name": "Nair", "phone": "1"}}, PERSON, "phone"),
        ({"person": {"last_name": "Nair"}}, {"id": 1}, "last_name"),
    ],
    ids=["request", "answer"],
)
def test_what_breaks_the_contract_is_passed_on_and_told_afterwards(
    body: Any, answer: Any, complaint: str
) -> None:
    response, checker = serve(body, answer)
    assert response.json() == answer
    assert len(checker.failures) == 1
    assert complaint in checker.failures[0]


@pytest.mark.parametrize(("path", "failures"), [("people", 0), ("peoples", 1)])
def test_of_a_request_without_an_answer_the_request_is_checked(path: str, failures: int) -> None:
    async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None:
        """Say nothing."""

    checker = ContractChecker()
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    scope = {"type": "http", "method": "GET", "query_string": b"", "headers": headers}

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is received or sent")

    raw_path = f"/rest/v1.0/companies/1/{path}".encode()
    asyncio.run(CheckedApp(silent, checker)({**scope, "raw_path": raw_path}, nothing, nothing))
    checker.check_served()
    assert (checker.checked, len(checker.failures)) == (1, failures)
