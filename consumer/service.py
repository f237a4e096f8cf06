"""One process at work: the broker, the handlers' loop, and a thread for each role."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import structlog

from consumer.broker.port import Broker
from consumer.engine.links import Links
from consumer.engine.loop import Engine, EngineConfig
from consumer.engine.outbox import Topics
from consumer.engine.state import EngineState
from consumer.exceptions import CrewsyncError
from consumer.metrics import EngineMetrics
from consumer.model.codec import Codec
from consumer.model.events import TimesheetEvent, UserEvent
from consumer.model.results import Result
from consumer.sink.sink import Sink, SinkState
from consumer.sync.timesheets import TimesheetHandler
from consumer.sync.users import UserHandler
from consumer.topics import TopicNames
from consumer.upstream.calls import UPSTREAMS
from consumer.upstreams import Upstreams
from consumer.watchdog import Heartbeat


log = structlog.get_logger(__name__)
T = TypeVar("T")

_JOIN_S = 60.0
_BEAT_EVERY_S = 1.0
_LAST_LOOK_S = 0.2
_LAST_LOOKS_S = 5.0


class Role(StrEnum):
    """What a process may do. Each role runs alone or together with the others."""

    USERS = "users"
    TIMESHEETS = "timesheets"
    SINK = "sink"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the service works."""

    broker: Broker
    codec: Codec
    topics: TopicNames
    upstreams: Upstreams
    log_dir: Path
    instance_id: str | None = None


@runtime_checkable
class Introspected(Protocol):
    """Shows its state; any thread may ask."""

    def state(self) -> EngineState:
        """The state at the end of the last turn."""


class HandlerLoop:
    """An asyncio loop in a thread of its own, on which all handlers run."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.heartbeat = Heartbeat("handlers")
        self.loop.call_soon(self._beat)
        self._thread = threading.Thread(target=self.loop.run_forever, name="handlers", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        """Cancel what is left and end the thread."""
        self.call(_cancel_others())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_JOIN_S)
        self.heartbeat.end()
        self.loop.close()

    def _beat(self) -> None:
        self.heartbeat.beat()
        self.loop.call_later(_BEAT_EVERY_S, self._beat)


class Service:
    """The roles of this process. ``stop`` drains them; one that fails stops all, and ``error`` says why."""

    def __init__(
        self, place: Place, roles: Sequence[Role], on_result: Callable[[Result], None] = lambda _: None
    ) -> None:
        self._place = place
        self._on_result = on_result
        self._stop = threading.Event()
        self._sink_stop = threading.Event()
        self._closed = False
        self._engines: dict[Role, Engine] = {}
        self._sink: Sink | None = None
        self._beats = {role: Heartbeat(role) for role in roles}
        self.handlers = HandlerLoop()
        self.error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guard, args=(role,), name=str(role), daemon=True) for role in roles
        ]

    def start(self) -> None:
        """Start every role."""
        for thread in self._threads:
            thread.start()

    @property
    def is_running(self) -> bool:
        """Whether no role has ended or been asked to."""
        return not self._stop.is_set()

    @property
    def heartbeats(self) -> Sequence[Heartbeat]:
        """The pulse of every loop of this process."""
        return [self.handlers.heartbeat, *self._beats.values()]

    def engine_states(self) -> Mapping[str, EngineState | None]:
        """The state of each engine, None for one that has not started yet. Called from any thread."""
        engines = {role: self._engines.get(role) for role in self._beats if role is not Role.SINK}
        return {role: _state(engine) for role, engine in engines.items()}

    def sink_state(self) -> SinkState | None:
        """The state of the sink, None before it has started. Called from any thread."""
        return None if self._sink is None else self._sink.shown

    def stop(self) -> None:
        """Drain and commit, within the engines' deadline, and leave. May be called twice."""
        self._stop.set()
        # The sink goes last, so that what the engines commit while they drain is in the files.
        for thread in sorted(self._threads, key=lambda thread: thread.name == Role.SINK):
            if thread.name == Role.SINK:
                self._sink_stop.set()
            if thread.is_alive():
                thread.join(_JOIN_S)
            if thread.is_alive():
                log.error("role.stuck", role=thread.name)
                self.error = self.error or CrewsyncError(f"the role {thread.name} did not end in time")
        if not self._closed:
            self._closed = True
            self.handlers.call(self._place.upstreams.close())
            self.handlers.close()

    def _guard(self, role: Role) -> None:
        try:
            self._run(role)
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must end and say so
            log.error("role.failed", role=str(role), kind=type(error).__name__)  # noqa: TRY400 - raised in main
            self.error = self.error or error
        finally:
            self._beats[role].end()
            self._stop.set()

    def _run(self, role: Role) -> None:
        place = self._place
        if role is Role.SINK:
            with Sink(place.broker, place.topics.sync_log, place.codec, place.log_dir) as sink:
                self._sink = sink
                sink.run(self._sink_stop, self._beats[role].beat)
                last = time.monotonic() + _LAST_LOOKS_S
                while sink.step(_LAST_LOOK_S) and time.monotonic() < last:
                    pass
            return
        links = Links()
        users = role is Role.USERS
        companies = place.upstreams.companies
        handler = UserHandler(companies, links) if users else TimesheetHandler(companies, links)
        config = self._engine_config(role)
        metrics = EngineMetrics.of(role, config.topics.events)
        metrics.init_companies(companies, UPSTREAMS)
        metrics.links.set_function(lambda: len(links))
        engine = Engine(
            place.broker,
            place.codec,
            handler,
            UserEvent if users else TimesheetEvent,
            config,
            loop=self.handlers.loop,
            links=links,
            on_result=self._on_result,
        )
        self._engines[role] = engine
        engine.run(self._stop)

    def _engine_config(self, role: Role) -> EngineConfig:
        names = self._place.topics
        # Without a name of its own, each process gets a new one: two processes must never share it.
        instance = self._place.instance_id or f"{socket.gethostname()}-{os.getpid()}"
        return EngineConfig(
            group=f"{names.prefix}crewsync-{role}",
            topics=Topics(
                events=names.user_events if role is Role.USERS else names.timesheet_events,
                sync_log=names.sync_log,
                links=names.links,
                dead_letters=names.dead_letters,
            ),
            transactional_id=f"{names.prefix}crewsync-{role}-{instance}",
            instance_id=self._place.instance_id and f"{role}-{self._place.instance_id}",
        )


def _state(engine: object) -> EngineState | None:
    return engine.state() if isinstance(engine, Introspected) else None


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
