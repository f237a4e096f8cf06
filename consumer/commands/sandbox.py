"""``sandbox``: both upstream systems alone, what they hold, and edits as an office makes them."""

import shlex
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from consumer.commands import sandbox_edits
from consumer.commands.options import Json
from consumer.commands.rows import print_json, print_rows
from consumer.commands.sandbox_state import name_of, sandbox_config, sandbox_state
from consumer.config import is_loopback, secret_in
from consumer.exceptions import ConfigurationError
from consumer.sandbox.demo import load_demo
from consumer.sandbox.server import LOOPBACK, start
from consumer.sandbox.settings import settings_for


app = typer.Typer(
    no_args_is_help=True,
    help="Serve the sandbox alone, look into it, and edit it; while crewsync run works on it, too.",
)
for command in (
    sandbox_edits.edit_user,
    sandbox_edits.edit_timesheet,
    sandbox_edits.approve_timecard,
    sandbox_edits.delete_timecard,
):
    app.command()(command)

Port = Annotated[int, typer.Option(min=0, max=65_535, show_default="any free one")]
Search = Annotated[
    str | None, typer.Option("--search", help="Only those of which something holds this text, in any case.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most.")]
_MOST_PORT = 65_533


@app.command()
def serve(  # noqa: PLR0917 - each is an option of the command
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=_MOST_PORT, help="Procore's; its login's and SmartBarrel's are the next two."
        ),
    ] = None,
    port_procore: Port = 0,
    port_login: Port = 0,
    port_smartbarrel: Port = 0,
    host: Annotated[
        str, typer.Option(help="The IPv4 address to listen on; beyond this machine with --secret-file only.")
    ] = LOOPBACK,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with what is taken as Procore's client secret and as SmartBarrel's API key, "
            "in place of invented ones that everybody knows."
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="The state's file.", show_default="CREWSYNC_SANDBOX_STATE")
    ] = None,
) -> None:
    """Run the sandbox until Ctrl-C, and print the settings with which another process uses it.

    The settings go to standard output, and everything else to standard error.
    """
    config = sandbox_config()
    ports = (port_procore, port_login, port_smartbarrel) if port is None else (port, port + 1, port + 2)
    path, data = state or config.sandbox_state, load_demo()
    if secret_file is None and not is_loopback(host):
        raise ConfigurationError(f"--secret-file is missing, though --host {host} lets others in")
    secret = None if secret_file is None else secret_in(secret_file)
    # A service manager's way to ask for the end is the same as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sandbox = start(path, data, faults=config.sandbox_faults, ports=ports, host=host, secret=secret)
    except OSError as error:
        raise ConfigurationError(f"the sandbox cannot be served: {error.strerror or error}") from None
    with sandbox:
        at = sandbox.address
        sys.stderr.write(
            f"The sandbox serves {path} until Ctrl-C.\n"
            f"  Procore:     {at.procore_url} (login: {at.procore_login_url})\n"
            f"  SmartBarrel: {at.smartbarrel_url}\n"
            "With these settings another process uses it:\n"
        )
        for name, value in settings_for(at, data, secret_file).items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stderr.write("The sandbox stops.\n")


@app.command()
def users(search: Search = None, limit: Limit = 50, as_json: Json = False) -> None:
    """List Procore's users."""
    fields = {
        "id": "id",
        "name": name_of,
        "e-mail": "email_address",
        "mobile phone": "mobile_phone",
        "employee ID": "employee_id",
        "employee": "is_employee",
        "active": "is_active",
    }
    _list(sandbox_state().users(), fields, search, limit, as_json=as_json)


@app.command()
def workers(search: Search = None, limit: Limit = 50, as_json: Json = False) -> None:
    """List SmartBarrel's workers."""
    fields = {
        "id": "id",
        "name": name_of,
        "phone": "phone_number",
        "payroll ID": "payroll_id",
        "external ID": "external_id",
        "status": "status",
    }
    _list(sandbox_state().workers(), fields, search, limit, as_json=as_json)


@app.command()
def timesheets(search: Search = None, limit: Limit = 50, as_json: Json = False) -> None:
    """List SmartBarrel's timesheets."""
    state = sandbox_state()
    known = {key: name_of(worker) for worker in state.workers() for key in _references(worker)}
    fields = {
        "id": "id",
        "revision": "revision",
        "date": "date",
        "worker": lambda sheet: next(
            (known[ref] for ref in sheet["worker_ref"].values() if ref in known), None
        ),
        "project": lambda sheet: sheet["project"]["name"],
        "hours": "total_hours",
        "status": "status",
        "deleted": "deleted",
    }
    _list(state.timesheets(), fields, search, limit, as_json=as_json)


@app.command()
def timecards(search: Search = None, limit: Limit = 50, as_json: Json = False) -> None:
    """List Procore's timecard entries, deleted ones included."""
    state = sandbox_state()
    people = {person["id"]: name_of(person) for person in state.people()}
    fields = {
        "id": "id",
        "date": "date",
        "person": lambda entry: people.get(entry.get("party_id")),
        "hours": "hours",
        "status": "approval_status",
        "origin ID": "origin_id",
        "deleted": "deleted_at",
    }
    _list(state.timecard_entries(), fields, search, limit, as_json=as_json)


def _references(worker: Mapping[str, Any]) -> Sequence[str]:
    return [value for value in (worker["id"], worker["external_id"]) if value is not None]


def _list(
    bodies: Sequence[Mapping[str, Any]],
    fields: Mapping[str, Any],
    search: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Print what is searched for: ``fields`` are the columns, each a key or what is made of the whole."""
    rows = [
        (body, [body.get(field) if isinstance(field, str) else field(body) for field in fields.values()])
        for body in bodies
    ]
    wanted = (search or "").casefold()
    found = [(body, row) for body, row in rows if any(wanted in str(cell).casefold() for cell in row)]
    if as_json:
        print_json([body for body, _ in found[:limit]])
        return
    said = [[_said(cell) for cell in row] for _, row in found[:limit]]
    print_rows(list(fields), said)
    if len(found) > limit:
        sys.stdout.write(f"Shown are the first {limit} of {len(found)}; --limit shows more.\n")


def _said(cell: object) -> object:
    return {True: "yes", False: "no"}[cell] if isinstance(cell, bool) else (cell or None)
