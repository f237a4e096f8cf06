"""All that a run has measured, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.cells import Arm, Figure
from tests.benchmarks.task import Report


PROCESSES: Mapping[int, str] = {1: "1 process, without work", 2: "2 processes, without work"}
NINE_OF_TEN = "nine companies of ten"
NINE = "nine companies, the tenth answered 401"


@dataclass(frozen=True, slots=True)
class Extra:
    """A measurement that is no cell of a table; ``why`` says the reason where there is no report."""

    name: str
    report: Report | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Killed:
    """What a SIGKILL half-way through cost an arm.

    ``begun`` events had called the upstream at the kill. ``in_flight`` of them had no committed result;
    ``calling`` of these still waited for the upstream, for the rest the commit was due. ``again`` is how many
    events were handled a second time, ``doubled`` how many have two results, ``lost`` how many none.
    """

    arm: Arm
    limit: int
    begun: int = 0
    in_flight: int = 0
    calling: int = 0
    again: int = 0
    doubled: int = 0
    lost: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run has measured. ``lengths`` are ours without work on a short and on a long topic."""

    figures: Sequence[Figure]
    lengths: Sequence[Figure]
    killed: Sequence[Killed]
    extras: Sequence[Extra]
