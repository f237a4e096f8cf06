"""What the catalog is asked for, and what it answers: pages of results, and the history of a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from consumer.model.results import Result
from consumer.sink.log_entry import LogEntry


class Show(StrEnum):
    """Which results of a log."""

    ALL = "all"
    SYNCED = "synced"
    NOT_SYNCED = "not_synced"
    WARNINGS = "warnings"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results of a log, and what to look for in them, without regard to case and accents."""

    show: Show = Show.ALL
    search: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the results that are wanted; ``total`` is how many there are in all."""

    results: Sequence[Result]
    total: int


@dataclass(frozen=True, slots=True)
class Past:
    """One line of a history. What is ``superseded`` was followed by a later result in the same run."""

    entry: LogEntry
    result: Result
    superseded: bool


@dataclass(frozen=True, slots=True)
class History:
    """Some of a history, newest first; ``total`` is how many lines it has in all."""

    items: Sequence[Past]
    total: int
