"""The position of a user's own classification, for as long as the company syncs classifications."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from consumer.exceptions import Transient
from consumer.model import reasons
from consumer.model.links import LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.sync.conftest import Office
from tests.sync.people import another_user, maria
from tests.sync.test_positions import CARPENTER, SYNCED, as_position, positions, sync_all
from tests.upstream.site import COMPANY, classification, position, position_id, worker


OpenOffice = Callable[..., Office]


def position_of(office: Office, number: int = 0) -> str | None:
    """The name of a worker's position."""
    wanted = office.site.state.workers()[number]["position_id"]
    names = {one["id"]: str(one["name"]) for one in office.site.state.positions()}
    return None if wanted is None else names[wanted]


def test_a_new_worker_has_the_position_of_the_users_classification(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    handled = office.sync(maria(work_classification_id=CARPENTER))
    assert (handled.outcome, handled.warnings) == (Outcome.CREATED, ())
    assert position_of(office) == "Carpenter"
    (made,) = office.site.state.positions()
    link = office.links.get(LinkKey(COMPANY, LinkKind.POSITION, made["id"]))
    assert link is not None
    assert link.target_id == str(CARPENTER)


def test_fifty_new_workers_of_one_classification_make_one_position(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, users=[], people=[], classifications=[classification(1, "Carpenter")])
    users = [another_user(number, work_classification_id=CARPENTER) for number in range(1, 51)]

    async def all_at_once() -> list[Any]:
        return list(await asyncio.gather(*map(office.handle, users)))

    outcomes = {handled.outcome for handled in office.site.run(all_at_once())}
    assert outcomes == {Outcome.CREATED}
    assert positions(office) == [as_position("Carpenter", 1)]
    assert sum(one.path.endswith("/positions") for one in office.site.writes()) == 1
    assert {one["position_id"] for one in office.site.state.workers()} == {
        office.site.state.positions()[0]["id"]
    }


def test_a_changed_classification_changes_the_position(open_office: OpenOffice) -> None:
    both = [classification(1, "Carpenter"), classification(2, "Laborer")]
    office = open_office(SYNCED, classifications=both)
    office.sync(maria(work_classification_id=CARPENTER))
    handled = office.sync(maria(minutes=5, work_classification_id=57802))
    assert (handled.outcome, position_of(office)) == (Outcome.UPDATED, "Laborer")


def test_a_classification_taken_away_takes_the_position_away(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    office.sync(maria(work_classification_id=CARPENTER))
    handled = office.sync(maria(minutes=5))
    assert (handled.outcome, position_of(office)) == (Outcome.UPDATED, None)


def test_without_sync_classifications_nobodys_position_is_touched(open_office: OpenOffice) -> None:
    theirs = worker(7, "Maria", "Delgado", payroll_id="20301", position_id=position_id(7))
    office = open_office(
        classifications=[classification(1, "Carpenter")], positions=[position(7, "Flagger")], workers=[theirs]
    )
    office.sync(maria(work_classification_id=CARPENTER))
    assert position_of(office) == "Flagger"
    assert len(positions(office)) == 1


def test_a_worker_whose_position_is_right_already_is_only_linked(open_office: OpenOffice) -> None:
    theirs = worker(
        7,
        "Maria",
        "Delgado",
        email="maria.delgado@example.com",
        phone_number="+15125550101",
        payroll_id="20301",
        external_id="procore:8800101",
        position_id=position_id(7),
    )
    known = position(7, "Carpenter", external_id="procore:57801")
    office = open_office(
        SYNCED, classifications=[classification(1, "Carpenter")], positions=[known], workers=[theirs]
    )
    handled = office.sync(maria(work_classification_id=CARPENTER))
    assert (handled.outcome, office.site.writes()) == (Outcome.UNCHANGED, [])


def test_a_classification_that_procore_does_not_list_is_warned_of_until_it_does_and_nothing_is_sent(
    open_office: OpenOffice,
) -> None:
    office = open_office(SYNCED, classifications=[])
    user = {"work_classification_id": 57801}
    first, second = office.sync(maria(**user)), office.sync(maria(minutes=5, **user))
    assert (first.outcome, second.outcome) == (Outcome.CREATED, Outcome.UNCHANGED)
    for handled in (first, second):
        assert [warning.code for warning in handled.warnings] == ["classification_unknown"]
    assert (len(office.site.writes()), position_of(office)) == (1, None)
    office.site.put_classification(classification(1, "Carpenter"))
    office.restart()
    third = office.sync(maria(minutes=10, **user))
    assert (third.outcome, third.warnings, position_of(office)) == (Outcome.UPDATED, (), "Carpenter")


def test_a_user_who_is_as_they_were_costs_no_request_while_their_classification_was_read_just_now(
    open_office: OpenOffice,
) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    office.sync(maria(work_classification_id=CARPENTER))
    before = len(office.site.wire.seen)
    for minutes in (5, 10):
        assert office.sync(maria(minutes, work_classification_id=CARPENTER)).outcome is Outcome.UNCHANGED
    assert len(office.site.wire.seen) == before
    assert office.users.at_once(maria(15, work_classification_id=CARPENTER)) is not None
    office.restart()
    again = maria(minutes=20, work_classification_id=CARPENTER)
    assert office.users.at_once(again) is None
    assert office.sync(again).outcome is Outcome.UNCHANGED
    assert [one.method for one in office.site.wire.seen[before:] if "oauth" not in one.url.path] == [
        "GET"
    ] * 2


def test_a_classification_that_shared_a_position_and_was_renamed_gives_its_people_its_own(
    open_office: OpenOffice,
) -> None:
    both = [classification(1, "Carpenter"), classification(2, "carpenter")]
    office = open_office(SYNCED, classifications=both)
    sync_all(office)
    office.sync(maria(work_classification_id=57802))
    office.site.put_classification(classification(2, "Joiner"))
    office.restart()
    sync_all(office)
    handled = office.sync(maria(minutes=5, work_classification_id=57802))
    assert (handled.outcome, position_of(office)) == (Outcome.UPDATED, "Joiner")


def test_positions_are_left_as_they_are_and_nothing_is_sent_once_the_setting_is_off(
    open_office: OpenOffice,
) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    office.sync(maria(work_classification_id=CARPENTER))
    office.sync(another_user(2))
    office.settings = CompanySettings(COMPANY)
    office.restart()
    before = len(office.site.wire.seen)
    outcomes = [
        office.sync(maria(minutes=5, work_classification_id=CARPENTER)).outcome,
        office.sync(another_user(2)).outcome,
    ]
    assert (outcomes, len(office.site.wire.seen)) == ([Outcome.UNCHANGED] * 2, before)
    assert {position_of(office, number) for number in (0, 1)} == {"Carpenter", None}


def test_positions_are_compared_anew_once_the_setting_is_on_again(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    office.sync(maria(work_classification_id=CARPENTER))
    for minutes, settings in ((5, CompanySettings(COMPANY)), (10, SYNCED)):
        (theirs,) = office.site.state.workers()
        office.site.state.edit_worker(theirs["id"], position_id=None)
        office.settings = settings
        office.restart()
        office.sync(maria(minutes, work_classification_id=CARPENTER))
    assert position_of(office) == "Carpenter"


def refuse_positions(office: Office) -> list[httpx.Request]:
    """Let SmartBarrel refuse all new positions from now on; those requests come into the list."""
    server = office.site.wire.servers["smartbarrel.test"]
    refused: list[httpx.Request] = []

    async def refuse(request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/positions"):
            refused.append(request)
            words = "Name is not valid"
            error = {"code": "invalid", "message": words, "fields": [{"field": "name", "message": words}]}
            return httpx.Response(422, json={"error": error})
        return await server.handle_async_request(request)

    office.site.wire.servers["smartbarrel.test"] = httpx.MockTransport(refuse)
    return refused


def test_a_person_whose_position_is_refused_is_synced_without_it_and_told_why_each_time(
    open_office: OpenOffice,
) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    server = office.site.wire.servers["smartbarrel.test"]
    refused = refuse_positions(office)
    expected = (replace(reasons.position_refused("Carpenter"), upstream="Name is not valid"),)
    for minutes, outcome in ((0, Outcome.CREATED), (5, Outcome.UNCHANGED)):
        handled = office.sync(maria(minutes, work_classification_id=CARPENTER))
        assert (handled.outcome, handled.warnings) == (outcome, expected)
    assert (len(office.site.state.workers()), position_of(office)) == (1, None)
    assert len(refused) == 1, "many may have it, so nobody asks again for some minutes"
    office.site.wire.servers["smartbarrel.test"] = server
    office.restart()
    handled = office.sync(maria(minutes=10, work_classification_id=CARPENTER))
    assert (handled.outcome, handled.warnings, position_of(office)) == (Outcome.UPDATED, (), "Carpenter")


def test_the_deduction_from_a_lost_worker_creation_holds_with_a_position(open_office: OpenOffice) -> None:
    office = open_office(SYNCED, classifications=[classification(1, "Carpenter")])
    office.site.lose_answer("POST", "/workers")
    with pytest.raises(Transient):
        office.sync(maria(work_classification_id=CARPENTER))
    office.restart(lose_links=True)
    handled = office.sync(maria(work_classification_id=CARPENTER))
    assert handled.outcome in {Outcome.CREATED, Outcome.UNCHANGED}
    assert len(office.site.state.workers()) == len(positions(office)) == 1
