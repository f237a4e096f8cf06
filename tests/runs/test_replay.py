"""Replay: the latest revision of each entity in a window, published back in order, and nobody made older."""

import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path

import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.broker.port import Message
from consumer.exceptions import ConfigurationError
from consumer.model.events import Event, Kind, TimesheetEvent, Trigger, UserEvent
from consumer.model.results import Phase, RunMarker
from consumer.model.schemas import Catalogue
from consumer.model.topics import timesheet_key, user_key
from consumer.runs.progress import Progress
from consumer.runs.replay import Choice, Gathering, Pace, Topic, publish, revision_number, run_id_of
from consumer.runs.spool import Replay, Spool, SpoolError
from consumer.runs.window import Bounds
from tests.runs.conftest import COMPANY, TOPICS, Office, Stage, until, users
from tests.sync.people import ASKED_AT, another_user, shift
from tests.upstream.site import timesheet_id


SINGLE_OBJECT = b"\xc3\x01"
"""How Avro's single-object encoding begins."""
FAST = Pace(1e9, lambda: True)
NOBODY_KNOWN: Callable[[str], RunMarker | None] = lambda _: None  # noqa: E731 - says more than a def


def user(number: int, minute: int = 0, **fields: object) -> UserEvent:
    event = another_user(number, run_id=None, **fields)
    return replace(event, asked_at=ASKED_AT + timedelta(minutes=minute))


def write(stage: Stage, *events: Event, at: datetime | None = None, partition: int | None = None) -> None:
    producer = stage.broker.producer()
    for event in events:
        is_user = isinstance(event, UserEvent)
        producer.send(
            Message(
                TOPICS.user_events if is_user else TOPICS.timesheet_events,
                user_key(event) if isinstance(event, UserEvent) else timesheet_key(event),
                stage.codec.encode(event),
                timestamp_ms=None if at is None else int(at.timestamp() * 1000),
                partition=partition,
            )
        )
    producer.close()


class Replayed:
    """A replay in a folder, taken step by step."""

    def __init__(self, stage: Stage, folder: Path, kind: Kind = Kind.USERS, *, force: bool = False) -> None:
        self.stage = stage
        self.folder = folder
        self.topic = Topic(stage.broker, stage.codec, TOPICS, kind)
        self.request = Replay("5f0c2a117e01", kind, force, "Dana", "user 1", time.time())
        self.spool = Spool.create(folder, self.request)
        self.slept: list[float] = []

    def read(self, bounds: Bounds = Bounds(), choice: Choice = Choice()) -> Gathering:  # noqa: B008 - frozen
        self.gathering = Gathering(self.topic, bounds, choice, self.spool)
        self.gathering.read_all(lambda _: None)
        return self.gathering

    def batches(
        self, rate: float = 1e9, known: Callable[[str], RunMarker | None] = NOBODY_KNOWN
    ) -> Iterator[RunMarker]:
        pace = Pace(rate, lambda: True, self.slept.append)
        return publish(self.topic, self.spool, self.gathering, pace, known)

    def publish_all(self) -> list[RunMarker]:
        with closing(self.gathering):
            return list(self.batches())


@pytest.fixture
def replayed(stage: Stage, tmp_path: Path) -> Replayed:
    return Replayed(stage, tmp_path / "replay")


def published(stage: Stage, company_id: int = COMPANY) -> list[UserEvent]:
    run_id = run_id_of("5f0c2a117e01", company_id)
    events = [one for one in stage.events() if isinstance(one, UserEvent)]
    return [one for one in events if one.run_id == run_id]


def test_the_latest_revision_of_each_user_is_published_once_as_a_run(
    stage: Stage, replayed: Replayed
) -> None:
    write(stage, user(1, 0), user(2, 0), user(1, 5), user(2, 3), user(1, 2))
    replayed.read()
    marker = replayed.publish_all()[-1]
    found = {one.user_id: one.asked_at for one in published(stage)}
    assert found == {8800101: ASKED_AT + timedelta(minutes=5), 8800102: ASKED_AT + timedelta(minutes=3)}
    assert (marker.phase, marker.expected, marker.trigger) == (Phase.PUBLISHED, 2, Trigger.REPLAY)
    assert (marker.requested_by, marker.scope) == ("Dana", "user 1")
    assert stage.markers()[marker.run_id] == marker


def test_a_replay_is_declared_until_each_of_its_events_has_its_result(
    stage: Stage, replayed: Replayed
) -> None:
    write(stage, user(1, 0), user(2, 0))
    replayed.read()
    marker = replayed.publish_all()[-1]
    with closing(Progress(stage.broker, TOPICS.sync_log, stage.codec)) as progress:
        for answered in (1, 2):
            stage.answer(marker.run_id, answered)
            progress.catch_up(time.monotonic)
            assert progress.replays() == 2 - answered
        sync = stage.ask()
        with stage.running(Office(pages=[users(1)])):
            until(lambda: sync.run_id in stage.markers())
        progress.catch_up(time.monotonic)
        assert progress.replays() == 0, "a sync is no replay"


def test_one_workers_timesheets_keep_the_order_of_the_topic(stage: Stage, tmp_path: Path) -> None:
    replayed = Replayed(stage, tmp_path, Kind.TIMESHEETS)
    numbers = [5, 3, 9, 1]
    write(stage, *(shift(number=number, run_id=None) for number in numbers))
    replayed.read()
    replayed.publish_all()
    log = [one for one in stage.events(Kind.TIMESHEETS) if isinstance(one, TimesheetEvent)]
    expected = [timesheet_id(number) for number in numbers]
    assert [one.timesheet_id for one in log if one.run_id is not None] == expected


def test_whoever_has_a_newer_revision_beyond_the_window_is_left_alone(
    stage: Stage, replayed: Replayed
) -> None:
    old, new = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    write(stage, user(1, 0), user(2, 0), at=old)
    write(stage, user(1, 5), at=new)
    replayed.read(Bounds(until=datetime(2026, 3, 1, 12, tzinfo=UTC)))
    replayed.publish_all()
    assert [one.user_id for one in published(stage)] == [8800102]
    assert replayed.spool.superseded() == 1


def test_whoever_gets_a_newer_revision_while_a_replay_publishes_is_left_alone(
    stage: Stage, replayed: Replayed
) -> None:
    write(stage, *(user(number) for number in range(1, 7)))
    replayed.read()
    batches = replayed.batches(rate=2)
    next(batches)
    first = {one.user_id for one in published(stage)}
    waiting = [number for number in range(1, 7) if 8800100 + number not in first]
    write(stage, user(waiting[0], 9))
    list(batches)
    assert Counter(one.user_id for one in published(stage)) == Counter(
        {8800100 + number: 1 for number in range(1, 7) if number != waiting[0]}
    )


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (Bounds(), {1, 2, 3}),
        (Bounds(since=datetime(2026, 3, 2, tzinfo=UTC)), {2, 3}),
        (Bounds(until=datetime(2026, 3, 3, tzinfo=UTC)), {1, 2}),
        (Bounds(datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 3, tzinfo=UTC)), {2}),
        (Bounds(partition=4, from_offset=1), {2, 3}),
        (Bounds(partition=4, to_offset=1), {1}),
        (Bounds(partition=4, from_offset=1, to_offset=2), {2}),
        (Bounds(partition=5), set()),
    ],
)
def test_a_window_is_bounded_by_time_or_by_offset(
    stage: Stage, replayed: Replayed, bounds: Bounds, expected: set[int]
) -> None:
    for number in (1, 2, 3):
        write(stage, user(number), at=datetime(2026, 3, number, tzinfo=UTC), partition=4)
    replayed.read(bounds)
    replayed.publish_all()
    assert {one.user_id - 8800100 for one in published(stage)} == expected


@pytest.mark.parametrize(
    "bounds",
    [
        Bounds(since=ASKED_AT, partition=1),
        Bounds(since=ASKED_AT, until=ASKED_AT),
        Bounds(from_offset=1),
        Bounds(partition=99),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(replayed: Replayed, bounds: Bounds) -> None:
    with pytest.raises(ConfigurationError):
        replayed.read(bounds)


def test_one_company_or_one_user_can_be_chosen(stage: Stage, replayed: Replayed) -> None:
    write(stage, user(1), user(2), user(1, company_id=99))
    replayed.read(choice=Choice(company_id=COMPANY, user_id=8800101))
    assert replayed.spool.counts() == {COMPANY: 1}


def test_one_workers_timesheets_can_be_chosen(stage: Stage, tmp_path: Path) -> None:
    replayed = Replayed(stage, tmp_path, Kind.TIMESHEETS)
    other = replace(shift(number=2), worker=replace(shift().worker, id="another"))
    write(stage, shift(), other)
    replayed.read(choice=Choice(worker_id="another"))
    assert replayed.spool.counts() == {COMPANY: 1}


def test_each_company_has_a_run_of_its_own(stage: Stage, replayed: Replayed) -> None:
    write(stage, user(1), user(1, company_id=99))
    replayed.read()
    markers = replayed.publish_all()
    assert {marker.company_id: marker.expected for marker in markers} == {COMPANY: 1, 99: 1}
    assert len({marker.run_id for marker in markers}) == 2


def test_a_forced_replay_says_so_and_another_forgets_it(stage: Stage, tmp_path: Path) -> None:
    write(stage, user(1, force=True))
    for number, force in enumerate((False, True)):
        replayed = Replayed(stage, tmp_path / str(number), force=force)
        replayed.read()
        replayed.publish_all()
        assert published(stage)[-1].force is force


def test_what_cannot_be_read_is_counted_and_left_out(stage: Stage, replayed: Replayed) -> None:
    write(stage, user(1))
    producer = stage.broker.producer()
    for value in (b"no event", None):
        producer.send(Message(TOPICS.user_events, b"x", value))
    producer.close()
    gathering = replayed.read()
    assert (gathering.read, gathering.undecodable) == (3, 1)
    assert replayed.spool.counts() == {COMPANY: 1}


def test_records_of_every_schema_version_are_replayed_in_the_newest(stage: Stage, replayed: Replayed) -> None:
    """Version 1 knew no forced events."""
    catalogue = Catalogue.load()
    first = catalogue.by_name["crewsync.UserEvent"][0]
    fields = {"company_id": COMPANY, "user_id": 8800101, "asked_at": 1_772_452_800_000_000}
    body = io.BytesIO()
    schemaless_writer(body, parse_schema(json.loads(first.text)), fields)
    producer = stage.broker.producer()
    producer.send(Message(TOPICS.user_events, b"k", SINGLE_OBJECT + first.fingerprint + body.getvalue()))
    producer.close()
    replayed.read()
    replayed.publish_all()
    assert [one.user_id for one in published(stage)] == [8800101]
    newest = SINGLE_OBJECT + catalogue.newest("crewsync.UserEvent").fingerprint
    assert sum((record.value or b"").startswith(newest) for record in stage.records(TOPICS.user_events)) == 1


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_replay_that_was_broken_off_is_gone_on_with_and_nobody_is_published_twice(
    stage: Stage, replayed: Replayed, batches: int
) -> None:
    write(stage, *(user(number) for number in range(1, 8)))
    replayed.read()
    list(islice(replayed.batches(rate=2), batches))
    replayed.gathering.close()
    replayed.spool.close()
    # While nobody worked on it, somebody who was not published yet has changed.
    first = {one.user_id - 8800100 for one in published(stage)}
    changed = next(number for number in range(1, 8) if number not in first)
    write(stage, user(changed, 9))

    replayed.spool = Spool.open(replayed.folder, replayed.request.id)
    replayed.gathering = Gathering.resumed(replayed.topic, replayed.spool)
    known = stage.markers()
    last = list(replayed.batches(known=known.get))[-1]
    assert Counter(one.user_id - 8800100 for one in published(stage)) == Counter(
        {number: 1 for number in range(1, 8) if number != changed}
    )
    assert (last.expected, last.phase) == (6, Phase.PUBLISHED)


def gone_on_with(replayed: Replayed, pace: Pace, known: Mapping[str, RunMarker]) -> list[RunMarker]:
    """Another process goes on."""
    replayed.gathering.close()
    replayed.spool.close()
    replayed.spool = Spool.open(replayed.folder, replayed.request.id)
    assert replayed.spool.is_read
    replayed.gathering = Gathering.resumed(replayed.topic, replayed.spool)
    return list(publish(replayed.topic, replayed.spool, replayed.gathering, pace, known.get))


def test_a_replay_of_two_companies_is_gone_on_with_though_its_runs_are_forgotten(
    stage: Stage, replayed: Replayed
) -> None:
    write(stage, *(user(number) for number in range(1, 4)))
    write(stage, *(user(number, company_id=99) for number in range(1, 6)))
    replayed.read()
    # The first company's run is whole by then, the second one's has begun.
    batches = list(islice(replayed.batches(rate=2), 4))
    assert {marker.company_id for marker in batches} == {COMPANY, 99}
    markers = gone_on_with(replayed, FAST, {})
    for company_id, people in ((99, 5), (COMPANY, 3)):
        found = Counter(one.user_id for one in published(stage, company_id))
        assert (len(found), set(found.values())) == (people, {1})
        last = [marker for marker in markers if marker.company_id == company_id][-1]
        assert (last.expected, last.phase) == (people, Phase.PUBLISHED)


def test_a_run_whose_events_are_all_there_is_ended_by_whoever_goes_on(
    stage: Stage, replayed: Replayed
) -> None:
    write(stage, *(user(number) for number in range(1, 5)))
    replayed.read()
    assert list(islice(replayed.batches(rate=2), 2))[-1].phase is Phase.READING
    known = stage.markers()
    assert gone_on_with(replayed, Pace(2, lambda: False), known) == [], "stopped again at once"
    (marker,) = gone_on_with(replayed, FAST, known)
    assert (marker.expected, marker.phase) == (4, Phase.PUBLISHED)


def test_a_replay_is_spread_over_time(stage: Stage, replayed: Replayed) -> None:
    write(stage, *(user(number) for number in range(1, 11)))
    replayed.read()
    with closing(replayed.gathering):
        list(replayed.batches(rate=4))
    assert [round(seconds) for seconds in replayed.slept] == [1, 1]


@pytest.mark.parametrize("replay_id", ["nobody", "../etc", ""])
def test_a_replay_that_nobody_began_is_not_gone_on_with(tmp_path: Path, replay_id: str) -> None:
    with pytest.raises(SpoolError):
        Spool.open(tmp_path, replay_id)


@st.composite
def _worlds(draw: st.DrawFn) -> tuple[list[tuple[int, int]], ...]:
    """Users and minutes: within the window, after it, and while the replay publishes."""
    records = st.lists(st.tuples(st.integers(1, 5), st.integers(0, 9)), max_size=25)
    return draw(records), draw(records), draw(records.map(lambda found: found[:6]))


_COMPANIES = count(1)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=_worlds(), start=st.integers(0, 10))
def test_nobody_ends_older_on_the_topic_than_they_were(
    stage: Stage,
    tmp_path_factory: pytest.TempPathFactory,
    world: Sequence[Sequence[tuple[int, int]]],
    start: int,
) -> None:
    """Whatever the window is, and whatever comes before a batch: it is the newest since the window began."""
    company_id = next(_COMPANIES)
    within, after, meanwhile = world
    # Later than what replays publish, so that times grow along the topic.
    began = datetime(2040, 3, 1, tzinfo=UTC) + timedelta(days=company_id)

    def at(second: int) -> datetime:
        return began + timedelta(seconds=second)

    def add(second: int, records: Sequence[tuple[int, int]]) -> None:
        for place, (number, minute) in enumerate(records, second):
            write(stage, user(number, minute, company_id=company_id), at=at(place))

    replayed = Replayed(stage, tmp_path_factory.mktemp("replay"))
    add(0, within)
    add(100, after)
    replayed.read(Bounds(since=at(start), until=at(100)), Choice(company_id))
    with closing(replayed.gathering):
        for number, _ in enumerate(replayed.batches(rate=2)):
            add(200 + 2 * number, meanwhile[2 * number : 2 * number + 2])
    log = [one for one in stage.events() if isinstance(one, UserEvent) and one.company_id == company_id]
    ours = [(index, one) for index, one in enumerate(log) if one.run_id is not None]
    assert len({one.user_id for _, one in ours}) == len(ours)
    for index, one in ours:
        before = [other for other in log[:index] if other.user_id == one.user_id]
        assert revision_number(one) >= revision_number(before[-1])
        since = before[sum(8800100 + number == one.user_id for number, _ in within[:start]) :]
        assert revision_number(one) == max(map(revision_number, since))
