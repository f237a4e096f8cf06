"""What an arm is told, and what it reports: both travel as JSON between processes."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Task:
    """One run of one arm.

    ``expected`` is how many events the arm handles before it ends. With a ``share`` it is one of several
    processes of a group instead: it ends when it has finished ``share`` partitions, of which ``sizes`` says
    how many events they hold, and then waits for a line on its standard input before it leaves the group.
    Events of ``unawaited`` companies are not waited for.
    """

    arm: str
    bootstrap: str
    upstream_port: int
    events_topic: str
    results_topic: str
    links_topic: str
    dead_topic: str
    group: str
    instance: str
    expected: int
    work_ms: int = 0
    in_flight: int = 1
    per_company: int = 1
    variant: str = ""
    unawaited: tuple[int, ...] = ()
    share: int | None = None
    sizes: tuple[int, ...] = ()
    stays: bool = False
    """Whether it is a static member of its group, so that whoever follows a kill takes over at once."""

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From text."""
        fields = json.loads(text)
        return cls(**{**fields, "unawaited": tuple(fields["unawaited"]), "sizes": tuple(fields["sizes"])})


@dataclass(frozen=True, slots=True)
class Report:
    """What an arm has measured of itself.

    ``began`` and ``ended`` are moments of the machine's monotonic clock: the first record was there; the last
    result was committed. ``cpu_s`` is the processor time, user and system, of all threads in between;
    ``peak_mb`` the most memory that was resident at any time, in millions of bytes; ``base_mb`` what was
    resident before the work began.
    """

    handled: int
    began: float
    ended: float
    cpu_s: float
    peak_mb: float
    base_mb: float

    @property
    def seconds(self) -> float:
        """The measured window."""
        return self.ended - self.began

    @property
    def per_s(self) -> float:
        """Events per second within it."""
        return self.handled / self.seconds

    def to_json(self) -> str:
        """As text, on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From text."""
        return cls(**json.loads(text))
