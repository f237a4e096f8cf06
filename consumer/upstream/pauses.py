"""How long a server is left alone after it has refused a call. Pure."""

import random


MOST_S = 3600.0
"""No pause is longer, whatever is asked for: after it one call tells how things stand."""
LEAST_S = 1.0
"""None is shorter: a server that says "now" while it refuses does not know when."""
JITTER_S = 0.5

_LONGEST_GUESS_S = 60.0


def pause_s(refusals: int, asked_s: float, rng: random.Random) -> float:
    """After so many refusals in a row: what the last one asks for, and a little longer by chance.

    If that is next to nothing, the pause grows with each refusal.
    """
    pause = asked_s
    if asked_s <= LEAST_S:
        pause = min(_LONGEST_GUESS_S, LEAST_S * 2.0 ** min(max(refusals, 1) - 1, 30))
    return min(pause, MOST_S) + rng.uniform(0.0, JITTER_S)
