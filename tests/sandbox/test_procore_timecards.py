"""Procore: timecard entries."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from consumer.sandbox.server import RunningSandbox
from tests.contracts import BREAKS_CONTRACT


COMPANY = "/rest/v1.0/companies/4281001"
ENTRIES = f"{COMPANY}/timecard_entries"
BULK = f"{COMPANY}/timesheets"
PROJECT = 2790001
MARIA = 25130001
WEEK = {"start_date": "2026-03-02", "end_date": "2026-03-08"}

GOOD = {
    "date": "2026-03-02",
    "hours": "8",
    "party_id": MARIA,
    "sub_job_id": 348001,
    "cost_code_id": 97120301,
    "description": "Created By SmartBarrel",
}


def request(**fields: Any) -> dict[str, Any]:
    return {"project_id": PROJECT, "timecard_entry": {**GOOD, **fields}}


def create(procore: httpx.Client, **fields: Any) -> dict[str, Any]:
    answer = procore.post(ENTRIES, json=request(**fields))
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


def refusal(answer: httpx.Response) -> object:
    assert answer.status_code == 422, answer.text
    return answer.json()


def ids(answer: httpx.Response) -> list[int]:
    return [item["id"] for item in answer.json()]


def test_a_created_entry_is_shown_with_its_parts(procore: httpx.Client) -> None:
    entry = create(procore, location_id=1550402, origin_id="sb:1", timecard_time_type_id=980003)
    assert procore.get(f"{ENTRIES}/{entry['id']}").json() == entry
    assert entry["id"] >= 2**33
    assert (entry["hours"], entry["approval_status"], entry["billable"]) == ("8.0", "pending", False)
    assert (entry["party"]["id"], entry["party"]["user_id"]) == (MARIA, 8800101)
    assert entry["login_information"]["login"] == "maria.delgado@example.com"
    assert entry["cost_code"]["full_code"] == "03-300"
    assert entry["sub_job"]["code"] == "FL1"
    assert entry["location"]["name"] == "North>Roof"
    assert entry["project"]["name"] == "2601 - Harbor Point Tower"
    assert entry["timecard_time_type"]["time_type"] == "Vacation"
    assert (entry["origin_id"], entry["work_classification"]) == ("sb:1", None)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("8", "8.0"), ("8.0", "8.0"), ("7.50", "7.5"), ("10", "10.0"), ("0", "0.0"), ("24", "24.0")],
)
def test_hours_come_back_as_a_decimal_string(procore: httpx.Client, sent: str, shown: str) -> None:
    assert create(procore, hours=sent)["hours"] == shown


def test_hours_sent_as_a_number_are_accepted(procore: httpx.Client) -> None:
    answer = procore.post(ENTRIES, json=request(hours=2), extensions=BREAKS_CONTRACT)
    assert answer.json()["hours"] == "2.0"


@pytest.mark.parametrize(
    ("times", "hours"),
    [
        ({"time_in": "2026-03-02T14:00:00Z", "time_out": "2026-03-02T22:30:00Z", "lunch_time": "30"}, "8.0"),
        ({"time_in": "2026-03-02T22:00:00Z", "time_out": "2026-03-03T06:20:00Z"}, "8.33"),
        ({"time_in": "08:00", "time_out": "12:15"}, "4.25"),
    ],
)
def test_start_and_stop_give_the_hours_without_the_break(
    procore: httpx.Client, times: dict[str, str], hours: str
) -> None:
    fields = {key: value for key, value in GOOD.items() if key != "hours"} | times
    answer = procore.post(ENTRIES, json={"project_id": PROJECT, "timecard_entry": fields})
    assert answer.json()["hours"] == hours


def test_an_entry_without_a_party_is_accepted_as_was_observed(procore: httpx.Client) -> None:
    fields = {"date": "2026-03-02", "hours": "1"}
    entry = procore.post(ENTRIES, json={"project_id": PROJECT, "timecard_entry": fields}).json()
    assert (entry["party_id"], entry["party"]) == (None, None)


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        ({"party_id": 8800101}, {"party_id": ["is invalid"]}),
        ({"sub_job_id": 348009}, {"sub_job_id": ["is not available on this project"]}),
        ({"cost_code_id": 97120309}, {"cost_code_id": ["is not available on this project"]}),
        ({"cost_code_id": 97120302}, {"cost_code_id": ["is not available on this sub job"]}),
        ({"location_id": 1}, {"location_id": ["is not available on this project"]}),
        ({"timecard_time_type_id": 1}, {"timecard_time_type_id": ["is invalid"]}),
        ({"hours": "24.1"}, {"hours": ["must be less than or equal to 24"]}),
        ({"time_in": "noon"}, {"time_in": ["is invalid"]}),
        (
            {"party_id": 1, "cost_code_id": 97120309},
            {"party_id": ["is invalid"], "cost_code_id": ["is not available on this project"]},
        ),
    ],
)
def test_an_entry_that_breaks_a_rule_is_refused_with_all_reasons(
    procore: httpx.Client, sandbox: RunningSandbox, fields: dict[str, Any], errors: dict[str, list[str]]
) -> None:
    """A party is the person's id; the user's id is nobody's."""
    assert refusal(procore.post(ENTRIES, json=request(**fields))) == {"errors": errors}
    assert sandbox.state.timecard_entries() == []


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"date": "03/02/2026"}, "date"),
        ({"date": None}, "date"),
        ({"hours": "a few"}, "hours"),
        ({"lunch_time": "-5"}, "lunch_time"),
        ({"approval_status": "maybe"}, "approval_status"),
        ({"billable": "yes"}, "billable"),
    ],
)
def test_a_value_that_cannot_be_is_refused(procore: httpx.Client, fields: dict[str, Any], field: str) -> None:
    answer = procore.post(ENTRIES, json=request(**fields), extensions=BREAKS_CONTRACT)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]


@pytest.mark.parametrize(
    ("times", "field"),
    [
        ({"time_in": "2026-03-02T14:00:00Z", "time_out": "2026-03-02T13:00:00Z"}, "time_out"),
        ({"time_in": "09:00", "time_out": "10:00", "lunch_time": "61"}, "lunch_time"),
        ({"time_in": "2026-03-02T14:00:00Z", "time_out": "2026-03-03T14:01:00Z"}, "hours"),
        ({}, "hours"),
    ],
)
def test_times_that_make_no_sense_are_refused(
    procore: httpx.Client, times: dict[str, str], field: str
) -> None:
    body = {"project_id": PROJECT, "timecard_entry": {"date": "2026-03-02", **times}}
    answer = procore.post(ENTRIES, json=body)
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]


def test_missing_wrappers_are_a_bad_request_and_an_unknown_project_is_not_found(
    procore: httpx.Client,
) -> None:
    for body in ({"timecard_entry": GOOD}, {"project_id": PROJECT}):
        answer = procore.post(ENTRIES, json=body, extensions=BREAKS_CONTRACT)
        assert answer.status_code == 400
        assert "param is missing" in answer.json()["error"]["message"]
    assert procore.post(ENTRIES, json={"project_id": 1, "timecard_entry": GOOD}).status_code == 404


def test_an_origin_id_is_taken_once(procore: httpx.Client) -> None:
    create(procore, origin_id="sb:1")
    again = procore.post(ENTRIES, json=request(origin_id="sb:1"))
    assert refusal(again) == {"errors": {"origin_id": ["has already been taken"]}}


def test_an_entry_keeps_its_own_origin_id_when_it_is_updated(procore: httpx.Client) -> None:
    entry = create(procore, origin_id="sb:1")
    answer = procore.patch(f"{ENTRIES}/{entry['id']}", json=request(origin_id="sb:1", hours="9"))
    assert (answer.status_code, answer.json()["hours"]) == (200, "9.0")


def test_origin_ids_may_repeat_where_procore_does_not_mind(
    run: Callable[..., RunningSandbox], procore_of: Callable[[RunningSandbox], httpx.Client]
) -> None:
    procore = procore_of(run(unique_origin_ids=False))
    assert create(procore, origin_id="sb:1")["id"] != create(procore, origin_id="sb:1")["id"]


def test_an_update_keeps_what_is_absent(procore: httpx.Client) -> None:
    entry = create(procore, time_in="14:00", time_out="22:30", lunch_time="30")
    body = {
        "project_id": PROJECT,
        "timecard_entry": {"date": "2026-03-02", "time_out": "2026-03-02T23:00:00Z"},
    }
    updated = procore.patch(f"{ENTRIES}/{entry['id']}", json=body).json()
    assert (updated["hours"], updated["lunch_time"]) == ("8.5", 30)
    assert (updated["description"], updated["party_id"]) == (entry["description"], MARIA)


def test_an_update_needs_project_and_date(procore: httpx.Client) -> None:
    url = f"{ENTRIES}/{create(procore)['id']}"
    for body, status in (
        ({"timecard_entry": {"date": "2026-03-02"}}, 400),
        ({"project_id": PROJECT, "timecard_entry": {"hours": "1"}}, 422),
    ):
        assert procore.patch(url, json=body, extensions=BREAKS_CONTRACT).status_code == status


@pytest.mark.parametrize("status", ["approved", "completed"])
def test_a_locked_entry_refuses_every_update(
    procore: httpx.Client, sandbox: RunningSandbox, status: str
) -> None:
    entry = create(procore)
    sandbox.state.edit_timecard_entry(entry["id"], approval_status=status)
    reason = {"error": {"reason": f"Timecard entry is {status} and cannot be edited"}}
    single = procore.patch(f"{ENTRIES}/{entry['id']}", json=request(hours="1"))
    bulk = procore.patch(BULK, json={"updates": [{"id": entry["id"]}], "hours": 1})
    assert refusal(single) == refusal(bulk) == reason
    assert procore.get(f"{ENTRIES}/{entry['id']}").json()["hours"] == "8.0"


def test_a_reviewed_entry_can_be_updated(procore: httpx.Client) -> None:
    entry = create(procore, approval_status="reviewed")
    answer = procore.patch(f"{ENTRIES}/{entry['id']}", json=request(hours="1"))
    assert answer.status_code == 200


def test_an_unknown_entry_is_not_found(procore: httpx.Client) -> None:
    assert procore.get(f"{ENTRIES}/1").status_code == 404
    assert procore.patch(f"{ENTRIES}/1", json=request()).status_code == 404
    assert procore.patch(BULK, json={"updates": [{"id": 1}], "hours": 1}).status_code == 404


def test_entries_are_listed_by_range_of_days_and_party(procore: httpx.Client) -> None:
    tuesday = create(procore, date="2026-03-03")
    monday = create(procore)
    other = create(procore, party_id=25130004)
    create(procore, date="2026-03-09")
    assert ids(procore.get(ENTRIES, params=WEEK)) == [monday["id"], other["id"], tuesday["id"]]
    of_party = procore.get(ENTRIES, params={**WEEK, "filters[party_id][]": [MARIA]})
    assert ids(of_party) == [monday["id"], tuesday["id"]]
    assert of_party.headers["Total"] == "2"
    assert ids(procore.get(ENTRIES, params={**WEEK, "filters[id][]": [other["id"]]})) == [other["id"]]


def test_without_a_range_only_today_is_listed(procore: httpx.Client) -> None:
    today = create(procore)
    create(procore, date="2026-03-01")
    assert ids(procore.get(ENTRIES)) == [today["id"]]


def test_entries_in_progress_are_hidden_unless_asked_for(procore: httpx.Client) -> None:
    body = {"project_id": PROJECT, "timecard_entry": {"date": "2026-03-02", "time_in": "14:00"}}
    running = procore.post(ENTRIES, json=body).json()
    done = create(procore)
    assert (running["in_progress"], running["hours"]) == (True, None)
    assert ids(procore.get(ENTRIES, params=WEEK)) == [done["id"]]
    both = procore.get(ENTRIES, params={**WEEK, "filters[include_in_progress]": "true"})
    assert ids(both) == [running["id"], done["id"]]
    only = procore.get(ENTRIES, params={**WEEK, "filters[in_progress_only]": "true"})
    assert ids(only) == [running["id"]]


def test_a_range_that_is_none_is_a_bad_request(procore: httpx.Client) -> None:
    parameters = {"start_date": "last week"}
    assert procore.get(ENTRIES, params=parameters, extensions=BREAKS_CONTRACT).status_code == 400


def test_a_classification_is_set_by_the_bulk_update_only(procore: httpx.Client) -> None:
    """The single create ignores it, as it does every field that is documented elsewhere only."""
    entry = create(procore, work_classification_id=57801)
    assert entry["work_classification_id"] is None
    body = {"updates": [{"id": entry["id"]}], "work_classification_id": 57801}
    answer = procore.patch(BULK, json=body)
    assert answer.status_code == 200
    assert [item["id"] for item in answer.json()["updated_timecard_entries"]] == [entry["id"]]
    assert procore.get(f"{ENTRIES}/{entry['id']}").json()["work_classification"] == {
        "id": 57801,
        "name": "Carpenter",
    }


def test_a_classification_has_to_be_active_on_the_project(procore: httpx.Client) -> None:
    body = {"updates": [{"id": create(procore)["id"]}], "work_classification_id": 57802}
    unavailable = {"errors": {"work_classification_id": ["is not available on this project"]}}
    assert refusal(procore.patch(BULK, json=body)) == unavailable
    procore.post(f"/rest/v1.0/projects/{PROJECT}/work_classifications/initial_setup")
    assert procore.patch(BULK, json=body).status_code == 200


def test_the_bulk_create_makes_all_entries_but_no_break(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    item = {**GOOD, "project_id": PROJECT, "hours": 7.5, "work_classification_id": 57801}
    body = {"timecard_entries": [{**item, "origin_id": "sb:1"}, {**item, "origin_id": "sb:2"}]}
    answer = procore.post(BULK, json=body)
    assert answer.status_code == 200
    assert {(entry["origin_id"], entry["hours"]) for entry in answer.json()} == {
        ("sb:1", "7.5"),
        ("sb:2", "7.5"),
    }
    assert [entry["work_classification_id"] for entry in sandbox.state.timecard_entries()] == [57801, 57801]


def test_one_bad_item_refuses_the_whole_bulk_create(procore: httpx.Client, sandbox: RunningSandbox) -> None:
    item = {**GOOD, "project_id": PROJECT, "hours": 8}
    answer = procore.post(BULK, json={"timecard_entries": [item, {**item, "party_id": 1}]})
    assert refusal(answer) == {"errors": {"party_id": ["is invalid"]}}
    assert sandbox.state.timecard_entries() == []


def test_the_bulk_endpoints_find_the_person_of_a_user(procore: httpx.Client) -> None:
    item = {"project_id": PROJECT, "date": "2026-03-02", "hours": 8, "user_id": 8800101}
    answer = procore.post(BULK, json={"timecard_entries": [item]})
    assert answer.json()[0]["party"] == {"id": MARIA, "name": "Maria Delgado"}
