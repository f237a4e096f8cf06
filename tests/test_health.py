"""What the process tells over HTTP: to probes, to people, to Prometheus; and to whom."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from consumer import health_server
from consumer.engine.state import CompanyState, EngineState, PartitionState
from consumer.exceptions import ConfigurationError
from consumer.health import Health, health_app
from consumer.health_server import listen, serving, url_of
from consumer.sink.sink import SinkState
from consumer.version import program_version
from consumer.watchdog import Heartbeat, Watchdog
from consumer.webhooks.reader import ReaderState


TOKEN = "token-5f4dcc3b5aa7"
PATIENCE_S = 10.0

HELD = CompanyState(4281001, 12, 3, 61.5, parking=True, breakers=MappingProxyType({"smartbarrel": "open"}))
READY = EngineState(
    kind="users",
    group="crewsync-users",
    is_assigned=True,
    is_ready=True,
    in_flight=15,
    finished=2,
    committed_at=1_800_000_000.0,
    partitions=(PartitionState("events", 3, 7, 120, 100, 90, 200, 15, 4.5),),
    companies=(CompanyState(7, 0, 0, None, parking=False),),
)


@dataclass
class Work:
    """A process with one engine and a sink, all of which is well."""

    is_running: bool = True
    engines: dict[str, EngineState | None] = field(default_factory=lambda: {"users": READY})
    sink: SinkState | None = field(default_factory=lambda: SinkState(17))
    webhooks: ReaderState | None = None

    def engine_states(self) -> Mapping[str, EngineState | None]:
        return self.engines

    def sink_state(self) -> SinkState | None:
        return self.sink

    def webhooks_state(self) -> ReaderState | None:
        return self.webhooks


@dataclass
class Scene:
    """A process, its heartbeats by a clock of the test's own, and its app."""

    work: Work = field(default_factory=Work)
    now: float = 1000.0
    token: str | None = None

    def __post_init__(self) -> None:
        self.users, self.sink = (Heartbeat(name, lambda: self.now) for name in ("users", "sink"))
        self.users.beat()
        self.sink.beat()
        self.health = Health(Watchdog([self.users, self.sink], 120), self.work)

    def get(self, path: str, *, method: str = "GET", **headers: str | bytes) -> httpx.Response:
        """Ask the app, without a server."""
        app = health_app(self.health, self.token)
        raw = {
            name.encode(): value.encode() if isinstance(value, str) else value
            for name, value in headers.items()
        }

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://health.test") as client:
                return await client.request(method, path, headers=[*raw.items()])

        return asyncio.run(asyncio.wait_for(ask(), PATIENCE_S))


@pytest.fixture
def scene() -> Scene:
    return Scene()


# ------------------------------------------------------------------ /live


def test_a_process_whose_loops_turn_is_live(scene: Scene) -> None:
    answer = scene.get("/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live", "stuck_s": {}})


def test_liveness_fails_while_a_loop_does_not_turn_and_says_which(scene: Scene) -> None:
    scene.now += 121
    scene.sink.beat()
    answer = scene.get("/live")
    assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "stuck_s": {"users": 121.0}})
    scene.users.beat()
    assert scene.get("/live").status_code == 200


@pytest.mark.parametrize(
    "engine",
    [
        None,
        replace(READY, is_ready=False),
        replace(READY, is_stopping=True),
        replace(READY, companies=(HELD,)),
    ],
    ids=["starting", "not ready", "stopping", "held"],
)
def test_a_process_that_is_not_ready_is_live_all_the_same(scene: Scene, engine: EngineState | None) -> None:
    """To restart it would not help."""
    scene.work.engines["users"] = engine
    assert scene.get("/live").status_code == 200


# ------------------------------------------------------------------ /ready


def test_a_process_that_can_work_is_ready(scene: Scene) -> None:
    answer = scene.get("/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "because": [], "held": []})


def test_a_member_that_stands_by_without_partitions_is_ready(scene: Scene) -> None:
    scene.work.engines["users"] = replace(READY, is_assigned=False, partitions=())
    assert scene.get("/ready").status_code == 200


def test_a_process_that_only_writes_logs_is_ready_without_an_engine(scene: Scene) -> None:
    scene.work.engines.clear()
    scene.users.end()
    scene.health = Health(Watchdog([scene.sink], 120), scene.work)
    assert scene.get("/ready").status_code == 200


def not_running(scene: Scene) -> None:
    scene.work.is_running = False


def not_started(scene: Scene) -> None:
    scene.work.engines["users"] = None


def no_pulse(scene: Scene) -> None:
    scene.sink.end()


def no_member(scene: Scene) -> None:
    scene.work.engines["users"] = replace(READY, is_ready=False)


def drained(scene: Scene) -> None:
    scene.work.engines["users"] = replace(READY, is_stopping=True)


def stuck(scene: Scene) -> None:
    scene.now += 121
    scene.sink.beat()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (not_running, "stopping"),
        (not_started, "users: starting"),
        (no_pulse, "sink: starting"),
        (no_member, "users: has not joined its group, or cannot commit yet"),
        (drained, "users: stopping"),
        (stuck, "users: stuck"),
    ],
)
def test_a_process_that_cannot_work_is_not_ready_and_says_why(
    scene: Scene, trouble: Callable[[Scene], None], reason: str
) -> None:
    trouble(scene)
    answer = scene.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "because": [reason], "held": []}


def test_a_company_that_is_held_is_told_and_leaves_the_process_ready(scene: Scene) -> None:
    """The others' records go on."""
    scene.work.engines["users"] = replace(READY, companies=(HELD, *READY.companies))
    answer = scene.get("/ready")
    assert answer.status_code == 200
    assert answer.json()["held"] == [
        {
            "handler": "users",
            "company_id": 4281001,
            "waiting": 12,
            "running": 3,
            "held_since_s": 61.5,
            "parking": True,
            "breakers": {"smartbarrel": "open"},
        }
    ]


# ------------------------------------------------------------------ /state


def test_the_state_has_every_partition_and_company_of_every_engine(scene: Scene) -> None:
    scene.work.engines |= {
        "users": replace(READY, turned_at=time.monotonic() - 3, companies=(HELD,)),
        "timesheets": None,
    }
    state = scene.get("/state").json()
    turned = state["engines"]["users"].pop("turned_s_ago")
    assert 3 <= turned < 3 + PATIENCE_S
    assert state["engines"] == {
        "timesheets": None,
        "users": {
            "kind": "users",
            "group": "crewsync-users",
            "is_assigned": True,
            "is_ready": True,
            "is_paused": False,
            "is_stopping": False,
            "in_flight": 15,
            "finished": 2,
            "committed_at": "2027-01-15T08:00:00+00:00",
            "partitions": [
                {
                    "topic": "events",
                    "partition": 3,
                    "epoch": 7,
                    "position": 120,
                    "frontier": 100,
                    "committed": 90,
                    "end": 200,
                    "in_flight": 15,
                    "oldest_age_s": 4.5,
                    "lag": 0,
                    "lag_s": 0.0,
                }
            ],
            "companies": [
                {
                    "company_id": 4281001,
                    "waiting": 12,
                    "running": 3,
                    "held_since_s": 61.5,
                    "parking": True,
                    "breakers": {"smartbarrel": "open"},
                }
            ],
        },
    }


def test_the_state_has_the_versions_the_loops_and_the_sink(scene: Scene) -> None:
    scene.now += 1.5
    state = scene.get("/state").json()
    assert (state["version"], state["kafka_python"][:2]) == (program_version(), "3.")
    assert 0 <= state["uptime_s"] < PATIENCE_S
    assert state["loops_turned_s_ago"] == {"users": 1.5, "sink": 1.5}
    assert state["sink"] == {"taken": 17, "is_failing": False, "problem": None}
    assert (state["stuck"], state["not_ready"]) == ([], [])


def test_the_state_of_a_process_that_has_not_begun_is_told_as_well(scene: Scene) -> None:
    scene.work.engines["users"] = scene.work.sink = None
    state = scene.get("/state").json()
    assert (state["engines"], state["sink"]) == ({"users": None}, None)
    assert state["not_ready"] == ["users: starting"]


# ------------------------------------------------------------------ /metrics


def test_metrics_come_in_the_plain_format_unless_the_other_is_asked_for(scene: Scene) -> None:
    plain = scene.get("/metrics")
    assert plain.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "crewsync_build_info" in {family.name for family in parse(plain.text)}
    opened = scene.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert opened.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "crewsync_build" in {
        family.name
        for family in parse_openmetrics(opened.text)  # type: ignore[no-untyped-call]
    }


def test_metrics_are_compressed_for_whoever_can_read_that(scene: Scene) -> None:
    assert scene.get("/metrics", **{"Accept-Encoding": "gzip"}).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in scene.get("/metrics", **{"Accept-Encoding": "identity"}).headers


# ------------------------------------------------------------------ who is answered


def test_without_a_token_everybody_on_this_machine_is_answered(scene: Scene) -> None:
    paths = ("/", "/live", "/ready", "/state", "/metrics")
    assert [scene.get(path).status_code for path in paths] == [200] * 5


@pytest.mark.parametrize("path", ["/state", "/metrics"])
@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        TOKEN,
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        f"Basic {TOKEN}",
        b"Bearer \xe4\xff",
    ],
)
def test_with_a_token_nobody_else_gets_state_or_metrics(path: str, given: str | bytes | None) -> None:
    headers: dict[str, Any] = {} if given is None else {"Authorization": given}
    answer = Scene(token=TOKEN).get(path, **headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="crewsync"')
    assert TOKEN not in answer.text
    assert "crewsync_" not in answer.text


@pytest.mark.parametrize("path", ["/state", "/metrics"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_whoever_has_the_token_gets_them(path: str, scheme: str) -> None:
    assert Scene(token=TOKEN).get(path, Authorization=f"{scheme} {TOKEN}").status_code == 200


@pytest.mark.parametrize(("path", "word"), [("/live", "stuck"), ("/ready", "not ready")])
def test_probes_need_no_token_but_learn_no_details_without_it(path: str, word: str) -> None:
    scene = Scene(token=TOKEN)
    stuck(scene)
    probed = scene.get(path)
    assert (probed.status_code, probed.json()) == (503, {"status": word})
    trusted = scene.get(path, Authorization=f"Bearer {TOKEN}")
    assert trusted.status_code == 503
    assert "users" in trusted.text


@pytest.mark.parametrize("path", ["/live", "/ready", "/state", "/metrics"])
def test_answers_are_kept_by_nobody(scene: Scene, path: str) -> None:
    assert scene.get(path).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/state", 405), ("HEAD", "/live", 200)]
)
def test_other_paths_and_methods_are_refused(scene: Scene, method: str, path: str, status: int) -> None:
    assert scene.get(path, method=method).status_code == status


# ------------------------------------------------------------------ the server


def test_it_answers_from_a_thread_until_the_end_and_then_leaves_the_port(scene: Scene) -> None:
    listener = listen("127.0.0.1", 0)
    url = url_of(listener)
    port = listener.getsockname()[1]
    with serving(listener, health_app(scene.health, None)):
        assert httpx.get(f"{url}live", timeout=PATIENCE_S).json()["status"] == "live"
        # A connection that stays open does not hold up the end.
        waiting = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    assert not any(thread.name == "health" for thread in threading.enumerate())
    waiting.close()
    with closing(listen("127.0.0.1", port)):
        pass


def test_it_answers_while_the_state_takes_long(scene: Scene) -> None:
    """The loop that a state is asked of may be the one that is stuck."""
    asked, release = threading.Event(), threading.Event()

    def slow() -> Mapping[str, EngineState | None]:
        asked.set()
        release.wait(PATIENCE_S)
        return {}

    scene.work.engine_states = slow  # type: ignore[method-assign]
    listener = listen("127.0.0.1", 0)
    with serving(listener, health_app(scene.health, None)):
        slow_one = threading.Thread(target=httpx.get, args=(f"{url_of(listener)}state",))
        slow_one.start()
        assert asked.wait(PATIENCE_S)
        assert httpx.get(f"{url_of(listener)}live", timeout=PATIENCE_S).status_code == 200
        release.set()
        slow_one.join(PATIENCE_S)


def spoken(listener: socket.socket, data: bytes) -> bytes:
    """What the server says to these bytes until it hangs up."""
    said = b""
    with socket.create_connection(listener.getsockname()[:2], PATIENCE_S) as connection:
        connection.sendall(data)
        with suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                said += part
    return said


SLOW = b"GET /live HTTP/1.1\r\nHost: x\r\nX-Slow: "


def test_no_connection_lasts_longer_than_it_may(scene: Scene) -> None:
    listener = listen("127.0.0.1", 0)
    with serving(listener, health_app(scene.health, None), longest_s=0.2):
        assert spoken(listener, b"") == b""
        assert spoken(listener, SLOW) == b""


def test_whoever_says_nothing_or_never_ends_a_request_is_hung_up_on(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_server, "LONGEST_REQUEST_S", 0.2)
    listener = listen("127.0.0.1", 0)
    with serving(listener, health_app(scene.health, None), longest_s=600):
        assert spoken(listener, b"") == b""
        assert spoken(listener, SLOW) == b""


def test_a_head_that_is_too_large_is_refused(scene: Scene) -> None:
    listener = listen("127.0.0.1", 0)
    with serving(listener, health_app(scene.health, None)):
        head = b"GET /live HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * 20_000
        assert spoken(listener, head).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_port_that_is_taken_is_a_setting_to_change(host: str) -> None:
    with closing(listen(host, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"^CREWSYNC_METRICS_PORT: {port} is taken on {host}; "):
            listen(host, port)


@pytest.mark.parametrize("host", ["192.0.2.1", "::ffff:192.0.2.1", "x" * 64])
def test_a_host_that_is_not_here_is_a_setting_to_change(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^CREWSYNC_METRICS_HOST: ") as caught:
        listen(host, 0)
    assert "\n" not in str(caught.value)


def test_an_address_is_shown_as_one_can_open_it() -> None:
    with closing(listen("127.0.0.1", 0)) as listener:
        assert url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_an_address_of_the_newer_kind_is_shown_in_brackets() -> None:
    try:
        listener = listen("::1", 0)
    except ConfigurationError:
        pytest.skip("no IPv6 loopback here")
    with closing(listener):
        assert url_of(listener) == f"http://[::1]:{listener.getsockname()[1]}/"


def test_every_answer_for_machines_is_json(scene: Scene) -> None:
    shown: dict[str, Any] = {path: json.loads(scene.get(path).text) for path in ("/live", "/ready", "/state")}
    assert all(isinstance(answer, dict) for answer in shown.values())
