"""Shifts that move to where Procore has not all that its time card keeps.

Procore's API documents no way to take a code or a classification off a time card.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from consumer.model.events import Named
from consumer.model.results import Outcome
from tests.sync.booked import MARIA, entries, marias
from tests.sync.conftest import Office
from tests.sync.people import priya, shift
from tests.upstream.site import TOWER, YARD, Json, classification, position_id


OpenOffice = Callable[..., Office]
BARE: Json = {"cost_code_segment_1": None, "cost_code_segment_2": None}
CARPENTER = priya(position=Named(position_id(7), "Carpenter"))
LABORER = priya(position=Named(position_id(8), "Laborer"))


def classified(office: Office) -> list[Any]:
    """Project and classification of each entry."""
    found = office.site.state.timecard_entries()
    return [(entry["project_id"], entry["work_classification_id"]) for entry in found]


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({"cost_code_segment_2": None}, BARE | {"procore_project_id": YARD}, "sub job"),
        ({}, BARE | {"procore_project_id": YARD}, "sub job and cost code"),
        (BARE | {"location": "North"}, BARE | {"procore_project_id": YARD}, "location"),
        ({}, {"cost_code_segment_1": "FL2", "cost_code_segment_2": None}, "cost code"),
    ],
    ids=["sub job", "both", "location", "within the project"],
)
def test_a_time_card_that_cannot_go_along_because_of_what_it_keeps_says_what_to_move_by_hand(
    office: Office, before: Json, after: Json, named: str
) -> None:
    """Procore's own words stand beside ours."""
    office.sync(marias(**before))
    held = entries(office)
    handled = office.sync(marias(revision=2, **after))
    assert (handled.outcome, [reason.code for reason in handled.reasons]) == (Outcome.FAILED, ["codes_kept"])
    (reason,) = handled.reasons
    assert f"keeps its {named}," in reason.message
    assert "is not available on this" in (reason.upstream or "")
    assert entries(office) == held


def test_a_refusal_that_has_nothing_to_do_with_what_is_kept_stays_procores_own(office: Office) -> None:
    office.sync(marias())
    moved = marias(revision=2, **BARE, total_hours=Decimal(25))
    with pytest.raises(Exception, match="updateTimecardEntry") as refused:
        office.sync(moved)
    assert refused.value.words == ("hours must be less than or equal to 24",)  # type: ignore[attr-defined]


@pytest.mark.parametrize("worker", [priya(), LABORER], ids=["no position", "another position"])
def test_a_classification_that_a_time_card_keeps_is_put_on_its_new_project(
    open_office: OpenOffice, worker: Any
) -> None:
    both = [classification(1, "Carpenter", TOWER), classification(2, "Laborer", YARD)]
    office = open_office(classifications=both)
    office.sync(shift(worker=CARPENTER, **BARE))
    moved = shift(revision=2, worker=worker, procore_project_id=YARD, **BARE)
    plan = office.site.run(office.timesheets.plan(moved))
    assert "put the company's classifications on the project" in [step.words for step in plan.steps]  # type: ignore[union-attr]
    handled = office.sync(moved)
    assert handled.outcome is Outcome.UPDATED
    assert classified(office) == [(YARD, 57802 if worker is LABORER else 57801)]


def test_a_new_project_that_does_not_take_the_kept_classification_is_told(open_office: OpenOffice) -> None:
    office = open_office(classifications=[classification(1, "Carpenter", TOWER)])
    office.sync(shift(worker=CARPENTER, **BARE))
    server = office.site.wire.servers["procore.test"]

    async def refuse_imports(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/initial_setup"):
            return httpx.Response(422, json={"errors": {"base": ["has been set up already"]}})
        return await server.handle_async_request(request)

    office.site.wire.servers["procore.test"] = httpx.MockTransport(refuse_imports)
    handled = office.sync(shift(revision=2, procore_project_id=YARD, **BARE))
    assert handled.outcome is Outcome.FAILED
    assert [reason.code for reason in handled.reasons] == ["classification_not_on_project"]
    assert classified(office) == [(TOWER, 57801)]


def test_a_time_card_whose_codes_are_replaced_moves(office: Office) -> None:
    office.sync(marias(cost_code_segment_2=None))
    moved = marias(2, procore_project_id=YARD, cost_code_segment_1="YD", cost_code_segment_2=None)
    assert office.sync(moved).outcome is Outcome.UPDATED
    assert [(entry["project_id"], entry["party_id"]) for entry in entries(office)] == [(YARD, MARIA)]
