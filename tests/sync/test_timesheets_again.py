"""Shifts that are handled again, after crashes and lost answers: nobody and nothing is made twice."""

from collections.abc import Callable, Collection
from datetime import date
from decimal import Decimal

import httpx
import pytest

from consumer.exceptions import Misconfigured, NotFound, RateLimited, Rejected, Transient
from consumer.model.events import ShiftStatus
from consumer.model.results import Outcome
from tests.sync.booked import ENTRY, KEY, contacts, entries, entry_id, link_of, marias
from tests.sync.conftest import Office
from tests.sync.people import priya, shift
from tests.upstream.site import YARD, worker_id


@pytest.mark.parametrize("unique_origin_ids", [True, False])
def test_an_event_that_is_handled_again_after_a_crash_makes_no_second_contact_and_no_second_entry(
    open_office: Callable[..., Office], unique_origin_ids: bool
) -> None:
    """No source says that Procore refuses a repeated origin id, so the handler must not build on it."""
    office = open_office(unique_origin_ids=unique_origin_ids)
    office.sync(shift())
    before = entries(office)
    office.restart(lose_links=True)
    handled = office.sync(shift())
    assert handled.outcome is Outcome.UNCHANGED
    assert (entries(office), len(contacts(office))) == (before, 1)
    assert link_of(office).target_id == str(entry_id(office))


def test_a_contact_whom_the_last_owner_made_after_we_looked_is_taken_and_not_made_again(
    office: Office,
) -> None:
    """A request that was under way when its process died may take effect at any later moment."""
    last_owner = Office(office.site, office.settings)
    office.site.run(office.company.directory.of_worker("nobody", None))
    last_owner.sync(shift())
    before = entries(office)
    handled = office.sync(shift())
    assert handled.outcome is Outcome.UNCHANGED
    assert (entries(office), len(contacts(office))) == (before, 1)


def test_an_entry_that_the_last_owner_made_after_we_looked_is_taken_and_not_made_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_owner = Office(office.site, office.settings)
    look = office.company.procore.timecards
    looks: list[object] = []

    async def look_and_be_overtaken(party_ids: Collection[int], first: date, last: date) -> object:
        found = await look(party_ids, first, last)
        looks.append(found)
        if len(looks) == 1:
            await last_owner.handle(marias())
        return found

    monkeypatch.setattr(office.company.procore, "timecards", look_and_be_overtaken)
    handled = office.sync(marias())
    assert handled.outcome is Outcome.UNCHANGED
    assert looks[0] == []
    assert len(entries(office)) == 1
    assert link_of(office).target_id == str(entry_id(office))


LOST = [
    ("POST", "/people"),
    ("POST", "/timecard_entries"),
    ("PATCH", "/timecard_entries"),
]


@pytest.mark.parametrize("unique_origin_ids", [True, False])
@pytest.mark.parametrize(("method", "path"), LOST)
@pytest.mark.parametrize("restarts", [False, True])
def test_a_call_whose_answer_is_lost_makes_nobody_and_nothing_twice(
    open_office: Callable[..., Office], method: str, path: str, restarts: bool, unique_origin_ids: bool
) -> None:
    office = open_office(unique_origin_ids=unique_origin_ids)
    event = shift()
    if method == "PATCH":
        office.sync(event)
        event = shift(revision=2, total_hours=Decimal("9.5"))
    office.site.lose_answer(method, path)
    with pytest.raises(Transient):
        office.sync(event)
    if restarts:
        office.restart()
    handled = office.sync(event)
    assert office.site.wire.befallen == 1
    assert handled.outcome in {Outcome.CREATED, Outcome.UPDATED, Outcome.UNCHANGED}
    (contact,) = contacts(office)
    hours = "9.5" if method == "PATCH" else "8.0"
    assert entries(office) == [ENTRY | {"party_id": contact["id"], "hours": hours}]
    assert link_of(office).target_id == str(entry_id(office))


@pytest.mark.parametrize(
    "path", ["/people", "/people/inactive", "/timecard_entries", "/sub_jobs", "/cost_codes"]
)
def test_a_look_up_without_an_answer_makes_nobody_and_nothing(office: Office, path: str) -> None:
    """Who was not seen because nobody answered must not be taken for one who is not there."""
    office.site.lose_answer("GET", path)
    with pytest.raises(Transient):
        # Of somebody who is new in Procore there can be no entry, and nobody looks for one.
        office.sync(marias() if path == "/timecard_entries" else shift())
    assert office.site.wire.befallen == 1
    assert entries(office) == []
    assert contacts(office) == []


def test_an_entry_that_somebody_deleted_in_procore_is_booked_anew_at_the_next_revision(
    office: Office,
) -> None:
    office.sync(marias())
    office.site.delete_timecard_entries()
    handled = office.sync(marias(revision=2, total_hours=Decimal(4)))
    assert handled.outcome is Outcome.CREATED
    assert entries(office) == [ENTRY | {"hours": "4.0"}]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Misconfigured),
        (403, Misconfigured),
        (429, RateLimited),
        (500, Transient),
        (404, NotFound),
        (422, Rejected),
    ],
)
def test_a_failure_upstream_leaves_nothing_linked(office: Office, status: int, kind: type[Exception]) -> None:
    office.site.run(office.site.tokens.get())
    office.site.wire.servers["procore.test"] = httpx.MockTransport(lambda _: httpx.Response(status))
    with pytest.raises(kind):
        office.sync(marias())
    assert office.links.get(KEY) is None


def test_a_new_owner_reads_the_directory_anew(office: Office) -> None:
    """The last owner may have made contacts that this process has not seen."""
    other = Office(office.site, office.settings)
    other.sync(shift(number=9, worker=priya(id=worker_id(9), last_name="Other")))
    office.sync(shift())
    other.timesheets.renew()
    other.sync(shift(number=2))
    assert len(contacts(office)) == 2, "Priya once, and the other"


# ------------------------------------------------------------------ moved to another worker or project


def test_a_shift_moved_to_another_worker_moves_its_entry(office: Office) -> None:
    office.sync(shift())
    handled = office.sync(marias(revision=2))
    assert handled.outcome is Outcome.UPDATED
    assert entries(office) == [ENTRY]


def test_a_shift_whose_first_entry_is_in_doubt_makes_no_second_one_on_another_worker(
    open_office: Callable[..., Office],
) -> None:
    """The first worker's revision was given up after a call that had its effect, and gave no id."""
    office = open_office(unique_origin_ids=False)
    office.site.lose_answer("POST", "/timecard_entries")
    with pytest.raises(Transient):
        office.sync(shift())
    office.links.add_pending(office.timesheets.in_doubt(shift()))
    office.restart()
    handled = office.sync(marias(revision=2))
    assert handled.outcome is Outcome.UPDATED
    assert entries(office) == [ENTRY]


def test_a_shift_that_was_only_skipped_before_is_looked_for_among_its_own_people(office: Office) -> None:
    """To look through everybody's entries costs as many pages as a week has."""
    assert office.sync(marias(status=ShiftStatus.SUBMITTED)).outcome is Outcome.SKIPPED
    office.sync(marias(revision=2))
    looks = [one for one in office.site.wire.seen if one.method == "GET"]
    look, _ = [one for one in looks if one.url.path.endswith("/timecard_entries")]
    assert look.url.params.get_list("filters[party_id][]") == ["25130001"]


def test_a_shift_moved_to_another_project_moves_its_entry(office: Office) -> None:
    office.sync(marias(cost_code_segment_1=None, cost_code_segment_2=None))
    moved = marias(2, procore_project_id=YARD, cost_code_segment_1="YD", cost_code_segment_2=None)
    assert office.sync(moved).outcome is Outcome.UPDATED
    (entry,) = entries(office)
    assert entry["project_id"] == YARD


def test_an_entry_that_is_approved_between_our_look_and_our_call_is_locked_and_not_failed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.sync(marias())
    look = office.company.procore.timecard
    looks: list[int] = []

    async def look_and_be_overtaken(entry_id: int) -> object:
        entry = await look(entry_id)
        looks.append(entry_id)
        if len(looks) == 1:
            office.site.state.edit_timecard_entry(entry_id, approval_status="approved")
        return entry

    monkeypatch.setattr(office.company.procore, "timecard", look_and_be_overtaken)
    handled = office.sync(marias(revision=2, total_hours=Decimal(4)))
    assert handled.outcome is Outcome.SKIPPED
    assert [reason.code for reason in handled.reasons] == ["locked"]
    assert entries(office) == [ENTRY]
