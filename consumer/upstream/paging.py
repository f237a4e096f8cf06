"""A list that comes in pages: read on where reading broke off, and never taken for whole when it is short."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from consumer.exceptions import Transient


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows of a list. ``total`` is how many all of its pages have, None if the upstream does not say."""

    rows: Sequence[T]
    total: int | None
    is_last: bool


class Listing(Generic[T]):
    """One reading of a list. After a failure or a cancellation it goes on at the page that is missing.

    A row that moves from a page that is still to come to one that was read is on none of them. So the
    rows, counted by ``key``, are compared with the total; if there are fewer, all pages are read once
    more. In the first reading the largest total counts. In the second the first one does: whoever was
    added since is no reason to fail, whoever was there before has to be found.
    """

    def __init__(
        self,
        ask: Callable[[int], Awaitable[Page[T]]],
        key: Callable[[T], Hashable],
        upstream: str,
        operation: str,
    ) -> None:
        self._ask = ask
        self._key = key
        self._named = (upstream, operation)
        self._given: set[Hashable] = set()
        self._begin(is_second=False)

    async def pages(self) -> AsyncIterator[Sequence[T]]:
        """Page by page the rows that were not given before. Raises Transient if some are missing."""
        while not self._is_whole:
            yield await self._next_page()

    async def whole(self) -> Sequence[T]:
        """All rows, each once. Raises Transient if some are missing."""
        while not self._is_whole:
            await self._next_page()
        return list(self._rows.values())

    def _begin(self, *, is_second: bool) -> None:
        self._page = 1
        self._rows: dict[Hashable, T] = {}
        self._first_total: int | None = None
        self._most = 0
        self._is_second = is_second
        self._is_whole = False

    async def _next_page(self) -> Sequence[T]:
        page = await self._ask(self._page)
        # Nothing is awaited from here on, so that a page is taken whole or asked for again.
        self._page += 1
        rows = {self._key(row): row for row in page.rows}
        self._rows |= rows
        if self._first_total is None:
            self._first_total = page.total
        self._most = max(self._most, page.total or 0)
        fresh = [row for key, row in rows.items() if key not in self._given]
        self._given |= rows.keys()
        if page.is_last or not rows:
            self._end()
        return fresh

    def _end(self) -> None:
        expected = (self._first_total or 0) if self._is_second else self._most
        found, was_second = len(self._rows), self._is_second
        if found >= expected:
            self._is_whole = True
            return
        self._begin(is_second=not was_second)
        if was_second:
            words = f"The list has {found} rows, and says that there are {expected}."
            raise Transient(*self._named, 200, (words,))
