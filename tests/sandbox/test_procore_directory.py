"""Procore: users and people."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from consumer.sandbox.server import RunningSandbox
from tests.contracts import BREAKS_CONTRACT


COMPANY = "/rest/v1.0/companies/4281001"
USERS = "/rest/v1.3/companies/4281001/users"
INACTIVE_USERS = f"{COMPANY}/users/inactive"
PEOPLE = f"{COMPANY}/people"
INACTIVE_PEOPLE = f"{PEOPLE}/inactive"


def ids(answer: httpx.Response) -> list[int]:
    return [item["id"] for item in answer.json()]


def create(procore: httpx.Client, **fields: Any) -> httpx.Response:
    return procore.post(PEOPLE, json={"person": {"last_name": "Nair", **fields}})


def test_active_and_deactivated_users_are_listed_apart(procore: httpx.Client) -> None:
    assert ids(procore.get(USERS)) == [8800101, 8800102]
    assert ids(procore.get(INACTIVE_USERS)) == [8800103]


def test_a_listed_user_has_nulls_and_no_time_of_change(procore: httpx.Client) -> None:
    tomas = procore.get(USERS).json()[1]
    assert tomas["mobile_phone"] is None
    assert tomas["employee_id"] is None
    assert "updated_at" not in tomas
    assert "updated_at" in procore.get(USERS, params={"view": "extended"}).json()[1]


def test_a_shown_user_has_no_null_keys(procore: httpx.Client) -> None:
    tomas = procore.get(f"{USERS}/8800102").json()
    assert tomas["name"] == "Tomas Okafor"
    assert "mobile_phone" not in tomas
    assert None not in tomas.values()


def test_a_deactivated_user_is_still_shown(procore: httpx.Client) -> None:
    assert procore.get(f"{USERS}/8800103").json()["is_active"] is False


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"filters[search]": "OKAFOR"}, [8800102]),
        ({"filters[search]": "granite"}, [8800101, 8800102]),
        ({"filters[search]": "555-0101"}, []),
        ({"filters[vendor_id][]": 19170001}, [8800101, 8800102]),
        ({"filters[vendor_id][]": 1}, []),
        ({"filters[origin_id]": "none"}, []),
        ({"filters[trade_id][]": 5}, []),
        ({"sort": "email"}, [8800101, 8800102]),
    ],
)
def test_users_are_filtered(
    procore: httpx.Client, parameters: dict[str, str | int], expected: list[int]
) -> None:
    """The search knows names, e-mail, title and vendor, but no phone number."""
    assert ids(procore.get(USERS, params=parameters)) == expected


def test_users_changed_in_a_range_of_time_are_found(procore: httpx.Client, sandbox: RunningSandbox) -> None:
    assert ids(procore.get(USERS, params={"filters[updated_at]": "1999-12-31...2000-01-02"})) == [
        8800101,
        8800102,
    ]
    sandbox.state.edit_user(8800102, mobile_phone="(512) 555-0199")
    changed = procore.get(
        USERS, params={"filters[updated_at]": '"2001-01-01T00:00:00Z...2999-01-01T00:00:00Z"'}
    )
    assert ids(changed) == [8800102]


def test_a_range_that_is_none_is_refused(procore: httpx.Client) -> None:
    parameters = {"filters[updated_at]": "yesterday"}
    assert procore.get(USERS, params=parameters, extensions=BREAKS_CONTRACT).status_code == 400


def test_an_edited_user_shows_as_person_too(procore: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.state.edit_user(8800101, last_name="Ortiz", is_active=False)
    assert procore.get(INACTIVE_USERS).json()[0]["name"] == "Maria Ortiz"
    assert ids(procore.get(INACTIVE_PEOPLE)) == [25130001, 25130003, 25130005]
    assert procore.get(INACTIVE_PEOPLE).json()[0]["last_name"] == "Ortiz"


def test_an_email_may_be_taken_away(procore: httpx.Client, sandbox: RunningSandbox) -> None:
    sandbox.state.edit_user(8800101, email_address=None)
    assert procore.get(USERS).json()[0]["email_address"] is None
    assert "email_address" not in procore.get(f"{USERS}/8800101").json()


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [25130001, 25130002, 25130004]),
        ({"filters[is_employee]": "true"}, [25130001, 25130004]),
        ({"filters[is_employee]": "false"}, [25130002]),
        ({"filters[without_reference_users]": "true"}, [25130001, 25130002]),
        ({"filters[reference_users_only]": "true"}, [25130004]),
        ({"filters[search]": "priya nair"}, [25130004]),
        ({"filters[search]": "(512) 555-0101"}, [25130001]),
        ({"filters[vendor_id][]": 19170001}, [25130001, 25130002]),
    ],
)
def test_people_are_filtered(
    procore: httpx.Client, parameters: dict[str, str | int], expected: list[int]
) -> None:
    """The search knows phone numbers here; only users have a vendor."""
    assert ids(procore.get(PEOPLE, params=parameters)) == expected


def test_the_extended_view_of_people_has_more(procore: httpx.Client) -> None:
    normal, extended = (
        procore.get(PEOPLE, params={"view": view}).json()[0] for view in ("normal", "extended")
    )
    assert "mobile_phone" not in normal
    assert (extended["mobile_phone"], extended["reference_user"]) == ("(512) 555-0101", False)


def test_a_created_contact_is_a_person_without_a_user(procore: httpx.Client, sandbox: RunningSandbox) -> None:
    answer = create(
        procore,
        first_name="Ravi",
        is_employee=True,
        employee_id="9",
        origin_id="sb:1",
        work_classification_id=57801,
    )
    contact = answer.json()
    assert answer.status_code == 201
    assert contact["id"] >= 2**33
    assert contact["user_id"] is None
    assert contact["contact"] == {"is_active": True, "email": None}
    assert (contact["name"], contact["is_employee"], contact["origin_id"]) == ("Ravi Nair", True, "sb:1")
    assert contact in procore.get(PEOPLE).json()
    assert contact["id"] in {person["id"] for person in sandbox.state.people()}


def test_a_contact_is_no_employee_unless_it_says_so(procore: httpx.Client) -> None:
    assert create(procore).json()["is_employee"] is False


def test_an_inactive_contact_is_listed_apart(procore: httpx.Client) -> None:
    assert create(procore, active=False).json()["id"] in ids(procore.get(INACTIVE_PEOPLE))


@pytest.mark.parametrize(
    ("body", "status", "errors"),
    [
        ({}, 400, None),
        ({"person": {}}, 400, None),
        ({"person": {"first_name": "Ravi"}}, 422, {"last_name": ["can't be blank"]}),
        ({"person": {"last_name": "N", "is_employee": "yes"}}, 422, {"is_employee": ["is invalid"]}),
    ],
)
def test_a_contact_that_breaks_the_contract_is_refused(
    procore: httpx.Client,
    sandbox: RunningSandbox,
    body: dict[str, object],
    status: int,
    errors: dict[str, list[str]] | None,
) -> None:
    answer = procore.post(PEOPLE, json=body, extensions=BREAKS_CONTRACT)
    assert (answer.status_code, answer.json().get("errors")) == (status, errors)
    assert len(sandbox.state.people()) == 5


def test_an_unknown_classification_is_refused(procore: httpx.Client) -> None:
    answer = create(procore, work_classification_id=1)
    assert (answer.status_code, answer.json()) == (
        422,
        {"errors": {"work_classification_id": ["is invalid"]}},
    )


def test_phone_and_email_cannot_be_written_on_a_person(procore: httpx.Client) -> None:
    body = {"person": {"last_name": "Nair", "mobile_phone": "1", "email": "a@example.com"}}
    contact = procore.post(PEOPLE, params={"view": "extended"}, json=body, extensions=BREAKS_CONTRACT).json()
    assert (contact["mobile_phone"], contact["email"]) == (None, None)


def test_an_origin_id_is_taken_once(procore: httpx.Client) -> None:
    answer = create(procore, origin_id="sb:known")
    assert (answer.status_code, answer.json()) == (422, {"errors": {"origin_id": ["has already been taken"]}})


def test_origin_ids_may_repeat_where_procore_does_not_mind(
    run: Callable[..., RunningSandbox], procore_of: Callable[[RunningSandbox], httpx.Client]
) -> None:
    assert create(procore_of(run(unique_origin_ids=False)), origin_id="sb:known").status_code == 201


def test_an_updated_person_keeps_what_is_absent(procore: httpx.Client) -> None:
    body = {"person": {"last_name": "Nair-Rao", "work_classification_id": 57801}}
    answer = procore.patch(f"{PEOPLE}/25130004", json=body)
    person = answer.json()
    assert answer.status_code == 200
    assert (person["name"], person["work_classification_id"]) == ("Priya Nair-Rao", 57801)
    assert (person["origin_id"], person["employee_id"]) == ("sb:known", "20304")


def test_an_update_of_a_person_changes_the_user(procore: httpx.Client) -> None:
    body = {"person": {"last_name": "Ortiz", "employee_id": "555"}}
    procore.patch(f"{PEOPLE}/25130001", json=body)
    user = procore.get(f"{USERS}/8800101").json()
    assert (user["name"], user["employee_id"]) == ("Maria Ortiz", "555")


def test_an_update_needs_the_last_name(procore: httpx.Client) -> None:
    body = {"person": {"employee_id": "5"}}
    answer = procore.patch(f"{PEOPLE}/25130004", json=body, extensions=BREAKS_CONTRACT)
    assert (answer.status_code, answer.json()) == (422, {"errors": {"last_name": ["can't be blank"]}})


def test_an_unknown_person_is_not_found(procore: httpx.Client) -> None:
    assert procore.patch(f"{PEOPLE}/1", json={"person": {"last_name": "X"}}).status_code == 404
