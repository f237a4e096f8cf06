"""What stands at the offsets of ``sync-log``."""

from dataclasses import dataclass

from consumer.model.results import Result, RunMarker


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A value that is no record of ``sync-log`` for this version of the program, with the reason."""

    error: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands at an offset of ``sync-log``."""

    partition: int
    offset: int
    content: Result | RunMarker | Undecodable


@dataclass(frozen=True, slots=True)
class Undecoded:
    """The value at an offset of ``sync-log`` that could not be decoded so far."""

    partition: int
    offset: int
    value: bytes
