"""After any history, both systems hold what a plain function of the latest state says."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from consumer.model.events import Kind, TimesheetEvent, UserEvent
from consumer.model.results import SYNCED
from consumer.model.settings import CompanySettings
from tests.contracts import Unchecked
from tests.sync.conftest import Office
from tests.sync.histories.checks import (
    check,
    check_always,
    check_positions,
    check_timesheet,
    check_users,
    looks_at_worker,
)
from tests.sync.histories.history import History, Step, person_of
from tests.sync.histories.oracle_timesheets import entry_of, keeps_a_code
from tests.sync.histories.worlds import (
    CLASSIFICATIONS,
    EMPLOYEE_IDS,
    MOST_CLASSIFICATIONS,
    MOST_USERS,
    SWITCHES,
    choices,
    companies,
    timesheet_fields,
    user_fields,
    user_with,
)
from tests.upstream.site import Json, Mishap, Site, company_data, user


EXAMPLES = int(os.environ.get("CREWSYNC_HISTORIES", "80"))
"""How many histories are tried: the same each time, unless the number is given."""
IS_SAME = "CREWSYNC_HISTORIES" not in os.environ


SERVICE = user(99, "Service", "Account", is_employee=False, mobile_phone=None, employee_id=None)
"""The account that crewsync uses: a directory without it is taken for one without access."""


@dataclass(frozen=True, slots=True)
class Do:
    """A step of a history: the name of a function below, and what it is given."""

    what: str
    given: tuple[Any, ...] = ()


_any = st.integers(0, 63)
"""Which one of those there are then, counted round."""
_mishaps = st.sampled_from([None, None, None, None, "lost answer", "lost change", "lost look"])


def _do(what: str, *given: st.SearchStrategy[Any]) -> st.SearchStrategy[Do]:
    return st.builds(Do, st.just(what), st.tuples(*given))


_classes = st.sampled_from([None, 57800, 57801, 57802])
_STEPS = st.one_of(
    _do("edit_user", _any, user_fields(), st.booleans()),
    _do("edit_user", _any, st.fixed_dictionaries({"is_active": st.booleans()}), st.booleans()),
    _do("add_user", user_fields()),
    _do("edit_contact", _any, st.sampled_from([*EMPLOYEE_IDS, None])),
    _do("edit_user", _any, st.fixed_dictionaries({"work_classification_id": _classes}), st.booleans()),
    _do("name_classification", st.integers(0, MOST_CLASSIFICATIONS - 1), st.sampled_from(CLASSIFICATIONS)),
    _do("edit_status", _any, st.sampled_from(["active", "inactive"])),
    _do("edit_timesheet", _any, timesheet_fields(), st.booleans()),
    _do("read", st.booleans()),
    _do("sync"),
    _do("publish", _any),
    _do("handle", _any, _mishaps, st.booleans()),
    _do("handle", _any, _mishaps, st.booleans()),
    _do("handle_all", st.booleans(), st.lists(_mishaps, max_size=4)),
    _do("commit", st.sampled_from(Kind)),
    _do("crash"),
    _do("renew"),
    _do("turn", st.sampled_from(SWITCHES)),
)
_HISTORIES = st.lists(st.lists(_STEPS, max_size=12), max_size=10).map(
    lambda parts: [step for part in parts for step in part]
)


# ------------------------------------------------------------------ steps


def edit_user(history: History, which: int, changes: Json, is_read: bool) -> None:
    found = [one for one in history.site.state.users() if one["id"] != SERVICE["id"]]
    if found:
        history.edit_user(found[which % len(found)]["id"], changes)
        read(history, is_published=is_read)


def add_user(history: History, fields: Json) -> None:
    count = len(history.site.state.users()) - 1
    if count < MOST_USERS:
        history.add_user(user_with(count, fields))


def edit_contact(history: History, which: int, employee_id: str | None) -> None:
    found = [
        one["id"] for one in history.site.state.people() if one["user_id"] is None and not one["origin_id"]
    ]
    if found:
        history.edit_contact(found[which % len(found)], employee_id)


def name_classification(history: History, number: int, name: str) -> None:
    history.name_classification(number, name)


def edit_status(history: History, which: int, status: str) -> None:
    found = [one for one in history.site.state.workers() if one["contractor"] is None]
    if found:
        history.edit_status(found[which % len(found)]["id"], status)


def edit_timesheet(history: History, which: int, changes: Json, is_read: bool) -> None:
    found = history.site.state.timesheets()
    if found:
        history.edit_timesheet(found[which % len(found)]["id"], changes)
        read(history, is_published=is_read)


def read(history: History, is_published: bool) -> None:
    for events in (history.read_users(), history.read_timesheets()):
        for event in events if is_published else ():
            history.publish(event)


def sync(history: History) -> None:
    history.sync_positions()
    read(history, is_published=True)
    handle_all(history, at_once=False)


def publish(history: History, which: int) -> None:
    if history.read:
        history.publish(history.read[which % len(history.read)])


def handle(history: History, which: int, mishap: str | None, gives_up: bool) -> None:
    keys = history.waiting()
    if keys:
        _checked(history, history.handle(keys[which % len(keys)], _mishap(mishap), gives_up=gives_up))


def handle_all(history: History, at_once: bool, mishaps: Sequence[str | None] = ()) -> None:
    coming = iter(mishaps)
    while keys := history.waiting():
        if at_once:
            history.handle_together(keys)
        else:
            for key in keys:
                _checked(history, history.handle(key, _mishap(next(coming, None))))


def commit(history: History, kind: Kind) -> None:
    history.commit(kind)


def crash(history: History) -> None:
    history.crash()


def renew(history: History) -> None:
    history.renew()


def turn(history: History, setting: str) -> None:
    history.turn(setting)


_DO: dict[str, Callable[..., None]] = {
    step.__name__: step
    for step in (
        *(
            edit_user,
            add_user,
            edit_contact,
            name_classification,
            edit_status,
            edit_timesheet,
            read,
            sync,
            publish,
        ),
        *(handle, handle_all, commit, crash, renew, turn),
    )
}


def _mishap(name: str | None) -> Mishap | None:
    if name is None:
        return None
    methods = {"GET"} if name == "lost look" else {"POST", "PATCH"}
    return Mishap(
        lambda request: request.method in methods and "/oauth/" not in request.url.path,
        httpx.ReadTimeout if name == "lost answer" else httpx.ConnectError,
        after_effect=name == "lost answer",
    )


def _checked(history: History, step: Step) -> Step:
    check(step, history.office.settings)
    return step


# ------------------------------------------------------------------ the end


def finish(history: History) -> None:
    """Deliver the latest of everything until nothing changes any more, and compare."""
    history.renew()
    handle_all(history, at_once=False)
    booked = history.booked()
    history.sync_positions()
    history.sync_positions()
    assert history.sync_positions() == 0, "the positions never come to rest"
    check_positions(history)
    for _ in range(MOST_USERS + 2):
        before = history.systems().workers
        deliver(history, history.read_users())
        if history.systems().workers == before:
            break
    else:
        raise AssertionError("the users never come to rest")
    deliver(history, history.read_timesheets())
    _compare(history, booked)
    for step in [*deliver(history, history.read_users()), *deliver(history, history.read_timesheets())]:
        # Whether Procore has a location by now is looked up each time, and whether an entry keeps a code.
        looks = isinstance(step.event, TimesheetEvent) and (
            step.event.location is not None or _keeps_a_code(step, history.office.settings)
        )
        looks = looks or looks_at_worker(step)
        assert looks or step.outcome not in SYNCED or step.requests == 0, "what is in step costs no request"
        assert step.before == step.after
    others = _but_for_status(history)
    history.forget()
    deliver(history, history.read_users())
    assert _but_for_status(history) == others
    check_users(history, history.read_users(), is_new=True)


def deliver(history: History, events: Sequence[UserEvent | TimesheetEvent]) -> list[Step]:
    """Publish the events, and handle them."""
    for event in events:
        history.publish(event)
    steps = []
    while keys := history.waiting():
        steps += [_checked(history, history.handle(key)) for key in keys]
    check_always(history.systems(), history.first)
    return steps


def _but_for_status(history: History) -> list[Json]:
    return [{**worker, "status": None} for worker in history.systems().workers.values()]


def _keeps_a_code(step: Step, company: CompanySettings) -> bool:
    wanted = entry_of(step.event, company) if isinstance(step.event, TimesheetEvent) else None
    return wanted is not None and keeps_a_code(wanted, step.before.entries)


def _compare(history: History, booked: Mapping[object, int]) -> None:
    now = history.systems()
    check_users(history, history.read_users())
    for sheet in history.read_timesheets():
        booked_on = booked.get(history.source(sheet))
        check_timesheet(sheet, now, history.office.settings, history.linked, booked_on)


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=IS_SAME, suppress_health_check=[HealthCheck.too_slow]
)
@given(company=companies(), chosen=choices(), steps=_HISTORIES, unique_origin_ids=st.booleans())
def test_after_any_history_both_systems_hold_what_the_latest_state_says(
    company: Json, chosen: CompanySettings, steps: list[Do], unique_origin_ids: bool
) -> None:
    users = [*company["users"], SERVICE]
    people = [*map(person_of, users), *company["contacts"]]
    data = company_data(
        users=users,
        people=people,
        workers=company["workers"],
        timesheets=company["timesheets"],
        classifications=company["classifications"],
        positions=company["positions"],
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Site(Path(folder) / "sandbox.db", Unchecked(), data, unique_origin_ids=unique_origin_ids) as site,
    ):
        history = History(Office(site, chosen))
        for step in steps:
            note(f"{step.what}{step.given}")
            _DO[step.what](history, *step.given)
            check_always(history.systems(), history.first)
        finish(history)
