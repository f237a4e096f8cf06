"""What ``replay`` does: read a window, publish it and follow the results, or show what they would be."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from consumer.commands.rows import print_json
from consumer.config import Config
from consumer.display import Display, outcome_words
from consumer.engine.links import Links
from consumer.exceptions import CrewsyncError
from consumer.model.results import SYNCED, Outcome, RunMarker
from consumer.plan_text import plan_document, plan_line
from consumer.runs.planning import Shown, known_links, plan_event
from consumer.runs.progress import RunState
from consumer.runs.replay import Choice, Gathering, Pace, Topic, publish, run_id_of
from consumer.runs.spool import Replay, Spool
from consumer.runs.sync import follow_run
from consumer.runs.window import Bounds
from consumer.service import Place
from consumer.session import Session, open_session, open_shown_place, roles_beside
from consumer.upstream.budget import be_patient
from consumer.upstreams import closing_after


def replay_window(  # noqa: PLR0917 - what was asked for
    config: Config,
    folder: Path,
    request: Replay,
    bounds: Bounds,
    choice: Choice,
    rate: float,
    *,
    as_json: bool,
) -> None:
    """Read the window, publish it, and wait for the results. Raises CrewsyncError."""
    with open_session(config, roles_beside(config), quiet=as_json) as session, ExitStack() as stack:
        topic = _topic(session.place, request)
        spool = Spool.create(folder, request)
        try:
            gathering = Gathering(topic, bounds, choice, spool)
            stack.callback(gathering.close)
            _read(gathering, spool, session.display)
        except BaseException:
            # Nothing is published yet, so there is nothing to go on with.
            spool.remove()
            raise
        _carry_out(session, topic, spool, gathering, rate, as_json=as_json)


def go_on(config: Config, folder: Path, replay_id: str, rate: float, *, as_json: bool) -> None:
    """Publish the rest of a replay that was broken off, and wait for the results. Raises CrewsyncError."""
    spool = Spool.open(folder, replay_id)
    if not spool.is_read:
        spool.remove()
        raise CrewsyncError(f"replay {replay_id} had published nothing yet; ask for it anew")
    with open_session(config, roles_beside(config), quiet=as_json) as session, ExitStack() as stack:
        topic = _topic(session.place, spool.replay)
        gathering = Gathering.resumed(topic, spool)
        stack.callback(gathering.close)
        _carry_out(session, topic, spool, gathering, rate, as_json=as_json)


def preview(config: Config, request: Replay, bounds: Bounds, choice: Choice, *, as_json: bool) -> None:
    """Show how each event would end, and what would be sent. Nothing is written but a file of our own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        open_shown_place(config) as (place, display),
        ExitStack() as stack,
    ):
        spool = Spool.create(Path(folder), request)
        stack.callback(spool.close)
        gathering = Gathering(_topic(place, request), bounds, choice, spool)
        stack.callback(gathering.close)
        _read(gathering, spool, display)
        links = known_links(place.broker, place.topics.links, place.codec)
        shown = asyncio.run(closing_after(_shown(place, spool, links, display), place.upstreams))
        superseded = spool.superseded()
    counts = {outcome: sum(one.outcome is outcome for one in shown) for outcome in Outcome}
    if as_json:
        outcomes = {outcome: count for outcome, count in counts.items() if count}
        plans = [dict(plan_document(one)) for one in shown]
        print_json({"outcomes": outcomes, "superseded": superseded, "plans": plans})
        return
    for one in shown:
        if one.steps or one.outcome not in SYNCED:
            sys.stdout.write(f"{plan_line(one)}\n")
    sys.stdout.write(f"Would be: {outcome_words(counts)}{_superseded(superseded)}\nNothing was changed.\n")


def _carry_out(
    session: Session, topic: Topic, spool: Spool, gathering: Gathering, rate: float, *, as_json: bool
) -> None:
    replay_id, counts = spool.replay.id, spool.counts()

    def known(run_id: str) -> RunMarker | None:
        state = session.progress.run(run_id)
        return None if state is None else state.marker

    session.display.say(
        f"Replay {replay_id}: {sum(counts.values())} to publish{_superseded(spool.superseded())}"
    )
    for marker in publish(topic, spool, gathering, Pace(rate, session.goes_on), known):
        session.display.step("publishing", marker.expected, counts[marker.company_id])
    superseded = spool.superseded()
    if not session.goes_on():
        spool.close()
        raise session.service.error or CrewsyncError(
            f"stopped before all was published; go on with: crewsync replay --resume {replay_id}"
        )
    spool.remove()
    states = [
        follow_run(session.progress, session.watch, run_id_of(replay_id, company_id), topic.kind)
        for company_id in counts
    ]
    _print_summary([state for state in states if state is not None], superseded, as_json=as_json)
    if None in states:
        raise session.service.error or CrewsyncError("stopped before every result was there")


async def _shown(place: Place, spool: Spool, links: Links, display: Display) -> Sequence[Shown]:
    be_patient()
    total = sum(spool.counts().values())
    shown: list[Shown] = []
    async for one in _planned(place, spool, links):
        shown.append(one)
        display.step("planning", len(shown), total)
    return shown


async def _planned(place: Place, spool: Spool, links: Links) -> AsyncIterator[Shown]:
    event_type = _topic(place, spool.replay).event_type
    for company_id in spool.counts():
        company = place.upstreams.companies.get(company_id)
        if company is None:
            raise CrewsyncError(f"company {company_id} is on the topic and not set up; choose with --company")
        for value in spool.values(company_id):
            event = place.codec.decode(value, event_type)
            yield await plan_event(company, links, event, force=spool.replay.force)


def _read(gathering: Gathering, spool: Spool, display: Display) -> None:
    total = len(gathering.window)
    gathering.read_all(lambda read: display.step("reading", read, total))
    if gathering.undecodable:
        display.say(f"{gathering.undecodable} records of the window cannot be read; they are left out.")
    if not spool.counts():
        raise CrewsyncError(f"nothing to replay{_superseded(spool.superseded())}")


def _superseded(count: int) -> str:
    return f"; {count} have a newer revision on the topic and are left alone" if count else ""


def _print_summary(states: Sequence[RunState], superseded: int, *, as_json: bool) -> None:
    if as_json:
        runs = [
            {
                "company_id": state.marker.company_id,
                "run": state.marker.run_id,
                "expected": state.marker.expected,
                "outcomes": state.outcomes,
            }
            for state in states
        ]
        print_json({"superseded": superseded, "runs": runs})
        return
    for state in states:
        words = outcome_words(state.outcomes)
        sys.stdout.write(f"Company {state.marker.company_id}, run {state.marker.run_id}: {words}\n")


def _topic(place: Place, replay: Replay) -> Topic:
    return Topic(place.broker, place.codec, place.topics, replay.kind)
