"""A worker whom a newer account of the same person has is not the old account's any more."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from consumer.model.links import Link
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.sync.conftest import Office
from tests.sync.people import maria
from tests.sync.test_users import link_of
from tests.upstream.site import COMPANY, Json


ASKED = CompanySettings(COMPANY, deactivate_workers=True)
NEWER = 8800999
OpenOffice = Callable[..., Office]


def newer(minutes: float = 0, **fields: Any) -> Any:
    """Maria's newer account."""
    return maria(minutes, user_id=NEWER, **fields)


def handed_over(office: Office) -> Link:
    """Let the newer account have the worker of the older, and give the link of the older as it was before."""
    office.sync(maria())
    before = link_of(office)
    office.site.state.edit_worker(before.target_id, external_id=None)
    assert office.sync(newer(minutes=1)).outcome is Outcome.UPDATED
    return before


def held(office: Office) -> Json:
    """The only worker's external id and status."""
    (found,) = office.site.state.workers()
    return {name: found[name] for name in ("external_id", "status")}


HELD = {"external_id": f"procore:{NEWER}", "status": "active"}


def test_the_link_of_whoever_had_the_worker_before_leads_nowhere_and_keeps_its_revision(
    open_office: OpenOffice,
) -> None:
    office = open_office()
    before = handed_over(office)
    assert (link_of(office).target_id, link_of(office).revision) == ("", before.revision)
    assert office.sync(maria(minutes=-1)).outcome is Outcome.STALE
    assert office.links.users_of_worker(COMPANY, before.target_id) == [NEWER]


@pytest.mark.parametrize("is_left", [False, True], ids=["link released", "link left by a race"])
@pytest.mark.parametrize("change", [{}, {"email": "old@example.com"}, {"is_active": False}], ids=str)
def test_whatever_becomes_of_the_older_account_the_newer_keeps_the_worker(
    open_office: OpenOffice, is_left: bool, change: dict[str, Any]
) -> None:
    office = open_office(ASKED)
    before = handed_over(office)
    if is_left:
        office.link(replace(before, fingerprint=""))
    handled = office.sync(maria(minutes=2, **change))
    assert handled.outcome is Outcome.SKIPPED
    code = "user_inactive" if change.get("is_active") is False else "payroll_id_in_use"
    assert [reason.code for reason in handled.reasons] == [code]
    assert (held(office), link_of(office).target_id) == (HELD, "")
    assert office.sync(newer(minutes=3)).outcome is Outcome.UNCHANGED


def test_the_newer_account_goes_on_with_the_worker_though_the_older_ones_link_was_left_by_a_race(
    open_office: OpenOffice,
) -> None:
    office = open_office()
    office.link(handed_over(office))
    assert office.sync(newer(minutes=2, email="new@example.com")).outcome is Outcome.UPDATED
    assert (held(office), link_of(office).target_id) == (HELD, "")


def test_an_older_account_with_values_of_its_own_by_now_gets_a_worker_of_its_own(
    open_office: OpenOffice,
) -> None:
    office = open_office()
    office.link(handed_over(office))
    own = {"employee_id": "20399", "mobile_phone": "(512) 555-0199", "email": "own@example.com"}
    assert office.sync(maria(minutes=2, **own)).outcome is Outcome.CREATED
    assert {one["external_id"] for one in office.site.state.workers()} == {
        "procore:8800101",
        f"procore:{NEWER}",
    }


def test_a_worker_whom_smartbarrel_has_linked_to_another_is_not_deactivated(open_office: OpenOffice) -> None:
    """Whether or not we were there."""
    office = open_office(ASKED)
    office.sync(maria())
    office.site.state.edit_worker(link_of(office).target_id, external_id=f"procore:{NEWER}")
    assert office.sync(maria(minutes=5, is_active=False)).outcome is Outcome.SKIPPED
    assert held(office) == HELD
    before = len(office.site.wire.seen)
    assert office.sync(maria(minutes=10, is_active=False)).outcome is Outcome.SKIPPED
    assert len(office.site.wire.seen) == before
