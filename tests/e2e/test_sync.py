"""One sync by hand, on a place that is in step: a small change is a small change."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.sandbox.store import SandboxState
from tests.e2e.conftest import Demo
from tests.e2e.expected import USERS, Expected
from tests.e2e.program import Place


@pytest.fixture
def synced(demo: Demo, tmp_path: Path) -> Iterator[Place]:
    """A copy of the demo's folder."""
    shutil.copytree(demo.place.folder / "var", tmp_path / "var")
    made = Place(tmp_path)
    yield made
    made.close()


def written(state: SandboxState, before: int) -> list[tuple[str, str]]:
    return [(write.method, write.path.rpartition("/")[2]) for write in state.writes()[before:]]


def test_a_user_who_changed_costs_one_request(synced: Place) -> None:
    """Of 250 users one has another name: one worker is changed, and the others are not touched."""
    state = SandboxState(synced.sandbox)
    user = next(user for user in USERS.values() if user["is_employee"] and user["first_name"] == "Aaliyah")
    worker = next(w for w in state.workers() if w["external_id"] == f"procore:{user['id']}")
    before = len(state.writes())
    state.edit_user(user["id"], last_name="Renamed")
    (run,) = json.loads(synced.run("sync", "users", "--json").stdout)
    after = {w["id"]: w for w in state.workers()}
    assert run["outcomes"] == {"updated": 1, "unchanged": 197, "skipped": 52}
    assert written(state, before) == [("PATCH", worker["id"])]
    assert after[worker["id"]] == worker | {
        "last_name": "Renamed",
        "updated_at": after[worker["id"]]["updated_at"],
    }


def test_a_shift_that_changed_costs_one_request(synced: Place) -> None:
    """Of 411 shifts one has other hours and one is approved now: one entry is changed, one created."""
    state = SandboxState(synced.sandbox)
    expected = Expected.seen(state.workers())
    due = next(sheet for sheet, ending in expected.timesheets.items() if ending.outcome == "created")
    waiting = next(
        sheet for sheet, ending in expected.timesheets.items() if ending.reasons == {"not_approved"}
    )
    entry = next(entry for entry in state.timecard_entries() if entry["origin_id"] == f"sb:{due}")
    before = len(state.writes())
    state.edit_timesheet(due, total_hours="3.33")
    state.edit_timesheet(waiting, status="approved")
    (run,) = json.loads(synced.run("sync", "timesheets", "--json").stdout)
    after = {entry["origin_id"]: entry for entry in state.timecard_entries()}
    assert run["outcomes"] == {"updated": 1, "created": 1, "unchanged": 299, "skipped": 110}
    assert sorted(method for method, _ in written(state, before)) == ["PATCH", "POST"]
    assert after[f"sb:{due}"]["id"] == entry["id"]
    assert after[f"sb:{due}"]["hours"] == "3.33"
    assert len(after) == 301
