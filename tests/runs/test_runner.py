"""The runner: nobody is in a run twice, nobody is left out, and it always ends with a word on how."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import date

import pytest

from consumer.broker.port import Message
from consumer.exceptions import Misconfigured, Transient
from consumer.model.events import Event, Kind, UserEvent
from consumer.model.results import Outcome, Phase
from consumer.runs.progress import Progress
from consumer.runs.runner import Runner
from tests.runs.conftest import COMPANY, TOPICS, Office, Stage, until, users


def of_run(stage: Stage, run_id: str) -> Counter[int]:
    return Counter(
        one.user_id for one in stage.events() if isinstance(one, UserEvent) and one.run_id == run_id
    )


def is_in(stage: Stage, run_id: str, phase: Phase) -> bool:
    marker = stage.markers().get(run_id)
    return marker is not None and marker.phase is phase


def turn_until(runner: Runner, condition: Callable[[], bool]) -> None:
    def turned() -> bool:
        runner.turn(0.02)
        return condition()

    until(turned)


def test_each_user_of_every_page_is_published_once_with_the_runs_id(stage: Stage) -> None:
    office = Office(pages=[users(1, 2), users(3), users(2, 4)])
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    assert of_run(stage, run) == Counter({8800101: 1, 8800102: 1, 8800103: 1, 8800104: 1})
    marker = stage.markers()[run]
    assert (marker.expected, marker.requested_by, marker.company_id) == (4, "Dana", COMPANY)


@pytest.mark.parametrize("stops_at", [0, 1, 2])
def test_a_run_that_was_broken_off_is_gone_on_with_by_the_next_process(stage: Stage, stops_at: int) -> None:
    office = Office(pages=[users(1, 2), users(3), users(4)], stops_at=stops_at)
    run = stage.ask().run_id
    with stage.running(office):
        until(lambda: len(stage.events()) == [0, 2, 3][stops_at] and office.asked)
    assert is_in(stage, run, Phase.READING)
    office.goes_on.set()
    with stage.running(office):
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    assert of_run(stage, run) == Counter({8800101: 1, 8800102: 1, 8800103: 1, 8800104: 1})
    assert stage.markers()[run].expected == 4
    started = {marker.started_at for marker in stage.markers().values()}
    assert len(started) == 1, "the run has begun once"


def test_what_is_published_shows_while_more_is_read(stage: Stage) -> None:
    office = Office(pages=[users(1, 2), users(3)], stops_at=1)
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.READING) and stage.markers()[run].expected == 2)
        office.goes_on.set()
        until(lambda: is_in(stage, run, Phase.PUBLISHED))


def test_a_second_sync_joins_the_one_that_is_being_read(stage: Stage) -> None:
    office = Office(pages=[users(1)], stops_at=0)
    with stage.running(office):
        first = stage.ask().run_id
        until(lambda: office.asked)
        second = stage.ask().run_id
        until(lambda: is_in(stage, second, Phase.JOINED))
        office.goes_on.set()
        until(lambda: is_in(stage, first, Phase.PUBLISHED))
    assert stage.markers()[second].joined == first
    assert len(office.asked) == 1


def test_a_second_sync_joins_the_one_that_waits_for_results_and_not_one_that_is_over(stage: Stage) -> None:
    office = Office(pages=[users(1)])
    with stage.running(office):
        first = stage.ask().run_id
        until(lambda: is_in(stage, first, Phase.PUBLISHED))
        second = stage.ask().run_id
        until(lambda: is_in(stage, second, Phase.JOINED))
        stage.answer(first, 1)
        third = stage.ask().run_id
        until(lambda: is_in(stage, third, Phase.PUBLISHED))


def test_a_sync_of_everything_does_not_join_one_of_some_days(stage: Stage) -> None:
    office = Office(stops_at=0, pages=[[]])
    with stage.running(office):
        some = stage.ask(Kind.TIMESHEETS, first_day=date(2026, 11, 1)).run_id
        until(lambda: len(office.asked) == 1)
        everything = stage.ask(Kind.TIMESHEETS).run_id
        until(lambda: len(office.asked) == 2)
        other_days = stage.ask(Kind.TIMESHEETS, first_day=date(2026, 11, 9)).run_id
        until(lambda: is_in(stage, other_days, Phase.JOINED))
        office.goes_on.set()
        until(lambda: is_in(stage, some, Phase.PUBLISHED) and is_in(stage, everything, Phase.PUBLISHED))
    assert stage.markers()[other_days].joined == everything
    assert stage.markers()[some].scope == "working days from 2026-11-01"


def test_timesheets_are_asked_for_as_the_command_says(stage: Stage) -> None:
    office = Office()
    day = date(2026, 11, 9)
    with stage.running(office):
        run = stage.ask(Kind.TIMESHEETS, first_day=day, last_day=day, project_id="p-1").run_id
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    assert office.asked == [(Kind.TIMESHEETS, day, day, "p-1")]
    assert stage.markers()[run].scope == "SmartBarrel project p-1, working days 2026-11-09 to 2026-11-09"


def test_the_same_command_written_twice_is_one_run(stage: Stage) -> None:
    office = Office(pages=[users(1)])
    with stage.running(office):
        stage.ask(run_id="5f0c2a11")
        stage.ask(run_id="5f0c2a11")
        until(lambda: is_in(stage, "5f0c2a11", Phase.PUBLISHED))
        stage.ask(run_id="5f0c2a11")
        last = stage.ask(Kind.TIMESHEETS).run_id
        until(lambda: is_in(stage, last, Phase.PUBLISHED))
    assert of_run(stage, "5f0c2a11") == Counter({8800101: 1})


def test_an_upstream_that_fails_for_a_moment_costs_nothing(stage: Stage) -> None:
    failure = Transient("procore", "listCompanyUsers", 503)
    office = Office(pages=[users(1), failure, users(2)])
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    assert of_run(stage, run) == Counter({8800101: 1, 8800102: 1})


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (
            Misconfigured("procore", "listCompanyUsers", 403, ("No access",)),
            'Procore refuses access to this company: "No access"',
        ),
        (RuntimeError("Maria Delgado"), "An error of this program (RuntimeError)"),
    ],
)
def test_a_run_that_cannot_go_on_says_why_and_how_much_was_done(
    stage: Stage, failure: Exception, words: str
) -> None:
    office = Office(pages=[users(1, 2), failure])
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.FAILED))
        again = stage.ask().run_id
        until(lambda: is_in(stage, again, Phase.PUBLISHED))
    marker = stage.markers()[run]
    assert (marker.reason, marker.expected) == (words, 2)


def test_an_upstream_that_stays_away_ends_the_run(stage: Stage) -> None:
    failures: list[list[Event] | Exception] = [
        Transient("procore", "listCompanyUsers", 503) for _ in range(900)
    ]
    office = Office(pages=[*failures])
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.FAILED))
    assert stage.markers()[run].reason == "Procore did not give what was asked for"


def test_a_company_that_is_not_set_up_has_its_run_end_at_once(stage: Stage) -> None:
    with stage.running(Office()):
        run = stage.ask(company_id=99).run_id
        until(lambda: is_in(stage, run, Phase.FAILED))
    assert stage.markers()[run].reason == "The company is not set up here"


def test_a_command_that_cannot_be_read_is_set_aside_and_the_next_is_carried_out(stage: Stage) -> None:
    producer = stage.broker.producer()
    partition = COMPANY % len(stage.broker.partitions(TOPICS.sync_commands))
    producer.send(Message(TOPICS.sync_commands, b"4281001", b"no command", partition=partition))
    producer.close()
    with stage.running(Office(pages=[users(1)])):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    (letter,) = stage.records(TOPICS.dead_letters)
    assert letter.value == b"no command"


def test_a_runner_that_has_lost_its_partitions_publishes_nothing_more(stage: Stage) -> None:
    """A second runner joins and takes over while the first one's page is being read."""
    office = Office(pages=[users(1), users(2)], stops_at=1)
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: len(stage.events()) == 1)
        with stage.running(office):
            until(lambda: len(office.asked) in {1, 2})
            office.goes_on.set()
            until(lambda: is_in(stage, run, Phase.PUBLISHED))
    assert of_run(stage, run) == Counter({8800101: 1, 8800102: 1})


@pytest.mark.parametrize(("silent_s", "is_followed"), [(23 * 3600, True), (25 * 3600, False)])
def test_a_run_of_which_nothing_is_heard_for_a_day_is_joined_no_more(
    stage: Stage, silent_s: float, is_followed: bool
) -> None:
    office = Office(pages=[users(1, 2)])
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    stage.answer(run, 1)
    progress = Progress(stage.broker, TOPICS.sync_log, stage.codec, lambda: time.time() + silent_s)
    progress.catch_up(time.monotonic)
    found = progress.running(COMPANY, Kind.USERS, None)
    progress.close()
    assert (found is not None) == is_followed


@pytest.mark.parametrize(
    ("began_ahead_s", "later_s"),
    [
        pytest.param(0.0, 2 * 86_400.0, id="days later"),
        pytest.param(1200.0, 0.0, id="by a process whose clock was ahead"),
    ],
)
def test_a_run_that_is_gone_on_with_publishes_nobody_twice_whatever_the_clocks_say(
    stage: Stage, began_ahead_s: float, later_s: float
) -> None:
    office = Office(pages=[users(1, 2), users(3)], stops_at=1)
    run = stage.ask().run_id
    first = stage.runner(office, wall=lambda: time.time() + began_ahead_s)
    first.open()
    turn_until(first, lambda: len(stage.events()) == 2)
    first.close()
    office.goes_on.set()
    second = stage.runner(office, wall=lambda: time.time() + later_s)
    second.open()
    turn_until(second, lambda: is_in(stage, run, Phase.PUBLISHED))
    second.close()
    assert of_run(stage, run) == Counter({8800101: 1, 8800102: 1, 8800103: 1})
    assert stage.markers()[run].expected == 3


def test_a_run_waits_for_everybody_even_if_one_of_them_has_two_results(stage: Stage) -> None:
    """Who was parked and redriven has one more."""
    office = Office(pages=[users(1, 2)])
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    stage.answer(run, 1)
    stage.answer(run, 1)
    progress = Progress(stage.broker, TOPICS.sync_log, stage.codec)
    progress.catch_up(time.monotonic)
    state = progress.run(run)
    progress.close()
    assert state is not None
    assert (state.done, state.is_over) == (1, False)
    assert sum(state.outcomes.values()) == 1


def test_who_was_parked_and_redriven_counts_once_by_the_latest_result(stage: Stage) -> None:
    office = Office(pages=[users(1, 2)])
    with stage.running(office):
        run = stage.ask().run_id
        until(lambda: is_in(stage, run, Phase.PUBLISHED))
    stage.answer(run, 1, Outcome.PARKED)
    progress = Progress(stage.broker, TOPICS.sync_log, stage.codec)
    progress.catch_up(time.monotonic)
    before = progress.run(run)
    stage.answer(run, 2, Outcome.SKIPPED)
    stage.answer(run, 1, Outcome.CREATED)
    progress.catch_up(time.monotonic)
    after = progress.run(run)
    progress.close()
    assert before is not None
    assert after is not None
    assert (before.outcomes, before.is_over) == ({Outcome.PARKED: 1}, False)
    assert (after.outcomes, after.is_over) == ({Outcome.SKIPPED: 1, Outcome.CREATED: 1}, True)


def test_a_run_that_is_gone_on_with_joins_no_other(stage: Stage) -> None:
    """Another one of everything seems older, since its machine's clock is behind."""
    office = Office(pages=[[], []], stops_at=1)
    some = stage.ask(Kind.TIMESHEETS, first_day=date(2026, 11, 1)).run_id
    with stage.running(office):
        until(lambda: is_in(stage, some, Phase.READING) and office.asked)
    everything = stage.ask(Kind.TIMESHEETS).run_id
    behind = stage.runner(office, wall=lambda: time.time() - 3600)
    behind.open()
    turn_until(behind, lambda: is_in(stage, everything, Phase.READING))
    behind.close()
    office.goes_on.set()
    with stage.running(office):
        until(lambda: is_in(stage, everything, Phase.PUBLISHED) and is_in(stage, some, Phase.PUBLISHED))
