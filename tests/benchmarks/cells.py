"""What is measured: one arm at one work time, one distribution of keys and one limit in flight."""

from dataclasses import dataclass

from tests.benchmarks.check import Verdict
from tests.benchmarks.keys import Keys
from tests.benchmarks.task import Report


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to consume: its name in the tables, the module and variant, and how its work overlaps."""

    name: str
    module: str
    variant: str = ""
    concurrent: bool = False
    in_order: bool = True


BARE = Arm("bare poll and decode", "bare")
NAIVE = Arm("naive loop", "naive")
TRANSACTIONAL = Arm("transactional loop", "transactional", "as it comes")
TRANSACTIONAL_TUNED = Arm("transactional loop, tuned", "transactional", "tuned")
THREADS = Arm("thread pool", "threads", concurrent=True, in_order=False)
FASTSTREAM = Arm("FastStream", "fast_stream", "fast", concurrent=True, in_order=False)
FASTSTREAM_ACKED = Arm("FastStream, acked", "fast_stream", "acked", concurrent=True)
QUIX = Arm("Quix Streams", "quix", "at-least-once")
QUIX_ONCE = Arm("Quix Streams, exactly once", "quix", "exactly-once")
OURS = Arm("crewsync", "ours", concurrent=True)
OURS_HTTPX = Arm("crewsync, httpx", "ours", "httpx", concurrent=True)
OURS_USERS = Arm("crewsync, real user handler", "ours", "users", concurrent=True)
LOAD_LINKS = Arm("crewsync, links", "load_links")
BARE_LINKS = Arm("bare poll and decode, links", "bare", "links")
BARE_UNDECODED = Arm("bare poll, links", "bare", "links undecoded")


@dataclass(frozen=True, slots=True)
class Cell:
    """``events`` is how many are handled."""

    arm: Arm
    work_ms: int
    keys: Keys
    in_flight: int
    events: int


@dataclass(frozen=True, slots=True)
class Figure:
    """What came of a cell. Without a report it did not finish, and ``why`` says the reason."""

    cell: Cell
    law_per_s: float | None = None
    report: Report | None = None
    verdict: Verdict | None = None
    why: str = ""

    @property
    def per_s(self) -> float | None:
        """Events per second."""
        return self.report.per_s if self.report else None

    @property
    def of_law(self) -> float | None:
        """The ratio to the law, None where none holds."""
        return self.report.per_s / self.law_per_s if self.report and self.law_per_s else None

    @property
    def cpu_per_1000(self) -> float | None:
        """Seconds of processor time per 1,000 events."""
        return self.report.cpu_s / self.report.handled * 1000 if self.report else None
