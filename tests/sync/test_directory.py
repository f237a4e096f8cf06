"""Procore's people are found by user, origin or employee id, and read again for who is missing."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from consumer.exceptions import Transient
from consumer.sync.directory import Directory
from consumer.upstream.procore_answers import Person
from tests.upstream.site import Mishap, Site, person, user, worker_id


MARIA, PRIYA = 25130001, 25130004
ORIGIN = f"sb:{worker_id(1)}"
INACTIVE = {"contact": {"is_active": False, "email": None}}


def contact(number: int, **fields: Any) -> dict[str, Any]:
    return person(number, "Priya", "Nair", **{"user_id": None, **fields})


def reads(site: Site) -> int:
    return sum(request.url.path.endswith("/people") for request in site.wire.seen)


def found(
    site: Site, directory: Directory, worker: str = worker_id(1), payroll_id: str | None = None
) -> int | None:
    person = site.run(directory.of_worker(worker, payroll_id))
    return None if person is None else person.id


def test_a_user_is_the_person_with_their_user_id(site: Site) -> None:
    directory = Directory(site.procore)
    for _ in range(3):
        person = site.run(directory.of_user(8800101))
        assert person is not None
        assert person.id == MARIA, "a timecard's party is the person, not the user"
    assert reads(site) == 1


def test_an_inactive_user_is_found_too(build: Callable[..., Site]) -> None:
    site = build(
        users=[user(1, "Maria", "Delgado", is_active=False)],
        people=[person(1, "Maria", "Delgado", **INACTIVE)],
    )
    assert site.run(Directory(site.procore).of_user(8800101)) is not None


def test_for_a_user_who_is_missing_the_directory_is_read_again_but_not_at_once(
    site: Site,
) -> None:
    now = 1000.0
    directory = Directory(site.procore, lambda: now)
    assert site.run(directory.of_user(1)) is None
    now += 59
    assert site.run(directory.of_user(1)) is None
    assert reads(site) == 1
    now += 2
    assert site.run(directory.of_user(1)) is None
    assert reads(site) == 2


def test_a_contact_is_found_by_its_origin_before_anybody_by_employee_id(build: Callable[..., Site]) -> None:
    site = build(
        people=[
            person(1, "Maria", "Delgado", employee_id="7001"),
            contact(4, origin_id=ORIGIN, employee_id=None),
        ]
    )
    directory = Directory(site.procore)
    assert found(site, directory, payroll_id="7001") == PRIYA
    assert found(site, directory, worker=worker_id(2), payroll_id="7001") == MARIA


def test_without_a_payroll_id_only_the_origin_counts(build: Callable[..., Site]) -> None:
    site = build(people=[contact(4, employee_id=None)])
    assert found(site, Directory(site.procore)) is None


@pytest.mark.parametrize("user_first", [True, False])
def test_a_user_comes_before_a_contact_with_the_same_employee_id(
    build: Callable[..., Site], user_first: bool
) -> None:
    people = [person(1, "Maria", "Delgado", employee_id="7001"), contact(4, employee_id="7001")]
    site = build(people=people if user_first else people[::-1])
    assert found(site, Directory(site.procore), payroll_id="7001") == MARIA


def test_an_active_contact_comes_before_an_inactive_one_with_the_same_employee_id(
    build: Callable[..., Site],
) -> None:
    site = build(people=[contact(4, employee_id="7001"), contact(5, employee_id="7001", **INACTIVE)])
    assert found(site, Directory(site.procore), payroll_id="7001") == PRIYA


def test_an_inactive_contact_is_found_rather_than_made_again(build: Callable[..., Site]) -> None:
    site = build(people=[contact(4, origin_id=ORIGIN, **INACTIVE)])
    assert found(site, Directory(site.procore)) == PRIYA


def test_who_was_just_created_is_found_without_reading(site: Site) -> None:
    async def test() -> int:
        directory = Directory(site.procore)
        assert await directory.of_worker(worker_id(1), "7001") is None
        made = await site.procore.create_contact(
            first_name="Priya", last_name="Nair", employee_id="7001", origin_id=ORIGIN
        )
        directory.add(made)
        before = reads(site)
        assert await directory.of_worker(worker_id(1), None) == made
        assert await directory.of_worker(worker_id(1), "7001") == made
        assert await directory.of_worker(worker_id(2), "7001") is None, "it is another worker's contact"
        return reads(site) - before

    assert site.run(test()) == 0


def test_after_renew_the_directory_is_read_again(site: Site) -> None:
    async def test() -> None:
        directory = Directory(site.procore)
        assert await directory.of_worker(worker_id(1), None) is None
        made = await site.procore.create_contact(
            first_name="Priya", last_name="Nair", employee_id=None, origin_id=ORIGIN
        )
        directory.renew()
        assert await directory.of_worker(worker_id(1), None) == made

    site.run(test())


def test_for_a_worker_who_is_missing_the_directory_is_read_again_before_a_contact_is_made(
    site: Site,
) -> None:
    """The office may have entered them in Procore since the directory was read, up to an hour ago."""
    now = 1000.0

    async def test() -> None:
        nonlocal now
        directory = Directory(site.procore, lambda: now)
        assert await directory.of_worker(worker_id(1), "7001") is None
        made = await site.procore.create_contact(
            first_name="Priya", last_name="Nair", employee_id="7001", origin_id="by-hand"
        )
        now += 120
        assert await directory.of_worker(worker_id(1), "7001") == made

    site.run(test())


def test_a_contact_who_is_added_and_was_read_besides_is_one_person(build: Callable[..., Site]) -> None:
    """Somebody else's look may have read the directory between the creation and its answer."""
    site = build(people=[contact(4, employee_id="000123")])
    directory = Directory(site.procore)
    (read,) = site.run(site.procore.people())
    assert found(site, directory, payroll_id="000123") == read.id
    directory.add(read)
    assert found(site, directory, payroll_id="000123") == read.id


def test_of_a_person_who_was_changed_nothing_is_found_by_what_they_had(build: Callable[..., Site]) -> None:
    site = build(people=[contact(4, origin_id=ORIGIN, employee_id="7001")])
    directory = Directory(site.procore)
    (read,) = site.run(site.procore.people())
    assert found(site, directory) == PRIYA
    directory.add(replace(read, employee_id="7002"))
    assert found(site, directory, worker_id(9), "7001") is None
    person = site.run(directory.of_worker(worker_id(1), None))
    assert person is not None
    assert person.employee_id == "7002"


# ------------------------------------------------------------------ a reading that breaks off


def pages_asked_for(site: Site) -> list[str]:
    return [request.url.params["page"] for request in site.wire.seen if request.url.path.endswith("/people")]


def break_off(site: Site, directory: Directory, page: int) -> None:
    site.wire.mishaps.append(Mishap(lambda request: request.url.params.get("page") == str(page)))
    with pytest.raises(Transient):
        site.run(directory.of_user(8800101))


@pytest.fixture
def four_pages(build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("consumer.upstream.procore.PER_PAGE", 1)
    others = [contact(number, employee_id=f"700{number}") for number in (4, 5, 6)]
    return build(people=[person(1, "Maria", "Delgado"), *others])


def test_a_page_that_failed_is_the_first_to_be_read_again(four_pages: Site) -> None:
    directory = Directory(four_pages.procore)
    break_off(four_pages, directory, 3)
    assert four_pages.run(directory.of_user(8800101)) is not None
    assert pages_asked_for(four_pages) == ["1", "2", "3", "3", "4"]


def test_after_renew_all_pages_are_read_again(four_pages: Site) -> None:
    directory = Directory(four_pages.procore)
    break_off(four_pages, directory, 3)
    directory.renew()
    assert four_pages.run(directory.of_user(8800101)) is not None
    assert pages_asked_for(four_pages) == ["1", "2", "3", "1", "2", "3", "4"]


def test_after_five_minutes_all_pages_are_read_again(four_pages: Site) -> None:
    now = 1000.0
    directory = Directory(four_pages.procore, lambda: now)
    break_off(four_pages, directory, 3)
    now += 301
    assert four_pages.run(directory.of_user(8800101)) is not None
    assert pages_asked_for(four_pages) == ["1", "2", "3", "1", "2", "3", "4"]


def test_who_is_created_or_changed_while_a_reading_is_broken_off_is_in_it_when_it_is_over(
    four_pages: Site,
) -> None:
    """Their page may have been read before, and a second contact would be made of them."""
    directory = Directory(four_pages.procore)
    break_off(four_pages, directory, 4)
    read = Person(PRIYA, None, "Priya", "Nair", "7004", ORIGIN, is_employee=True)
    directory.add(read)
    assert found(four_pages, directory) == PRIYA
    assert pages_asked_for(four_pages) == ["1", "2", "3", "4", "4"]


def test_a_hundred_who_ask_at_once_are_answered_by_one_reading(four_pages: Site) -> None:
    directory = Directory(four_pages.procore)

    async def all_at_once() -> list[Person | None]:
        return await asyncio.gather(*(directory.of_user(number) for number in range(8800101, 8800201)))

    people = four_pages.run(all_at_once())
    assert [one is not None for one in people] == [True] + [False] * 99
    assert pages_asked_for(four_pages) == ["1", "2", "3", "4"]


def test_a_directory_that_came_back_short_makes_nobody_missing(site: Site) -> None:
    """Whoever is missing may be made a contact, so a list that lost its rows must not say so."""
    site.run(site.tokens.get())
    answer = httpx.Response(200, json=[], headers={"Total": "1"})
    site.wire.servers["procore.test"] = httpx.MockTransport(lambda _: answer)
    with pytest.raises(Transient):
        site.run(Directory(site.procore).of_worker(worker_id(1), "7001"))
