"""A process at work: everything opened in order, and closed in reverse."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from getpass import getuser
from socket import socket
from types import FrameType

from pydantic import SecretStr
from rich.console import Console

from consumer import tracing
from consumer.broker.connect import connect
from consumer.broker.port import Broker
from consumer.config import Config
from consumer.console.access import Access
from consumer.console.live import Live
from consumer.console.sources import Budget, Sources
from consumer.display import Display
from consumer.engine.links import Links
from consumer.exceptions import ConfigurationError, TopicMissing
from consumer.health import Health, health_app
from consumer.health_server import listen, serving, url_of
from consumer.logs import configure
from consumer.model.codec import Codec
from consumer.model.registry import SchemaRegistry
from consumer.runs.planning import known_links
from consumer.runs.progress import Progress
from consumer.runs.sync import Syncs, Watch, only
from consumer.service import USUAL_ROLES, Place, Role, Service, Tuning
from consumer.sink.keeping import Keeping
from consumer.sync.settings import Settings, read_settings
from consumer.topics import TopicNames
from consumer.upstream.budget_metrics import BUDGETS
from consumer.upstreams import connect_upstreams
from consumer.watchdog import Watchdog
from consumer.webhooks.intake import LONGEST_CONNECTION_S, PATH, Intake, intake_app
from consumer.whereabouts import whereabouts


EXIT_AT_ONCE = 130
"""The exit code after a second signal."""
_LONGEST_CONNECTION_S = 600.0
"""Long enough for a large file over a bad line; a page that follows a sync connects again."""


@dataclass(frozen=True, slots=True)
class Session:
    """A process with its roles running, and what is needed to start runs and follow them."""

    config: Config
    service: Service
    progress: Progress
    place: Place
    display: Display
    stop: threading.Event
    console_url: str | None
    """Where the console is, if it is served here."""

    def syncs(self, company_id: int | None) -> Syncs:
        """The syncs of a company."""
        place = self.place
        return Syncs(
            only(place.upstreams.companies, company_id).company_id,
            place.broker,
            place.codec,
            place.topics.sync_commands,
            self.progress,
            self.watch,
            who(),
        )

    @property
    def watch(self) -> Watch:
        """Shows how far runs are, for as long as this process goes on."""
        return Watch(self.display.waiting, self.display.counting, self.goes_on)

    def goes_on(self) -> bool:
        """Whether neither a signal nor a failed role asks for the end."""
        return self.service.is_running and not self.stop.is_set()


@contextmanager
def open_session(
    config: Config, roles: Sequence[Role], *, quiet: bool = False, serves: bool = False
) -> Iterator[Session]:
    """Start the roles, and the sandbox if no real upstreams are configured; drain and close at the end.

    With ``quiet``, what a person is told goes to standard error. With ``serves``, the process tells of its
    health over HTTP. Raises what made a role fail.
    """
    configure(config.log_level)
    console = Console(stderr=quiet)
    with ExitStack() as stack:
        if config.tracing:
            stack.callback(tracing.start())
        stop = stack.enter_context(_signals())
        display = stack.enter_context(Display(console))
        broker = _broker(config, stack, display)
        listener = stack.enter_context(listen(config.metrics_host, config.metrics_port)) if serves else None
        hooks = _hooks_listener(config, stack) if serves and Role.WEBHOOKS in roles else None
        created = broker.ensure_topics(TopicNames(config.topic_prefix).specs())
        if created:
            display.say(f"Created {len(created)} topics.")
        place = _place(config, broker, stack, display)
        service = Service(place, roles, display.arrived)
        stack.callback(service.stop)
        watchdog = Watchdog(service.heartbeats, config.stuck_s, loop=service.handlers.loop)
        stack.enter_context(watchdog)
        console_url = None
        if service.live is not None:
            console_url = stack.enter_context(_console(config, service, service.live, place))
            display.say(f"Console: {console_url}")
        if listener is not None:
            health = Health(watchdog, service)
            stack.enter_context(serving(listener, health_app(health, _revealed(config.metrics_token))))
            display.say(f"Health and metrics: {url_of(listener)}")
        service.start()
        if hooks is not None:
            stack.enter_context(_taking_webhooks(hooks, config, place, service))
            display.say(f"Webhooks: {url_of(hooks)}{PATH.removeprefix('/')}")
        display.say("Reading what is on the log already ...")
        progress = Progress(broker, place.topics.sync_log, place.codec)
        stack.callback(progress.close)
        progress.catch_up(time.monotonic)
        yield Session(config, service, progress, place, display, stop, console_url)
        service.stop()
        if service.error is not None:
            raise service.error


@contextmanager
def open_place(config: Config) -> Iterator[Place]:
    """The broker and the upstreams with nobody at work: nothing is created and nothing is written."""
    with open_shown_place(config) as (place, _):
        yield place


@contextmanager
def open_shown_place(config: Config) -> Iterator[tuple[Place, Display]]:
    """The same, and the display on which something can be shown meanwhile."""
    configure(config.log_level)
    with ExitStack() as stack:
        display = stack.enter_context(Display(Console(stderr=True)))
        place = _place(config, _broker(config, stack, display), stack, display)
        with suppress(TopicMissing):
            read_settings(place.broker, place.topics.company_settings, place.settings)
        yield place, display


@contextmanager
def open_broker(config: Config) -> Iterator[tuple[Broker, Codec]]:
    """The broker and how its records are read, without a look at the upstreams."""
    with open_shown_broker(config) as (broker, codec, _):
        yield broker, codec


@contextmanager
def open_shown_broker(config: Config) -> Iterator[tuple[Broker, Codec, Display]]:
    """The same, and the display on which something can be shown meanwhile."""
    configure(config.log_level)
    with ExitStack() as stack:
        display = stack.enter_context(Display(Console(stderr=True)))
        yield _broker(config, stack, display), _codec(config, stack), display


def links_of(config: Config) -> Links:
    """The links as the topic has them, read without a look at the upstreams. Raises BrokerError."""
    with open_broker(config) as (broker, codec):
        return known_links(broker, TopicNames(config.topic_prefix).links, codec)


def _broker(config: Config, stack: ExitStack, display: Display) -> Broker:
    display.say(f"Opening the broker {config.broker_url} ...")
    return stack.enter_context(connect(config.broker_url, config.security))


def _place(config: Config, broker: Broker, stack: ExitStack, display: Display) -> Place:
    codec = _codec(config, stack)
    if config.uses_sandbox:
        display.say(f"Starting the sandbox (state: {config.sandbox_state}) ...")
    where = stack.enter_context(whereabouts(config, config.sandbox_state))
    settings = Settings(codec, (company.settings for company in where.companies))
    return Place(
        broker,
        codec,
        TopicNames(config.topic_prefix),
        connect_upstreams(where.addresses, where.companies, config, settings=settings),
        settings,
        config.log_dir,
        Keeping(config.log_line_ends, config.log_days),
        config.instance_id,
        Tuning(config.in_flight, config.in_flight_per_company, config.hold_s, config.drain_s),
        frozenset(one.strip() for one in config.webhooks_own_ids.split(",") if one.strip()),
    )


@contextmanager
def _console(config: Config, service: Service, live: Live, place: Place) -> Iterator[str]:
    """Serve the console until the end, and tell where."""
    # A third of what a command takes to start, so only whoever serves it imports it.
    from consumer.console.app import console_app  # noqa: PLC0415

    tokens = {
        one.company_id: one.console_token.get_secret_value() for one in config.companies if one.console_token
    }
    sources = Sources(
        place.broker,
        place.codec,
        place.topics,
        {company_id: one.name for company_id, one in place.upstreams.companies.items()},
        place.settings,
        place.log_dir,
        live,
        Access.of(_revealed(config.console_token), tokens),
        who(),
        service.engine_states,
        service.sink_state,
        _budgets,
    )
    listener = listen(config.console_host, config.console_port, "CONSOLE")
    with serving(listener, console_app(sources), "console", _LONGEST_CONNECTION_S):
        yield url_of(listener)


def _budgets() -> Mapping[int, Sequence[Budget]]:
    found: dict[int, list[Budget]] = {}
    for system, company_id, limit, remaining in BUDGETS.told():
        found.setdefault(company_id, []).append(Budget(system, limit, remaining))
    return found


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def usual_roles(config: Config) -> Sequence[Role]:
    """All roles; the intake of webhooks once there is a token, without which it lets nobody in."""
    return USUAL_ROLES if config.webhooks_token is None else list(Role)


def roles_beside(config: Config) -> Sequence[Role]:
    """The roles of a process that asks for work: none, or all where no other process can do it."""
    return [role for role in USUAL_ROLES if role is not Role.CONSOLE] if config.is_embedded else []


def _hooks_token(config: Config) -> str:
    if config.webhooks_token is None:
        name = "CREWSYNC_WEBHOOKS_TOKEN"
        # Also on this machine: Procore demands HTTPS, and what ends it passes on whatever comes.
        raise ConfigurationError(f"{name} (or {name}_FILE): missing, and without it nobody takes webhooks in")
    return config.webhooks_token.get_secret_value()


def _hooks_listener(config: Config, stack: ExitStack) -> socket:
    _hooks_token(config)
    return stack.enter_context(listen(config.webhooks_host, config.webhooks_port, "WEBHOOKS"))


def _taking_webhooks(
    listener: socket, config: Config, place: Place, service: Service
) -> AbstractContextManager[None]:
    intake = Intake(
        service.inbox.put, place.codec, place.topics.webhooks, frozenset(place.upstreams.companies)
    )
    app = intake_app(intake, _hooks_token(config))
    return serving(listener, app, "webhooks", LONGEST_CONNECTION_S)


def who() -> str:
    """Whoever runs this, for the log; a container's user may have no name."""
    try:
        return getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _codec(config: Config, stack: ExitStack) -> Codec:
    if config.schema_registry_url is None:
        return Codec()
    registry = SchemaRegistry(config.schema_registry_url.get_secret_value())
    stack.callback(registry.close)
    return Codec(registry=registry)


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """The first SIGINT or SIGTERM asks for a drain, the second ends the process at once.

    That is safe at any moment: what is not committed is handled again, and every write looks first.
    """
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        if stop.is_set():
            os._exit(EXIT_AT_ONCE)
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
