"""``replay``: publish what is on a topic to it once more, so that both systems are brought in step with it."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from consumer.commands.options import DryRun, Json
from consumer.commands.replay_text import print_summary
from consumer.config import Config, load
from consumer.exceptions import ConfigurationError, CrewsyncError
from consumer.model.events import Kind
from consumer.model.topics import TIMESHEET_EVENTS, USER_EVENTS
from consumer.runs.commands import new_run_id
from consumer.runs.progress import RunState
from consumer.runs.replay import Choice, Gathering, Pace, Topic, following, publish, run_id_of
from consumer.runs.spool import Replay, Spool
from consumer.runs.window import Bounds
from consumer.session import Session, who


_FOLDER = Path("var/replay")
_KINDS = {Kind.USERS: USER_EVENTS, Kind.TIMESHEETS: TIMESHEET_EVENTS}
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
    user: Annotated[
        int | None, typer.Option("--user", help="Only this user's events; by Procore's id.")
    ] = None,
    worker: Annotated[
        str | None, typer.Option("--worker", help="Only this worker's timesheets; by SmartBarrel's id.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare both systems even if nothing changed: repairs drift.")
    ] = False,
    rate: Annotated[
        float, typer.Option("--rate", min=0.1, help="Events published a second, at most.")
    ] = 200.0,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Go on with a replay that was broken off, by its id.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Bring both systems in step with what is on a topic.

    The latest revision of each user or timesheet in a window is published back to the topic, as a run of its
    own. The processes at work handle it in order with everything else, so nothing has to be stopped. What has a
    newer revision on the topic is left alone.
    """
    config = load()
    bounds = Bounds(_utc(since), _utc(until), partition, from_offset, to_offset)
    choice = Choice(company, user, worker)
    if resume is not None:
        if topic or dry_run or bounds != Bounds() or choice != Choice():
            raise ConfigurationError("--resume goes on with what was asked for; it takes --rate only")
        _go_on(config, resume, rate, as_json=as_json)
        return
    kind = _kind(topic, config)
    _check(kind, choice)
    request = Replay(new_run_id(), kind, force, who(), _scope(bounds, choice, force=force))
    if dry_run:
        _preview(config, request, bounds, choice, as_json=as_json)
    else:
        _replay(config, request, bounds, choice, rate, as_json=as_json)


def _replay(
    config: Config, request: Replay, bounds: Bounds, choice: Choice, rate: float, *, as_json: bool
) -> None:
    with _session(config, as_json=as_json) as session, ExitStack() as stack:
        topic = _topic(session.place, request.kind)
        spool = Spool.create(_FOLDER, request)
        try:
            gathering = Gathering(topic, bounds, choice, spool)
            stack.callback(gathering.close)
            _read(session, gathering)
        except BaseException:
            # Nothing is published yet, so there is nothing to go on with.
            spool.remove()
            raise
        _say_read(session, gathering, spool)
        _carry_out(session, topic, spool, gathering, rate, as_json=as_json)


def _go_on(config: Config, replay_id: str, rate: float, *, as_json: bool) -> None:
    spool = Spool.open(_FOLDER, replay_id)
    if not spool.is_read:
        spool.remove()
        raise CrewsyncError(f"replay {replay_id} had not read its window; nothing was published: begin anew")
    with _session(config, as_json=as_json) as session, ExitStack() as stack:
        topic = _topic(session.place, spool.replay.kind)
        gathering = following(topic, spool)
        stack.callback(gathering.close)
        _carry_out(session, topic, spool, gathering, rate, as_json=as_json)


def _carry_out(
    session: Session, topic: Topic, spool: Spool, gathering: Gathering, rate: float, *, as_json: bool
) -> None:
    replay_id, counts = spool.replay.id, spool.counts()
    known = {run_id: state.marker for run_id, state in _states(session, replay_id, counts).items()}
    for marker in publish(topic, spool, gathering, Pace(rate, session.goes_on), known.get):
        session.display.step("publishing", marker.expected, counts[marker.company_id])
    if not session.goes_on():
        spool.close()
        raise session.service.error or CrewsyncError(
            f"stopped before all was published; go on with: crewsync replay --resume {replay_id}"
        )
    superseded = spool.superseded()
    spool.remove()
    states = [session.follow(run_id_of(replay_id, company_id)) for company_id in counts]
    print_summary([state for state in states if state is not None], superseded, as_json=as_json)
    if None in states:
        raise session.service.error or CrewsyncError("stopped before every result was there")


def _states(session: Session, replay_id: str, counts: Sequence[int]) -> dict[str, RunState]:
    return {}
