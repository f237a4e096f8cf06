"""How log files end their lines, and how long logs are kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from consumer.sink.files import LineEnds, remove_file
from consumer.sink.state import State


DAY_S = 86_400
SWEEP_EVERY_S = 3600.0
SWEEP_S = 0.25
"""A sweep stops after so long, and goes on with the next step."""
_MOST = 100


@dataclass(frozen=True, slots=True)
class Keeping:
    """``days``: logs without a result for so many are removed; None: they are kept for ever."""

    line_ends: LineEnds = "lf"
    days: int | None = None

    def oldest(self, wall: Callable[[], float]) -> int | None:
        """In microseconds since 1970, before which a log's last result makes it too old."""
        return None if self.days is None else int((wall() - self.days * DAY_S) * 1_000_000)


def remove_old(state: State, log_dir: Path, oldest: int, clock: Callable[[], float] = time.monotonic) -> bool:
    """Remove logs that are too old, for about a quarter of a second; whether all of them are gone.

    Rows go first, but for the note of where the file is: a process that is killed in between leaves work
    for the next, and nothing else. Raises SinkError, OSError.
    """
    until = clock() + SWEEP_S
    old = state.older_than(oldest, _MOST)
    for done, log in enumerate(old):
        if done and clock() >= until:
            return False
        state.forget(log)
        remove_left(state, log_dir)
    return len(old) < _MOST


def remove_left(state: State, log_dir: Path) -> None:
    """Remove the files whose logs are gone. Raises SinkError, OSError."""
    for path in state.left_files():
        remove_file(log_dir / path)
        state.forget_file(path)
