"""Whether this machine's clock agrees with the upstreams'."""

import asyncio
from collections.abc import Mapping

import httpx
import pytest

from consumer.doctor.clock import Skews, clock_findings
from consumer.doctor.findings import Level


NOON = 1_764_072_000.0
DATE = "Tue, 25 Nov 2025 12:00:00 GMT"


@pytest.mark.parametrize(
    ("now", "level", "what"),
    [
        (NOON, Level.OK, "clock: it agrees with Procore's"),
        (NOON + 29.9, Level.OK, "agrees"),
        (NOON + 95, Level.WARN, "clock: this machine's is 95 s ahead of Procore's"),
        (NOON - 3600, Level.WARN, "clock: this machine's is 3600 s behind Procore's"),
    ],
)
def test_half_a_minute_apart_is_a_warning_with_its_direction(now: float, level: Level, what: str) -> None:
    skews = Skews(now=lambda: now)
    skews.answered("Procore", {"Date": DATE})
    (finding,) = clock_findings(skews.seen)
    assert finding.level is level
    assert what in finding.what
    assert ("NTP" in finding.remedy) == (level is Level.WARN)


def test_the_nearest_of_several_answers_counts() -> None:
    times = iter([NOON + 40, NOON + 1, NOON - 50])
    skews = Skews(now=lambda: next(times))
    for _ in range(3):
        skews.answered("Procore", {"Date": DATE})
    assert skews.seen == {"Procore": -1}


@pytest.mark.parametrize(
    "headers",
    [{}, {"Date": "yesterday"}, {"Date": DATE, "Age": "300"}, {"Date": "Tue, 25 Nov 99999 12:00:00 GMT"}],
    ids=["none", "no date", "from a cache", "out of range"],
)
def test_an_answer_that_does_not_tell_the_time_says_nothing(headers: Mapping[str, str]) -> None:
    skews = Skews(now=lambda: NOON)
    skews.answered("Procore", httpx.Headers(headers))
    assert list(clock_findings(skews.seen)) == []


def test_every_answer_of_a_watched_client_is_looked_at() -> None:
    skews = Skews(now=lambda: NOON)

    async def ask() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(503, headers={"Date": DATE}))
        async with httpx.AsyncClient(transport=transport) as client:
            skews.watch(client, "SmartBarrel")
            await client.get("http://example.com")

    asyncio.run(ask())
    assert skews.seen == {"SmartBarrel": 0}
