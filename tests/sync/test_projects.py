"""Procore's projects are found by id, and read again for one that is missing; then its shifts say so."""

from typing import Any

import pytest

from consumer.engine.handler import Handled
from consumer.exceptions import NotFound
from consumer.model import reasons
from consumer.model.events import Named
from consumer.model.results import Outcome
from consumer.sync.projects import Projects
from consumer.upstream.procore_answers import Project
from tests.sync.booked import contacts, marias
from tests.sync.conftest import Office
from tests.sync.people import priya, shift
from tests.upstream.site import TOWER, YARD, Json, Site, position_id


def reads(site: Site) -> int:
    return sum(request.url.path.endswith("/projects") for request in site.wire.seen)


def test_a_project_is_found_by_its_id_and_all_are_read_once(site: Site) -> None:
    projects = Projects(site.procore)
    assert site.run(projects.get(TOWER)) == Project(TOWER, "Harbor Point Tower", None)
    yard = site.run(projects.get(YARD))
    assert yard is not None
    assert (yard.name, reads(site)) == ("Yard", 1)


def test_for_a_project_that_is_missing_the_list_is_read_again_but_not_at_once(site: Site) -> None:
    now = 1000.0
    projects = Projects(site.procore, lambda: now)
    for seconds, expected in ((0, 1), (59, 1), (2, 2)):
        now += seconds
        assert (site.run(projects.get(1)), reads(site)) == (None, expected)


def test_after_renew_the_projects_are_read_again(site: Site) -> None:
    projects = Projects(site.procore)
    site.run(projects.get(TOWER))
    projects.renew()
    site.run(projects.get(TOWER))
    assert reads(site) == 2


def test_a_project_is_gone_that_was_not_listed_within_the_last_minute(site: Site) -> None:
    now = 1000.0
    projects = Projects(site.procore, lambda: now)
    for seconds, expected in ((0, 1), (59, 1), (2, 2)):
        now += seconds
        assert (site.run(projects.is_gone(1)), site.run(projects.is_gone(TOWER))) == (True, False)
        assert reads(site) == expected


# ------------------------------------------------------------------ shifts on a project that is not there


BARE: Json = {"cost_code_segment_1": None, "cost_code_segment_2": None}
POSITION = Named(position_id(7), "Carpenter")


@pytest.mark.parametrize(
    "fields",
    [{}, BARE, BARE | {"location": "North"}, BARE | {"worker": priya(position=POSITION)}],
    ids=["codes", "no codes", "a location", "a position"],
)
def test_a_shift_on_a_project_that_procore_does_not_show_names_it_and_makes_nobody(
    office: Office, fields: Json
) -> None:
    event = shift(procore_project_id=999999, **fields)
    plan = office.site.run(office.timesheets.plan(event))
    assert isinstance(plan, Handled)
    handled = office.sync(event)
    assert (handled.outcome, handled.reasons) == (plan.outcome, plan.reasons)
    (reason,) = handled.reasons
    assert handled.outcome is Outcome.FAILED
    assert (reason.code, reason.message) == (
        "project_not_found",
        reasons.project_not_found("Harbor Point Tower").message,
    )
    assert contacts(office) == []
    assert office.site.writes() == []


def test_a_project_that_was_hidden_since_its_codes_were_read_is_named(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.sync(marias())
    hide(office, monkeypatch)
    handled = office.sync(marias(number=2))
    assert [reason.code for reason in handled.reasons] == ["project_not_found"]
    again = office.sync(marias(number=2))
    assert [reason.code for reason in again.reasons] == ["project_not_found"]


def test_what_is_not_found_on_a_project_that_procore_shows_fails_in_procores_words(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(office, monkeypatch)
    with pytest.raises(NotFound):
        office.sync(marias())


def refuse(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def not_found(*_: Any) -> None:
        await office.site.procore.probe()
        raise NotFound("procore", "createTimecardEntry", 404, ("Not found",))

    monkeypatch.setattr(office.company.procore, "create_timecard", not_found)


def hide(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def none() -> list[object]:
        await office.site.procore.probe()
        return []

    refuse(office, monkeypatch)
    monkeypatch.setattr(office.company.procore, "projects", none)
