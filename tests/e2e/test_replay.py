"""``crewsync replay`` on the command line of the whole program."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.sandbox.store import SandboxState
from tests.e2e.conftest import Demo
from tests.e2e.observed import read_sync_log
from tests.e2e.program import Place
from tests.e2e.test_plan import records


@pytest.fixture
def synced(demo: Demo, tmp_path: Path) -> Iterator[Place]:
    """A copy of the demo's folder."""
    shutil.copytree(demo.place.folder / "var", tmp_path / "var")
    made = Place(tmp_path)
    yield made
    made.close()


def outcomes(place: Place, *arguments: str) -> Counter[str]:
    (run,) = json.loads(place.run("replay", *arguments, "--json").stdout)["runs"]
    return Counter(run["outcomes"])


def test_replaying_whole_topics_twice_writes_nothing_upstream(synced: Place) -> None:
    before = synced.writes()
    for topic, in_step, skipped in (("users", 198, 52), ("timesheets", 300, 111)):
        for _ in range(2):
            done = outcomes(synced, "--topic", topic, "--rate", "10000")
            assert done == {"unchanged": in_step, "skipped": skipped}
    assert synced.writes() == before


def test_a_forced_replay_mends_drift_and_writes_nothing_else(synced: Place) -> None:
    state = SandboxState(synced.sandbox)
    worker = next(one for one in state.workers() if one["external_id"] and one["status"] == "active")
    state.edit_worker(worker["id"], last_name="Changed")
    before = synced.writes()
    assert outcomes(synced, "--topic", "users")["unchanged"] == 198, "the drift is not seen"
    assert outcomes(synced, "--topic", "users", "--force") == {"unchanged": 197, "updated": 1, "skipped": 52}
    assert synced.writes() == before + 1
    mended = next(one for one in state.workers() if one["id"] == worker["id"])
    assert mended["last_name"] == worker["last_name"]


@pytest.mark.parametrize("topic", ["users", "timesheets"])
def test_a_dry_run_tells_what_would_be_done_and_writes_nothing_anywhere(synced: Place, topic: str) -> None:
    state = SandboxState(synced.sandbox)
    worker = next(one for one in state.workers() if one["external_id"] and one["status"] == "active")
    state.edit_worker(worker["id"], last_name="Changed")
    before = records(synced), synced.writes()
    done = synced.run("replay", "--topic", topic, "--force", "--dry-run")
    assert done.stdout.endswith("Nothing was changed.\n")
    shown = json.loads(synced.run("replay", "--topic", topic, "--force", "--dry-run", "--json").stdout)
    changing = [plan["outcome"] for plan in shown["plans"] if plan["steps"]]
    assert changing == (["updated"] if topic == "users" else [])
    assert (records(synced), synced.writes()) == before
    assert not (synced.folder / "var" / "replay").exists()


def test_a_replay_that_is_killed_is_gone_on_with_and_replays_nobody_twice(synced: Place) -> None:
    chance = random.Random(20261125)
    before = records(synced)
    process = synced.start("replay", "--topic", "users", "--rate", "40")
    process.until(lambda: records(synced) > before + chance.randint(20, 120))
    process.kill()
    (spool,) = (synced.folder / "var" / "replay").glob("*.replay")
    synced.run("replay", "--resume", spool.stem)
    log = read_sync_log(f"embedded:{synced.broker}")
    (marker,) = [one for one in log.markers if one.trigger == "replay"]
    subjects = Counter(one.subject_id for one in log.results if one.run_id == marker.run_id)
    assert (len(subjects), set(subjects.values()), marker.expected) == (250, {1}, 250)
    assert not list(spool.parent.iterdir())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--topic", "people"], "--topic: name one of users (procore.user-events)"),
        (["--topic", "users", "--worker", "x"], "--worker is for timesheets"),
        (["--topic", "timesheets", "--user", "1"], "--user is for users"),
        (["--resume", "nobody", "--topic", "users"], "--resume goes on with what was asked for then"),
        (["--topic", "users", "--from-offset", "3"], "name one of 8 with --partition"),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused_in_one_line(
    synced: Place, arguments: list[str], words: str
) -> None:
    process = synced.start("replay", *arguments)
    assert process.end() == 2
    assert words in process.stderr
    assert "Traceback" not in process.stderr


def test_a_topic_with_nothing_on_it_is_said_to_have_nothing_to_replay(place: Place) -> None:
    process = place.start("replay", "--topic", "users")
    assert process.end() == 1
    assert "crewsync: nothing to replay" in process.stderr
