"""``doctor``: what is wrong with a set-up, and what to do about it."""

import json
import os
import sys
from collections.abc import Iterator

import typer
from dotenv import dotenv_values

from consumer.commands.options import Json
from consumer.config import load
from consumer.doctor.examination import ENV_FILE, examine, settings_findings
from consumer.doctor.findings import Finding, finding_text, findings_document, is_failed, summary_text
from consumer.exceptions import ConfigurationError
from consumer.logs import configure


def doctor(as_json: Json = False) -> None:
    """Check settings, broker, topics, schemas, folders and both upstreams; write to none of them.

    Every line is ok, warn or FAIL, and says what to do. The exit code is 1 if anything fails.
    """
    found = []
    for finding in _found():
        found.append(finding)
        if not as_json:
            sys.stdout.write(f"{finding_text(finding)}\n")
            sys.stdout.flush()
    if as_json:
        document = {"ok": not is_failed(found), "findings": findings_document(found)}
        sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
    else:
        sys.stdout.write(f"\n{summary_text(found)}\n")
    if is_failed(found):
        raise typer.Exit(1)


def _found() -> Iterator[Finding]:
    try:
        config = load()
    except ConfigurationError as error:
        yield from settings_findings(error)
        return
    configure(config.log_level)
    from_file = {name: value or "" for name, value in dotenv_values(ENV_FILE, interpolate=False).items()}
    yield from examine(config, {**from_file, **os.environ})
