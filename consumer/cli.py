"""The command line.

Exit codes: 0 done; 1 something failed; 2 wrong usage or settings; 3 the broker or an upstream cannot be
used; 130 stopped at once by a second signal.
"""

import io
import sys
from collections.abc import Callable

import typer

from consumer.commands import (
    dead_letters,
    doctor,
    links,
    logs,
    plan,
    replay,
    sandbox,
    schemas,
    settings,
    topics,
    work,
)
from consumer.exceptions import BrokerError, ConfigurationError, CrewsyncError, UpstreamError
from consumer.model.registry import SchemaRegistryError


EXIT_FAILED, EXIT_USAGE, EXIT_UNAVAILABLE = 1, 2, 3

app = typer.Typer(
    name="crewsync",
    help="Keeps a construction company's people in step between Procore and SmartBarrel, on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (work.run, work.demo, work.sync, replay.replay, doctor.doctor):
    app.command()(command)
for name, group in (
    ("plan", plan.app),
    ("settings", settings.app),
    ("dead-letters", dead_letters.app),
    ("logs", logs.app),
    ("links", links.app),
    ("topics", topics.app),
    ("schemas", schemas.app),
    ("sandbox", sandbox.app),
):
    app.add_typer(group, name=name)


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
