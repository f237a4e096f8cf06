"""``replay``: publish what is on a topic to it once more, so that both systems come in step with it."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from consumer.commands.options import DryRun, Json
from consumer.commands.replaying import go_on, preview, replay_window
from consumer.config import Config, load
from consumer.exceptions import ConfigurationError
from consumer.model.events import Kind
from consumer.runs.commands import new_run_id
from consumer.runs.replay import Choice
from consumer.runs.spool import Replay
from consumer.runs.window import Bounds
from consumer.session import who
from consumer.topics import TopicNames


_FOLDER = Path("var/replay")
_MOMENT = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")


def replay(  # noqa: PLR0917 - each is an option of the command
    topic: Annotated[
        str, typer.Option("--topic", help="users or timesheets, or the full name of their topic.")
    ] = "",
    since: Annotated[
        datetime | None, typer.Option("--since", formats=[*_MOMENT], help="From this moment on, in UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option("--until", formats=[*_MOMENT], help="Up to before this moment, in UTC.")
    ] = None,
    partition: Annotated[
        int | None, typer.Option("--partition", min=0, help="The partition that the offsets are of.")
    ] = None,
    from_offset: Annotated[
        int | None, typer.Option("--from-offset", min=0, help="From this offset on.")
    ] = None,
    to_offset: Annotated[
        int | None, typer.Option("--to-offset", min=0, help="Up to before this offset.")
    ] = None,
    company: Annotated[
        int | None, typer.Option("--company", help="Only this company's events; by Procore's id.")
    ] = None,
    user: Annotated[int | None, typer.Option("--user", help="Only this user's; by Procore's id.")] = None,
    worker: Annotated[
        str | None, typer.Option("--worker", help="Only this worker's timesheets; by SmartBarrel's id.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare both systems even if nothing changed: repairs drift.")
    ] = False,
    rate: Annotated[float, typer.Option("--rate", min=0.1, help="Events published a second at most.")] = 200,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with a replay that was broken off, by its id.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring both systems in step with what is on a topic.

    The latest revision of each user or timesheet in a window is published back to the topic, as a run of its
    own. The processes at work handle it in order with everything else, so nothing has to be stopped. What has
    a newer revision on the topic is left alone.
    """
    config = load()
    bounds = Bounds(_utc(since), _utc(until), partition, from_offset, to_offset)
    choice = Choice(company, user, worker)
    if resume is not None:
        if topic or dry_run or force or bounds != Bounds() or choice != Choice():
            raise ConfigurationError("--resume goes on with what was asked for then; it takes --rate alone")
        go_on(config, _FOLDER, resume, rate, as_json=as_json)
        return
    kind = _kind(topic, config)
    _check(kind, choice)
    request = Replay(new_run_id(), kind, force, who(), _scope(bounds, choice, is_forced=force), time.time())
    if dry_run:
        preview(config, request, bounds, choice, as_json=as_json)
    else:
        replay_window(config, _FOLDER, request, bounds, choice, rate, as_json=as_json)


def _kind(topic: str, config: Config) -> Kind:
    names = TopicNames(config.topic_prefix)
    for kind in Kind:
        if topic in {kind, names.events_of(kind)}:
            return kind
    known = ", ".join(f"{kind} ({names.events_of(kind)})" for kind in Kind)
    raise ConfigurationError(f"--topic: name one of {known}")


def _check(kind: Kind, choice: Choice) -> None:
    if kind is Kind.USERS and choice.worker_id is not None:
        raise ConfigurationError("--worker is for timesheets; users are named by --user")
    if kind is Kind.TIMESHEETS and choice.user_id is not None:
        raise ConfigurationError("--user is for users; timesheets are named by --worker")


def _scope(bounds: Bounds, choice: Choice, *, is_forced: bool) -> str | None:
    """What the replay is limited to, as the log says it."""
    said = {
        "since": bounds.since and bounds.since.isoformat(timespec="seconds"),
        "until": bounds.until and bounds.until.isoformat(timespec="seconds"),
        "partition": bounds.partition,
        "from offset": bounds.from_offset,
        "to offset": bounds.to_offset,
        "user": choice.user_id,
        "worker": choice.worker_id,
    }
    parts = [f"{name} {value}" for name, value in said.items() if value is not None]
    return ", ".join([*parts, *(["compared by force"] if is_forced else [])]) or None


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)
