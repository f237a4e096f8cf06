"""A list in pages is read whole, goes on where it broke off, and is not taken for whole when it is short."""

import asyncio
from collections.abc import Sequence

import pytest

from consumer.exceptions import RateLimited, Transient
from consumer.upstream.paging import Listing, Page


class Server:
    """Serves rows two to a page; ``before`` changes the rows when so many requests were made."""

    def __init__(self, rows: str, *, has_total: bool = True) -> None:
        self.rows = rows
        self.has_total = has_total
        self.asked: list[int] = []
        self.before: dict[int, str] = {}
        self.failing: set[int] = set()

    async def ask(self, number: int) -> Page[str]:
        self.asked.append(number)
        self.rows = self.before.get(len(self.asked), self.rows)
        await asyncio.sleep(0)
        if len(self.asked) in self.failing:
            raise RateLimited("procore", "list", 429)
        rows = self.rows[2 * number - 2 : 2 * number]
        total = len(self.rows) if self.has_total else None
        return Page(rows, total, 2 * number >= len(self.rows))

    def listing(self) -> Listing[str]:
        return Listing(self.ask, str.lower, "procore", "list")


def read(listing: Listing[str]) -> str:
    return "".join(asyncio.run(listing.whole()))


async def _pages(listing: Listing[str]) -> list[Sequence[str]]:
    return [page async for page in listing.pages()]


def pages(listing: Listing[str]) -> list[str]:
    return ["".join(page) for page in asyncio.run(_pages(listing))]


@pytest.mark.parametrize(("rows", "asked"), [("", [1]), ("ab", [1]), ("abc", [1, 2]), ("abcdef", [1, 2, 3])])
def test_every_page_is_asked_for_once(rows: str, asked: list[int]) -> None:
    server = Server(rows)
    listing = server.listing()
    assert (read(listing), read(listing), server.asked) == (rows, rows, asked)


def test_after_failures_reading_goes_on_at_the_page_that_failed() -> None:
    server = Server("abcdef")
    server.failing = {2, 3, 5}
    listing = server.listing()
    for _ in server.failing:
        with pytest.raises(RateLimited):
            read(listing)
    assert (read(listing), server.asked) == ("abcdef", [1, 2, 2, 2, 3, 3])


def test_a_reader_who_is_cancelled_loses_no_page_that_was_read() -> None:
    server = Server("abcdef")

    async def test() -> str:
        listing = server.listing()
        reader = asyncio.ensure_future(listing.whole())
        for _ in range(3):
            await asyncio.sleep(0)
        assert server.asked == [1, 2, 3]
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        return "".join(await listing.whole())

    assert (asyncio.run(test()), server.asked) == ("abcdef", [1, 2, 3, 3])


def test_a_row_that_moved_to_a_page_that_was_read_is_found_by_a_second_reading() -> None:
    server = Server("abcdef")
    server.before = {2: "eabcdf"}  # "e" is now on the first page, which moves "b" to the second
    assert (read(server.listing()), server.asked) == ("eabcdf", [1, 2, 3] * 2)


def test_who_was_removed_while_reading_costs_a_second_reading_and_hides_nobody() -> None:
    server = Server("abcdef")
    server.before = {2: "bcdef"}
    assert (read(server.listing()), server.asked) == ("bcdef", [1, 2, 3] * 2)


def test_who_was_added_while_reading_is_read_if_the_list_then_stands_still() -> None:
    server = Server("bcde")
    server.before = {2: "abcde"}
    assert read(server.listing()) == "abcde"


def test_a_list_that_somebody_is_added_to_at_each_reading_is_whole_after_the_second() -> None:
    server = Server("cdef")
    server.before = {2: "bcdef", 5: "abcdef"}
    assert sorted(read(server.listing())) == list("bcdef")
    assert server.asked == [1, 2, 3] * 2


@pytest.mark.parametrize("rows", ["", "ab", "abc"])
def test_a_list_that_is_shorter_than_it_says_twice_is_no_list(rows: str) -> None:
    server = Server(rows)
    claimed = len(rows) + 1

    async def ask(number: int) -> Page[str]:
        page = await server.ask(number)
        return Page(page.rows, claimed, page.is_last)

    listing = Listing(ask, str.lower, "procore", "list")
    with pytest.raises(Transient) as caught:
        read(listing)
    assert caught.value.words == (f"The list has {len(rows)} rows, and says that there are {claimed}.",)
    once = len(server.asked) // 2
    assert server.asked == list(range(1, once + 1)) * 2
    claimed = len(rows)
    assert read(listing) == rows, "and the next attempt reads it anew"
    assert len(server.asked) == 3 * once


def test_without_a_total_nothing_is_compared() -> None:
    server = Server("abcdef", has_total=False)
    server.before = {2: "eabcdf"}
    assert read(server.listing()) == "abcdf"


def test_a_page_without_rows_ends_a_list_that_says_there_is_more() -> None:
    async def ask(number: int) -> Page[str]:
        return Page("ab" if number == 1 else "", None, is_last=False)

    assert read(Listing(ask, str.lower, "procore", "list")) == "ab"


def test_page_by_page_each_row_is_given_once_over_both_readings() -> None:
    server = Server("abcdef")
    server.before = {2: "eabcdf"}
    assert pages(server.listing()) == ["ab", "c", "df", "e", "", ""]


def test_of_a_row_that_is_read_twice_the_later_one_counts() -> None:
    server = Server("abcA", has_total=False)
    assert read(server.listing()) == "Abc"
