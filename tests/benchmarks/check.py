"""Whether an arm did what it should: every event once, and the events of each user in order."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Seen(NamedTuple):
    """A result: of which event, by its partition and offset, and of whom."""

    partition: int
    offset: int
    user: str
    company: int


Call = tuple[int, int, int]
"""Company, user and number of the event, as the upstream saw it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``doubled`` events have more than one result, ``lost`` ones have none.

    ``disorder`` tells where the order was broken first, among the results or the calls; empty if it was not.
    """

    disorder: str
    doubled: int
    lost: int

    @property
    def ordered(self) -> bool:
        """Whether each user's events came in order, to the upstream and to the results."""
        return not self.disorder

    @property
    def once(self) -> bool:
        """Whether each event has exactly one result."""
        return not self.doubled and not self.lost


def verdict(results: Sequence[Seen], calls: Iterable[Call], expected: int) -> Verdict:
    """Judge by the results in their order and the calls in theirs."""
    times = Counter((result.partition, result.offset) for result in results)
    doubled = sum(count > 1 for count in times.values())
    disorder = fall("result", ((result.user, result.offset) for result in results)) or fall(
        "call", ((user, number) for _, user, number in calls)
    )
    return Verdict(disorder, doubled, expected - len(times))


def fall(what: str, pairs: Iterable[tuple[object, int]]) -> str:
    """Where the numbers of a key fall for the first time; empty if none do.

    A number that comes again right away is no fall.
    """
    last: dict[object, int] = {}
    for place, (key, number) in enumerate(pairs):
        before = last.get(key, number)
        if number < before:
            return f"{what} {place}: user {key}, {number} after {before}"
        last[key] = number
    return ""


def repeated(calls: Iterable[Call]) -> int:
    """How many events were handled again: for how many the upstream was called more than once."""
    return sum(count > 1 for count in Counter(calls).values())
