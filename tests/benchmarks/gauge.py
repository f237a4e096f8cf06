"""How an arm measures itself: time, processor time and memory of its own process."""

import time
from pathlib import Path

from tests.benchmarks.task import Report


class Gauge:
    """Measures from the first record to the last commit; starting and joining a group come before."""

    def __init__(self) -> None:
        self._began: tuple[float, float, float] | None = None
        self._ended: tuple[float, float] | None = None

    def begin(self) -> None:
        """The first record is there; later calls change nothing."""
        if self._began is None:
            self._began = (time.monotonic(), time.process_time(), memory_mb("VmRSS"))

    def end(self) -> None:
        """What was done up to now is committed."""
        self._ended = (time.monotonic(), time.process_time())

    def report(self, handled: int) -> Report:
        """What was measured. Raises RuntimeError if nothing was."""
        if self._began is None or self._ended is None:
            raise RuntimeError("nothing was measured: no record came, or the end was not reached")
        (began, cpu_began, base_mb), (ended, cpu_ended) = self._began, self._ended
        return Report(handled, began, ended, cpu_ended - cpu_began, memory_mb("VmHWM"), base_mb)


def memory_mb(what: str) -> float:
    """``VmRSS``, what is resident now, or ``VmHWM``, the most that ever was, in millions of bytes.

    Not ``ru_maxrss`` of ``getrusage``: on Linux a program starts out with that of whoever started it.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"the system does not tell {what}")
