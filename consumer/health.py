"""What the process tells of itself over HTTP: whether it lives, whether it is ready, its state, its metrics.

``/live`` and ``/ready`` are open, so that probes need no secret. If there is a token, whoever
lacks it learns the status from these two, and nothing from the others. No answer holds personal data.
"""

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from consumer.engine.state import CompanyState, EngineState, PartitionState
from consumer.metric_families import REGISTRY
from consumer.secret import is_same
from consumer.sink.sink import SinkState
from consumer.version import program_version
from consumer.watchdog import Watchdog
from consumer.webhooks.reader import ReaderState


_OK, _UNAUTHORIZED, _UNAVAILABLE = 200, 401, 503
_SMALLEST_GZIP = 1000
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_INDEX = "crewsync\n\n/live\n/ready\n/state\n/metrics\n"


class Shown(Protocol):
    """What is at work in the process. A part that has not started yet has None as its state."""

    @property
    def is_running(self) -> bool:
        """Whether no part has ended or been asked to."""

    def engine_states(self) -> Mapping[str, EngineState | None]:
        """The state of each engine."""

    def sink_state(self) -> SinkState | None:
        """The state of the sink."""

    def webhooks_state(self) -> ReaderState | None:
        """What waits of the webhooks."""


@dataclass(frozen=True, slots=True)
class Health:
    """Where the answers come from."""

    watchdog: Watchdog
    work: Shown
    registry: CollectorRegistry = REGISTRY
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def not_ready(self, engines: Mapping[str, EngineState | None]) -> Sequence[str]:
        """Why the process is not ready; nothing if it is. A company's open breaker is no reason."""
        starting = {beat.name for beat in self.watchdog.heartbeats if beat.age_s() is None}
        starting |= {name for name, engine in engines.items() if engine is None}
        reasons = [] if self.work.is_running else ["stopping"]
        reasons += [f"{name}: starting" for name in sorted(starting)]
        reasons += [f"{name}: stuck" for name in sorted(self.watchdog.stuck())]
        for name, engine in engines.items():
            if engine is not None and engine.is_stopping:
                reasons.append(f"{name}: stopping")
            elif engine is not None and not engine.is_ready:
                reasons.append(f"{name}: has not joined its group, or cannot commit yet")
        return reasons

    def state(self) -> Mapping[str, Any]:
        """Everything, for a person or a tool that looks into a running process."""
        now = time.monotonic()
        engines = self.work.engine_states()
        sink, webhooks = self.work.sink_state(), self.work.webhooks_state()
        return {
            "version": program_version(),
            "python": platform.python_version(),
            "kafka_python": version("kafka-python"),
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "uptime_s": round((datetime.now(UTC) - self.started_at).total_seconds(), 1),
            "stuck": sorted(self.watchdog.stuck()),
            "not_ready": self.not_ready(engines),
            "loops_turned_s_ago": {beat.name: _rounded(beat.age_s()) for beat in self.watchdog.heartbeats},
            "engines": {name: engine and _engine(engine, now) for name, engine in engines.items()},
            "sink": None if sink is None else _shown(sink),
            "webhooks": None if webhooks is None else {**_shown(webhooks), "held_s": dict(webhooks.held_s)},
        }


def health_app(health: Health, token: str | None) -> Starlette:
    """The four answers; without a token everybody gets all of them."""

    def is_trusted(request: Request) -> bool:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return token is None or (scheme.lower() == "bearer" and is_same(given.strip(), token))

    # Liveness never leaves the server's own loop, so that nothing else can hold it up.

    async def live(request: Request) -> Response:
        stuck = {name: _rounded(age) for name, age in health.watchdog.stuck().items()}
        details = {"stuck_s": stuck} if is_trusted(request) else {}
        return _status("stuck" if stuck else "live", is_well=not stuck, details=details)

    def ready(request: Request) -> Response:
        engines = health.work.engine_states()
        reasons = health.not_ready(engines)
        details = {"because": reasons, "held": _held(engines)} if is_trusted(request) else {}
        return _status("not ready" if reasons else "ready", is_well=not reasons, details=details)

    def state(request: Request) -> Response:
        return JSONResponse(health.state(), headers=_HEADERS) if is_trusted(request) else _refused()

    def metrics(request: Request) -> Response:
        if not is_trusted(request):
            return _refused()
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(health.registry), headers={**_HEADERS, "Content-Type": content_type})

    async def index(_: Request) -> Response:
        return PlainTextResponse(_INDEX, headers=_HEADERS)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/live", live),
            Route("/ready", ready),
            Route("/state", state),
            Route("/metrics", metrics),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=_SMALLEST_GZIP)],
    )


def _status(status: str, *, is_well: bool, details: Mapping[str, Any]) -> Response:
    return JSONResponse(
        {"status": status, **details}, status_code=_OK if is_well else _UNAVAILABLE, headers=_HEADERS
    )


def _refused() -> Response:
    return PlainTextResponse(
        "a token is needed\n",
        status_code=_UNAUTHORIZED,
        headers={**_HEADERS, "WWW-Authenticate": 'Bearer realm="crewsync"'},
    )


def _held(engines: Mapping[str, EngineState | None]) -> Sequence[Mapping[str, Any]]:
    """The companies whose records are held back: that is worth telling, and no fault of the process."""
    return [
        {"handler": name, **_company(company)}
        for name, engine in engines.items()
        if engine is not None
        for company in engine.companies
        if company.held_since_s is not None
    ]


def _engine(engine: EngineState, now: float) -> Mapping[str, Any]:
    shown = _shown(engine)
    at = shown.pop("committed_at")
    shown["committed_at"] = None if at is None else datetime.fromtimestamp(at, UTC).isoformat()
    shown["turned_s_ago"] = _rounded(now - shown.pop("turned_at"))
    shown["partitions"] = [_shown(partition) for partition in engine.partitions]
    shown["companies"] = [_company(company) for company in engine.companies]
    return shown


def _company(company: CompanyState) -> Mapping[str, Any]:
    return {**_shown(company), "breakers": dict(company.breakers)}


def _shown(state: EngineState | PartitionState | CompanyState | SinkState | ReaderState) -> dict[str, Any]:
    return {each.name: getattr(state, each.name) for each in fields(state)}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
