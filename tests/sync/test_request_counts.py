"""How many requests a sync costs: one for each change, and hardly any for finding out what to change.

``REQUEST_COUNTS_USERS=20000`` in the environment counts a large company; it takes some minutes.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from consumer.model.events import UserEvent
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.contracts import Unchecked
from tests.sync.conftest import Office
from tests.sync.people import MARIA, maria
from tests.upstream.site import COMPANY, Json, Site, company_data, worker


USERS = int(os.environ.get("REQUEST_COUNTS_USERS", "500"))
PAGES = -(-USERS // 200)
AT_ONCE = 100
CHANGED = 12
LONG_S = 1800
FIRST_NAMES = ("Ada", "Bo", "Chidi", "Dolores", "Emeka", "Freya", "Guadalupe", "Hana")
LAST_NAMES = ("Adeyemi", "Brandt", "Castillo", "Dvořák", "Eriksen", "Fontaine", "Gutiérrez", "Hossain")


def users(seed: int = 20261123) -> list[UserEvent]:
    """Invented employees, each with values of their own."""
    choose = random.Random(seed)
    return [
        replace(
            MARIA,
            user_id=8900000 + number,
            first_name=choose.choice(FIRST_NAMES),
            last_name=choose.choice(LAST_NAMES),
            email=f"person.{number}@example.com",
            mobile_phone=f"(512) {300 + number // 10000}-{number % 10000:04}",
            employee_id=f"E{number:05}",
        )
        for number in range(USERS)
    ]


def later(event: UserEvent) -> UserEvent:
    return replace(event, asked_at=maria(minutes=60).asked_at)


def existing(number: int, event: UserEvent) -> Json:
    """A worker who has the user's payroll ID, and neither an external id nor their phone number."""
    return worker(
        number, "W.", "Unknown", payroll_id=event.employee_id, phone_number=f"+1737{3000000 + number}"
    )


def sync(office: Office, events: Sequence[UserEvent]) -> tuple[Counter[Outcome], Counter[str]]:
    """Handle the events as the engine does, many at once; the outcomes, and the requests by method."""

    async def all_of_them() -> Counter[Outcome]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def handled(event: UserEvent) -> Outcome:
            async with turns:
                return (await office.handle(event)).outcome

        return Counter(await asyncio.gather(*map(handled, events)))

    before = len(office.site.wire.seen)
    outcomes = office.site.run(all_of_them(), seconds=LONG_S)
    return outcomes, Counter(request.method for request in office.site.wire.seen[before:])


@pytest.fixture
def open_large(tmp_path: Path) -> Iterator[Callable[..., Office]]:
    """Opens an office over SmartBarrel workers. Their kinds of exchanges are checked by other tests."""
    with ExitStack() as opened:

        def one(workers: list[Json] | None = None) -> Office:
            site = opened.enter_context(
                Site(tmp_path / "sandbox.db", Unchecked(), company_data(workers=workers))
            )
            return Office(site, CompanySettings(COMPANY))

        yield one


@pytest.mark.timeout(LONG_S)
def test_a_first_sync_costs_a_request_for_each_user_and_each_later_one_a_request_for_each_change(
    open_large: Callable[..., Office],
) -> None:
    everybody = users()
    office = open_large()
    assert sync(office, everybody) == ({Outcome.CREATED: USERS}, {"GET": 1, "POST": USERS})

    changed = range(0, USERS, USERS // CHANGED)[:CHANGED]
    resync = [later(event) for event in everybody]
    for number in changed:
        resync[number] = replace(resync[number], last_name="Changed")
    unchanged = USERS - CHANGED
    assert sync(office, resync) == (
        {Outcome.UPDATED: CHANGED, Outcome.UNCHANGED: unchanged},
        {"PATCH": CHANGED},
    )

    office.restart()
    assert sync(office, resync) == ({Outcome.UNCHANGED: USERS}, {}), "a process that has read nothing"


@pytest.mark.timeout(LONG_S)
def test_workers_who_are_matched_cost_a_look_a_change_and_at_most_twice_the_pages_of_their_list(
    open_large: Callable[..., Office],
) -> None:
    everybody = users()
    office = open_large([existing(number, event) for number, event in enumerate(everybody)])
    outcomes, requests = sync(office, everybody)
    assert outcomes == {Outcome.UPDATED: USERS}
    assert USERS < requests.pop("GET") <= USERS + 2 * PAGES
    assert requests == {"PATCH": USERS}

    office.restart(lose_links=True)
    outcomes, requests = sync(office, everybody)
    assert outcomes == {Outcome.UNCHANGED: USERS}
    assert USERS < requests.pop("GET") <= USERS + PAGES
    assert not requests
