"""The sandbox's state: one file that outlives servers and processes, and is read from anywhere."""

import asyncio
import logging
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumer.sandbox.demo import DemoData, load_demo
from consumer.sandbox.server import RunningSandbox, SandboxAddress, start
from consumer.sandbox.store import SandboxState
from tests.contracts import ContractChecker


PEOPLE = "/rest/v1.0/companies/4281001/people"
WORKER = {
    "first_name": "Maria",
    "last_name": "Delgado",
    "email": "maria.delgado@example.com",
    "phone_number": "+15125550143",
}
OTHER_PROCESS = """
import pathlib, sys
from consumer.sandbox.server import start
from tests.sandbox.company import small_company
sandbox = start(pathlib.Path(sys.argv[1]), small_company())
print(sandbox.address.smartbarrel_url, flush=True)
sys.stdin.read()
"""


def workers_url(smartbarrel_url: str) -> str:
    return f"{smartbarrel_url}/api/v1/companies/granite-ridge/workers"


def urls(sandbox: RunningSandbox) -> tuple[str, str, str]:
    address = sandbox.address
    return address.procore_url, address.procore_login_url, address.smartbarrel_url


def headers(key: str = "k") -> dict[str, str]:
    api_key = SandboxAddress("", "", "").api_key
    return {"Authorization": f"Bearer {api_key}", "Idempotency-Key": key}


def test_the_state_and_tokens_and_keys_survive_a_restart(
    run: Callable[..., RunningSandbox],
    procore_of: Callable[[RunningSandbox], httpx.Client],
    open_client: Callable[..., httpx.Client],
) -> None:
    first = run()
    procore = procore_of(first)
    person = procore.post(PEOPLE, json={"person": {"last_name": "Nair"}}).json()
    worker = (
        open_client("")
        .post(workers_url(first.address.smartbarrel_url), headers=headers(), json=WORKER)
        .json()
    )
    first.close()

    second = run()
    again = open_client(second.address.procore_url, {**procore.headers})
    people = again.get(PEOPLE).json()
    assert person in people
    later = again.post(PEOPLE, json={"person": {"last_name": "Rao"}}).json()
    assert later["id"] > person["contact_id"]
    repeated = open_client("").post(
        workers_url(second.address.smartbarrel_url), headers=headers(), json=WORKER
    )
    assert repeated.json() == worker
    assert len(second.state.workers()) == 2


def test_data_are_seeded_into_a_new_file_only(run: Callable[..., RunningSandbox], state_file: Path) -> None:
    run().close()
    SandboxState(state_file).edit_user(8800101, first_name="Mary")
    restarted = run()
    assert restarted.state.users()[0]["name"] == "Mary Delgado"
    assert len(restarted.state.users()) == 3


def test_data_that_contradict_themselves_leave_no_half_seeded_file(
    data: DemoData, state_file: Path, run: Callable[..., RunningSandbox]
) -> None:
    worker = data.smartbarrel["workers"][0]
    twice = {**data.smartbarrel, "workers": [worker, {**worker, "id": "x"}]}
    with pytest.raises(sqlite3.IntegrityError):
        start(state_file, DemoData(data.procore, twice))
    assert len(run().state.workers()) == 1


def test_another_process_serves_and_a_kill_loses_nothing_that_was_answered(
    state_file: Path, run: Callable[..., RunningSandbox], open_client: Callable[..., httpx.Client]
) -> None:
    command = [sys.executable, "-c", OTHER_PROCESS, str(state_file)]
    with subprocess.Popen(  # noqa: S603 - the test's own script
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = workers_url(process.stdout.readline().strip())
        state = SandboxState(state_file)
        for number in range(20):
            body = WORKER | {"phone_number": f"+151255501{number:02}"}
            answer = open_client("").post(url, headers=headers(str(number)), json=body)
            assert answer.json() in state.workers()
        os.kill(process.pid, signal.SIGKILL)
    assert len(state.workers()) == 21
    assert [request.status for request in state.writes()] == [201] * 20
    listed = open_client("").get(workers_url(run().address.smartbarrel_url), headers=headers())
    assert listed.json()["meta"]["total"] == 21


def test_of_two_creations_with_one_phone_at_once_one_is_refused(
    run: Callable[..., RunningSandbox], contract_checker: ContractChecker
) -> None:
    sandbox = run(latency_s=0.02)
    url = workers_url(sandbox.address.smartbarrel_url)

    async def both() -> list[httpx.Response]:
        transport = contract_checker.async_transport()
        async with httpx.AsyncClient(transport=transport) as client:
            calls = (client.post(url, headers=headers(key), json=WORKER) for key in ("a", "b"))
            return await asyncio.gather(*calls)

    created, refused = sorted(asyncio.run(both()), key=lambda answer: answer.status_code)
    assert (created.status_code, refused.status_code) == (201, 409)
    assert refused.json()["error"]["worker_id"] == created.json()["id"]
    assert len(sandbox.state.workers()) == 2


def test_edits_and_requests_at_once_all_take_effect(
    sandbox: RunningSandbox, smartbarrel: httpx.Client
) -> None:
    """Edits come over connections of their own, as from another process."""
    timesheet = "5b7e6c1e-9d0b-4a57-8f33-2f1f6b0c9a41"

    async def mixed() -> None:
        loop = asyncio.get_running_loop()
        edits = [
            loop.run_in_executor(None, lambda: sandbox.state.edit_timesheet(timesheet, status="reviewed"))
            for _ in range(20)
        ]
        bodies = [WORKER | {"phone_number": f"+151255501{number:02}"} for number in range(20)]
        creations = [
            loop.run_in_executor(
                None,
                lambda body: smartbarrel.post(
                    "/workers", headers={"Idempotency-Key": body["phone_number"]}, json=body
                ),
                body,
            )
            for body in bodies
        ]
        await asyncio.gather(*edits)
        assert {answer.status_code for answer in await asyncio.gather(*creations)} == {201}

    asyncio.run(mixed())
    revisions = {sheet["id"]: sheet["revision"] for sheet in sandbox.state.timesheets()}
    assert revisions[timesheet] == 21
    assert len(sandbox.state.workers()) == 21


def test_the_journal_tells_writes_from_reads_and_tokens(
    procore: httpx.Client, smartbarrel: httpx.Client, sandbox: RunningSandbox
) -> None:
    procore.get(PEOPLE, params={"page": 1})
    procore.post(PEOPLE, json={"person": {"last_name": "Nair", "origin_id": "sb:known"}})
    smartbarrel.patch("/workers/4d1f9c33-2c0a-4a9b-8d57-1a6b0c5e9f02", json={"status": "inactive"})
    token, read, *writes = sandbox.state.requests()
    assert (token.path, read.query) == ("/oauth/token", "page=1")
    assert writes == sandbox.state.writes()
    assert [(entry.system, entry.method, entry.status) for entry in writes] == [
        ("procore", "POST", 422),
        ("smartbarrel", "PATCH", 200),
    ]
    assert {entry.at for entry in writes} == {1772452800.0}


@pytest.mark.parametrize(
    ("edit", "key"),
    [("edit_user", 1), ("edit_timesheet", "x"), ("edit_worker", "x"), ("edit_timecard_entry", 1)],
)
def test_an_edit_of_what_is_not_there_is_a_key_error(
    sandbox: RunningSandbox, edit: str, key: int | str
) -> None:
    with pytest.raises(KeyError):
        getattr(sandbox.state, edit)(key, status="x")


def test_latency_delays_every_answer(run: Callable[..., RunningSandbox]) -> None:
    sandbox = run(latency_s=0.05)
    with httpx.Client(headers=headers()) as client:
        before = time.monotonic()
        client.get(workers_url(sandbox.address.smartbarrel_url))
        assert time.monotonic() - before >= 0.05


def test_a_closed_sandbox_answers_no_more_and_closes_twice(sandbox: RunningSandbox) -> None:
    sandbox.close()
    sandbox.close()
    for url in (
        sandbox.address.procore_url,
        sandbox.address.procore_login_url,
        sandbox.address.smartbarrel_url,
    ):
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)


class LoseAnswers:
    """Middleware that lets the app act and puts another answer in place of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def drop(_message: Message) -> None:
            pass

        await self._app(scope, receive, drop)
        await Response(status_code=503)(scope, receive, send)


def test_middleware_can_lose_the_answer_to_a_request_that_took_effect(
    run: Callable[..., RunningSandbox],
) -> None:
    sandbox = run(middleware=[Middleware(LoseAnswers)])
    answer = httpx.post(workers_url(sandbox.address.smartbarrel_url), headers=headers(), json=WORKER)
    assert answer.status_code == 503
    assert [request.status for request in sandbox.state.writes()] == [201]
    assert len(sandbox.state.workers()) == 2


def test_a_caller_that_dies_while_sending_does_no_harm(
    sandbox: RunningSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    port = int(sandbox.address.smartbarrel_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(b"POST /api/v1/companies/granite-ridge/workers HTTP/1.1\r\nHost: x\r\n")
        caller.sendall(b"Content-Length: 100\r\n\r\n{")
    sandbox.close()
    assert sandbox.state.requests() == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_sandbox_comes_back_at_the_ports_that_it_is_given(run: Callable[..., RunningSandbox]) -> None:
    first = run()
    first.close()
    ports: Any = tuple(int(url.rpartition(":")[2]) for url in urls(first))
    assert run(ports=ports).address == first.address
    with pytest.raises(OSError, match="in use"):
        run(ports=ports)


def test_secrets_stay_out_of_the_address_that_is_printed(sandbox: RunningSandbox) -> None:
    assert sandbox.address.client_secret not in repr(sandbox.address)
    assert sandbox.address.api_key not in repr(sandbox.address)


def test_the_demo_data_can_be_served(
    tmp_path: Path, procore_of: Callable[[RunningSandbox], httpx.Client]
) -> None:
    demo = load_demo()
    active = [user for user in demo.procore["users"] if user["is_active"]]
    with start(tmp_path / "demo.db") as sandbox:
        listed = procore_of(sandbox).get("/rest/v1.3/companies/4281001/users", params={"per_page": 2000})
        assert listed.headers["Total"] == str(len(active))
        assert len(sandbox.state.timesheets()) == len(demo.smartbarrel["timesheets"])
