"""How far this machine's clock is from the upstreams'."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime

import httpx

from consumer.doctor.findings import Finding, ok, warn


MOST_SKEW_S = 30.0
"""What may be a slow answer. Both upstreams' tokens and rate limits are told in their own time."""


@dataclass(frozen=True, slots=True)
class Skews:
    """By how many seconds each upstream's clock is ahead of this one; the nearest of what was seen."""

    now: Callable[[], float] = time.time
    seen: dict[str, float] = field(default_factory=dict)

    def watch(self, client: httpx.AsyncClient, name: str) -> None:
        """Look at every answer that this client gets."""

        async def look(response: httpx.Response) -> None:
            self.answered(name, response.headers)

        client.event_hooks["response"].append(look)

    def answered(self, name: str, headers: Mapping[str, str]) -> None:
        """An answer came with these headers. One from a cache, which tells its age, says nothing."""
        skew = None if "Age" in headers else _skew_s(headers.get("Date", ""), self.now())
        if skew is not None:
            self.seen[name] = min(skew, self.seen.get(name, skew), key=abs)


def clock_findings(seen: Mapping[str, float]) -> Iterator[Finding]:
    """A line for each upstream whose time is known."""
    for name, skew in seen.items():
        if abs(skew) <= MOST_SKEW_S:
            yield ok(f"clock: it agrees with {name}'s")
            continue
        way = "behind" if skew > 0 else "ahead of"
        yield warn(
            f"clock: this machine's is {abs(skew):.0f} s {way} {name}'s",
            "let this machine's clock be set by NTP (timedatectl set-ntp true), and see that it is",
        )


def _skew_s(date: str, now: float) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
        # A date without a zone is of UTC, as all of HTTP's are.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError):
        return None
