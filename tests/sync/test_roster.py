"""A first sync asks for nobody who is not there, and is right all the same when it knows too little."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from consumer.exceptions import Transient
from consumer.model.events import UserEvent
from consumer.model.results import Outcome
from consumer.sync.roster import Roster
from tests.sync.conftest import Office
from tests.sync.people import MARIA, maria
from tests.upstream.site import Json, worker


OpenOffice = Callable[..., Office]


def crew(count: int, minutes: float = 0) -> list[UserEvent]:
    """So many users, each with an employee ID and a phone number of their own."""
    return [
        maria(
            minutes,
            user_id=8_900_000 + number,
            first_name="Ada",
            last_name=f"Number{number}",
            email=f"ada.{number}@example.com",
            mobile_phone=f"+1512{2000000 + number}",
            employee_id=f"E{number}",
        )
        for number in range(count)
    ]


def existing(count: int, **fields: Any) -> list[Json]:
    """So many workers with the employee IDs of the crew, and phone numbers of their own."""
    return [
        worker(number, "A.", f"Number{number}", payroll_id=f"E{number}", phone_number=f"+1713{number:07d}")
        | fields
        for number in range(count)
    ]


def sync_all(office: Office, events: Sequence[UserEvent], at_once: int = 50) -> Counter[Outcome]:
    """Handle all events, so many at once."""

    async def every() -> Counter[Outcome]:
        gate = asyncio.Semaphore(at_once)

        async def one(event: UserEvent) -> Outcome:
            async with gate:
                known = office.users.at_once(event)
                return (known or await office.handle(event)).outcome

        return Counter(await asyncio.gather(*map(one, events)))

    return office.site.run(every())


def requests(office: Office, since: int = 0) -> Counter[str]:
    """What was asked of SmartBarrel, with ids left out."""
    return Counter(
        f"{one.method} {re.sub('[0-9a-f-]{36}', 'ID', one.url.path.rpartition('granite-ridge/')[2])}"
        for one in office.site.wire.seen[since:]
        if one.url.host == "smartbarrel.test"
    )


# ------------------------------------------------------------------ counted


def test_a_first_sync_into_an_empty_company_is_one_look_and_one_creation_each(
    open_office: OpenOffice,
) -> None:
    office = open_office()
    assert sync_all(office, crew(300)) == {Outcome.CREATED: 300}
    assert requests(office) == {"GET workers": 1, "POST workers": 300}


def test_twelve_changed_among_many_are_twelve_writes_and_not_one_look(open_office: OpenOffice) -> None:
    office = open_office()
    sync_all(office, crew(300))
    before = len(office.site.wire.seen)
    again = [one if number % 25 else _moved(one) for number, one in enumerate(crew(300, minutes=5))]
    assert sync_all(office, again) == {Outcome.UNCHANGED: 288, Outcome.UPDATED: 12}
    assert requests(office, before) == {"PATCH workers/ID": 12}


def _moved(user: UserEvent) -> UserEvent:
    return replace(user, email=f"new.{user.user_id}@example.com")


def test_workers_who_are_there_are_asked_for_once_each(open_office: OpenOffice) -> None:
    office = open_office(workers=existing(300))
    assert sync_all(office, crew(300)) == {Outcome.UPDATED: 300}
    # Two pages, and for each worker the rung that knows them. Nobody has the phone numbers.
    assert requests(office) == {"GET workers": 2 + 300, "PATCH workers/ID": 300}


def test_one_user_of_a_large_company_costs_no_reading_of_all(open_office: OpenOffice) -> None:
    office = open_office(workers=existing(900))
    office.sync(MARIA)
    # The first page tells how many there are; then each rung.
    assert requests(office) == {"GET workers": 1 + 3, "POST workers": 1}


def test_many_users_of_a_large_company_cost_at_most_twice_the_reading_of_all(open_office: OpenOffice) -> None:
    office = open_office(workers=existing(900))
    everybody = crew(1000)[900:]
    assert sync_all(office, everybody, at_once=1) == {Outcome.CREATED: 100}
    asked = requests(office)
    assert asked["POST workers"] == 100
    assert asked["GET workers"] <= 2 * 5 + 2


# ------------------------------------------------------------------ knowing too little


def test_somebody_who_came_after_the_reading_is_found_all_the_same(open_office: OpenOffice) -> None:
    office = open_office()
    office.site.run(office.company.roster.find_workers(external_id="procore:1"))
    other = Office(office.site, office.settings)
    other.site.run(
        other.company.smartbarrel.create_worker(
            {"first_name": "M.", "last_name": "D.", "email": "m@example.com", "phone_number": "+15125550101"},
            "by-hand",
        )
    )
    handled = office.sync(MARIA)
    assert (handled.outcome, len(office.site.state.workers())) == (Outcome.UPDATED, 1)


def test_a_phone_that_somebody_else_took_meanwhile_is_told_by_name(open_office: OpenOffice) -> None:
    office = open_office()
    office.site.run(office.company.roster.find_workers(external_id="procore:1"))
    fields = {"first_name": "Erin", "last_name": "Okafor", "email": "e@example.com", "payroll_id": "999"}
    fields |= {"phone_number": "+15125550101"}
    office.site.run(Office(office.site, office.settings).company.smartbarrel.create_worker(fields, "by-hand"))
    handled = office.sync(MARIA)
    assert handled.outcome is Outcome.SKIPPED
    assert "Erin Okafor" in handled.reasons[0].message


def test_reading_goes_on_at_the_page_that_failed(open_office: OpenOffice) -> None:
    office = open_office(workers=existing(450))
    roster = Roster(office.site.smartbarrel)
    office.site.lose_answer("GET", "/workers")
    for _ in range(2):
        try:
            office.site.run(roster.find_workers(external_id="procore:1"))
        except Transient:
            office.site.lose_answer("GET", "/workers")
            office.site.wire.mishaps.clear()
    pages = [one.url.params["page"] for one in office.site.wire.seen]
    assert pages == ["1", "1", "2", "3"]


def test_a_hundred_at_once_read_once(open_office: OpenOffice) -> None:
    office = open_office(workers=existing(250))
    roster = Roster(office.site.smartbarrel)

    async def many() -> None:
        await asyncio.gather(*(roster.find_workers(external_id=f"procore:{one}") for one in range(100)))

    office.site.run(many())
    assert requests(office) == {"GET workers": 2}


def test_a_new_owner_reads_anew(open_office: OpenOffice) -> None:
    office = open_office()
    office.site.run(office.company.roster.find_workers(external_id="procore:1"))
    office.users.renew()
    office.site.run(office.company.roster.find_workers(external_id="procore:1"))
    assert requests(office) == {"GET workers": 2}


# ------------------------------------------------------------------ a name alone


def test_a_name_alone_never_links_but_is_suggested(open_office: OpenOffice) -> None:
    office = open_office(workers=[worker(7, "MARIA", "Delgado", payroll_id="900")])
    handled = office.sync(MARIA)
    assert (handled.outcome, len(office.site.state.workers())) == (Outcome.CREATED, 2)
    assert [warning.code for warning in handled.warnings] == ["same_name"]
    assert "MARIA Delgado (payroll ID 900)" in handled.warnings[0].message


LAKESIDE = {"id": "9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "name": "Lakeside Electric"}


@pytest.mark.parametrize("fields", [{"external_id": "procore:1"}, {"contractor": LAKESIDE}])
def test_who_is_somebody_else_for_certain_is_not_suggested(open_office: OpenOffice, fields: Json) -> None:
    office = open_office(workers=[worker(7, "Maria", "Delgado", **fields)])
    assert office.sync(MARIA).warnings == ()
