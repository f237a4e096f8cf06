"""Runs both upstream systems in this process, with their state in one file; unless asked, on loopback."""

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware

from consumer.sandbox.database import connect, is_new, seed
from consumer.sandbox.demo import DemoData, load_demo
from consumer.sandbox.exchange import Clock
from consumer.sandbox.fault_rules import FaultFile
from consumer.sandbox.limits import RateBudget
from consumer.sandbox.procore import OPERATIONS as PROCORE_OPERATIONS
from consumer.sandbox.procore import login_app, procore_app
from consumer.sandbox.protocol import AbortableProtocol
from consumer.sandbox.smartbarrel import OPERATIONS as SMARTBARREL_OPERATIONS
from consumer.sandbox.smartbarrel import smartbarrel_app
from consumer.sandbox.store import SandboxState


START_WITHIN_S = 10.0
STOP_WITHIN_S = 5.0

LOOPBACK = "127.0.0.1"
_ANY = "0.0.0.0"  # noqa: S104 - only compared with


@dataclass(frozen=True)
class SandboxAddress:
    """Where a sandbox listens, and the invented credentials that it takes."""

    procore_url: str
    procore_login_url: str
    smartbarrel_url: str
    client_id: str = "sandbox-client"
    client_secret: str = field(default="sandbox-client-secret", repr=False)
    api_key: str = field(default="sandbox-api-key", repr=False)


class RunningSandbox:
    """Both systems, running until ``close``; a context manager. ``faults`` are those of the file, if any."""

    def __init__(
        self,
        state: Path,
        address: SandboxAddress,
        faults: FaultFile | None,
        servers: "Sequence[_Listener]",
        thread: threading.Thread,
    ) -> None:
        self.state = SandboxState(state)
        self.address = address
        self.faults = faults
        self._servers = servers
        self._thread = thread

    def close(self) -> None:
        """Stop answering and close the sockets; requests under way get a second. Twice does no harm."""
        _stop(self._servers, self._thread)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Listener:
    server: uvicorn.Server
    socket: socket.socket


def start(
    state: Path,
    data: DemoData | None = None,
    *,
    latency_s: float = 0.0,
    unique_origin_ids: bool = True,
    budget: RateBudget | None = None,
    clock: Clock = time.time,
    middleware: Sequence[Middleware] = (),
    faults: Path | None = None,
    ports: tuple[int, int, int] = (0, 0, 0),
    host: str = LOOPBACK,
    secret: str | None = None,
) -> RunningSandbox:
    """Start Procore, its login server and SmartBarrel, and return once all three answer.

    A new ``state`` file is seeded with ``data``, or the demo data; an existing one is continued.
    ``latency_s`` lets every request wait. ``faults`` is a file of rules that say what goes wrong (see
    ``fault_rules``), ``budget`` limits each of both systems, of which SmartBarrel has no limit without one.
    ``middleware`` stands around all of that.
    ``unique_origin_ids`` off lets origin ids repeat, since no source says that Procore refuses them for
    people and timecards. ``ports`` are Procore's, its login server's and SmartBarrel's; 0 takes a free one.
    ``host`` is the IPv4 address to listen on, and
    ``secret`` takes the place of the invented credentials, which everybody knows.

    Raises ConfigurationError if the state or the faults cannot be used, OSError if a port is taken,
    TimeoutError if the servers do not come up in time.
    """
    rules = None if faults is None else FaultFile(faults, PROCORE_OPERATIONS | SMARTBARREL_OPERATIONS)
    state.parent.mkdir(parents=True, exist_ok=True)
    with closing(connect(state)) as db:
        if is_new(db):
            seed(db, load_demo() if data is None else data)
    sockets = _listen(host, ports)
    # Whoever listens everywhere is reached by this machine's name.
    name = socket.gethostname() if host == _ANY else host
    urls = [f"http://{name}:{each.getsockname()[1]}" for each in sockets]
    known = SandboxAddress(*urls)
    address = known if secret is None else replace(known, client_secret=secret, api_key=secret)
    around: Any = {"middleware": middleware, "faults": rules, "latency_s": latency_s}

    db = connect(state)
    apps = (
        procore_app(
            db,
            clock,
            budget=budget or RateBudget(),
            unique_origin_ids=unique_origin_ids,
            **around,
        ),
        login_app(db, clock, client_id=address.client_id, client_secret=address.client_secret, **around),
        smartbarrel_app(db, clock, api_key=address.api_key, budget=budget, **around),
    )
    listeners = [_Listener(_server(app), each) for app, each in zip(apps, sockets, strict=True)]

    def serve() -> None:
        with closing(db):
            asyncio.run(_serve(listeners))

    thread = threading.Thread(target=serve, name="sandbox", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_WITHIN_S
    while not all(listener.server.started for listener in listeners):
        if time.monotonic() > deadline or not thread.is_alive():
            _stop(listeners, thread)
            raise TimeoutError("the sandbox did not start")
        time.sleep(0.002)
    return RunningSandbox(state, address, rules, listeners, thread)


def _listen(host: str, ports: Sequence[int]) -> list[socket.socket]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(_listening(host, port)) for port in ports]
        opened.pop_all()
    return sockets


def _listening(host: str, port: int) -> socket.socket:
    # Only if the protocol is named does asyncio turn Nagle's algorithm off, which else costs 40 ms a request.
    each = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        each.bind((host, port))
        each.listen()
    except OSError:
        each.close()
        raise
    return each


def _server(app: Starlette) -> uvicorn.Server:
    # Logging and signals belong to the program around the sandbox; off the main thread uvicorn leaves
    # signals alone.
    config = uvicorn.Config(
        app,
        http=AbortableProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


async def _serve(listeners: Sequence[_Listener]) -> None:
    await asyncio.gather(*(listener.server.serve(sockets=[listener.socket]) for listener in listeners))


def _stop(listeners: Sequence[_Listener], thread: threading.Thread) -> None:
    for listener in listeners:
        listener.server.should_exit = True
    thread.join(STOP_WITHIN_S)
    for listener in listeners:
        listener.socket.close()
