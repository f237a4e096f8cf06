"""The command line.

Exit codes: 0 done; 1 something failed; 2 wrong usage or settings; 3 the broker or an upstream cannot be
used; 130 stopped at once by a second signal.
"""

import io
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from consumer.broker.connect import connect
from consumer.config import CompanyConfig, Config, load
from consumer.display import Display, outcome_words
from consumer.exceptions import BrokerError, ConfigurationError, CrewsyncError, UpstreamError
from consumer.logs import configure
from consumer.model.codec import Codec
from consumer.model.events import Kind
from consumer.model.registry import SchemaRegistry, SchemaRegistryError
from consumer.runs.progress import Progress, RunState
from consumer.runs.publish import Publisher
from consumer.runs.sync import Syncs, Watch, only
from consumer.sandbox.demo import load_demo
from consumer.sandbox.server import start as start_sandbox
from consumer.service import Place, Role, Service
from consumer.sink.naming import LogKey, file_path
from consumer.topics import TopicNames
from consumer.upstreams import Addresses, addresses, connect_upstreams


_SAY_EVERY_S = 1.0
EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_AT_ONCE = 1, 2, 3, 130

app = typer.Typer(
    name="crewsync",
    help="Keeps a construction company's people in step between Procore and SmartBarrel, on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

Company = Annotated[
    int | None, typer.Option("--company", help="Procore's company id; may be left out if there is one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


@dataclass(frozen=True, slots=True)
class Session:
    """A process with its roles running, and what is needed to start runs and follow them."""

    config: Config
    service: Service
    publisher: Publisher
    progress: Progress
    place: Place
    display: Display
    stop: threading.Event

    def syncs(self, company_id: int | None) -> Syncs:
        """The syncs of a company."""
        watch = Watch(self.display.reading, self.display.counting, self.goes_on)
        company = only(dict(self.place.upstreams.companies), company_id)
        return Syncs(company, self.publisher, self.progress, self.service.handlers.call, watch, getuser())

    def goes_on(self) -> bool:
        """Whether neither a signal nor a failed role asks for the end."""
        return self.service.is_running and not self.stop.is_set()


@app.command()
def run(
    role: Annotated[
        list[Role] | None,
        typer.Option("--role", help="Only this role; may be given several times. Default: all."),
    ] = None,
) -> None:
    """Sync whatever arrives, until Ctrl-C.

    Without real upstreams in the settings, the sandbox is started with its demo data, which is synced once.
    """
    with _session(role or list(Role), quiet=False) as session:
        if session.config.uses_sandbox and not role:
            states = session.syncs(None).finish_or_start(again=False)
            session.display.stop_bars()
            if states:
                _say_logs(session, states)
        session.display.forget_arrived()
        if session.goes_on():
            session.display.say("Waiting for events. Ctrl-C drains and stops.")
        while session.goes_on():
            session.stop.wait(_SAY_EVERY_S)
            session.display.say_arrived()
        if session.stop.is_set():
            session.display.say("Draining ...")


@app.command()
def demo(as_json: Json = False) -> None:
    """Sync the sandbox's demo data once, print both logs and exit."""
    with _session(list(Role), quiet=as_json) as session:
        if not session.config.uses_sandbox:
            raise ConfigurationError(
                "demo works on the sandbox only, but real upstreams are configured; use: sync"
            )
        states = session.syncs(None).finish_or_start(again=True)
        if states is None:
            raise _ended_early(session)
        paths = [_log_path(session, state) for state in states]
    # The sink has written its last file by now.
    if as_json:
        _print_json(states, paths)
        return
    for path in paths:
        sys.stdout.write(f"\n{path.read_text(encoding='utf-8')}")
    sys.stdout.write("\nThe logs are in:\n" + "".join(f"  {path}\n" for path in paths))


@app.command()
def sync(
    kind: Annotated[Kind, typer.Argument(help="What to sync.")],
    company: Company = None,
    as_json: Json = False,
) -> None:
    """Read a company's users or timesheets, publish them as a run, and wait until each has its result.

    On Kafka, processes of `crewsync run` do the work; on the embedded broker, which has room for one
    process, this one does.
    """
    config = _settings()
    roles = list(Role) if config.broker_url.startswith("embedded:") else []
    with _session(roles, quiet=as_json) as session:
        syncs = session.syncs(company)
        state = syncs.wait(syncs.start(kind))
        if state is None:
            raise _ended_early(session)
        path = _log_path(session, state)
    if as_json:
        _print_json([state], [path])
    else:
        sys.stdout.write(f"{kind}: {outcome_words(state.outcomes)}\nThe log is {path}\n")


@contextmanager
def _session(roles: Sequence[Role], *, quiet: bool) -> Iterator[Session]:
    config = _settings()
    configure(config.log_level)
    console = Console(stderr=quiet)
    with ExitStack() as stack:
        stop = stack.enter_context(_signals())
        display = stack.enter_context(Display(console))
        display.say(f"Opening the broker {config.broker_url} ...")
        broker = stack.enter_context(connect(config.broker_url))
        names = TopicNames(config.topic_prefix)
        created = broker.ensure_topics(names.specs())
        if created:
            display.say(f"Created {len(created)} topics.")
        codec = _codec(config, stack)
        where, companies, config = _upstreams(config, stack, display)
        place = Place(
            broker,
            codec,
            names,
            connect_upstreams(where, companies, config),
            config.log_dir,
            config.instance_id,
        )
        service = Service(place, roles, display.arrived)
        stack.callback(service.stop)
        service.start()
        progress = Progress(broker, names.sync_log, codec)
        stack.callback(progress.close)
        progress.catch_up(time.monotonic)
        yield Session(config, service, Publisher(broker, codec, names), progress, place, display, stop)
        service.stop()
        if service.error is not None:
            raise service.error


def _upstreams(
    config: Config, stack: ExitStack, display: Display
) -> tuple[Addresses, Sequence[CompanyConfig], Config]:
    if not config.uses_sandbox:
        return addresses(config), config.companies, config
    data = load_demo()
    display.say(f"Starting the sandbox (state: {config.sandbox_state}) ...")
    sandbox = stack.enter_context(start_sandbox(config.sandbox_state, data))
    at = sandbox.address
    company = CompanyConfig.model_validate(
        {
            "company_id": data.procore["company"]["id"],
            "name": data.procore["company"]["name"],
            "smartbarrel_company_id": data.smartbarrel["company"]["id"],
            "procore_client_id": at.client_id,
            "procore_client_secret": at.client_secret,
            "smartbarrel_api_key": at.api_key,
        }
    )
    return Addresses(at.procore_url, at.procore_login_url, at.smartbarrel_url), [company], config


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


def _settings() -> Config:
    return load()


def _ended_early(session: Session) -> BaseException:
    return session.service.error or CrewsyncError(
        "stopped before every result was there; run it again to go on"
    )


def _log_path(session: Session, state: RunState) -> Path:
    return session.config.log_dir / file_path(LogKey.of(state.marker), state.marker)


def _say_logs(session: Session, states: Sequence[RunState]) -> None:
    for state in states:
        session.display.say(f"{state.marker.kind}: {outcome_words(state.outcomes)}")
        session.display.say(f"  log: {_log_path(session, state)}")


def _print_json(states: Sequence[RunState], paths: Sequence[Path]) -> None:
    document = [
        {
            "kind": state.marker.kind,
            "run": state.marker.run_id,
            "expected": state.marker.expected,
            "outcomes": state.outcomes,
            "log": str(path),
        }
        for state, path in zip(states, paths, strict=True)
    ]
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def main(run_app: Callable[[], None] = app) -> None:
    """Run the command line; a known error is one message and an exit code, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names have letters that not every terminal knows.
            stream.reconfigure(errors="backslashreplace")
    try:
        run_app()
    except ConfigurationError as error:
        _fail(error, EXIT_USAGE)
    except (BrokerError, SchemaRegistryError, UpstreamError) as error:
        _fail(error, EXIT_UNAVAILABLE)
    except CrewsyncError as error:
        _fail(error, EXIT_FAILED)


def _fail(error: CrewsyncError, code: int) -> None:
    words = "; ".join(error.words) if isinstance(error, UpstreamError) else ""
    sys.stderr.write(f"crewsync: {error}{f' ({words})' if words else ''}\n")
    raise SystemExit(code)
