"""Successes whose body is not what the contract says: no answer, rather than a fault of this program."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import httpx
import pytest

from consumer.exceptions import Transient
from consumer.secret import Secret
from consumer.upstream.http import http_client
from consumer.upstream.procore import Procore
from consumer.upstream.procore_tokens import ProcoreCredentials, TokenSource
from consumer.upstream.shapes import read, rows
from consumer.upstream.smartbarrel import SmartBarrel, SmartBarrelAccount
from tests.upstream.site import ACCOUNT, COMPANY, FLOOR_1, TOWER


DAY = date(2026, 2, 24)
TOKEN = {"access_token": "token-1", "token_type": "bearer", "expires_in": 5400, "created_at": 1}
SHOWN = {"first_name": "Maria", "last_name": "Delgado", "email": "maria@example.com"}


def answering(body: Any) -> httpx.AsyncClient:
    """A client of a server that answers everything alike."""
    # Not with json=body, which makes an empty body of None.
    content = json.dumps(body)
    return http_client("http://odd.test", httpx.MockTransport(lambda _: httpx.Response(200, content=content)))


def procore(body: Any) -> Procore:
    return Procore(
        answering(body),
        TokenSource(answering(TOKEN), ProcoreCredentials(Secret("id"), Secret("secret"))),
        COMPANY,
    )


def smartbarrel(body: Any) -> SmartBarrel:
    return SmartBarrel(answering(body), SmartBarrelAccount(ACCOUNT, Secret("key")), COMPANY)


async def all_of(pages: Any) -> None:
    async for _ in pages:
        pass


PROCORE_LISTS: dict[str, Callable[[Procore], Awaitable[Any]]] = {
    "probe": Procore.probe,
    "people": Procore.people,
    "users": lambda one: all_of(one.users()),
    "classifications": Procore.classifications,
    "project classifications": lambda one: one.project_classifications(TOWER),
    "timecards": lambda one: one.timecards([1], DAY, DAY),
    "projects": Procore.projects,
    "sub jobs": lambda one: one.sub_jobs(TOWER),
    "cost codes": lambda one: one.cost_codes(TOWER, FLOOR_1),
    "locations": lambda one: one.locations(TOWER),
}
PROCORE_OBJECTS: dict[str, Callable[[Procore], Awaitable[Any]]] = {
    "user": lambda one: one.user(1),
    "contact": lambda one: one.create_contact(
        first_name="Maria", last_name="Delgado", employee_id=None, origin_id="sb:1"
    ),
    "person": lambda one: one.update_person(1, {"last_name": "Delgado"}),
    "classification": lambda one: one.create_classification({"name": "Carpenter"}),
    "timecard": lambda one: one.timecard(1),
    "new timecard": lambda one: one.create_timecard(TOWER, {}),
    "changed timecard": lambda one: one.update_timecard(1, TOWER, {}),
}
SMARTBARREL_LISTS: dict[str, Callable[[SmartBarrel], Awaitable[Any]]] = {
    "probe": SmartBarrel.probe,
    "workers by a field": lambda one: one.find_workers(payroll_id="20301"),
    "workers": lambda one: one.worker_page(1),
    "positions": SmartBarrel.positions,
    "timesheets": lambda one: all_of(one.timesheets()),
}
SMARTBARREL_OBJECTS: dict[str, Callable[[SmartBarrel], Awaitable[Any]]] = {
    "worker": lambda one: one.worker("1"),
    "new worker": lambda one: one.create_worker({}, "key"),
    "changed worker": lambda one: one.update_worker("1", {}),
    "new position": lambda one: one.create_position({}, "key"),
    "changed position": lambda one: one.update_position("1", {}),
}
META = {"total": 1, "page": 1, "per_page": 200}


@pytest.mark.parametrize("call", PROCORE_LISTS.values(), ids=PROCORE_LISTS)
@pytest.mark.parametrize(
    "body", [{}, {"message": "OK"}, "", None, 7, [[]], [None], ["row"], [SHOWN]], ids=str
)
def test_a_list_of_procore_in_another_shape_is_no_answer_and_never_an_empty_list(
    call: Callable[[Procore], Awaitable[Any]], body: Any
) -> None:
    with pytest.raises(Transient, match="HTTP 200") as found:
        asyncio.run(_awaited(call(procore(body))))
    assert found.value.words[0].startswith("The answer is not what the contract says: ")


@pytest.mark.parametrize("call", PROCORE_OBJECTS.values(), ids=PROCORE_OBJECTS)
@pytest.mark.parametrize("body", [[], [SHOWN], {}, "", None, 7, SHOWN, {"id": "one"}], ids=str)
def test_an_object_of_procore_in_another_shape_is_no_answer(
    call: Callable[[Procore], Awaitable[Any]], body: Any
) -> None:
    with pytest.raises(Transient):
        asyncio.run(_awaited(call(procore(body))))


@pytest.mark.parametrize("call", SMARTBARREL_LISTS.values(), ids=SMARTBARREL_LISTS)
@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        None,
        {"data": []},
        {"meta": META},
        {"data": {}, "meta": META},
        {"data": "", "meta": META},
        {"data": [SHOWN], "meta": META},
    ],
    ids=str,
)
def test_a_list_of_smartbarrel_in_another_shape_is_no_answer_and_never_an_empty_list(
    call: Callable[[SmartBarrel], Awaitable[Any]], body: Any
) -> None:
    with pytest.raises(Transient):
        asyncio.run(_awaited(call(smartbarrel(body))))


@pytest.mark.parametrize("call", SMARTBARREL_OBJECTS.values(), ids=SMARTBARREL_OBJECTS)
@pytest.mark.parametrize("body", [[], {}, "", None, 7, SHOWN], ids=str)
def test_an_object_of_smartbarrel_in_another_shape_is_no_answer(
    call: Callable[[SmartBarrel], Awaitable[Any]], body: Any
) -> None:
    with pytest.raises(Transient):
        asyncio.run(_awaited(call(smartbarrel(body))))


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        [TOKEN],
        "token-1",
        None,
        {"access_token": "token-1"},
        {"expires_in": 5400},
        TOKEN | {"access_token": None},
        TOKEN | {"access_token": ""},
        TOKEN | {"access_token": {"value": "token-1"}},
        TOKEN | {"expires_in": None},
        TOKEN | {"expires_in": "soon"},
    ],
    ids=str,
)
def test_a_login_answer_in_another_shape_is_no_token_and_the_login_is_asked_again(body: Any) -> None:
    answers = [json.dumps(body), json.dumps(TOKEN)]
    client = http_client(
        "http://login.test", httpx.MockTransport(lambda _: httpx.Response(200, content=answers.pop(0)))
    )
    source = TokenSource(client, ProcoreCredentials(Secret("id"), Secret("secret")))

    async def scene() -> str:
        with pytest.raises(Transient) as found:
            await source.get()
        assert (found.value.operation, found.value.status) == ("createAccessToken", 200)
        return await source.get()

    assert asyncio.run(scene()) == "token-1"


def test_the_words_name_what_is_missing_but_no_value() -> None:
    def words(parse: Callable[[Any], Any]) -> tuple[str, ...]:
        with pytest.raises(Transient) as found:
            read("procore", "listCompanyPeople", httpx.Response(200, json=[SHOWN]), parse)
        return found.value.words

    said = "The answer is not what the contract says: "
    assert words(rows(lambda row: row["id"])) == (f"{said}id is missing.",)
    assert words(rows(lambda row: int(row["email"]))) == (f"{said}a value has another shape.",)


async def _awaited(call: Awaitable[Any]) -> None:
    await call
