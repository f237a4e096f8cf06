"""How long until a failed attempt is made again: in place, so that the order of its key is kept."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Seconds: the first and the longest wait, and how long a record is tried before it is parked."""

    first_wait_s: float = 0.2
    longest_wait_s: float = 30.0
    deadline_s: float = 600.0

    def wait_s(self, failures: int, rng: random.Random, hint_s: float = 0.0) -> float:
        """After so many failures: exponential with full jitter, and no less than the upstream asks for."""
        ceiling = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(failures - 1, 30))
        return max(rng.uniform(0, ceiling), hint_s)

    def is_over(self, since: float, now: float, wait_s: float = 0.0) -> bool:
        """Whether the next attempt would come after the deadline of a record first tried at ``since``."""
        return now + wait_s > since + self.deadline_s
