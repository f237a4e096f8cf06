"""Processes that are killed or asked to stop in the middle of their work, and those that go on after them."""

import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from consumer.sandbox.server import RunningSandbox
from consumer.sandbox.server import start as start_sandbox
from consumer.sandbox.store import SandboxState
from tests.e2e.expected import SMARTBARREL
from tests.e2e.observed import check_all, read_sync_log
from tests.e2e.program import Place, real_upstreams


WORKER_WRITES = 178 + 16
ENTRY_WRITES = 7 + 300 + 3 + 24
"""Contacts, entries, classifications, and entries that get one."""


def broker_url(place: Place) -> str:
    return f"embedded:{place.broker}"


def quiet(place: Place) -> None:
    """Nobody who was started has shown its insides."""
    for process in place.started:
        assert "Traceback" not in process.stdout + process.stderr


@pytest.mark.parametrize("seed", [20261123])
def test_four_kills_at_any_moment_lose_nothing_and_do_nothing_twice(place: Place, seed: int) -> None:
    """Killed at the start, among users and twice among timesheets, and then left alone."""
    chance = random.Random(seed)
    first = chance.choice([place.broker.exists, place.sandbox.exists, lambda: place.logged() > 0])
    users = chance.randint(1, WORKER_WRITES - 20)
    shifts, more_shifts = chance.randint(1, 120), chance.randint(140, 270)
    for moment in (
        first,
        place.written("smartbarrel", users),
        place.written("procore", shifts),
        place.written("procore", more_shifts),
    ):
        process = place.start("run")
        process.until(moment)
        process.kill()
    last = place.start("run")
    last.until(place.finished)
    assert last.stop(signal.SIGINT) == 0
    quiet(place)
    assert place.writes("procore") == ENTRY_WRITES
    check_all(broker_url(place), place.folder, to_the_letter=False)


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    """Both upstreams, in this process: when the program is killed they do what they were asked."""
    with start_sandbox(tmp_path / "var" / "sandbox.db", latency_s=0.02) as running:
        yield running


def test_what_an_upstream_did_after_the_kill_is_found_and_not_done_again(
    place: Place, sandbox: RunningSandbox
) -> None:
    """Requests that were under way are carried out, but their answers reach nobody."""
    place.settings |= real_upstreams(sandbox.address)
    chance = random.Random(4281001)
    for kind, system, most in (
        ("users", "smartbarrel", WORKER_WRITES),
        ("timesheets", "procore", ENTRY_WRITES),
    ):
        for arguments, share in ((["sync", kind], (0.05, 0.45)), (["run"], (0.5, 0.9))):
            process = place.start(*arguments)
            moment = chance.randint(int(most * share[0]), int(most * share[1]))
            process.until(place.written(system, moment))
            process.kill()
        process = place.start("run")
        process.until(partial(place.is_complete, kind))
        assert process.stop(signal.SIGINT) == 0
    quiet(place)
    check_all(broker_url(place), place.folder, to_the_letter=False)


def test_sigterm_drains_so_that_each_change_has_its_result_and_the_next_start_goes_on(place: Place) -> None:
    """Twice, once in each flow; nothing that was done is found or done a second time."""
    chance = random.Random(31)
    users, shifts = chance.randint(10, 150), chance.randint(10, 250)
    for system, moment in (("smartbarrel", users), ("procore", shifts)):
        process = place.start("run")
        process.until(place.written(system, moment))
        assert process.stop(signal.SIGTERM) == 0
        _check_drained(place)
    last = place.start("run")
    last.until(place.finished)
    assert last.stop(signal.SIGINT) == 0
    quiet(place)
    check_all(broker_url(place), place.folder, to_the_letter=True)


def _check_drained(place: Place) -> None:
    """What was done upstream is on the log, and what is on the log was done."""
    state = SandboxState(place.sandbox)
    results = read_sync_log(broker_url(place)).results
    done = {
        (str(result.kind), result.subject_id)
        for result in results
        if result.outcome in {"created", "updated"}
    }
    original = {worker["id"]: worker for worker in SMARTBARREL["workers"]}
    workers = [worker for worker in state.workers() if worker != original.get(worker["id"])]
    entries = state.timecard_entries()
    assert done == {("users", worker["external_id"].removeprefix("procore:")) for worker in workers} | {
        ("timesheets", entry["origin_id"].removeprefix("sb:")) for entry in entries
    }


def test_sigint_at_the_very_start_ends_it_well(place: Place) -> None:
    process = place.start("run")
    process.until(place.broker.exists)
    assert process.stop(signal.SIGINT) == 0
    quiet(place)


def test_a_second_process_on_the_broker_is_told_so_in_one_line(place: Place) -> None:
    """Whatever it was started for; and the first one goes on."""
    first = place.start("run")
    first.until(lambda: place.writes() > 0)
    line = f"crewsync: the embedded broker {place.broker} is in use by process {first.popen.pid}\n"
    for arguments in (["run"], ["demo"], ["sync", "users"]):
        second = place.start(*arguments)
        assert second.end() == 3
        assert second.stderr == line
    assert first.stop(signal.SIGTERM) == 0
    quiet(place)
    _check_drained(place)
