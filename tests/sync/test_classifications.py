"""A worker's position is a classification on the time card: of contacts, and of all without user sync."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from consumer.exceptions import Transient
from consumer.model.events import Named
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.sync.booked import MARIAS, entries, entry_id
from tests.sync.conftest import Office
from tests.sync.people import priya, shift
from tests.upstream.site import (
    COMPANY,
    TOWER,
    YARD,
    Json,
    classification,
    position,
    position_id,
    worker_id,
)


OpenOffice = Callable[..., Office]
CARPENTER = Named(position_id(7), "CARPENTER")
THEIRS = priya(position=CARPENTER)
UNSYNCED = CompanySettings(COMPANY, user_sync=False)


def on_entries(office: Office) -> list[str | None]:
    """The classification of each entry, by name."""
    names = {one["id"]: str(one["name"]) for one in office.site.state.work_classifications()}
    return [
        None if one["work_classification_id"] is None else names[one["work_classification_id"]]
        for one in office.site.state.timecard_entries()
    ]


def company_classifications(office: Office) -> list[tuple[str, list[int]]]:
    """Name, and the projects on which it is active."""
    return [(one["name"], one["active_project_ids"]) for one in office.site.state.work_classifications()]


def writes(office: Office) -> list[str]:
    return [f"{one.method} {one.path.rsplit('/', 1)[-1]}" for one in office.site.writes()]


# ------------------------------------------------------------------ found or made, and enabled


def test_a_contacts_position_is_found_by_its_name_and_put_on_the_entry_by_the_bulk_update(
    open_office: OpenOffice,
) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    handled = office.sync(shift(worker=THEIRS))
    assert handled.outcome is Outcome.CREATED
    assert on_entries(office) == ["Carpenter"]
    assert writes(office) == ["POST people", "POST timecard_entries", "PATCH timesheets"]


def test_a_position_without_a_classification_makes_one_which_is_linked_at_once(
    open_office: OpenOffice,
) -> None:
    office = open_office(positions=[position(7, "CARPENTER")])
    office.sync(shift(worker=THEIRS))
    assert on_entries(office) == ["CARPENTER"]
    assert company_classifications(office) == [("CARPENTER", [TOWER])]
    (made,) = office.site.state.work_classifications()
    link = office.links.get(LinkKey(COMPANY, LinkKind.POSITION, position_id(7)))
    assert link is not None
    assert link.target_id == str(made["id"])
    assert [one["external_id"] for one in office.site.state.positions()] == [f"procore:{made['id']}"]


def test_sync_classifications_finds_the_position_of_a_classification_that_was_made_of_it(
    open_office: OpenOffice,
) -> None:
    office = open_office(positions=[position(7, "CARPENTER")])
    office.sync(shift(worker=THEIRS))
    before = office.site.state.positions()
    office.restart()
    assert office.site.run(office.company.positions.sync_all()) == 0
    assert office.site.state.positions() == before


def test_a_classification_is_made_even_if_smartbarrel_cannot_be_told(open_office: OpenOffice) -> None:
    office = open_office()
    office.site.wire.servers["smartbarrel.test"] = httpx.MockTransport(lambda _: httpx.Response(403))
    handled = office.sync(shift(worker=THEIRS))
    assert (handled.outcome, on_entries(office)) == (Outcome.CREATED, ["CARPENTER"])


def test_an_inactive_classification_is_activated_on_the_project(open_office: OpenOffice) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER, YARD)])
    office.site.run(office.company.procore.project_classifications(TOWER))
    office.site.deactivate_classification(TOWER, 57801)
    office.sync(shift(worker=THEIRS))
    assert on_entries(office) == ["Carpenter"]
    assert company_classifications(office) == [("Carpenter", [TOWER, YARD])]
    assert "PATCH 57801" in writes(office)


def test_a_classification_that_the_project_lacks_is_imported(open_office: OpenOffice) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", YARD)])
    office.sync(shift(worker=THEIRS))
    assert on_entries(office) == ["Carpenter"]
    assert "POST initial_setup" in writes(office)


def test_a_project_that_refuses_the_classification_fails_the_shift_and_books_nothing(
    open_office: OpenOffice,
) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", YARD)])
    server = office.site.wire.servers["procore.test"]

    async def refuse_imports(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/initial_setup"):
            return httpx.Response(422, json={"errors": {"base": ["has been set up already"]}})
        return await server.handle_async_request(request)

    office.site.wire.servers["procore.test"] = httpx.MockTransport(refuse_imports)
    handled = office.sync(shift(worker=THEIRS))
    assert handled.outcome is Outcome.FAILED
    assert [reason.code for reason in handled.reasons] == ["classification_not_on_project"]
    assert entries(office) == []


def test_the_oldest_of_two_classifications_of_one_name_is_taken(open_office: OpenOffice) -> None:
    both = [classification(2, "carpenter", TOWER), classification(1, "Carpenter", TOWER)]
    office = open_office(classifications=both)
    office.sync(shift(worker=THEIRS))
    assert on_entries(office) == ["Carpenter"]


def test_a_linked_position_keeps_its_classification_whatever_it_is_called_now(
    open_office: OpenOffice,
) -> None:
    office = open_office(classifications=[classification(1, "Joiner", TOWER)])
    office.link(Link(COMPANY, LinkKind.POSITION, position_id(7), "57801", 1, ""))
    office.sync(shift(worker=THEIRS))
    assert on_entries(office) == ["Joiner"]


def test_a_link_to_a_classification_that_is_gone_is_not_followed(open_office: OpenOffice) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    office.link(Link(COMPANY, LinkKind.POSITION, position_id(7), "57899", 1, ""))
    office.sync(shift(worker=THEIRS))
    assert on_entries(office) == ["Carpenter"]


def test_fifty_shifts_of_a_new_position_make_one_classification(open_office: OpenOffice) -> None:
    office = open_office()
    shifts = [
        shift(number=number, worker=priya(id=worker_id(number), position=CARPENTER))
        for number in range(1, 51)
    ]

    async def all_at_once() -> list[Any]:
        return list(await asyncio.gather(*map(office.handle, shifts)))

    assert {handled.outcome for handled in office.site.run(all_at_once())} == {Outcome.CREATED}
    assert company_classifications(office) == [("CARPENTER", [TOWER])]
    assert set(on_entries(office)) == {"CARPENTER"}
    assert len(office.site.state.people()) == 51


# ------------------------------------------------------------------ who gets one


def test_a_synced_user_keeps_procores_own(open_office: OpenOffice) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    office.sync(shift(worker=replace(MARIAS, position=CARPENTER)))
    assert on_entries(office) == [None]
    assert "PATCH timesheets" not in writes(office)


def test_without_user_sync_a_user_gets_the_positions_too(open_office: OpenOffice) -> None:
    office = open_office(UNSYNCED, classifications=[classification(1, "Carpenter", TOWER)])
    office.sync(shift(worker=replace(MARIAS, position=CARPENTER)))
    assert on_entries(office) == ["Carpenter"]


def test_a_worker_without_a_position_gets_none(office: Office) -> None:
    office.sync(shift())
    assert on_entries(office) == [None]


# ------------------------------------------------------------------ changes, and broken off


def test_a_changed_position_changes_the_classification_and_nothing_else(open_office: OpenOffice) -> None:
    both = [classification(1, "Carpenter", TOWER), classification(2, "Laborer", TOWER)]
    office = open_office(classifications=both)
    office.sync(shift(worker=THEIRS))
    before = len(writes(office))
    laborer = priya(position=Named(position_id(8), "Laborer"))
    handled = office.sync(shift(revision=2, worker=laborer))
    assert (handled.outcome, on_entries(office)) == (Outcome.UPDATED, ["Laborer"])
    assert writes(office)[before:] == ["PATCH timesheets"]


def test_a_position_taken_away_is_told_since_procore_has_no_way_to_take_it_off(
    open_office: OpenOffice,
) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    office.sync(shift(worker=THEIRS))
    handled = office.sync(shift(revision=2))
    assert on_entries(office) == ["Carpenter"]
    assert [warning.code for warning in handled.warnings] == ["left_over"]


def test_a_kill_between_the_two_calls_leaves_an_entry_that_the_next_delivery_completes(
    open_office: OpenOffice,
) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    office.site.lose_answer("PATCH", "/timesheets", after_effect=False)
    with pytest.raises(Transient):
        office.sync(shift(worker=THEIRS))
    assert on_entries(office) == [None]
    office.restart(lose_links=True)
    handled = office.sync(shift(worker=THEIRS))
    assert (handled.outcome, on_entries(office)) == (Outcome.UPDATED, ["Carpenter"])


def test_a_classification_whose_answer_is_lost_is_not_made_twice(open_office: OpenOffice) -> None:
    office = open_office()
    office.site.lose_answer("POST", "/work_classifications")
    with pytest.raises(Transient):
        office.sync(shift(worker=THEIRS))
    office.sync(shift(worker=THEIRS))
    assert [name for name, _ in company_classifications(office)] == ["CARPENTER"]


@pytest.mark.parametrize("status", ["approved", "completed"])
def test_a_locked_entry_gets_no_other_classification(open_office: OpenOffice, status: str) -> None:
    both = [classification(1, "Carpenter", TOWER), classification(2, "Laborer", TOWER)]
    office = open_office(classifications=both)
    office.sync(shift(worker=THEIRS))
    office.site.state.edit_timecard_entry(entry_id(office), approval_status=status)
    before = len(writes(office))
    handled = office.sync(shift(revision=2, worker=priya(position=Named(position_id(8), "Laborer"))))
    assert [reason.code for reason in handled.reasons] == ["locked"]
    assert (on_entries(office), writes(office)[before:]) == (["Carpenter"], [])


def test_a_second_process_with_the_same_wish_uses_the_oldest_classification(
    open_office: OpenOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Procore lets names repeat, so two at one moment may both make one; all use the same from then on."""
    office = open_office()
    make = office.company.procore.create_classification

    async def be_overtaken(fields: Json) -> Any:
        await make(fields)
        return await make(fields)

    monkeypatch.setattr(office.company.procore, "create_classification", be_overtaken)
    office.sync(shift(worker=THEIRS))
    oldest = min(one["id"] for one in office.site.state.work_classifications())
    assert [one["work_classification_id"] for one in office.site.state.timecard_entries()] == [oldest]
