"""What somebody in either office changes, as tests and tools do it, and what the servers then say."""

import sqlite3
from collections.abc import Iterable

import httpx
import pytest

from consumer.sandbox.server import RunningSandbox
from tests.contracts import BREAKS_CONTRACT


COMPANY = "/rest/v1.0/companies/4281001"
USERS = "/rest/v1.3/companies/4281001/users"
ENTRIES = f"{COMPANY}/timecard_entries"
CLASSIFICATIONS = "/rest/v1.0/projects/2790001/work_classifications"
DAY = {"start_date": "2026-03-02", "end_date": "2026-03-02"}
MARIA, TOMAS, LENA = 8800101, 8800102, 8800103
CARPENTER = "6a0f7d0c-93c1-4a53-9f62-0e5f2f0f7b01"
EMEKA = "4d1f9c33-2c0a-4a9b-8d57-1a6b0c5e9f02"


def listed(client: httpx.Client, path: str, key: str = "id", **parameters: str) -> list[object]:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return [item[key] for item in answer.json()]


def only(items: Iterable[dict[str, object]], key: str, value: object) -> dict[str, object]:
    (found,) = (item for item in items if item[key] == value)
    return found


def book(procore: httpx.Client, **fields: object) -> int:
    entry = {"date": "2026-03-02", "hours": "8", "party_id": 25130001, "origin_id": "sb:1"} | fields
    answer = procore.post(ENTRIES, json={"project_id": 2790001, "timecard_entry": entry})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


# ------------------------------------------------------------------ users and people


def test_an_added_user_is_listed_as_user_and_as_person(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    user = sandbox.state.add_user("Ines", "Rao", email_address="ines.rao@example.com", employee_id="7")
    assert only(procore.get(USERS).json(), "id", user["id"])["name"] == "Ines Rao"
    person = only(procore.get(f"{COMPANY}/people").json(), "user_id", user["id"])
    assert (person["employee_id"], person["is_employee"]) == ("7", True)
    assert person["contact"] == {"is_active": True, "email": "ines.rao@example.com"}
    assert len({user["id"], user["contact_id"], person["id"]}) == 3


def test_a_user_s_address_is_nobody_else_s_whatever_its_case(sandbox: RunningSandbox) -> None:
    with pytest.raises(ValueError, match="another user"):
        sandbox.state.add_user("Ines", "Rao", email_address="Maria.Delgado@example.com")
    with pytest.raises(ValueError, match="another user"):
        sandbox.state.edit_user(TOMAS, email_address="MARIA.delgado@example.com")
    sandbox.state.edit_user(MARIA, email_address="MARIA.delgado@example.com")
    for name in ("One", "Two"):
        sandbox.state.add_user(name, "Without", email_address=None)
    assert len(sandbox.state.users()) == 5


def test_a_deactivated_user_leaves_all_active_lists_and_stands_in_the_inactive_ones(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.state.deactivate_user(MARIA)
    assert MARIA not in listed(procore, USERS)
    assert MARIA not in listed(procore, f"{COMPANY}/people", "user_id")
    assert listed(procore, f"{COMPANY}/users/inactive") == [MARIA, LENA]
    assert MARIA in listed(procore, f"{COMPANY}/people/inactive", "user_id")
    assert procore.get(f"{USERS}/{MARIA}").json()["is_active"] is False


def test_an_edited_contact_is_shown_with_its_new_values(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.state.edit_person(25130004, last_name="Iyer", employee_id="9")
    contact = only(procore.get(f"{COMPANY}/people").json(), "id", 25130004)
    assert (contact["name"], contact["employee_id"], contact["origin_id"]) == ("Priya Iyer", "9", "sb:known")


# ------------------------------------------------------------------ classifications and positions


def test_an_added_classification_can_be_chosen_where_it_was_put(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    mason = sandbox.state.add_classification("Mason", "MAS", [2790001])
    plumber = sandbox.state.add_classification("Plumber")
    names = listed(procore, f"{COMPANY}/work_classifications", "name")
    assert names == ["Carpenter", "Laborer", "Mason", "Plumber"]
    assert listed(procore, CLASSIFICATIONS) == [57801, mason["id"]]
    assert plumber["id"] > mason["id"]


def test_a_renamed_classification_has_its_new_name_everywhere(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.state.rename_classification(57801, "Joiner")
    for path in (f"{COMPANY}/work_classifications", CLASSIFICATIONS):
        assert only(procore.get(path).json(), "id", 57801)["name"] == "Joiner"


def test_a_user_s_classification_can_be_taken_away(procore: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.state.edit_user(MARIA, work_classification_id=57801)
    assert procore.get(f"{USERS}/{MARIA}").json()["work_classification_id"] == 57801
    sandbox.state.clear_classification(MARIA)
    assert "work_classification_id" not in procore.get(f"{USERS}/{MARIA}").json()
    person = only(procore.get(f"{COMPANY}/people").json(), "user_id", MARIA)
    assert person["work_classification_id"] is None


def test_an_edited_position_keeps_its_name_for_itself_whatever_the_case(
    smartbarrel: httpx.Client, sandbox: RunningSandbox
) -> None:
    created = smartbarrel.post("/positions", headers={"Idempotency-Key": "k"}, json={"name": "Mason"}).json()
    sandbox.state.edit_position(CARPENTER, name="Joiner", status="inactive")
    shown = only(smartbarrel.get("/positions").json()["data"], "id", CARPENTER)
    assert (shown["name"], shown["status"], shown["code"]) == ("Joiner", "inactive", "CARP")
    with pytest.raises(sqlite3.IntegrityError):
        sandbox.state.edit_position(created["id"], name="JOINER")


@pytest.mark.parametrize("field", ["phone_number", "payroll_id", "external_id"])
def test_an_edited_worker_takes_no_value_of_another_one_even_of_an_inactive_one(
    smartbarrel: httpx.Client, sandbox: RunningSandbox, field: str
) -> None:
    new = {"first_name": "Ines", "last_name": "Rao", "email": "i@example.com", "phone_number": "+15125550111"}
    other = smartbarrel.post("/workers", headers={"Idempotency-Key": "k"}, json=new).json()
    sandbox.state.edit_worker(EMEKA, status="inactive", external_id="procore:1")
    with pytest.raises(sqlite3.IntegrityError):
        sandbox.state.edit_worker(other["id"], **{field: only(sandbox.state.workers(), "id", EMEKA)[field]})


# ------------------------------------------------------------------ timecards


def test_an_approved_entry_is_locked_for_changes_and_for_deletion(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    entry = book(procore)
    sandbox.state.approve_timecard_entry(entry)
    body = {"project_id": 2790001, "timecard_entry": {"date": "2026-03-02", "hours": "7"}}
    refused = procore.patch(f"{ENTRIES}/{entry}", json=body)
    assert (refused.status_code, refused.json()) == (
        422,
        {"error": {"reason": "Timecard entry is approved and cannot be edited"}},
    )
    with pytest.raises(ValueError, match="cannot be deleted"):
        sandbox.state.delete_timecard_entry(entry)
    assert listed(procore, ENTRIES, **DAY) == [entry]


def test_a_deleted_entry_is_gone_but_for_the_list_of_deleted_ones(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    entry = book(procore)
    sandbox.state.delete_timecard_entry(entry)
    assert listed(procore, ENTRIES, **DAY) == []
    ever = {"filters[deleted_at]": "2000-01-01T00:00:00Z...2100-01-01T00:00:00Z"}
    assert listed(procore, ENTRIES, **DAY, **ever) == [entry]
    body = {"project_id": 2790001, "timecard_entry": {"date": "2026-03-02", "hours": "7"}}
    assert procore.get(f"{ENTRIES}/{entry}").status_code == 404
    assert procore.patch(f"{ENTRIES}/{entry}", json=body).status_code == 404
    assert only(sandbox.state.timecard_entries(), "id", entry)["deleted_at"] is not None


def test_the_origin_id_of_a_deleted_entry_is_free_again(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    sandbox.state.delete_timecard_entry(book(procore))
    again = book(procore)
    assert listed(procore, ENTRIES, **DAY) == [again]


@pytest.mark.parametrize(
    ("edit", "arguments"),
    [
        ("deactivate_user", (1,)),
        ("clear_classification", (1,)),
        ("edit_person", (1,)),
        ("rename_classification", (1, "x")),
        ("edit_position", ("x",)),
        ("approve_timecard_entry", (1,)),
        ("delete_timecard_entry", (1,)),
    ],
)
def test_what_is_not_there_cannot_be_changed(
    sandbox: RunningSandbox, edit: str, arguments: tuple[object, ...]
) -> None:
    with pytest.raises(KeyError):
        getattr(sandbox.state, edit)(*arguments)


def test_procore_takes_no_delete(procore: httpx.Client) -> None:
    """The project never deletes, and the contract has no way to."""
    assert procore.delete(f"{ENTRIES}/1", extensions=BREAKS_CONTRACT).status_code == 404
