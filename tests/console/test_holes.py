"""Holes that were found by attacking the running console, each closed and kept closed."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from consumer import health_server
from consumer.config import load
from consumer.console.guard import POLICY
from consumer.console.sessions import COOKIE
from consumer.exceptions import ConfigurationError
from consumer.health_server import listen, serving
from consumer.sink.state import STATE_FILE
from tests.console.conftest import filled
from tests.console.scene import GRANITE, OTHER, TOKEN, Scene
from tests.console.test_attacks import form_token, log_in, on


SYNCS = f"/api/v1/companies/{GRANITE}/syncs"
USERS = {"kind": "users"}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Scene]:
    """A guarded console of the test's own, whose counts of wrong tokens begin at nothing."""
    with Scene(tmp_path, is_open=False) as scene:
        yield filled(scene)


# ------------------------------------------------------------------ one wish per key


def test_parallel_requests_with_one_key_write_one_command(here: Scene) -> None:
    before = len(here.commands())

    async def ask(client: httpx.AsyncClient) -> None:
        key = {"Idempotency-Key": "in-parallel"}
        answers = await asyncio.gather(*(client.post(SYNCS, json=USERS, headers=key) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {202}

    on(here, ask)
    assert len(here.commands()) == before + 1


def test_a_process_that_knows_nothing_yet_finds_the_wish_that_another_wrote(here: Scene) -> None:
    before = len(here.commands())
    key = {"Idempotency-Key": "from-two-processes"}

    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.post(SYNCS, json=USERS, headers=key)).status_code == 202
        here.live._asked.clear()
        assert (await client.post(SYNCS, json=USERS, headers=key)).status_code == 202
        here.live._asked.clear()
        other = await client.post(SYNCS, json={**USERS, "requested_by": "Eve"}, headers=key)
        assert other.status_code == 422

    on(here, ask)
    assert len(here.commands()) == before + 1


# ------------------------------------------------------------------ settings


def test_settings_that_are_changed_at_once_are_all_changed(here: Scene) -> None:
    names = ("sync_classifications", "auto_sync_time_card", "include_sub_workers", "deactivate_workers")
    path = f"/api/v1/companies/{OTHER}/settings"

    async def ask(client: httpx.AsyncClient) -> None:
        before = (await client.get(path)).json()
        await asyncio.gather(*(client.patch(path, json={name: not before[name]}) for name in names))
        after = (await client.get(path)).json()
        assert after == {**before, **{name: not before[name] for name in names}}

    on(here, ask)


def test_a_script_is_told_of_every_setting_that_a_form_can_change(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        data = {
            "form_token": await form_token(client),
            "names": "project_time_entry",
            "project_time_entry": "2790002:start_stop",
        }
        path = f"/companies/{GRANITE}/users/settings"
        answer = await client.post(path, data=data, headers={"Accept": "application/json"})
        assert answer.json() == {"project_time_entry": ["2790002:start_stop"]}

    on(here, ask)


# ------------------------------------------------------------------ sessions and tokens


def test_a_cookie_that_was_copied_opens_nothing_after_its_session_was_ended(fresh: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        await log_in(client, TOKEN)
        copied = client.cookies[COOKIE]
        await client.post("/logout", data={"form_token": await form_token(client)})
        client.cookies.set(COOKIE, copied)
        answer = await client.get(f"/companies/{GRANITE}")
        assert answer.headers["location"].startswith("/login")

    on(fresh, ask)


@pytest.mark.rates
def test_programs_that_guess_tokens_are_slowed_too_and_people_may_still_log_in(
    fresh: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the two counts it is the one of tokens that is looked at.
    monkeypatch.setattr("consumer.console.guard.Rates.allows", lambda *_: True)

    async def ask(client: httpx.AsyncClient) -> None:
        answers = [
            await client.get("/api/v1/companies", headers={"Authorization": f"Bearer wrong-{number}"})
            for number in range(40)
        ]
        assert [answer.status_code for answer in answers].count(401) == 30
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
        right = await client.get("/api/v1/companies", headers={"Authorization": f"Bearer {TOKEN}"})
        assert right.status_code == 429
        assert (await log_in(client, TOKEN)).status_code == 303

    on(fresh, ask)


@pytest.mark.rates
def test_whoever_is_slowed_at_the_login_is_told_how_long_to_wait(
    fresh: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.console.guard.Rates.allows", lambda *_: True)

    async def ask(client: httpx.AsyncClient) -> None:
        for number in range(10):
            await log_in(client, f"wrong-{number}")
        answer = await log_in(client, TOKEN)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")

    on(fresh, ask)


def test_the_session_is_secure_behind_more_than_one_proxy(fresh: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        headers = {"X-Forwarded-Proto": "https, http"}
        answer = await client.post("/login", data={"token": TOKEN}, headers=headers)
        assert "secure" in answer.headers["set-cookie"].lower()

    on(fresh, ask)


def test_a_name_has_nothing_in_it_that_nobody_can_see(fresh: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        await log_in(client, TOKEN, "Ann\x1b[31m\x00 Lee")
        data = {"form_token": await form_token(client)}
        assert (await client.post(f"/companies/{GRANITE}/users/sync", data=data)).status_code == 303

    on(fresh, ask)
    assert fresh.commands()[-1].requested_by == "Ann[31m Lee"


# ------------------------------------------------------------------ what odd requests are answered


def test_an_origin_that_is_no_address_is_another_site(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post(SYNCS, json=USERS, headers={"Origin": "http://["})
        assert answer.status_code == 403
        assert answer.headers["content-security-policy"] == POLICY

    on(here, ask)


@pytest.mark.parametrize("path", ["/api/v1/companies/", f"/companies/{GRANITE}/"])
def test_an_address_has_one_form_and_no_host_decides_where_another_leads(here: Scene, path: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "location" not in answer.headers

    on(here, ask)


def test_what_cannot_be_read_is_told_without_its_path(fresh: Scene) -> None:
    for file in fresh.log_dir.glob(f"{STATE_FILE}*"):
        file.unlink()
    (fresh.log_dir / STATE_FILE).write_bytes(b"no database" * 500)

    async def ask(client: httpx.AsyncClient) -> None:
        for path in (f"/companies/{GRANITE}/users", f"/api/v1/companies/{GRANITE}/logs"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert str(fresh.folder) not in answer.text
            assert STATE_FILE not in answer.text

    on(fresh, ask, token=TOKEN)


def test_a_token_that_is_no_text_is_a_setting_to_change() -> None:
    companies = '[{"company_id": 1, "name": "A", "smartbarrel_company_id": "a", "console_token": ["x"]}]'
    with pytest.raises(ConfigurationError, match="console_token"):
        load({"CREWSYNC_COMPANIES": companies}, Path("/nonexistent"))


# ------------------------------------------------------------------ whoever does not read


def received(port: int, pause_s: float) -> int:
    """Bytes of an answer that arrive, if the first and every further read waits for so long."""
    count = 0
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        with suppress(ConnectionResetError):
            time.sleep(pause_s)
            while part := connection.recv(1 << 20):
                count += len(part)
    return count


def test_whoever_does_not_read_an_answer_is_hung_up_on_and_whoever_reads_gets_it_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(health_server, "STALLED_S", 0.3)
    size = 30_000_000
    listener = listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with serving(listener, Response(b"x" * size), "console", 600):
        assert received(port, 0.0) > size
        assert received(port, 1.5) < size
