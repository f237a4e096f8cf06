"""Syncs, replays and dead letters on Apache Kafka, where others do the work."""

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from consumer.broker.connect import connect
from consumer.broker.port import Broker
from consumer.exceptions import TopicMissing
from consumer.model.codec import Codec
from consumer.model.events import Kind
from consumer.model.results import Phase
from consumer.runs.dead_letters import unsettled
from consumer.runs.progress import Progress
from consumer.sandbox.server import RunningSandbox
from consumer.sandbox.server import start as start_sandbox
from consumer.topics import TopicNames
from tests.e2e.observed import read_log_file, read_sync_log
from tests.e2e.program import Place, real_upstreams
from tests.e2e.test_kafka_demo import RECOVERY_S
from tests.e2e.test_many_users import invented
from tests.upstream.site import COMPANY, company_data


pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

USERS = 3000
SLOW_PAGES = '[[rules]]\noperation = "listCompanyUsers"\nfault = "latency=1"\n'
REFUSED = '[[rules]]\nsystem = "smartbarrel"\nfault = "status=403"\n'


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """What goes wrong in the sandbox; nothing to begin with."""
    path = tmp_path / "faults.toml"
    path.write_text("")
    return path


@pytest.fixture
def sandbox(tmp_path: Path, faults: Path) -> Iterator[RunningSandbox]:
    """Both upstreams with many users."""
    data = company_data(users=[invented(number) for number in range(1, USERS + 1)])
    with start_sandbox(tmp_path / "var" / "sandbox.db", data, faults=faults) as running:
        yield running


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test's topics and groups have."""
    return f"operating-{uuid4().hex[:8]}."


@pytest.fixture
def place(tmp_path: Path, url: str, prefix: str, sandbox: RunningSandbox) -> Iterator[Place]:
    """A folder to start programs in, that work with this sandbox."""
    broker = {"CREWSYNC_BROKER_URL": url, "CREWSYNC_TOPIC_PREFIX": prefix, "CREWSYNC_HOLD_S": "2"}
    made = Place(tmp_path, {**broker, **real_upstreams(sandbox.address)})
    yield made
    made.close()


def document(place: Place, *arguments: str) -> Any:
    process = place.start(*arguments, "--json")
    assert process.end(RECOVERY_S) == 0, process.stderr
    return json.loads(process.stdout)


def test_two_runners_share_the_work_and_one_that_is_killed_while_it_reads_is_followed_by_the_other(
    place: Place, url: str, prefix: str, faults: Path, sandbox: RunningSandbox
) -> None:
    faults.write_text(SLOW_PAGES)
    place.start("run", "--role", "users", "--role", "sink")
    runners = [place.start("run", "--role", "runner") for _ in range(2)]
    sync = place.start("sync", "users", "--json")
    with connect(url) as broker:
        names = TopicNames(prefix)
        sync.until(lambda: _is_reading(broker, names), RECOVERY_S)
    # Whichever of them reads: a killed one that only stands by does no harm either.
    runners[random.Random(5).randrange(2)].kill()
    assert sync.end(RECOVERY_S) == 0, sync.stderr
    (run,) = json.loads(sync.stdout)
    assert run["outcomes"] == {"created": USERS}
    last = place.started[0]
    last.until(lambda: place.is_complete("users"), RECOVERY_S)
    (path,) = place.logs("users")
    subjects = Counter(entry.subject_id for entry in read_log_file(path).subjects)
    assert subjects == Counter({str(one["id"]): 1 for one in sandbox.state.users()})
    log = read_sync_log(url, prefix)
    assert len(log.events) == len(log.results) == USERS


def _is_reading(broker: Broker, names: TopicNames) -> bool:
    try:
        progress = Progress(broker, names.sync_log, Codec())
    except TopicMissing:
        return False
    try:
        progress.follow(1.0)
        state = progress.latest(COMPANY, Kind.USERS)
        return state is not None and state.marker.phase is Phase.READING
    finally:
        progress.close()


def test_a_replay_beside_consumers_at_work_changes_nothing_that_is_in_step(
    place: Place, sandbox: RunningSandbox
) -> None:
    place.start("run")
    (run,) = document(place, "sync", "users")
    assert run["outcomes"] == {"created": USERS}
    before = len(sandbox.state.writes())
    shown: Mapping[str, Any] = document(place, "replay", "--topic", "users", "--user", "8800107", "--dry-run")
    assert shown["outcomes"] == {"unchanged": 1}
    done = document(place, "replay", "--topic", "users", "--rate", "5000")
    assert [one["outcomes"] for one in done["runs"]] == [{"unchanged": USERS}]
    assert len(sandbox.state.writes()) == before


def test_what_was_parked_is_redriven_by_a_person_once(
    place: Place, url: str, prefix: str, faults: Path, sandbox: RunningSandbox
) -> None:
    process = place.start("run")
    document(place, "sync", "timesheets")
    faults.write_text(REFUSED)
    (run,) = document(place, "sync", "users")
    assert run["outcomes"]["parked"] == USERS
    faults.write_text("")
    waiting = document(place, "dead-letters", "list")["total"]
    done = document(place, "dead-letters", "redrive", "--limit", "500", "--yes")
    # The others go back by themselves; some of ours may have done so in between.
    assert 0 < done.get("redriven", 0) + done.get("stale", 0) <= min(500, waiting)
    process.until(lambda: len(sandbox.state.workers()) == USERS, RECOVERY_S)
    with connect(url) as broker:
        process.until(lambda: not unsettled(broker, TopicNames(prefix), Codec()), RECOVERY_S)
    external_ids = Counter(one["external_id"] for one in sandbox.state.workers())
    assert set(external_ids.values()) == {1}
