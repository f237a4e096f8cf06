"""Contacts follow their workers, of whom SmartBarrel is the source; users and people made by hand do not."""

from collections.abc import Callable

import httpx
import pytest

from consumer.exceptions import Transient
from consumer.model import reasons
from consumer.model.results import Outcome
from tests.sync.booked import MARIA, contacts, entries
from tests.sync.conftest import Office
from tests.sync.people import priya, shift
from tests.upstream.site import Json, person, worker_id


OpenOffice = Callable[..., Office]
NAMES = ("first_name", "last_name", "employee_id", "is_employee", "origin_id")
PRIYA: Json = {
    "first_name": "Priya",
    "last_name": "Nair",
    "employee_id": None,
    "is_employee": True,
    "origin_id": f"sb:{worker_id(1)}",
}


def named(office: Office) -> list[Json]:
    return [{name: one[name] for name in NAMES} for one in contacts(office)]


def theirs(**fields: object) -> Json:
    """A contact that an earlier sync made of Priya."""
    known = {**PRIYA, "user_id": None, **fields}
    return person(7, "Priya", "Nair", **known)


@pytest.mark.parametrize(
    "change",
    [
        {"first_name": "Priyanka"},
        {"last_name": "Nair-Smith"},
        {"payroll_id": "777"},
    ],
)
def test_a_contact_follows_the_workers_name_and_payroll_id(office: Office, change: Json) -> None:
    office.sync(shift())
    office.sync(shift(number=2, worker=priya(**change)))
    renamed = {("employee_id" if name == "payroll_id" else name): value for name, value in change.items()}
    assert named(office) == [PRIYA | renamed]
    assert len(entries(office)) == 2


def test_a_payroll_id_that_went_missing_clears_no_employee_id(office: Office) -> None:
    office.sync(shift(worker=priya(payroll_id="777")))
    office.sync(shift(number=2))
    assert named(office) == [PRIYA | {"employee_id": "777"}]


def test_a_contact_that_we_made_and_somebody_deactivated_is_active_again(open_office: OpenOffice) -> None:
    contact = theirs(is_employee=False, contact={"is_active": False, "email": None})
    office = open_office(people=[contact])
    office.sync(shift())
    (known,) = contacts(office)
    assert (known["id"], known["is_employee"], known["contact"]["is_active"]) == (contact["id"], True, True)


def test_a_contact_made_by_hand_is_used_as_it_is(open_office: OpenOffice) -> None:
    by_hand = theirs(origin_id=None, employee_id="777", first_name="P.", is_employee=False)
    office = open_office(people=[by_hand])
    office.sync(shift(worker=priya(payroll_id="777")))
    assert named(office) == [
        {**PRIYA, "origin_id": None, "employee_id": "777", "first_name": "P.", "is_employee": False}
    ]
    assert [entry["party_id"] for entry in entries(office)] == [by_hand["id"]]
    assert len(office.site.writes("PATCH")) == 0


@pytest.mark.parametrize("employee_id", ["778", None])
def test_hours_go_to_a_contact_of_the_workers_own_once_the_employee_id_was_another_persons(
    open_office: OpenOffice, employee_id: str | None
) -> None:
    by_hand = theirs(origin_id=None, employee_id="777", first_name="Paul")
    office = open_office(people=[by_hand])
    office.sync(shift(worker=priya(payroll_id="777")))
    office.site.state.edit_person(by_hand["id"], employee_id=employee_id)
    office.restart()
    office.sync(shift(number=2, worker=priya(payroll_id="777")))
    own = next(one for one in contacts(office) if one["id"] != by_hand["id"])
    assert {name: own[name] for name in NAMES} == PRIYA | {"employee_id": "777"}
    assert [entry["party_id"] for entry in entries(office)] == [by_hand["id"], own["id"]]


def test_a_user_is_never_changed(open_office: OpenOffice) -> None:
    office = open_office()
    office.sync(shift(worker=priya(payroll_id="20301")))
    assert [entry["party_id"] for entry in entries(office)] == [MARIA]
    assert office.site.writes("PATCH") == []


def test_a_contact_whose_change_lost_its_answer_is_right_in_the_end(office: Office) -> None:
    office.sync(shift())
    office.site.lose_answer("PATCH", "/people")
    renamed = shift(number=2, worker=priya(last_name="Nair-Smith"))
    with pytest.raises(Transient):
        office.sync(renamed)
    office.sync(renamed)
    assert named(office) == [PRIYA | {"last_name": "Nair-Smith"}]


def test_a_contact_who_was_deleted_in_procore_is_made_anew(office: Office) -> None:
    office.sync(shift())
    office.site.delete_people(contacts(office)[0]["id"])
    handled = office.sync(shift(number=2))
    assert handled.outcome is Outcome.CREATED
    (contact,) = contacts(office)
    assert entries(office)[-1]["party_id"] == contact["id"]
    before = len(office.site.wire.seen)
    office.sync(shift(number=3))
    assert [one.method for one in office.site.wire.seen[before:]] == ["GET", "POST"], "and linked"


def test_a_contact_who_was_deleted_before_a_change_is_made_anew(office: Office) -> None:
    office.sync(shift())
    office.site.delete_people(contacts(office)[0]["id"])
    renamed = shift(number=2, worker=priya(last_name="Nair-Smith"))
    with pytest.raises(Transient):
        office.sync(renamed)
    assert office.sync(renamed).outcome is Outcome.CREATED
    assert named(office) == [PRIYA | {"last_name": "Nair-Smith"}]


def test_a_contact_whom_procore_does_not_let_us_change_is_booked_on_as_they_are_and_that_is_told(
    office: Office,
) -> None:
    """Procore says "not found" where an account has no access, too."""
    office.sync(shift())
    server = office.site.wire.servers["procore.test"]

    async def refuse(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and "/people/" in request.url.path:
            return httpx.Response(404, json={"message": "Not found"})
        return await server.handle_async_request(request)

    office.site.wire.servers["procore.test"] = httpx.MockTransport(refuse)
    handled = office.sync(shift(number=2, worker=priya(last_name="Nair-Smith")))
    assert handled.outcome is Outcome.CREATED
    assert handled.warnings == (reasons.contact_not_changed("Priya Nair-Smith"),)
    assert named(office) == [PRIYA]
    before = len(office.site.wire.seen)
    office.sync(shift(number=3, worker=priya(last_name="Nair-Smith")))
    assert [one.method for one in office.site.wire.seen[before:]] == ["GET", "POST"], "not tried each time"


def test_two_people_with_the_workers_payroll_id_are_named_and_nobody_is_booked_on(
    open_office: OpenOffice,
) -> None:
    twins = [
        theirs(origin_id=None, employee_id="777"),
        person(8, "Ada", "Byron", user_id=None, employee_id="777"),
    ]
    office = open_office(people=twins)
    handled = office.sync(shift(worker=priya(payroll_id="777")))
    assert handled.outcome is Outcome.FAILED
    assert [(reason.code, reason.message) for reason in handled.reasons] == [
        ("employee_id_ambiguous", "Several people in Procore have employee ID 777: Ada Byron, Priya Nair")
    ]
    assert entries(office) == []


def test_spaces_around_a_payroll_id_do_not_hide_whose_it_is(office: Office) -> None:
    office.sync(shift(worker=priya(payroll_id=" 20301")))
    assert (contacts(office), [entry["party_id"] for entry in entries(office)]) == ([], [MARIA])


def test_a_blank_payroll_id_is_none_and_nothing_is_sent_because_of_it(office: Office) -> None:
    office.sync(shift(worker=priya(payroll_id="")))
    office.restart(lose_links=True)
    before = office.site.writes()
    office.sync(shift(worker=priya(payroll_id=" ")))
    assert (named(office), office.site.writes()) == ([PRIYA], before)
