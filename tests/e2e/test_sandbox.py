"""``crewsync sandbox``: the upstreams alone, what they hold, and edits while a process is at work on them."""

import json
import shlex
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from consumer.sandbox.store import SandboxState
from tests.e2e.expected import SHEETS, USERS
from tests.e2e.program import Place, Process


USER = next(user for user in USERS.values() if user["is_employee"] and user["email_address"])
SHEET = next(iter(SHEETS.values()))


@pytest.fixture
def serving(place: Place) -> Process:
    """A sandbox that serves and has told its settings."""
    process = place.start("sandbox", "serve")
    process.until(lambda: "CREWSYNC_COMPANIES" in process.stdout)
    return process


def settings_of(process: Process) -> dict[str, str]:
    """What a shell would make of the output."""
    words = shlex.split(process.stdout)
    return dict(word.split("=", 1) for word in words if word != "export")


def refusal(place: Place, *arguments: str, code: int = 1, **settings: str) -> str:
    process = place.start("sandbox", *arguments, **settings)
    assert process.end() == code, process.stdout + process.stderr
    assert process.stderr.startswith("crewsync: ")
    assert "Traceback" not in process.stderr
    return process.stderr


def test_another_process_works_with_the_settings_that_are_printed(place: Place, serving: Process) -> None:
    """An edit in between is what it sees; Ctrl-C ends the sandbox well."""
    settings = settings_of(serving)
    name, user_id = USER["first_name"], str(USER["id"])
    assert name in place.run("plan", "user", user_id, **settings).stdout

    done = place.run("sandbox", "edit-user", user_id, "--mobile-phone", "", "--first-name", "Renamed")
    assert "mobile_phone = nothing" in done.stdout
    plan = place.run("plan", "user", user_id, **settings).stdout
    assert "Renamed" in plan
    assert "Missing phone number" in plan

    assert serving.stop(signal.SIGINT) == 0
    assert serving.stderr.endswith("The sandbox stops.\n")


def test_the_sandbox_is_served_on_the_ports_that_were_asked_for(place: Place) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        assert "the sandbox cannot be served: " in refusal(
            place, "serve", "--port-smartbarrel", port, "--state", "own.db", code=2
        )
    process = place.start("sandbox", "serve", "--port-smartbarrel", port, "--state", "own.db")
    process.until(lambda: "CREWSYNC_COMPANIES" in process.stdout)
    assert settings_of(process)["CREWSYNC_SMARTBARREL_URL"] == f"http://127.0.0.1:{port}"
    assert (place.folder / "own.db").exists()
    assert not place.sandbox.exists()
    assert process.stop(signal.SIGTERM) == 0


def test_edits_while_a_process_is_at_work_are_made_and_disturb_nothing(place: Place) -> None:
    running = place.start("run")
    running.until(lambda: place.writes() > 0)
    for number in range(3):
        place.run("sandbox", "edit-user", str(USER["id"]), "--employee-id", f"E-{number}")
    running.until(place.finished)
    user = next(one for one in SandboxState(place.sandbox).users() if one["id"] == USER["id"])
    assert user["employee_id"] == "E-2"
    (entry, *_) = SandboxState(place.sandbox).timecard_entries()
    place.run("sandbox", "approve-timecard", str(entry["id"]))
    assert "cannot be deleted" in refusal(place, "delete-timecard", str(entry["id"]))
    assert running.stop(signal.SIGINT) == 0, running.stderr


def test_what_the_systems_hold_is_listed_and_searched(place: Place, serving: Process) -> None:
    del serving
    name = USER["last_name"]
    in_words = place.run("sandbox", "users", "--search", name.upper()).stdout.splitlines()
    assert in_words[0].split()[:2] == ["id", "name"]
    assert any(line.startswith(str(USER["id"])) for line in in_words[1:])
    for what in ("users", "workers", "timesheets"):
        listed = json.loads(place.run("sandbox", what, "--limit", "10000", "--json").stdout)
        assert listed == getattr(SandboxState(place.sandbox), what)()
    assert place.run("sandbox", "timecards").stdout.split()[:2] == ["id", "date"]
    assert "Shown are the first 1 of" in place.run("sandbox", "timesheets", "--limit", "1").stdout


def test_a_timesheet_that_is_edited_gets_the_next_revision(place: Place, serving: Process) -> None:
    del serving
    arguments = ["--status", "approved", "--hours", "7.5", "--location", "", "--cost-code-1", "FL1"]
    place.run("sandbox", "edit-timesheet", SHEET["id"], *arguments)
    (sheet,) = (one for one in SandboxState(place.sandbox).timesheets() if one["id"] == SHEET["id"])
    assert sheet["revision"] == SHEET["revision"] + 1
    assert (sheet["status"], sheet["total_hours"], sheet["location"]) == ("approved", "7.50", None)
    assert sheet["cost_code_segment_1"] == "FL1"
    for hours in ("x", "-1", "25", "nan"):
        assert "--hours must be a number" in refusal(place, "edit-timesheet", SHEET["id"], f"--hours={hours}")


def test_an_unknown_id_is_refused_with_the_closest_ones(place: Place, serving: Process) -> None:
    del serving
    user_id = str(USER["id"])
    assert user_id in refusal(place, "edit-user", user_id + "7", "--inactive")
    assert user_id in refusal(place, "edit-user", f"{USER['first_name']} {USER['last_name']}", "--inactive")
    assert SHEET["id"] in refusal(place, "edit-timesheet", SHEET["id"][:-2], "--deleted")
    assert "list them with: crewsync sandbox timecards" in refusal(place, "approve-timecard", "1")
    assert "nothing to change was given" in refusal(place, "edit-user", user_id)
    taken = next(u["email_address"] for u in USERS.values() if u["email_address"] and u["id"] != USER["id"])
    assert "another user has this e-mail address" in refusal(place, "edit-user", user_id, "--email", taken)


@pytest.mark.parametrize(
    "arguments", [["users"], ["serve"], ["edit-user", "1", "--inactive"], ["delete-timecard", "1"]]
)
def test_with_real_upstreams_nothing_is_served_shown_or_edited(place: Place, arguments: list[str]) -> None:
    settings = {
        "CREWSYNC_PROCORE_CLIENT_ID": "client",
        "CREWSYNC_PROCORE_CLIENT_SECRET": "secret",
        "CREWSYNC_SMARTBARREL_URL": "http://127.0.0.1:9",
        "CREWSYNC_SMARTBARREL_API_KEY": "key",
        "CREWSYNC_COMPANIES": '[{"company_id": 1, "name": "One", "smartbarrel_company_id": "one"}]',
    }
    assert "real upstreams are configured" in refusal(place, *arguments, code=2, **settings)
    assert not place.sandbox.exists()


def test_without_a_state_it_is_said_what_makes_one(place: Place) -> None:
    assert "there is no sandbox state" in refusal(place, "users")
    assert not place.sandbox.exists()


def test_beyond_this_machine_the_sandbox_demands_a_secret_of_its_own(place: Place) -> None:
    assert "--secret-file is missing" in refusal(place, "serve", "--host", "0.0.0.0", code=2)  # noqa: S104 - refused


def test_a_secret_from_a_file_is_taken_by_both_systems_and_told_to_nobody(
    place: Place, tmp_path: Path
) -> None:
    """127.0.0.2 is another address of this machine, so others are not let in by a test."""
    file = tmp_path / "secret"
    file.write_text("of-its-own-3f9a\n", encoding="utf-8")
    process = place.start("sandbox", "serve", "--host", "127.0.0.2", "--secret-file", str(file))
    process.until(lambda: "CREWSYNC_COMPANIES" in process.stdout)
    settings = settings_of(process)

    assert settings["CREWSYNC_PROCORE_URL"].startswith("http://127.0.0.2:")
    assert "of-its-own-3f9a" not in process.stdout + process.stderr
    assert USER["first_name"] in place.run("plan", "user", str(USER["id"]), **settings).stdout
    wrong = {name: value for name, value in settings.items() if not name.endswith("_FILE")}
    refused = place.start(
        "plan",
        "user",
        str(USER["id"]),
        **wrong,
        CREWSYNC_PROCORE_CLIENT_SECRET="sandbox-client-secret",
        CREWSYNC_SMARTBARREL_API_KEY="sandbox-api-key",
    )
    assert refused.end() != 0
    assert process.stop(signal.SIGTERM) == 0
