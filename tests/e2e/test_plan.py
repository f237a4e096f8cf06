"""``crewsync plan`` shows what a sync would do, on the command line of the whole program."""

import json
import sqlite3
from contextlib import closing

import pytest

from consumer.sandbox.store import SandboxState
from tests.e2e.expected import SHEETS, USERS
from tests.e2e.program import Place


USER = next(user for user in USERS.values() if user["is_employee"] and user["email_address"])
SHEET = next(
    sheet for sheet in SHEETS.values() if sheet["status"] == "approved" and "id" in sheet["worker_ref"]
)


def records(place: Place) -> int:
    with closing(sqlite3.connect(place.broker)) as db:
        # Opening the file may compact it, so what is counted is what was ever written.
        return int(db.execute("SELECT total(next_offset) FROM partitions").fetchone()[0])


def test_a_plan_is_shown_in_words_and_changes_nothing_anywhere(place: Place) -> None:
    done = place.run("plan", "user", str(USER["id"]))
    assert f"({USER['id']})" in done.stdout
    assert "Would be: " in done.stdout
    assert done.stdout.endswith("Nothing was changed.\n")
    assert SandboxState(place.sandbox).writes() == []
    assert records(place) == 0


def test_a_plan_of_a_timesheet_is_a_document_for_scripts(place: Place) -> None:
    arguments = ["plan", "timesheet", SHEET["id"], "--date", SHEET["date"], "--json"]
    plan = json.loads(place.run(*arguments).stdout)
    assert plan["id"] == SHEET["id"]
    assert plan["outcome"] in {"created", "skipped", "failed"}
    assert (plan["outcome"] == "created") == bool(plan["steps"])
    assert SandboxState(place.sandbox).writes() == []
    assert records(place) == 0


def test_a_plan_after_a_sync_knows_the_links(place: Place) -> None:
    place.run("demo")
    before = records(place), len(SandboxState(place.sandbox).writes())
    done = place.run("plan", "user", str(USER["id"]))
    assert "Would be: unchanged, with nothing to send" in done.stdout
    assert "The same was synced before" in done.stdout
    assert (records(place), len(SandboxState(place.sandbox).writes())) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["user", "1"], "Procore knows no user 1"),
        (["timesheet", "x"], "SmartBarrel has no timesheet x"),
        (["timesheet", "x", "--date", "2026-11-09"], "SmartBarrel has no timesheet x on 2026-11-09"),
    ],
)
def test_nobody_by_that_id_is_one_clear_line(place: Place, arguments: list[str], words: str) -> None:
    process = place.start("plan", *arguments)
    assert process.end() == 1
    assert words in process.stderr
    assert "Traceback" not in process.stderr


def test_a_plan_beside_a_process_on_the_embedded_broker_says_who_has_it(place: Place) -> None:
    running = place.start("run")
    running.until(lambda: place.logged() > 0)
    process = place.start("plan", "user", str(USER["id"]))
    assert process.end() == 3
    assert f"is in use by process {running.popen.pid}" in process.stderr
