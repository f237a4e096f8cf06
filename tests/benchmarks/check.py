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
    """``doubled`` events have more than one result, ``lost`` ones have none."""

    ordered: bool
    doubled: int
    lost: int

    @property
    def once(self) -> bool:
        """Whether each event has exactly one result."""
        return not self.doubled and not self.lost


def verdict(results: Sequence[Seen], calls: Iterable[Call], expected: int) -> Verdict:
    """Judge by the results in their order and the calls in theirs."""
    times = Counter((result.partition, result.offset) for result in results)
    doubled = sum(count > 1 for count in times.values())
    ordered = rises((result.user, result.offset) for result in results) and rises(
        ((company, user), number) for company, user, number in calls
    )
    return Verdict(ordered, doubled, expected - len(times))


def rises(pairs: Iterable[tuple[object, int]]) -> bool:
    """Whether the numbers of each key never fall; a number that comes again right away is no fall."""
    last: dict[object, int] = {}
    for key, number in pairs:
        if number < last.get(key, number):
            return False
        last[key] = number
    return True


def repeated(calls: Iterable[Call]) -> int:
    """How many events were handled again: for how many the upstream was called more than once."""
    return sum(count > 1 for count in Counter(calls).values())
