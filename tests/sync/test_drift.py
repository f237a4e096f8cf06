"""What offices change by hand is found by comparing the links with both systems, and nothing is written."""

from collections.abc import Callable, Sequence

import pytest

from consumer.model.links import Link, LinkKey, LinkKind
from consumer.runs import drift_reading
from consumer.runs.drift import DriftCode, drifts
from consumer.runs.drift_reading import read_held
from tests.sync.booked import KEY, entry_id, link_of
from tests.sync.conftest import Office
from tests.sync.people import maria, priya, shift
from tests.upstream.site import COMPANY, person, timesheet, timesheet_id, worker, worker_id


OpenOffice = Callable[..., Office]
USER = LinkKey(COMPANY, LinkKind.USER, "8800101")
CONTACT = LinkKey(COMPANY, LinkKind.CONTACT, worker_id(1))


@pytest.fixture
def synced(open_office: OpenOffice) -> Office:
    """Maria is a worker, Priya a contact, and a shift of Priya's is booked."""
    office = open_office(workers=[worker(1, "Priya", "Nair")], timesheets=[timesheet(1, 1)])
    office.sync(maria())
    office.sync(shift())
    return office


def links_of(office: Office) -> list[Link]:
    return [link_of(office, key) for key in (USER, CONTACT, KEY)]


def found(office: Office, links: Sequence[Link] | None = None) -> list[DriftCode]:
    links = links_of(office) if links is None else links
    before, steps = office.site.writes(), list[tuple[str, int, int]]()
    held = office.site.run(read_held(office.company, links, lambda *step: steps.append(step)))
    assert office.site.writes() == before, "a check changes nothing"
    assert all(0 <= done <= total for _, done, total in steps)
    return [drift.code for link in links for drift in drifts(link, held)]


def test_what_was_just_synced_has_not_drifted(synced: Office) -> None:
    assert found(synced) == []


@pytest.mark.parametrize("listed_from", [1, 200])
def test_what_offices_change_by_hand_is_found(
    synced: Office, listed_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_reading, "LISTED_FROM", listed_from)
    state = synced.site.state
    state.edit_worker(link_of(synced, USER).target_id, external_id=None)
    state.edit_person(int(link_of(synced, CONTACT).target_id), origin_id=None)
    state.edit_timecard_entry(entry_id(synced), origin_id="sb:somebody-else")
    assert found(synced) == [
        DriftCode.WORKER_NOT_LINKED,
        DriftCode.CONTACT_OF_ANOTHER,
        DriftCode.TIMECARD_OF_ANOTHER,
    ]


@pytest.mark.parametrize("listed_from", [1, 200])
def test_a_deleted_timecard_is_found_in_lists_and_one_by_one(
    synced: Office, listed_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_reading, "LISTED_FROM", listed_from)
    synced.site.state.delete_timecard_entry(entry_id(synced))
    assert found(synced, [link_of(synced)]) == [DriftCode.TIMECARD_GONE]


def test_a_payroll_id_in_both_systems_stands_for_the_origin_id(synced: Office) -> None:
    synced.site.state.edit_person(int(link_of(synced, CONTACT).target_id), origin_id=None, employee_id="777")
    synced.site.state.edit_worker(worker_id(1), payroll_id="777")
    assert found(synced) == []


def test_a_person_who_was_deleted_and_a_user_who_is_in_no_list_are_told_apart(synced: Office) -> None:
    """The user is asked for, too, before they are said to be gone."""
    contact, marias = int(link_of(synced, CONTACT).target_id), 25130001
    synced.site.delete_people(contact, marias)
    # Somebody must be there, or Procore hides its people from this account.
    synced.site.put_person(person(99, "No", "Body", user_id=None))
    assert found(synced) == [DriftCode.CONTACT_GONE]


def test_links_to_what_never_was_are_drift(synced: Office) -> None:
    links = [
        Link(COMPANY, LinkKind.USER, "1", worker_id(99), 1, ""),
        Link(COMPANY, LinkKind.POSITION, "p", "57899", 1, ""),
        Link(COMPANY, LinkKind.TIMESHEET, timesheet_id(9), "1", 1, ""),
    ]
    assert found(synced, links) == [
        DriftCode.USER_GONE,
        DriftCode.WORKER_GONE,
        DriftCode.CLASSIFICATION_GONE,
        DriftCode.TIMECARD_GONE,
    ]


def test_many_timecards_are_read_from_lists_by_the_week(
    synced: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two shifts of one week cost a page of timesheets and one of timecards."""
    synced.site.state.edit_timesheet(timesheet_id(1), location=None)
    synced.sync(shift(number=2, worker=priya()))
    links = [link_of(synced), link_of(synced, LinkKey(COMPANY, LinkKind.TIMESHEET, timesheet_id(2)))]
    monkeypatch.setattr(drift_reading, "LISTED_FROM", 2)
    before = len(synced.site.wire.seen)
    assert found(synced, links) == []
    paths = [request.url.path.rpartition("/")[2] for request in synced.site.wire.seen[before:]]
    assert paths == ["timesheets", "timecard_entries"]


def test_no_links_cost_no_call(synced: Office) -> None:
    before = len(synced.site.wire.seen)
    assert found(synced, []) == []
    assert len(synced.site.wire.seen) == before


def test_a_call_without_an_answer_is_made_again(synced: Office) -> None:
    mishap = synced.site.lose_answer("GET", "timecard_entries/")
    assert found(synced, [link_of(synced)]) == []
    assert mishap not in synced.site.wire.mishaps
