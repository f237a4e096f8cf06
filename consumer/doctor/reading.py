"""Reads that the product makes, tried once, and what came of each."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from consumer.exceptions import Misconfigured, RateLimited, UpstreamError


LIMIT_S = 60.0
_LONGEST_WORDS = 200
_OK = 200
# What the clients let out when an answer is JSON, but not what the upstream would say.
_STRANGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Reading:
    """A read call. ``ask`` gives whether there was anything, ``allow`` says what opens it to the account."""

    what: str
    allow: str
    ask: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a reading; ``status`` is None if there was no answer at all."""

    reading: Reading
    status: int | None = _OK
    words: str = ""
    has_any: bool = True
    is_limited: bool = False
    is_strange: bool = False
    is_hidden: bool = False

    @property
    def is_well(self) -> bool:
        """Whether the answer was one that the product can work with."""
        return self.status == _OK and not (self.is_strange or self.is_hidden or self.is_limited)

    @property
    def said(self) -> str:
        """What the upstream said instead."""
        if self.is_strange:
            return f"its answer is not what it should be ({self.words})"
        said = "no answer" if self.status is None else f"HTTP {self.status}"
        return f"{said}: {self.words}" if self.words else said

    @property
    def is_refused(self) -> bool:
        """Whether the account is not let in, or the address is wrong: time alone mends neither."""
        return self.status is not None and 300 <= self.status < 500 and not self.is_limited  # noqa: PLR2004 - HTTP


async def tried(reading: Reading) -> Outcome:
    """Make the call once."""
    try:
        async with asyncio.timeout(LIMIT_S):
            return Outcome(reading, has_any=await reading.ask())
    except UpstreamError as error:
        words = "; ".join(error.words)[:_LONGEST_WORDS]
        return Outcome(
            reading,
            error.status,
            words,
            is_limited=isinstance(error, RateLimited),
            is_hidden=isinstance(error, Misconfigured) and error.status == _OK,
            is_strange=not isinstance(error, Misconfigured) and error.status == _OK,
        )
    except TimeoutError:
        return Outcome(reading, None, f"none within {LIMIT_S:.0f} s")
    except _STRANGE as error:
        return Outcome(reading, words=type(error).__name__, is_strange=True)


async def all_tried(readings: Sequence[Reading]) -> Sequence[Outcome]:
    """Make the calls one after the other, as a rate limit likes it best."""
    return [await tried(reading) for reading in readings]


def alike(outcomes: Sequence[Outcome]) -> Outcome | None:
    """The one answer that every call got, if that is not what it should be."""
    first = outcomes[0]
    if first.is_well or any(
        (each.status, each.is_strange, each.is_hidden, each.is_limited)
        != (first.status, first.is_strange, first.is_hidden, first.is_limited)
        for each in outcomes
    ):
        return None
    return first
