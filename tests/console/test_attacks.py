"""What a hostile visitor, site or office might try, and what comes of it."""

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from urllib.parse import quote

import httpx
import pytest
from structlog.testing import capture_logs

from consumer import health_server
from consumer.console.access import Access, Visitor
from consumer.console.guard import LARGEST_BODY, POLICY
from consumer.console.sessions import COOKIE
from consumer.health_server import listen, serving
from tests.console.scene import GRANITE, NAUGHTY, OTHER, TOKEN, TOKENS, Scene


TRAVERSALS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%252f..%252fetc%252fpasswd",
    "..\\..\\etc\\passwd",
    ".sink.sqlite3",
    "%00",
    "granite1%00.txt",
    "x" * 5000,
)
OTHERS = (
    f"/companies/{OTHER}",
    f"/companies/{OTHER}/users",
    f"/companies/{OTHER}/timesheets",
    f"/companies/{OTHER}/users/runs/other1",
    f"/companies/{OTHER}/users/runs/other1/file",
    f"/companies/{OTHER}/timesheets/runs/other2/file",
    f"/companies/{OTHER}/users/person?id=9",
    f"/companies/{OTHER}/users/progress?run=other1",
    f"/companies/{OTHER}/dead-letters",
    "/dead-letters",
    f"/api/v1/companies/{OTHER}/settings",
    f"/api/v1/companies/{OTHER}/logs",
    f"/api/v1/companies/{OTHER}/logs/users/runs/other1",
    f"/api/v1/companies/{OTHER}/logs/users/runs/other1/results",
    f"/api/v1/companies/{OTHER}/logs/users/runs/other1/file",
    f"/api/v1/companies/{OTHER}/history/users?name=Secret%20Person",
    f"/api/v1/companies/{OTHER}/history/users/9",
    f"/api/v1/companies/{OTHER}/syncs/other1",
    f"/api/v1/companies/{OTHER}/dead-letters",
)


def on(scene: Scene, ask: Callable[[httpx.AsyncClient], Awaitable[None]], **options: str) -> None:
    """Ask the app."""

    async def run() -> None:
        async with scene.client(**options) as client:
            await asyncio.wait_for(ask(client), 30)

    asyncio.run(run())


async def form_token(client: httpx.AsyncClient, path: str = f"/companies/{GRANITE}/users") -> str:
    """The token that the forms of this session have."""
    found = re.search('name="form_token" value="([0-9a-f]{64})"', (await client.get(path)).text)
    assert found is not None
    return found[1]


async def log_in(client: httpx.AsyncClient, token: str, name: str = "Ann") -> httpx.Response:
    return await client.post("/login", data={"token": token, "name": name})


# ------------------------------------------------------------------ names and paths


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_leads_out_of_the_logs(here: Scene, name: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        for path in (
            f"/companies/{GRANITE}/users/runs/{name}",
            f"/companies/{GRANITE}/users/runs/{name}/file",
            f"/companies/{GRANITE}/users/days/{name}/file",
            f"/companies/{name}/users",
            f"/companies/{GRANITE}/{name}",
            f"/static/{name}",
            f"/api/v1/companies/{GRANITE}/logs/users/runs/{name}/file",
            f"/api/v1/companies/{GRANITE}/logs/{name}/runs/granite1",
        ):
            answer = await client.get(path)
            assert answer.status_code in {303, 400, 404, 422}, path
            assert "root:" not in answer.text
            assert "SQLite" not in answer.text

    on(here, ask)


def test_a_download_is_named_by_the_sink_and_by_nobody_else(here: Scene) -> None:
    here.run(run_id='x"\r\nSet-Cookie: a=b/../../y', results=())

    async def ask(client: httpx.AsyncClient) -> None:
        entries = (await client.get(f"/api/v1/companies/{GRANITE}/logs")).json()["items"]
        odd = next(entry["run_id"] for entry in entries if "Set-Cookie" in entry["run_id"])
        for run_id in ("granite1", quote(odd, safe="")):
            answer = await client.get(f"/companies/{GRANITE}/users/runs/{run_id}/file")
            if answer.status_code == 200:
                name = answer.headers["content-disposition"]
                assert re.fullmatch(r'attachment; filename="[A-Za-z0-9._%-]+\.txt"', name)
            assert "a=b" not in answer.headers.get("set-cookie", "")

    on(here, ask)


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/x%0d%0aA: b", "/x\r\nA: b", "\t//evil"],
)
def test_a_login_leads_nowhere_else(guarded: Scene, target: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/login", data={"token": TOKEN, "name": "x", "target": target})
        where = answer.headers["location"]
        assert where.startswith("/")
        assert not where.startswith(("//", "/\\"))
        assert "a" not in answer.headers

    on(guarded, ask)


def test_a_script_in_a_name_a_reason_or_an_upstreams_words_is_text(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        for path in (
            f"/companies/{GRANITE}",
            f"/companies/{GRANITE}/users",
            f"/companies/{GRANITE}/users/runs/granite1",
            f"/companies/{GRANITE}/users/runs/granite1?search={quote(NAUGHTY)}",
            f"/companies/{GRANITE}/users/person?id=2",
            f"/companies/{GRANITE}/users/person?name={quote(NAUGHTY)}",
            f"/companies/{GRANITE}/users?run={quote(NAUGHTY)}",
            f"/companies/{GRANITE}/dead-letters?reason={quote(NAUGHTY)}",
            f"/{quote(NAUGHTY)}",
        ):
            answer = await client.get(path)
            assert answer.status_code < 500
            assert "<script>alert" not in answer.text, path
        log = (await client.get(f"/companies/{GRANITE}/users/runs/granite1")).text
        assert log.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4

    on(here, ask)


# ------------------------------------------------------------------ other sites


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_post_is_refused_whatever_it_knows(here: Scene, headers: Mapping[str, str]) -> None:
    before = len(here.commands())

    async def ask(client: httpx.AsyncClient) -> None:
        token = await form_token(client)
        sync = f"/companies/{GRANITE}/users/sync"
        answer = await client.post(sync, data={"form_token": token}, headers=headers)
        assert answer.status_code == 403
        answer = await client.post(
            f"/api/v1/companies/{GRANITE}/syncs", json={"kind": "users"}, headers=headers
        )
        assert answer.status_code == 403

    on(here, ask)
    assert len(here.commands()) == before


def test_a_form_without_its_sessions_own_token_does_nothing(here: Scene) -> None:
    before = len(here.commands())

    async def ask(client: httpx.AsyncClient) -> None:
        async with here.client() as stranger:
            foreign = await form_token(stranger)
        await form_token(client)
        for token in ("", "0" * 64, foreign):
            for path in ("users/sync", "users/settings", "dead-letters/redrive"):
                data = {"form_token": token, "names": "autosync_users", "before": "2027-01-01T00:00:00Z"}
                answer = await client.post(f"/companies/{GRANITE}/{path}", data=data)
                assert answer.status_code == 403

    on(here, ask)
    assert len(here.commands()) == before
    assert not here.settings.of(GRANITE).autosync_users


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
def test_the_api_takes_nothing_that_a_form_of_another_site_can_send(here: Scene, kind: str) -> None:
    before = len(here.commands())

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post(
            f"/api/v1/companies/{GRANITE}/syncs", content=b'{"kind": "users"}', headers={"Content-Type": kind}
        )
        assert answer.status_code in {415, 422}
        assert answer.headers["content-type"] == "application/problem+json"

    on(here, ask)
    assert len(here.commands()) == before


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil", "10.0.0.1", "", "[::2]"]
)
def test_without_a_token_only_this_machines_own_names_are_answered(here: Scene, host: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.get("/", headers={"Host": host})).status_code == 421

    on(here, ask)


# ------------------------------------------------------------------ tokens


@pytest.mark.parametrize(
    "token", ["", " ", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), TOKEN + "\x00", "x" * 8000, "null", "Bearer"]
)
def test_only_the_very_token_opens(guarded: Scene, token: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        headers = {"Authorization": b"Bearer " + token.encode()} if token.strip() else {}
        answer = await client.get("/api/v1/companies", headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == 401
        assert "bearer" in answer.headers["www-authenticate"].lower()
        assert (await client.get("/companies/4281001")).headers["location"].startswith("/login")
        assert (await log_in(client, token)).status_code in {401, 429}

    on(guarded, ask)


def test_the_right_token_opens_and_who_logs_in_stands_beside_what_they_ask_for(guarded: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await log_in(client, TOKENS[GRANITE], "Ann\tof  Payroll")
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert "secure" not in cookie
        token = await form_token(client)
        assert (
            await client.post(f"/companies/{GRANITE}/users/sync", data={"form_token": token})
        ).status_code == 303

    on(guarded, ask)
    assert guarded.commands()[-1].requested_by == "Ann of Payroll"


def test_behind_tls_the_session_never_crosses_the_network_readable(guarded: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/login", data={"token": TOKEN}, headers={"X-Forwarded-Proto": "https"})
        assert "secure" in answer.headers["set-cookie"].lower()

    on(guarded, ask)


@pytest.mark.parametrize("path", OTHERS)
def test_a_companys_token_does_not_show_another(guarded: Scene, path: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.get(path)
        assert answer.status_code == 404
        assert "Secret" not in answer.text
        assert (await client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})).status_code != 404

    on(guarded, ask, token=TOKENS[GRANITE])


def test_a_companys_token_does_nothing_for_another(guarded: Scene) -> None:
    before = len(guarded.commands())

    async def ask(client: httpx.AsyncClient) -> None:
        await log_in(client, TOKENS[GRANITE])
        token = await form_token(client)
        data = {
            "form_token": token,
            "names": "autosync_users",
            "autosync_users": "on",
            "before": "2027-01-01T00:00Z",
        }
        for path in ("users/sync", "timesheets/sync", "users/settings", "dead-letters/redrive"):
            assert (await client.post(f"/companies/{OTHER}/{path}", data=data)).status_code == 404
        assert (await client.post("/dead-letters/redrive", data=data)).status_code == 404
        api = {"Authorization": f"Bearer {TOKENS[GRANITE]}"}
        base = f"/api/v1/companies/{OTHER}"
        assert (await client.post(f"{base}/syncs", json={"kind": "users"}, headers=api)).status_code == 404
        assert (
            await client.patch(f"{base}/settings", json={"autosync_users": True}, headers=api)
        ).status_code == 404
        redrive = {"dry_run": False}
        assert (
            await client.post(f"{base}/dead-letters/redrive", json=redrive, headers=api)
        ).status_code == 404

    on(guarded, ask)
    assert len(guarded.commands()) == before
    assert not guarded.settings.of(OTHER).autosync_users
    assert len(guarded.live.letters()) == 3


def test_a_companys_token_lists_that_company_alone_and_no_partitions_or_budgets_of_others(
    guarded: Scene,
) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        found = (await client.get("/api/v1/companies")).json()["items"]
        assert [one["company_id"] for one in found] == [GRANITE]
        state = (await client.get("/state")).text
        assert "of 600" in state
        assert "of 77" not in state
        assert "Partition" not in state

    on(guarded, ask, token=TOKENS[GRANITE])


def test_a_session_that_was_forged_is_too_old_or_of_former_tokens_opens_nothing(
    guarded: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = guarded.access.session_of(Visitor(None, "Ann"))
    assert guarded.access.visitor_of(good) is not None
    former = Access.of("another-token-0123456789", TOKENS).session_of(Visitor(None, "Ann"))
    for session in ("", "x", good[:-1], good + "x", good.replace(".", "x", 1), former, "." * 5000):
        assert guarded.access.visitor_of(session) is None
    later = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: later)
    assert guarded.access.visitor_of(good) is None


def test_a_cookie_of_another_companys_token_is_not_made_into_more(guarded: Scene) -> None:
    session = guarded.access.session_of(Visitor(GRANITE, "Ann"))

    async def ask(client: httpx.AsyncClient) -> None:
        client.cookies.set(COOKIE, session)
        assert (await client.get(f"/companies/{GRANITE}")).status_code == 200
        assert (await client.get(f"/companies/{OTHER}")).status_code == 404

    on(guarded, ask)


@pytest.mark.rates
def test_wrong_tokens_are_slowed(guarded: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answers = [(await log_in(client, f"wrong-{number}")).status_code for number in range(14)]
        assert answers[-1] == 429
        assert (await log_in(client, TOKEN)).status_code == 429

    on(guarded, ask)


def test_no_secret_and_no_name_gets_into_the_process_log_or_a_repr(guarded: Scene) -> None:
    with capture_logs() as logs:

        async def ask(client: httpx.AsyncClient) -> None:
            await log_in(client, TOKEN, "Ann")
            await client.get(f"/companies/{GRANITE}/users/person?name=Ada%20Lovelace")
            await client.get("/nothing", headers={"Authorization": "Bearer wrong-secret-0123456789"})

        on(guarded, ask)
    said = repr(logs) + repr(guarded.access) + repr(guarded.sources)
    for secret in (TOKEN, *TOKENS.values(), "wrong-secret", "Lovelace"):
        assert secret not in said


# ------------------------------------------------------------------ sizes and rates


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(here: Scene) -> None:
    async def drip() -> Iterator[bytes]:  # type: ignore[misc]
        for _ in range(100):
            yield b"x" * 1024

    async def ask(client: httpx.AsyncClient) -> None:
        for path, kind in (
            (f"/companies/{GRANITE}/users/sync", "application/x-www-form-urlencoded"),
            (f"/api/v1/companies/{GRANITE}/syncs", "application/json"),
        ):
            for content in (b"x" * (LARGEST_BODY + 1), drip()):
                answer = await client.post(path, content=content, headers={"Content-Type": kind})
                assert answer.status_code == 413, path

    on(here, ask)


@pytest.mark.parametrize(
    "content", [b"[" * 30_000, b'{"kind": "users"' + b" " * 60_000, b"\xff\xfe", b"1" * 6000]
)
def test_json_that_is_odd_is_no_fault_of_ours(here: Scene, content: bytes) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post(
            f"/api/v1/companies/{GRANITE}/syncs",
            content=content,
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code in {400, 422}

    on(here, ask)


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=1e9",
        "page=99999999",
        "page=१",
        "show=x",
        f"search={'x' * 500}",
        "line_ends=x",
    ],
)
def test_parameters_that_mean_nothing_are_refused(here: Scene, query: str) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        base = f"/companies/{GRANITE}/users/runs/granite1"
        path = f"{base}/file" if query.startswith("line") else base
        assert (await client.get(f"{path}?{query}")).status_code == 400

    on(here, ask)


@pytest.mark.rates
def test_whoever_asks_too_often_is_told_to_wait(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        answers = [await client.get("/nothing") for _ in range(80)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert refused[0].headers["retry-after"] == "1"

    on(here, ask)


def test_slow_clients_are_hung_up_on(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_server, "LONGEST_REQUEST_S", 0.3)
    listener = listen("127.0.0.1", 0)
    with serving(listener, here.app, "console", 600):
        for data in (
            b"",
            b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntoken=",
        ):
            with socket.create_connection(listener.getsockname()[:2], 10) as connection:
                connection.sendall(data)
                began, said = time.monotonic(), b""
                with suppress(ConnectionResetError):
                    while part := connection.recv(65_536):
                        said += part
                assert time.monotonic() - began < 8
                assert b"200 OK" not in said


# ------------------------------------------------------------------ what every answer has


def test_every_answer_has_the_headers_that_keep_a_browser_safe_and_tells_nothing_of_us(here: Scene) -> None:
    async def ask(client: httpx.AsyncClient) -> None:
        for path in (
            "/",
            "/nothing",
            "/static/console.css",
            "/api/v1/nothing",
            "/api/v1/openapi.json",
            "/companies/x",
        ):
            answer = await client.get(path)
            assert answer.headers["content-security-policy"] == POLICY, path
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert "server" not in answer.headers
            assert "Traceback" not in answer.text
            assert str(here.folder) not in answer.text

    on(here, ask)


def test_a_fault_of_ours_is_told_without_its_insides(here: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr("consumer.sink.catalog.Catalog.newest", broken)

    async def ask(client: httpx.AsyncClient) -> None:
        for path in (f"/companies/{GRANITE}/users", f"/api/v1/companies/{GRANITE}/logs"):
            answer = await client.get(path)
            assert answer.status_code == 500
            assert "insides" not in answer.text
            assert answer.headers["content-security-policy"] == POLICY

    with capture_logs() as logs:
        on(here, ask)
    assert "insides" not in repr(logs)
