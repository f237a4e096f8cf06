"""What must hold after each event, at any moment, and in the end."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from consumer.model.events import TimesheetEvent, UserEvent
from consumer.model.results import SYNCED, Outcome
from consumer.model.settings import CompanySettings
from tests.sync.histories.history import History, Note, Step, Systems, revision_of
from tests.sync.histories.oracle_positions import is_settled
from tests.sync.histories.oracle_timesheets import (
    contact_of,
    entries_after,
    entry_of,
    is_due,
    keeps_a_code,
    party_of,
)
from tests.sync.histories.oracle_users import (
    Known,
    Workers,
    place_of,
    position_for,
    positions_for,
    with_worker,
    worker_of,
    workers_after,
)
from tests.sync.histories.places import Place
from tests.upstream.site import Json


def check(step: Step, settings: CompanySettings) -> None:
    """Hold one event that was handled alone against the oracle."""
    event = step.event
    if step.note is not None and revision_of(event) < step.note.revision:
        assert step.outcome is Outcome.STALE, step.outcome
        assert_untouched(step)
    elif isinstance(event, UserEvent):
        _check_user(step, event, settings)
    else:
        _check_timesheet(step, event, settings)


def assert_untouched(step: Step) -> None:
    """Nothing was even asked."""
    assert step.requests == 0
    assert step.before == step.after


def looks_at_worker(step: Step) -> bool:
    """Whether the event is about a user whose worker is known to be inactive, who may be active by now."""
    return step.note is not None and step.note.status == "inactive"


def _check_user(step: Step, user: UserEvent, settings: CompanySettings) -> None:
    assert step.before.people == step.after.people
    assert step.before.entries == step.after.entries
    after = workers_after(user, step.known, step.before.workers)
    if after is None:
        assert step.outcome is Outcome.SKIPPED, step.outcome
        assert_untouched(step)
        return
    expected, positions = [after], [positions_for(user, step.known)]
    if step.outcome is None:
        expected.append(step.before.workers)
    elif _is_known(step, user, settings):
        assert step.outcome is Outcome.UNCHANGED, step.outcome
        # Whether a worker is still inactive, who is to be warned of, is looked up each time. So is, once in a
        # while, what a classification leads to.
        assert step.requests <= looks_at_worker(step) + 2 * settings.sync_classifications
        assert step.before == step.after
        return
    else:
        is_refused = _is_refused(user, settings, step)
        assert is_refused == (step.outcome not in SYNCED), (is_refused, step.outcome)
        if step.outcome is Outcome.UNCHANGED:
            expected.append(_unseen(user, step.known, step.note, step.before.workers))
    if step.outcome not in {Outcome.CREATED, Outcome.UPDATED}:
        positions.append(step.before.positions)
    new = _assert_one_of(step.before.positions, step.after.positions, positions)
    workers = {
        one: {**body, "position_id": Place.NEW if body["position_id"] in new else body["position_id"]}
        for one, body in step.after.workers.items()
    }
    _assert_one_of(step.before.workers, workers, expected)


def _is_known(step: Step, user: UserEvent, settings: CompanySettings) -> bool:
    """Whether it is known that nothing is to be sent: a worker known to be inactive may have to be active."""
    if step.note is None or step.note.applied != step.source:
        return False
    is_to_be_active = settings.deactivate_workers and user.is_active
    return not (is_to_be_active and step.note.status == "inactive")


def _is_refused(user: UserEvent, settings: CompanySettings, step: Step) -> bool:
    wanted = worker_of(user, settings)
    return wanted is not None and place_of(wanted, step.before.workers) is Place.REFUSED


def _unseen(user: UserEvent, known: Known, noted: Note | None, workers: Workers) -> Workers:
    """The workers, if nobody has looked at the user's own since SmartBarrel's office changed its status."""
    wanted = worker_of(user, known.settings)
    if wanted is None:
        return workers
    if noted is not None and noted.status == "active":
        wanted.pop("status", None)
    return with_worker(wanted | position_for(user, known), workers)


def _check_timesheet(step: Step, sheet: TimesheetEvent, settings: CompanySettings) -> None:
    assert step.before.workers == step.after.workers
    assert step.before.positions == step.after.positions
    if not is_due(sheet, settings):
        assert step.outcome is Outcome.SKIPPED, step.outcome
        assert_untouched(step)
        return
    wanted = entry_of(sheet, settings)
    # Whether Procore has the location by now is looked up each time, and whose the shift is with it. So is an
    # entry that keeps a code which the shift has lost, to tell that.
    looks_again = wanted is not None and (
        (wanted["location_id"] is None and sheet.location is not None)
        or keeps_a_code(wanted, step.before.entries)
    )
    is_known = step.outcome is not None and step.note is not None and step.note.applied == step.source
    if is_known and not looks_again:
        assert step.outcome is Outcome.UNCHANGED, step.outcome
        assert_untouched(step)
        return
    if wanted is None:
        assert step.outcome in {Outcome.FAILED, None}, step.outcome
        assert (step.before.people, step.before.entries) == (step.after.people, step.after.entries)
        return
    parties = _parties(step, sheet)
    new = {one: body for one, body in step.after.people.items() if one not in step.before.people}
    assert {one: body for one, body in step.after.people.items() if one not in new} == step.before.people
    for body in new.values():
        assert Place.NEW in parties
        made = [contact_of(sheet.worker, then) for then in step.directories]
        assert {name: body[name] for name in made[0]} in made
    own = next((one for one, body in step.after.people.items() if _is_of(sheet, body)), None)
    ids = [own if party is Place.NEW else party for party in parties]
    expected = [entries_after(wanted, party, step.before.entries) for party in ids if isinstance(party, int)]
    if step.outcome is None or Place.REFUSED in parties:
        expected.append(step.before.entries)
    _assert_one_of(step.before.entries, step.after.entries, expected)


def _parties(step: Step, sheet: TimesheetEvent) -> set[int | Place]:
    """On whom the shift may be booked: Procore's people may have been read at any moment since the start."""
    ours = [body for body in step.before.people.values() if body["origin_id"]]
    return {
        party_of(sheet.worker, [*(one for one in then if not one["origin_id"]), *ours], step.known.linked)
        for then in step.directories
    }


def _is_of(sheet: TimesheetEvent, body: Json) -> bool:
    return bool(body["origin_id"] == f"sb:{sheet.worker.id}")


def _assert_one_of(
    before: Mapping[Any, Json], after: Mapping[Any, Json], expected: Sequence[Mapping[Any, Json]]
) -> set[object]:
    """Hold what is there after against what may be; gives the ids of what is new."""
    new = after.keys() - before.keys()
    assert len(new) <= 1, f"{len(new)} were made by one event"
    named = {Place.NEW if one in new else one: body for one, body in after.items()}
    assert named in expected, f"{named} instead of {expected}"
    return {*new}


# ------------------------------------------------------------------ at any moment


def check_always(now: Systems, first: Systems) -> None:
    """Nobody and nothing is there twice, and what is somebody else's is as it was."""
    assert first.positions.keys() <= now.positions.keys(), "a position is never deleted"
    for one, worker in first.workers.items():
        if worker["contractor"]:
            assert now.workers[one] == worker
    for one, worker in now.workers.items():
        if one not in first.workers:
            assert worker["external_id"], "who was made is a user"
        elif first.workers[one]["external_id"]:
            assert worker["external_id"] == first.workers[one]["external_id"]
    _assert_single(worker["external_id"] for worker in now.workers.values())
    _assert_single(person["origin_id"] for person in now.people.values())
    _assert_single(entry["origin_id"] for entry in now.entries.values())
    for entry in now.entries.values():
        assert entry["party_id"] in now.people


def _assert_single(values: Iterable[str | None]) -> None:
    twice = {value: times for value, times in Counter(values).items() if value and times > 1}
    assert not twice, f"there more than once: {twice}"


# ------------------------------------------------------------------ in the end


def check_users(history: History, users: Iterable[UserEvent], *, is_new: bool = False) -> None:
    """Every user for syncing whom nobody is in the way has a worker with exactly these fields.

    But for the status, if somebody in SmartBarrel has changed that since: it is not looked at before the user
    changes, unless ``is_new``, for whoever knows nothing looks at everything.
    """
    now, known = history.systems().workers, history.known()
    for user in users:
        expected = [workers_after(user, known, now)]
        if expected == [None]:
            continue
        noted = history.note(user)
        if not is_new and noted is not None and noted.applied == history.source(user):
            expected.append(_unseen(user, known, noted, now))
        assert now in expected, user.user_id


def check_positions(history: History) -> None:
    """Every classification has its position, if the company syncs them."""
    known = history.known()
    if known.settings.user_sync and known.settings.sync_classifications:
        for one in known.classifications:
            assert is_settled(one, known.classifications, known.positions), (one, known)


def check_timesheet(
    sheet: TimesheetEvent,
    now: Systems,
    settings: CompanySettings,
    linked: Mapping[int, str],
    booked_on: int | None,
) -> None:
    """A due shift with known codes has exactly one entry with these fields, on the right party.

    Right is also the party that it was ``booked_on`` before, if it has said the same ever since.
    """
    wanted = entry_of(sheet, settings)
    if wanted is None:
        return
    parties = {party_of(sheet.worker, list(now.people.values()), linked), booked_on}
    expected = [entries_after(wanted, party, now.entries) for party in parties if isinstance(party, int)]
    if Place.REFUSED in parties:
        expected.append(now.entries)
    assert now.entries in expected, f"{now.entries} instead of {expected}"
