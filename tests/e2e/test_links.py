"""``crewsync links`` on the command line of the whole program."""

import json

from consumer.sandbox.store import SandboxState
from tests.e2e.program import Place


def test_without_a_sync_there_are_no_links_and_no_drift(place: Place) -> None:
    process = place.start("links", "show")
    assert process.end() == 1
    assert "there are no links; a sync makes them" in process.stderr
    assert "Links checked: none." in place.run("links", "check").stdout


def test_links_are_shown_and_drift_is_found_by_reads_only(place: Place) -> None:
    place.run("demo", "--json")
    state = SandboxState(place.sandbox)
    before = len(state.writes())

    shown = json.loads(place.run("links", "show", "--kind", "user", "--limit", "1000", "--json").stdout)
    linked = [link for link in shown if link["to"]]
    one = place.run("links", "show", "--id", linked[0]["from"]).stdout
    assert linked[0]["to"] in one
    assert "Shown are the first 2 of" in place.run("links", "show", "--limit", "2").stdout
    assert "No drift" in place.run("links", "check").stdout

    state.edit_worker(linked[0]["to"], external_id=None)
    shown = json.loads(place.run("links", "show", "--kind", "timesheet", "--limit", "1000", "--json").stdout)
    sheet = next(link for link in shown if link["to"])
    entry = next(one for one in state.timecard_entries() if one["origin_id"] == f"sb:{sheet['from']}")
    state.delete_timecard_entry(entry["id"])

    process = place.start("links", "check", "--json")
    assert process.end() == 1
    document = json.loads(process.stdout)
    assert document["counts"] == {"worker_not_linked": 1, "timecard_gone": 1}
    assert document["checked"]["user"] == len(linked)
    process = place.start("links", "check", "--kind", "user")
    assert process.end() == 1
    assert f"To put it right: replay with --force for user {linked[0]['from']}." in process.stdout
    assert "Drift: 1 (1 worker_not_linked)." in process.stdout
    assert len(state.writes()) == before
