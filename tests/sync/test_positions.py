"""Sync Classifications: each Procore classification is one SmartBarrel position, and users have theirs."""

from collections.abc import Callable

import httpx
import pytest

from consumer.exceptions import Transient
from consumer.model.settings import CompanySettings
from tests.sync.conftest import Office
from tests.upstream.site import COMPANY, Json, classification, position, position_id


SYNCED = CompanySettings(COMPANY, sync_classifications=True)
CARPENTER = 57801
OpenOffice = Callable[..., Office]


def positions(office: Office) -> list[Json]:
    """SmartBarrel's positions, by name, without their ids."""
    known = [
        {name: one[name] for name in ("name", "code", "external_id", "status")}
        for one in office.site.state.positions()
    ]
    return sorted(known, key=lambda one: str(one["name"]))


def as_position(name: str, number: int, code: str | None = None) -> Json:
    return {"name": name, "code": code, "external_id": f"procore:{57800 + number}", "status": "active"}


def linked(number: int) -> Json:
    return {"external_id": f"procore:{57800 + number}"}


def sync_all(office: Office) -> int:
    return office.site.run(office.company.positions.sync_all())


# ------------------------------------------------------------------ all of them


def test_every_classification_becomes_a_position_whether_or_not_somebody_has_it(
    open_office: OpenOffice,
) -> None:
    given = [classification(1, "Carpenter", abbreviation="CARP"), classification(2, "Laborer")]
    office = open_office(SYNCED, classifications=given)
    assert sync_all(office) == 2
    assert positions(office) == [as_position("Carpenter", 1, "CARP"), as_position("Laborer", 2)]


def test_a_second_sync_of_the_same_classifications_sends_nothing(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    sync_all(office)
    office.restart(lose_links=True)
    before = len(office.site.writes())
    assert (sync_all(office), len(office.site.writes())) == (0, before)


@pytest.mark.parametrize("name", ["CARPENTER", "carpenter", " Carpenter"])
def test_a_position_of_the_same_name_is_linked_whatever_its_case_and_keeps_its_name(
    open_office: OpenOffice, name: str
) -> None:
    office = open_office(
        SYNCED, classifications=[classification(1, "Carpenter")], positions=[position(7, name)]
    )
    assert sync_all(office) == 1
    assert positions(office) == [as_position(name, 1)]


def test_a_position_follows_its_classifications_name(open_office: OpenOffice) -> None:
    known = position(7, "Carpenter", external_id="procore:57801")
    office = open_office(SYNCED, classifications=[classification(1, "Joiner")], positions=[known])
    assert sync_all(office) == 1
    assert positions(office) == [as_position("Joiner", 1)]


def test_the_former_name_of_a_renamed_position_is_free_for_a_new_classification(
    open_office: OpenOffice,
) -> None:
    known = position(7, "Carpenter", external_id="procore:57801")
    office = open_office(
        SYNCED,
        classifications=[classification(1, "Joiner"), classification(3, "Carpenter")],
        positions=[known],
    )
    assert sync_all(office) == 2
    assert positions(office) == [as_position("Carpenter", 3), as_position("Joiner", 1)]
    assert sync_all(office) == 0


def test_a_name_that_another_position_has_is_not_taken_from_it(open_office: OpenOffice) -> None:
    known = [position(7, "Carpenter", external_id="procore:57801"), position(8, "Joiner")]
    office = open_office(SYNCED, classifications=[classification(1, "Joiner")], positions=known)
    assert sync_all(office) == 0
    assert [one["name"] for one in positions(office)] == ["Carpenter", "Joiner"]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_classifications_that_have_swapped_their_names_swap_those_of_their_positions(
    open_office: OpenOffice, count: int
) -> None:
    numbers = range(1, count + 1)
    office = open_office(
        SYNCED,
        classifications=[classification(one, f"Trade {one % count}") for one in numbers],
        positions=[position(one, f"Trade {one - 1}", **linked(one)) for one in numbers],
    )
    assert sync_all(office) == count
    after = {one["id"]: one["name"] for one in office.site.state.positions()}
    assert after == {position_id(one): f"Trade {one % count}" for one in numbers}
    assert sync_all(office) == 0


def test_a_name_that_its_position_leaves_in_the_same_sync_is_taken(open_office: OpenOffice) -> None:
    known = [
        position(7, "Carpenter", external_id="procore:57801"),
        position(8, "Joiner", external_id="procore:57802"),
    ]
    office = open_office(
        SYNCED, classifications=[classification(1, "Joiner"), classification(2, "Mason")], positions=known
    )
    assert sync_all(office) == 2
    assert positions(office) == [as_position("Joiner", 1), as_position("Mason", 2)]
    assert len(office.site.writes()) == 2


def test_a_swap_that_broke_off_is_ended_by_the_next_sync(open_office: OpenOffice) -> None:
    known = [
        position(7, "Carpenter", external_id="procore:57801"),
        position(8, "Joiner", external_id="procore:57802"),
    ]
    office = open_office(
        SYNCED, classifications=[classification(1, "Joiner"), classification(2, "Carpenter")], positions=known
    )
    for lost in (position_id(7), position_id(8)):
        office.site.lose_answer("PATCH", lost)
        with pytest.raises(Transient):
            sync_all(office)
        office.restart()
    sync_all(office)
    assert positions(office) == [as_position("Carpenter", 2), as_position("Joiner", 1)]


def test_an_inactive_position_of_a_classification_is_active_again(open_office: OpenOffice) -> None:
    known = position(7, "Carpenter", status="inactive")
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")], positions=[known])
    sync_all(office)
    assert positions(office) == [as_position("Carpenter", 1)]


def test_two_classifications_of_one_name_share_the_position_of_the_first(open_office: OpenOffice) -> None:
    """Names may repeat in Procore, and must not in SmartBarrel."""
    office = open_office(
        SYNCED, classifications=[classification(1, "Carpenter"), classification(2, "carpenter")]
    )
    assert sync_all(office) == 1
    assert positions(office) == [as_position("Carpenter", 1)]


def test_a_position_of_a_classification_that_is_gone_is_linked_to_the_one_that_took_its_name(
    open_office: OpenOffice,
) -> None:
    known = position(7, "Carpenter", external_id="procore:57899")
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")], positions=[known])
    sync_all(office)
    assert positions(office) == [as_position("Carpenter", 1)]


def test_positions_that_are_no_classification_stay_as_they_are(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, positions=[position(7, "Flagger", status="inactive")])
    assert (sync_all(office), office.site.writes()) == (0, [])


def test_a_position_whose_answer_is_lost_is_not_made_twice(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    office.site.lose_answer("POST", "/positions")
    with pytest.raises(Transient):
        sync_all(office)
    sync_all(office)
    assert positions(office) == [as_position("Carpenter", 1)]


def test_a_position_that_somebody_else_makes_meanwhile_is_taken(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    office.site.run(office.company.positions.plan(CARPENTER))
    other = Office(office.site, SYNCED)
    other.site.run(other.company.smartbarrel.create_position({"name": "CARPENTER"}, "by-hand"))
    assert sync_all(office) == 1
    assert positions(office) == [as_position("CARPENTER", 1)]


def test_a_classification_that_smartbarrel_refuses_holds_up_no_other(open_office: OpenOffice) -> None:
    office = open_office(
        SYNCED, classifications=[classification(1, "Carpenter"), classification(2, "Laborer")]
    )
    server = office.site.wire.servers["smartbarrel.test"]
    refused: list[httpx.Request] = []

    async def refuse_carpenters(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and b"Carpenter" in request.content:
            refused.append(request)
            error = {"code": "invalid", "message": "No", "fields": [{"field": "name", "message": "No"}]}
            return httpx.Response(422, json={"error": error})
        return await server.handle_async_request(request)

    office.site.wire.servers["smartbarrel.test"] = httpx.MockTransport(refuse_carpenters)
    assert sync_all(office) == 1
    assert len(refused) == 1
    assert positions(office) == [as_position("Laborer", 2)]
