"""``crewsync settings``, and runs as the settings say, on the command line of the whole program."""

import json

import pytest

from tests.e2e.program import Place
from tests.e2e.test_plan import records


def test_settings_are_shown_set_and_followed(place: Place) -> None:
    (company,) = json.loads(place.run("settings", "show", "--json").stdout)
    assert company["from"] == "nobody has chosen: as set up"
    assert not company["settings"]["autosync_users"]

    done = place.run("settings", "set", "autosync-users=on", "time-entry=start_stop", "--json")
    assert json.loads(done.stdout)["changed"] == {
        "autosync_users": [False, True],
        "time_entry": ["total_hours", "start_stop"],
    }
    place.run("settings", "set", "project-time-entry=2790001:total_hours")
    (company,) = json.loads(place.run("settings", "show", "--json").stdout)
    assert company["from"] == "chosen"
    assert company["settings"]["autosync_users"]
    assert company["settings"]["project_time_entry"] == ["2790001:total_hours"]

    place.run("settings", "set", "user-sync=off")
    (run,) = json.loads(place.run("sync", "users", "--json").stdout)
    assert run["outcomes"] == {"skipped": 250}


def test_a_dry_run_shows_what_would_change_and_changes_nothing(place: Place) -> None:
    place.run("settings", "set", "autosync-users=on")
    before = records(place)
    done = place.run("settings", "set", "autosync-users=off", "--dry-run")
    assert done.stdout == "autosync-users: on -> off\nNothing was changed.\n"
    assert records(place) == before


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("autosync=on", "write NAME=VALUE, where NAME is one of user-sync"),
        ("autosync-users", "write NAME=VALUE"),
        ("autosync-users=perhaps", "perhaps is neither on nor off"),
        ("time-entry=hours", "hours is neither total_hours nor start_stop"),
        ("default-region=usa", "usa is no country's two capital letters"),
        ("project-time-entry=x:start_stop", "write PROCORE_PROJECT_ID:start_stop"),
    ],
)
def test_a_wrong_choice_is_refused_in_one_line(place: Place, choice: str, words: str) -> None:
    process = place.start("settings", "set", choice)
    assert process.end() == 2
    assert words in process.stderr
    assert "Traceback" not in process.stderr
