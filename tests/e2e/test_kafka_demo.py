"""The demo on Apache Kafka: the same outcome, whichever broker carries it."""

import random
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.sandbox.store import SandboxState
from tests.e2e.observed import check_all, check_one_result_each, endings, read_sync_log
from tests.e2e.program import Place


pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

RECOVERY_S = 150.0
"""A killed member is missed after its session of 10 s, its open transaction after 60 s."""


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test's topics and groups have."""
    return f"e2e-{uuid4().hex[:8]}."


@pytest.fixture
def place(tmp_path: Path, url: str, prefix: str) -> Iterator[Place]:
    """An empty folder to start the program in, on Kafka."""
    made = Place(tmp_path, {"CREWSYNC_BROKER_URL": url, "CREWSYNC_TOPIC_PREFIX": prefix})
    yield made
    made.close()


def test_the_demo_does_the_same_on_kafka_and_a_second_one_changes_nothing(
    place: Place, url: str, prefix: str
) -> None:
    place.run("demo", "--json")
    expected = check_all(url, place.folder, prefix, to_the_letter=True)
    state = SandboxState(place.sandbox)
    writes = len(state.writes())
    place.run("demo", "--json")
    assert len(state.writes()) == writes
    log = read_sync_log(url, prefix)
    check_one_result_each(log)
    for kind, wanted in (("users", expected.users), ("timesheets", expected.timesheets)):
        assert endings(log.of_run(1, kind)) == {subject: one.again for subject, one in wanted.items()}
    assert all("Traceback" not in process.stderr for process in place.started)


@pytest.mark.parametrize("seed", [20261123])
def test_kills_on_kafka_lose_nothing_and_do_nothing_twice(
    place: Place, url: str, prefix: str, seed: int
) -> None:
    """Killed in the middle of the users, and of the timesheets; each next process takes over."""
    chance = random.Random(seed)
    for system, moment in (("smartbarrel", chance.randint(5, 150)), ("procore", chance.randint(5, 250))):
        process = place.start("run")
        process.until(place.written(system, moment), RECOVERY_S)
        process.kill()
    last = place.start("run")
    last.until(place.finished, RECOVERY_S)
    assert last.stop(signal.SIGINT) == 0
    assert all("Traceback" not in process.stdout + process.stderr for process in place.started)
    check_all(url, place.folder, prefix, to_the_letter=False)
