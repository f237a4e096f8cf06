"""Which user each event is of: the distributions of keys, drawn with a seed."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


ZIPF_USERS = 1000
ZIPF_EXPONENT = 1.1


class Keys(StrEnum):
    """How the events are spread over users, each of whom is one key."""

    ONE = "1 key"
    HUNDRED = "100 keys"
    ZIPF = "Zipf"
    DISTINCT = "all distinct"


@dataclass(frozen=True, slots=True)
class Spread:
    """What is known of a distribution before it is drawn. ``count`` is None where each event has its own."""

    count: int | None
    busiest_share: float


def spread(keys: Keys) -> Spread:
    """How many keys there are, and the share of events that the busiest has (0 if it has but one event)."""
    match keys:
        case Keys.ONE:
            return Spread(1, 1.0)
        case Keys.HUNDRED:
            return Spread(100, 0.01)
        case Keys.ZIPF:
            weights = _zipf_weights()
            return Spread(ZIPF_USERS, weights[0] / sum(weights))
        case Keys.DISTINCT:
            return Spread(None, 0.0)


def users(keys: Keys, events: int, seed: int) -> Sequence[int]:
    """The user of each event, from 0. The same arguments give the same users on every machine."""
    rng = random.Random(f"{seed}/{keys}")
    match keys:
        case Keys.ONE:
            return [0] * events
        case Keys.HUNDRED:
            # Round after round in an order of its own, so that all are equally busy and yet nothing repeats.
            rounds = (rng.sample(range(100), 100) for _ in itertools.count())
            return list(itertools.islice(itertools.chain.from_iterable(rounds), events))
        case Keys.ZIPF:
            return rng.choices(range(ZIPF_USERS), weights=_zipf_weights(), k=events)
        case Keys.DISTINCT:
            return list(range(events))


def _zipf_weights() -> list[float]:
    return [1 / rank**ZIPF_EXPONENT for rank in range(1, ZIPF_USERS + 1)]
