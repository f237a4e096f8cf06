"""``logs``: what was synced and what was not, also while ``crewsync run`` is at work."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from consumer.commands.options import Json
from consumer.commands.rows import print_json, print_rows
from consumer.config import load
from consumer.display import outcome_words
from consumer.exceptions import CrewsyncError
from consumer.model.events import Kind
from consumer.model.results import Reason, Result
from consumer.session import open_shown_broker
from consumer.sink.catalog import Catalog
from consumer.sink.errors import SinkError
from consumer.sink.files import lock_directory
from consumer.sink.keeping import Keeping
from consumer.sink.layout import moment, visible
from consumer.sink.log_entry import LogEntry
from consumer.sink.rebuild import Rebuilt, Source
from consumer.sink.rebuild import rebuild as rebuild_logs
from consumer.topics import TopicNames


app = typer.Typer(
    no_args_is_help=True, help="List, show and follow the logs, beside a running crewsync, too; rebuild them."
)

LATEST = "latest"
_LOOK_EVERY_S = 0.25
_SUGGESTED = 5

OfCompany = Annotated[int | None, typer.Option("--company", help="Only the logs of this Procore company.")]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="Only the logs of this kind.")]


@app.command("list")
def list_logs(
    company: OfCompany = None,
    kind: OfKind = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 20,
    as_json: Json = False,
) -> None:
    """List the newest logs: runs, and days with events outside a run."""
    with Catalog(load().log_dir) as catalog:
        entries = catalog.newest(company_id=company, kind=kind, limit=limit)
    if as_json:
        print_json([_document(entry) for entry in entries])
    elif entries:
        head = ("run", "kind", "trigger", "who", "started", "status", "synced", "not synced", "file")
        print_rows(head, [_row(entry) for entry in entries])
    else:
        sys.stdout.write("There are no such logs.\n")


@app.command()
def show(
    which: Annotated[
        str,
        typer.Argument(metavar="RUN_ID|FILE", help="A run's id or its beginning, a file's name, or: latest"),
    ],
    company: OfCompany = None,
    kind: OfKind = None,
) -> None:
    """Print the log of a run, or the file of this name."""
    with Catalog(load().log_dir) as catalog:
        sys.stdout.write(catalog.text(_found(catalog, which, company, kind)))


@app.command()
def follow(
    run_id: Annotated[
        str | None, typer.Argument(help="A run's id or its beginning. Default: the newest run.")
    ] = None,
    company: OfCompany = None,
    kind: OfKind = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Print each result of a run as it arrives, until the run is complete or Ctrl-C."""
    with Catalog(load().log_dir) as catalog:
        entry = _found(catalog, run_id or LATEST, company, kind)
        if entry.key.run_id is None:
            raise CrewsyncError("only runs can be followed; a day is never complete")
        try:
            _follow(catalog, entry, as_json=as_json)
        except KeyboardInterrupt:
            # That is how it is meant to be ended.
            return


@app.command()
def rebuild(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only compare; exit code 1 if a file is not as it should be.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write every log file anew from the topic. No process with the role sink may be at work.

    What the topic does not have any more is taken over from the log directory. Files that are called like
    logs, and are none, are removed.
    """
    config = load()
    try:
        config.log_dir.mkdir(parents=True, exist_ok=True)
        lock = lock_directory(config.log_dir)
    except OSError as error:
        raise SinkError(f"the log directory {config.log_dir} cannot be used: {error}") from error
    with lock, open_shown_broker(config) as (broker, codec, display):
        source = Source(broker, TopicNames(config.topic_prefix).sync_log, codec)
        keeping = Keeping(config.log_line_ends, config.log_days)
        found = rebuild_logs(source, config.log_dir, keeping, display.step, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, **asdict(found)})
    else:
        sys.stdout.write(_rebuilt(found, is_dry=dry_run))
    if dry_run and not found.is_as_it_should_be:
        raise typer.Exit(1)


def _rebuilt(found: Rebuilt, *, is_dry: bool) -> str:
    before = "" if is_dry else " before"
    counts = f"{found.identical} identical, {found.differing} differing, {found.missing} missing"
    lines = [f"{counts}, {found.extra} extra{before}"]
    if found.taken_over:
        lines.append(f"{found.taken_over} records, which the topic has no more, are taken over")
    if found.damaged is not None:
        lines.append(
            f"nothing older than the topic is taken over, and no extra file removed: {found.damaged}"
        )
    return "".join(f"{line}\n" for line in lines)


def _follow(catalog: Catalog, entry: LogEntry, *, as_json: bool) -> None:
    cursor = None
    while True:
        # Before the results, so that what is over by then has all of them among these.
        entry = catalog.entry(entry.id) or entry
        results, cursor = catalog.results(entry, cursor)
        for result in results:
            sys.stdout.write(json.dumps(_result(result), ensure_ascii=False) if as_json else _line(result))
            sys.stdout.write("\n")
        sys.stdout.flush()
        if not results and entry.is_over:
            break
        if not results:
            time.sleep(_LOOK_EVERY_S)
    if not as_json:
        why = f" ({visible(entry.reason)})" if entry.reason else ""
        sys.stdout.write(f"{entry.key.kind} {entry.status}{why}: {outcome_words(entry.outcomes)}\n")


def _found(catalog: Catalog, which: str, company: int | None, kind: Kind | None) -> LogEntry:
    """The one log that is meant. Raises CrewsyncError, which names what there is."""
    if which == LATEST:
        newest = catalog.newest_run(company_id=company, kind=kind)
        if newest is None:
            raise CrewsyncError(f"there is no {f'{kind} ' if kind else ''}run yet")
        return newest
    found = [
        entry
        for entry in (*catalog.runs(which), *catalog.with_file(which))
        if company in {None, entry.key.company_id} and kind in {None, entry.key.kind}
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise CrewsyncError(f"{visible(which)} may be any of these; write more of it:{_lines(found)}")
    newest_ones = catalog.newest(company_id=company, kind=kind, limit=_SUGGESTED)
    raise CrewsyncError(f"there is no run or log file {visible(which)}; the newest are:{_lines(newest_ones)}")


def _lines(entries: Sequence[LogEntry]) -> str:
    return "".join(
        f"\n  {visible(entry.key.run_id or '-')}  {entry.path or '(no file yet)'}" for entry in entries
    )


def _row(entry: LogEntry) -> Sequence[object]:
    marker, key = entry.marker, entry.key
    return (
        key.run_id,
        key.kind,
        marker and marker.trigger,
        marker and marker.requested_by,
        key.day or (entry.started_at and moment(entry.started_at)),
        _status(entry),
        entry.synced,
        entry.not_synced,
        entry.path,
    )


def _status(entry: LogEntry) -> str:
    if entry.marker is None or entry.status != "running":
        return entry.status
    return f"{entry.status} {entry.events}/{entry.marker.expected}"


def _document(entry: LogEntry) -> Mapping[str, Any]:
    marker = entry.marker
    return {
        "run": entry.key.run_id,
        "day": None if entry.key.day is None else entry.key.day.isoformat(),
        "company": entry.key.company_id,
        "kind": entry.key.kind,
        "trigger": marker and marker.trigger,
        "requested_by": marker and marker.requested_by,
        "started_at": entry.started_at and entry.started_at.isoformat(),
        "last_handled_at": entry.last_handled_at and entry.last_handled_at.isoformat(),
        "status": entry.status,
        "reason": entry.reason,
        "expected": marker and marker.expected,
        "events": entry.events,
        "outcomes": dict(entry.outcomes),
        "synced": entry.synced,
        "not_synced": entry.not_synced,
        "file": None if entry.path is None else str(entry.path),
    }


def _line(result: Result) -> str:
    name = visible(result.subject_name).strip() or "(no name)"
    said = [_said(reason) for reason in result.reasons]
    said += [f"warning: {_said(reason)}" for reason in result.warnings]
    why = f" ({'; '.join(said)})" if said else ""
    return f"{name} ({visible(result.subject_id)}): {result.outcome}{why}"


def _said(reason: Reason) -> str:
    words = visible(reason.message) or visible(reason.code)
    return f'{words} "{visible(reason.upstream)}"' if reason.upstream else words


def _result(result: Result) -> Mapping[str, Any]:
    return {
        "run": result.run_id,
        "company": result.company_id,
        "kind": result.kind,
        "id": result.subject_id,
        "name": result.subject_name,
        "outcome": result.outcome,
        "reasons": [_reason(reason) for reason in result.reasons],
        "warnings": [_reason(reason) for reason in result.warnings],
        "detail": result.detail,
        "handled_at": result.handled_at.isoformat(),
    }


def _reason(reason: Reason) -> Mapping[str, Any]:
    return {"code": reason.code, "message": reason.message, "upstream": reason.upstream}
