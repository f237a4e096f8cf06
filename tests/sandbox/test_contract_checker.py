"""The checker of HTTP exchanges says no where it should, so that its silence means something."""

import asyncio

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.contracts import BREAKS_CONTRACT, ContractChecker, contract


PROCORE = "http://127.0.0.1:1/rest/v1.0/companies/1"
HEADERS = {"Authorization": "Bearer t", "Procore-Company-Id": "1"}
RATE = {"X-Rate-Limit-Limit": "25", "X-Rate-Limit-Remaining": "24", "X-Rate-Limit-Reset": "1772460010"}
PERSON = {"id": 1, "last_name": "Nair", "is_employee": True, "user_id": None}


def ask(answer: httpx.Response, method: str, url: str, **request: object) -> ContractChecker:
    """Make one exchange through a checked client; the headers are right unless the test sets its own."""
    checker = ContractChecker()
    transport = checker.transport(httpx.MockTransport(lambda _: answer))
    with httpx.Client(transport=transport, headers=HEADERS) as client:
        client.request(method, url, **request)  # type: ignore[arg-type]
    return checker


def person_created(body: object = PERSON, headers: dict[str, str] = RATE) -> httpx.Response:
    return httpx.Response(201, json=body, headers=headers)


@pytest.mark.parametrize("system", ["procore", "smartbarrel"])
def test_each_contract_is_a_valid_openapi_document(system: str) -> None:
    OpenAPIV31SpecValidator(contract(system)).validate()


def test_an_exchange_that_keeps_the_contract_passes_and_is_counted() -> None:
    checker = ask(person_created(), "POST", f"{PROCORE}/people", json={"person": {"last_name": "Nair"}})
    assert (checker.checked, checker.failures) == (1, [])


@pytest.mark.parametrize(
    ("method", "path", "request_parts", "complaint"),
    [
        ("POST", "/people", {"json": {"person": {"last_name": "N", "phone": "1"}}}, "phone"),
        ("POST", "/people", {"json": {"person": {}}}, "last_name"),
        ("POST", "/people", {"json": {"person": {"last_name": "N"}}, "params": {"veiw": "normal"}}, "veiw"),
        (
            "POST",
            "/people",
            {"json": {"person": {"last_name": "N"}}, "headers": {"Authorization": ""}},
            "ecur",
        ),
        (
            "POST",
            "/people",
            {"json": {"person": {"last_name": "N"}}, "headers": {"Procore-Company-Id": "x"}},
            "Procore-Company-Id",
        ),
        ("GET", "/people", {"params": {"page": 0}}, "page"),
        ("GET", "/peoples", {}, "Path not found"),
        ("DELETE", "/people", {}, "Operation delete not found"),
    ],
)
def test_a_wrong_request_is_reported_with_what_is_wrong(
    method: str, path: str, request_parts: dict[str, object], complaint: str
) -> None:
    answer = httpx.Response(200, json=[], headers=RATE) if method == "GET" else person_created()
    with pytest.raises(AssertionError, match=complaint):
        ask(answer, method, f"{PROCORE}{path}", **request_parts)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (person_created({**PERSON, "id": "1"}), "is not of type 'integer'"),
        (person_created({"id": 1}), "last_name"),
        (person_created(headers={}), "X-Rate-Limit-Limit"),
        (person_created(headers={**RATE, "X-Rate-Limit-Reset": "soon"}), "X-Rate-Limit-Reset"),
        (httpx.Response(201, text="<html>", headers={**RATE, "Content-Type": "text/html"}), "text/html"),
        (httpx.Response(422, json={"oops": 1}, headers=RATE), "is not valid under any of the given schemas"),
    ],
)
def test_a_wrong_response_is_reported_with_what_is_wrong(answer: httpx.Response, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        ask(answer, "POST", f"{PROCORE}/people", json={"person": {"last_name": "Nair"}})


def test_a_request_that_is_wrong_on_purpose_passes() -> None:
    refused = httpx.Response(400, json={"message": "no"}, headers=RATE)
    checker = ask(refused, "POST", f"{PROCORE}/people", json={}, extensions=BREAKS_CONTRACT)
    assert checker.failures == []


def test_a_right_request_must_not_be_marked_as_wrong() -> None:
    with pytest.raises(AssertionError, match="but does not"):
        ask(
            person_created(),
            "POST",
            f"{PROCORE}/people",
            json={"person": {"last_name": "Nair"}},
            extensions=BREAKS_CONTRACT,
        )


def test_a_failure_is_remembered_for_the_end_of_the_test() -> None:
    checker = ContractChecker()
    transport = checker.transport(httpx.MockTransport(lambda _: httpx.Response(200, json=[])))
    with httpx.Client(transport=transport) as client, pytest.raises(AssertionError):
        client.get(f"{PROCORE}/people")
    assert len(checker.failures) == 1
    assert "GET /rest/v1.0/companies/1/people -> 200 breaks the contract" in checker.failures[0]


def test_smartbarrel_and_the_login_server_have_their_contracts_too() -> None:
    token = {"access_token": "t", "token_type": "bearer", "expires_in": "soon", "created_at": 1}
    with pytest.raises(AssertionError, match="soon"):
        ask(
            httpx.Response(200, json=token),
            "POST",
            "http://127.0.0.1:1/oauth/token",
            data={"grant_type": "client_credentials", "client_id": "a", "client_secret": "b"},
        )
    with pytest.raises(AssertionError, match="meta"):
        ask(
            httpx.Response(200, json={"data": []}),
            "GET",
            "http://127.0.0.1:1/api/v1/companies/granite-ridge/workers",
        )


async def checked_async(checker: ContractChecker, answer: httpx.Response) -> httpx.Response:
    transport = checker.async_transport(httpx.MockTransport(lambda _: answer))
    async with httpx.AsyncClient(transport=transport, headers=HEADERS) as client:
        return await client.get(f"{PROCORE}/people")


def test_an_async_client_is_checked_and_gets_the_whole_answer() -> None:
    checker = ContractChecker()
    answer = asyncio.run(checked_async(checker, httpx.Response(200, json=[PERSON], headers=RATE)))
    assert answer.json() == [PERSON]
    assert answer.elapsed.total_seconds() >= 0
    with pytest.raises(AssertionError, match="last_name"):
        asyncio.run(checked_async(checker, httpx.Response(200, json=[{"id": 1}], headers=RATE)))


@pytest.mark.parametrize("email", [{"email_address": None}, {"email_address": ""}, {}])
def test_a_user_without_an_email_is_allowed_beyond_the_contract(email: dict[str, str | None]) -> None:
    user = {"id": 1, "name": "A B", "last_name": "B", "is_active": True, "is_employee": True, **email}
    answer = httpx.Response(200, json=user, headers=RATE)
    checker = ask(answer, "GET", "http://127.0.0.1:1/rest/v1.3/companies/1/users/1")
    assert checker.checked == 1
