"""The command line.

Exit codes: 0 done; 1 something failed; 2 wrong usage or settings; 3 the broker or an upstream cannot be
used; 130 stopped at once by a second signal.
"""

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from consumer.config import load
from consumer.display import outcome_words
from consumer.engine.links import Links
from consumer.exceptions import BrokerError, ConfigurationError, CrewsyncError, UpstreamError
from consumer.model.events import Kind
from consumer.model.registry import SchemaRegistryError
from consumer.plan_text import plan_document, plan_text
from consumer.runs.planning import Shown, known_links, plan_timesheet, plan_user
from consumer.runs.progress import RunState
from consumer.runs.sync import only
from consumer.service import Role
from consumer.session import Session, open_place, open_session
from consumer.sink.naming import LogKey, file_path
from consumer.sync import company as sync_company
from consumer.upstreams import closing_after


_SAY_EVERY_S = 1.0
EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE = 1, 2, 3

app = typer.Typer(
    name="crewsync",
    help="Keeps a construction company's people in step between Procore and SmartBarrel, on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

plan_app = typer.Typer(no_args_is_help=True)
app.add_typer(
    plan_app, name="plan", help="Show what a sync would do for one person or shift; change nothing."
)

Company = Annotated[
    int | None, typer.Option("--company", help="Procore's company id; may be left out if there is one.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]


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
    with open_session(load(), role or list(Role), serves=True) as session:
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
    with open_session(load(), list(Role), quiet=as_json) as session:
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
    config = load()
    roles = list(Role) if config.broker_url.startswith("embedded:") else []
    with open_session(config, roles, quiet=as_json) as session:
        syncs = session.syncs(company)
        run_id = syncs.start(kind)
        state = None if run_id is None else syncs.wait(run_id)
        if state is None:
            raise _ended_early(session)
        path = _log_path(session, state)
    if as_json:
        _print_json([state], [path])
    else:
        where = f"The log is {path}" if path.exists() else "The log is where the sink runs"
        sys.stdout.write(f"{kind}: {outcome_words(state.outcomes)}\n{where}\n")


@plan_app.command("user")
def plan_of_user(
    user_id: Annotated[int, typer.Argument(help="Procore's id of the user.")],
    company: Company = None,
    as_json: Json = False,
) -> None:
    """Show what a sync would do for one Procore user, and why."""
    _say_plan(lambda one, links: plan_user(one, links, user_id), company, as_json=as_json)


@plan_app.command("timesheet")
def plan_of_timesheet(
    timesheet_id: Annotated[str, typer.Argument(help="SmartBarrel's id of the timesheet.")],
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="Its working day; saves reading all others."),
    ] = None,
    company: Company = None,
    as_json: Json = False,
) -> None:
    """Show what a sync would do for one SmartBarrel timesheet, and why."""
    on = day and day.date()
    _say_plan(lambda one, links: plan_timesheet(one, links, timesheet_id, on), company, as_json=as_json)


def _say_plan(
    plan: Callable[[sync_company.Company, Links], Awaitable[Shown]], company_id: int | None, *, as_json: bool
) -> None:
    with open_place(load()) as place:
        company = only(dict(place.upstreams.companies), company_id)
        links = known_links(place.broker, place.topics.links, place.codec)
        shown = asyncio.run(closing_after(plan(company, links), place.upstreams))
    text = json.dumps(plan_document(shown), indent=2, default=str) if as_json else plan_text(shown)
    sys.stdout.write(f"{text}\n")


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
