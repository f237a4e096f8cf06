"""The law: how fast work can be done at best, in order per key, with so much of it in flight."""

from collections import Counter
from collections.abc import Sequence


def shortest_s(users: Sequence[int], work_s: float, in_flight: int) -> float:
    """The least seconds that these events take, one call of ``work_s`` each.

    Two things bound it: the calls of the busiest user can only follow one another, and no more than
    ``in_flight`` run at a time. With equally busy users, the events by this time are
    ``min(in flight, keys) / work time``.
    """
    if not users:
        return 0.0
    busiest = max(Counter(users).values())
    return max(busiest, len(users) / in_flight) * work_s


def law_per_s(users: Sequence[int], work_s: float, in_flight: int) -> float | None:
    """The law in events per second; None where no work is done, and so no law holds."""
    least = shortest_s(users, work_s, in_flight)
    return len(users) / least if least else None


def best_per_s(keys: int | None, busiest_share: float, work_s: float, in_flight: int) -> float:
    """The law before the events are drawn, from the share of the busiest user; to choose how many to draw."""
    ways = in_flight if keys is None else min(in_flight, keys)
    return min(ways, 1 / busiest_share if busiest_share else ways) / work_s
