"""One process at work: the broker, the handlers' loop, and a thread for each role."""

import asyncio
import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import structlog

from consumer.broker.port import Broker
from consumer.console.live import Live
from consumer.engine.config import EngineConfig
from consumer.engine.limits import Limits
from consumer.engine.links import Links
from consumer.engine.loop import Engine
from consumer.engine.outage import ride_out
from consumer.engine.outbox import Topics
from consumer.engine.redrive import RedriveConfig, Redriver
from consumer.engine.retry import RetryPolicy
from consumer.engine.state import EngineState
from consumer.exceptions import CrewsyncError
from consumer.model.codec import Codec
from consumer.model.events import TimesheetEvent, UserEvent
from consumer.model.results import Result
from consumer.runs.runner import Runner
from consumer.runs.under_way import RunnerConfig
from consumer.sink.keeping import Keeping
from consumer.sink.sink import Sink, SinkState
from consumer.sync.settings import Settings, follow_settings
from consumer.sync.timesheets import TimesheetHandler
from consumer.sync.users import UserHandler
from consumer.topics import TopicNames
from consumer.upstream import procore, smartbarrel
from consumer.upstreams import Upstreams
from consumer.watchdog import Heartbeat
from consumer.webhooks.inbox import Inbox
from consumer.webhooks.reader import ReaderConfig, ReaderState, WebhookReader


log = structlog.get_logger(__name__)
T = TypeVar("T")

_JOIN_S = 60.0
_OUTAGE_S = 300.0
_SETTINGS = "settings"
"""The name of the loop that follows the companies' settings."""
_INTAKE = "webhooks-intake"
"""The name of the loop that writes what webhooks tell."""
_BEAT_EVERY_S = 1.0
_REDRIVE_AFTER_S = 30.0
_LAST_LOOK_S = 0.2
_LAST_LOOKS_S = 5.0


class Role(StrEnum):
    """What a process may do. Each role runs alone or together with the others."""

    USERS = "users"
    TIMESHEETS = "timesheets"
    RUNNER = "runner"
    SINK = "sink"
    CONSOLE = "console"
    WEBHOOKS = "webhooks"


USUAL_ROLES = tuple(role for role in Role if role is not Role.WEBHOOKS)
"""What a process may do without being reached from outside."""
_FLOWS = (Role.USERS, Role.TIMESHEETS)
"""The roles that handle events."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Limits of each engine: calls under way, in all and of one company, and times in seconds.

    A record that fails, or a company that is held, is parked after ``hold_s``. What runs has ``drain_s`` to
    end before a stop or a rebalance.
    """

    in_flight: int = 200
    in_flight_per_company: int = 100
    hold_s: float = 600.0
    drain_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the service works."""

    broker: Broker
    codec: Codec
    topics: TopicNames
    upstreams: Upstreams
    settings: Settings
    log_dir: Path
    keeping: Keeping = field(default_factory=Keeping)
    instance_id: str | None = None
    tuning: Tuning = field(default_factory=Tuning)
    own_ids: frozenset[str] = frozenset()
    """As which crewsync itself changes Procore."""


def collect_rarely() -> None:
    """Look for garbage in cycles a hundred times less often than Python does by default.

    Links and records that wait are many and live long; to look through them again and again cost a tenth of
    all time, and finds next to nothing.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


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
        self._webhooks: WebhookReader | None = None
        self.inbox = Inbox(place.broker)
        loops = [_SETTINGS, *(name for role in roles for name in _loops(role))]
        self._beats = {name: Heartbeat(name) for name in loops}
        self._flows = [role for role in roles if role in _FLOWS]
        self.live: Live | None = None
        if Role.CONSOLE in roles:
            beat = self._beats[Role.CONSOLE].beat
            self.live = Live(place.broker, place.codec, place.topics, self.engine_states, beat)
        self.handlers = HandlerLoop()
        self.error: BaseException | None = None
        self._settings_known = threading.Event()
        self._settings = threading.Thread(
            target=self._guarded, args=(_SETTINGS, self._follow_settings), name=_SETTINGS, daemon=True
        )
        self._threads = [
            threading.Thread(target=self._guard, args=(role,), name=str(role), daemon=True) for role in roles
        ]

    def start(self) -> None:
        """Start every role, once the companies' settings are known."""
        collect_rarely()
        self._settings.start()
        self._settings_known.wait()
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
        engines = {role: self._engines.get(role) for role in self._flows}
        return {role: None if engine is None else engine.state() for role, engine in engines.items()}

    def sink_state(self) -> SinkState | None:
        """The state of the sink, None before it has started. Called from any thread."""
        return None if self._sink is None else self._sink.shown

    def webhooks_state(self) -> ReaderState | None:
        """What waits of the webhooks, None before that is known. Called from any thread."""
        return None if self._webhooks is None else self._webhooks.shown

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
        self._guarded(role, lambda _: self._run(role))

    def _guarded(self, name: str, run: Callable[[threading.Event], None]) -> None:
        try:
            run(self._stop)
        except Exception as error:  # noqa: BLE001 - whatever it is, the process must end and say so
            log.error("role.failed", role=name, kind=type(error).__name__)  # noqa: TRY400 - raised in main
            self.error = self.error or error
        finally:
            self._beats[name].end()
            self._stop.set()
            self._settings_known.set()

    def _follow_settings(self, stop: threading.Event) -> None:
        place, beat = self._place, self._beats[_SETTINGS].beat

        def work(stop: threading.Event) -> None:
            topic, known = place.topics.company_settings, self._settings_known
            follow_settings(place.broker, topic, place.settings, stop=stop, caught_up=known, on_turn=beat)

        ride_out(work, stop, _OUTAGE_S, beat)

    def _run(self, role: Role) -> None:
        place = self._place
        if role is Role.SINK:
            log_topic = place.topics.sync_log
            with Sink(place.broker, log_topic, place.codec, place.log_dir, keeping=place.keeping) as sink:
                self._sink = sink
                sink.run(self._sink_stop, self._beats[role].beat)
                last = time.monotonic() + _LAST_LOOKS_S
                while sink.step(_LAST_LOOK_S) and time.monotonic() < last:
                    pass
            return
        if role is Role.CONSOLE and self.live is not None:
            self.live.run(self._stop)
            return
        if role is Role.RUNNER:
            config = self._runner_config()
            companies, beat = place.upstreams.companies, self._beats[role].beat
            Runner(
                place.broker,
                place.codec,
                config,
                companies,
                place.settings,
                self.handlers.loop,
                on_turn=beat,
            ).run(self._stop)
            return
        if role is Role.WEBHOOKS:
            self._read_webhooks()
            return
        self._consume(role)

    def _consume(self, role: Role) -> None:
        """Run the engine of a flow, and beside it the redriver of what it has parked."""
        place = self._place
        users = role is Role.USERS
        companies = place.upstreams.companies
        links = Links(place.codec)
        config = self._engine_config(role)
        engine = Engine(
            place.broker,
            place.codec,
            UserHandler(companies, links) if users else TimesheetHandler(companies, links),
            UserEvent if users else TimesheetEvent,
            config,
            loop=self.handlers.loop,
            links=links,
            on_result=self._on_result,
            on_turn=self._beats[role].beat,
        )
        self._engines[role] = engine
        engine.metrics.init_companies(companies.keys(), smartbarrel.NAME if users else procore.NAME)
        redriver = Redriver(
            place.broker,
            place.codec,
            _redrive_config(config),
            engine.is_clear,
            engine.is_stale,
            engine.metrics,
            on_turn=self._beats[_redrive(role)].beat,
        )
        self._run_beside(_redrive(role), redriver.run, engine.run)

    def _read_webhooks(self) -> None:
        """Read the users whom webhooks are about, and beside it write what comes in."""
        place, prefix = self._place, self._place.topics.prefix
        config = ReaderConfig(
            group=f"{prefix}crewsync-webhooks",
            transactional_id=f"{prefix}crewsync-webhooks-{self._instance}",
            topics=place.topics,
            instance_id=place.instance_id and f"webhooks-{place.instance_id}",
            own_ids=place.own_ids,
        )
        companies, beat = place.upstreams.companies, self._beats[Role.WEBHOOKS].beat
        self._webhooks = reader = WebhookReader(
            place.broker, place.codec, config, companies, self.handlers.loop, beat
        )
        writer_beat = self._beats[_INTAKE].beat
        self._run_beside(_INTAKE, lambda stop: self.inbox.run(stop, writer_beat), reader.run)

    def _run_beside(
        self, name: str, aside: Callable[[threading.Event], None], main: Callable[[threading.Event], None]
    ) -> None:
        """Do the main thing here, and the other beside it, until both have ended."""
        beside = threading.Thread(target=self._guarded, args=(name, aside), name=name, daemon=True)
        beside.start()
        try:
            main(self._stop)
        finally:
            self._stop.set()
            beside.join(_JOIN_S)

    def _runner_config(self) -> RunnerConfig:
        place, prefix = self._place, self._place.topics.prefix
        return RunnerConfig(
            group=f"{prefix}crewsync-runner",
            transactional_id=f"{prefix}crewsync-runner-{self._instance}",
            topics=place.topics,
            instance_id=place.instance_id and f"runner-{place.instance_id}",
            retry=RetryPolicy(deadline_s=place.tuning.hold_s),
        )

    @property
    def _instance(self) -> str:
        # Without a name of its own, each process gets a new one: two processes must never share it.
        return self._place.instance_id or f"{socket.gethostname()}-{os.getpid()}"

    def _engine_config(self, role: Role) -> EngineConfig:
        names, tuning = self._place.topics, self._place.tuning
        return EngineConfig(
            group=f"{names.prefix}crewsync-{role}",
            topics=Topics(
                events=names.user_events if role is Role.USERS else names.timesheet_events,
                sync_log=names.sync_log,
                links=names.links,
                dead_letters=names.dead_letters,
            ),
            transactional_id=f"{names.prefix}crewsync-{role}-{self._instance}",
            instance_id=self._place.instance_id and f"{role}-{self._place.instance_id}",
            limits=Limits(tuning.in_flight, tuning.in_flight_per_company),
            retry=RetryPolicy(deadline_s=tuning.hold_s),
            hold_s=tuning.hold_s,
            drain_s=tuning.drain_s,
        )


def _redrive(role: Role) -> str:
    """The name of the loop beside an engine's."""
    return f"{role}-redrive"


def _loops(role: Role) -> Sequence[str]:
    if role is Role.WEBHOOKS:
        return [role, _INTAKE]
    return [role, _redrive(role)] if role in _FLOWS else [role]


def _redrive_config(config: EngineConfig) -> RedriveConfig:
    return RedriveConfig(
        group=f"{config.group}-redrive",
        dead_letters=config.topics.dead_letters,
        events=config.topics.events,
        transactional_id=f"{config.transactional_id}-redrive",
        instance_id=config.instance_id,
        # Whoever wants records parked sooner wants them back sooner.
        first_wait_s=(first := min(_REDRIVE_AFTER_S, config.hold_s)),
        longest_wait_s=20 * first,
    )


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
