"""Two processes on Apache Kafka, and one worker whom Procore does not know."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.sandbox.server import RunningSandbox
from consumer.sandbox.server import start as start_sandbox
from tests.e2e.program import Place, real_upstreams
from tests.e2e.test_kafka_demo import RECOVERY_S
from tests.upstream.site import (
    TOWER,
    company_data,
    position,
    position_id,
    timesheet,
    worker,
)


pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

SHIFTS = 50


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    """Both upstreams with one worker's fifty shifts. This Procore takes an origin id twice."""
    data = company_data(
        workers=[worker(1, "Priya", "Nair", position_id=position_id(7))],
        positions=[position(7, "Carpenter")],
        timesheets=[timesheet(number, 1) for number in range(1, SHIFTS + 1)],
    )
    state = tmp_path / "var" / "sandbox.db"
    with start_sandbox(state, data, latency_s=0.02, unique_origin_ids=False) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, url: str, sandbox: RunningSandbox) -> Iterator[Place]:
    """A folder to start programs in, that work with this sandbox."""
    topics = {"CREWSYNC_BROKER_URL": url, "CREWSYNC_TOPIC_PREFIX": f"one-{uuid4().hex[:8]}."}
    made = Place(tmp_path, {**topics, **real_upstreams(sandbox.address)})
    yield made
    made.close()


@pytest.mark.parametrize("killed", [None, 0, 1])
def test_two_processes_make_one_contact_of_a_worker_with_fifty_shifts_at_once(
    place: Place, sandbox: RunningSandbox, killed: int | None
) -> None:
    """Also if either of them is killed in the middle: the other one goes on."""
    workers = [place.start("run", "--role", "timesheets") for _ in range(2)]
    # Nobody is killed in the middle of reading: that is another test's.
    place.start("run", "--role", "runner")
    run = place.start("sync", "timesheets", "--json")
    if killed is not None:
        run.until(place.written("procore", 2 * killed + 10), RECOVERY_S)
        workers[killed].kill()
    assert run.end(RECOVERY_S) == 0, run.stderr
    contacts = [one for one in sandbox.state.people() if one["user_id"] is None]
    entries = sandbox.state.timecard_entries()
    assert len(contacts) == 1
    assert len(sandbox.state.work_classifications()) == 1
    assert len({entry["origin_id"] for entry in entries}) == len(entries) == SHIFTS
    assert {entry["party_id"] for entry in entries} == {contacts[0]["id"]}
    assert {entry["project_id"] for entry in entries} == {TOWER}
    assert all("Traceback" not in process.stderr for process in place.started)
