"""What does the main job: ``run``, ``demo`` and ``sync``."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from consumer.commands.options import Company, Json
from consumer.commands.rows import print_json
from consumer.config import load
from consumer.display import outcome_words
from consumer.exceptions import ConfigurationError, CrewsyncError
from consumer.model.events import Kind, SyncCommand
from consumer.model.results import Phase
from consumer.runs.commands import manual_sync
from consumer.runs.progress import RunState
from consumer.service import USUAL_ROLES, Role
from consumer.session import Session, open_session, roles_beside, usual_roles
from consumer.sink.naming import LogKey, file_path


_SAY_EVERY_S = 1.0
_DAY = "%Y-%m-%d"


def run(
    role: Annotated[
        list[Role] | None,
        typer.Option(
            "--role", help="Only this role; may be given several times. Default: all, webhooks with a token."
        ),
    ] = None,
) -> None:
    """Sync whatever arrives, until Ctrl-C.

    Without real upstreams in the settings, the sandbox is started with its demo data, which is synced once.
    """
    config = load()
    with open_session(config, role or usual_roles(config), serves=True) as session:
        if session.config.uses_sandbox and not role:
            states = session.syncs(None).finish_or_start(again=False)
            session.display.stop_bars()
            if states:
                _say_logs(session, states)
        session.display.forget_arrived()
        if session.goes_on():
            where = f" The console is at {session.console_url}" if session.console_url else ""
            session.display.say(f"Waiting for events.{where} Ctrl-C drains and stops.")
        while session.goes_on():
            session.stop.wait(_SAY_EVERY_S)
            session.display.say_arrived()
        if session.stop.is_set():
            session.display.say("Draining ...")


def demo(as_json: Json = False) -> None:
    """Sync the sandbox's demo data once, print both logs and exit."""
    with open_session(load(), USUAL_ROLES, quiet=as_json) as session:
        if not session.config.uses_sandbox:
            raise ConfigurationError(
                "demo works on the sandbox only, but real upstreams are configured; use: sync"
            )
        states = session.syncs(None).finish_or_start(again=True)
        if states is None:
            raise _ended_early(session)
        paths = [_log_path(session, state) for state in states]
        for state in states:
            _refuse_failed(state)
    # The sink has written its last file by now.
    if as_json:
        _print_json(states, paths)
        return
    for path in paths:
        sys.stdout.write(f"\n{path.read_text(encoding='utf-8')}")
    sys.stdout.write("\nThe logs are in:\n" + "".join(f"  {path}\n" for path in paths))


def sync(  # noqa: PLR0917 - each is an option of the command
    kind: Annotated[Kind, typer.Argument(help="What to sync.")],
    company: Company = None,
    project: Annotated[
        str | None, typer.Option("--project", help="Timesheets only: SmartBarrel's id of one project.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", formats=[_DAY], help="Timesheets only: the first working day."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=[_DAY], help="Timesheets only: the last working day."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Follow the run until each of its events has its result.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Sync a company's users or timesheets: as the Sync button does.

    The role runner of some process reads them and publishes them as a run; if one is under way already, it is
    joined. On the embedded broker, which has room for one process, this one does all the work.
    """
    if kind is Kind.USERS and (project, since, until) != (None, None, None):
        raise ConfigurationError("--project, --since and --until are for timesheets only")
    if since and until and since > until:
        raise ConfigurationError("the days end before they begin")
    config = load()
    if config.is_embedded and not wait:
        raise ConfigurationError("on the embedded broker this process does the work, so it has to wait")
    with open_session(config, roles_beside(config), quiet=as_json) as session:
        syncs = session.syncs(company)
        command = replace(
            manual_sync(syncs.company_id, kind, syncs.requested_by),
            project_id=project,
            first_day=since and since.date(),
            last_day=until and until.date(),
        )
        syncs.start(command)
        if not wait:
            _say_asked(command, as_json=as_json)
            return
        state = syncs.wait(command)
        if state is None:
            raise _ended_early(session)
        path = _log_path(session, state)
    if as_json:
        _print_json([state], [path])
    else:
        where = f"The log is {path}" if path.exists() else "The log is where the sink runs"
        sys.stdout.write(f"{kind}: {outcome_words(state.outcomes)}\n{where}\n")
    _refuse_failed(state)


def _say_asked(command: SyncCommand, *, as_json: bool) -> None:
    if as_json:
        print_json({"run": command.run_id})
    else:
        sys.stdout.write(f"Asked for as run {command.run_id}.\n")


def _refuse_failed(state: RunState) -> None:
    marker = state.marker
    if marker.phase is Phase.FAILED:
        raise CrewsyncError(
            f"the run of {marker.kind} could not go on: {marker.reason}; "
            f"{marker.expected} were read and synced before"
        )


def _ended_early(session: Session) -> BaseException:
    return session.service.error or CrewsyncError(
        "stopped before every result was there; run it again to go on"
    )


def _log_path(session: Session, state: RunState) -> Path:
    return session.config.log_dir / file_path(LogKey.of(state.marker), state.marker)


def _say_logs(session: Session, states: Sequence[RunState]) -> None:
    for state in states:
        session.display.say(f"{state.marker.kind}: {outcome_words(state.outcomes)}")
        if state.marker.phase is Phase.FAILED:
            session.display.say(f"  could not go on: {state.marker.reason}")
        session.display.say(f"  log: {_log_path(session, state)}")


def _print_json(states: Sequence[RunState], paths: Sequence[Path]) -> None:
    document = [
        {
            "kind": state.marker.kind,
            "run": state.marker.run_id,
            "expected": state.marker.expected,
            "phase": state.marker.phase,
            "reason": state.marker.reason,
            "outcomes": state.outcomes,
            "log": str(path),
        }
        for state, path in zip(states, paths, strict=True)
    ]
    print_json(document)
