"""``crewsync dead-letters`` on the command line of the whole program."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from consumer.sandbox.store import SandboxState
from tests.e2e.program import Place
from tests.e2e.test_plan import records


REFUSED = """
[[rules]]
system = "smartbarrel"
method = "POST"
fault = "status=403"
"""


@pytest.fixture
def parked(place: Place) -> Place:
    """A place where SmartBarrel has refused access, and 181 users were set aside. It is in order again."""
    faults = place.folder / "faults.toml"
    faults.write_text(REFUSED)
    place.run("sync", "users", CREWSYNC_SANDBOX_FAULTS=str(faults), CREWSYNC_HOLD_S="1")
    return place


def listed(place: Place, *arguments: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(place.run("dead-letters", "list", *arguments, "--json").stdout)
    return document


def test_where_nothing_was_set_aside_the_list_says_so(place: Place) -> None:
    assert place.run("dead-letters", "list").stdout == "No dead letters.\n"


def test_what_was_set_aside_is_listed_shown_masked_and_redriven(parked: Place) -> None:
    found = listed(parked, "--limit", "500")
    assert set(found["reasons"]) == {"access_refused"}
    assert found["total"] == len(found["letters"]) > 100
    letter = found["letters"][0]["letter"]

    shown = json.loads(parked.run("dead-letters", "show", letter, "--json").stdout)
    user_id = shown["event"]["user_id"]
    user = next(one for one in SandboxState(parked.sandbox).users() if one["id"] == user_id)
    assert shown["letter"]["reason_code"] == "access_refused"
    text = parked.run("dead-letters", "show", letter).stdout
    assert not [name for name in ("email_address", "mobile_phone", "last_name") if user[name] in text]
    assert user["email_address"] in parked.run("dead-letters", "show", letter, "--unmasked").stdout

    done = json.loads(parked.run("dead-letters", "redrive", letter, "--yes", "--json").stdout)
    assert done == {"redriven": 1, "left": 0}
    workers = {one["external_id"] for one in SandboxState(parked.sandbox).workers()}
    assert f"procore:{user_id}" in workers
    assert listed(parked)["total"] == found["total"] - 1

    parked.run("dead-letters", "redrive", "--yes")
    assert listed(parked)["total"] == 0
    again = json.loads(parked.run("dead-letters", "redrive", "--yes", "--json").stdout)
    assert again == {"would_redrive": 0, "reasons": {}, "left": 0}


@pytest.mark.parametrize("verb", ["redrive", "drop"])
def test_a_dry_run_writes_nothing_anywhere(parked: Place, verb: str) -> None:
    total = listed(parked)["total"]
    before = records(parked), parked.writes()
    assert f"Would {verb} {total} letters." in parked.run("dead-letters", verb, "--dry-run").stdout
    assert (records(parked), parked.writes()) == before


def test_without_a_yes_and_without_anybody_to_ask_nothing_is_done(parked: Place) -> None:
    before = records(parked)
    process = parked.start("dead-letters", "drop")
    assert process.end() == 2
    assert "there is nobody to ask" in process.stderr
    assert records(parked) == before


def test_letters_are_chosen_by_company_reason_topic_age_and_number(parked: Place) -> None:
    total = listed(parked)["total"]
    assert listed(parked, "--company", "4281001")["total"] == total
    for arguments in (
        ["--company", "99"],
        ["--reason", "undecodable"],
        ["--topic", "timesheets"],
        ["--older-than", "1h"],
    ):
        assert listed(parked, *arguments)["total"] == 0
    assert listed(parked, "--newer-than", "1h", "--topic", "users")["total"] == total
    parked.run("dead-letters", "drop", "--limit", "3", "--yes")
    assert listed(parked)["total"] == total - 3


def test_what_came_back_too_often_is_left(parked: Place) -> None:
    faults = parked.folder / "faults.toml"
    parked.run(
        *("dead-letters", "redrive", "--limit", "2", "--yes"),
        CREWSYNC_SANDBOX_FAULTS=str(faults),
        CREWSYNC_HOLD_S="1",
    )
    times = {one["redrive_count"] for one in listed(parked, "--limit", "500")["letters"]}
    assert 1 in times
    shown = json.loads(
        parked.run("dead-letters", "redrive", "--most-times", "1", "--dry-run", "--json").stdout
    )
    assert shown["left"] >= 2


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "99:1"], 1, "there is no letter 99:1"),
        (["show", "x"], 2, "x is no letter"),
        (["redrive", "0:99999", "--yes"], 1, "no letter waits at 0:99999"),
        (["list", "--older-than", "soon"], 2, "soon is no duration"),
    ],
)
def test_a_wrong_wish_is_refused_in_one_line(
    parked: Place, arguments: list[str], code: int, words: str
) -> None:
    process = parked.start("dead-letters", *arguments)
    assert process.end() == code
    assert words in process.stderr
    assert "Traceback" not in process.stderr
