"""However much goes wrong, a process has a number of series that is known before."""

import re
import time

import pytest

from consumer.metrics import BREAKER_STATES
from consumer.upstream.calls import CODE_CLASSES, OPERATIONS
from tests.alerts.prometheus import DEPLOY, Prometheus


pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(300)]

RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text("utf-8")
HANDLERS, PARTITIONS, COMPANIES = 2, 8, 1
CALLS = sum(len(known) + 1 for known in OPERATIONS.values()) * (len(CODE_CLASSES) + 12 + 1 + 2)
"""Of each operation: its counters by answer, and the buckets, sum and count of its histogram."""
OF_PARTITION = 6
OF_COMPANY = HANDLERS * (2 + 1 + 1 + len(BREAKER_STATES)) + 2 * 3
"""By handler: waiting, in flight, breaker, access, its changes; by system: the three of its budget."""


def said(pattern: str) -> int:
    """A number that the runbook states."""
    found = re.search(pattern, RUNBOOK)
    assert found is not None, pattern
    return int(found[1].replace(",", ""))


def test_a_process_has_no_more_series_than_the_runbook_says_whatever_befalls_it(played: Prometheus) -> None:
    fixed = said(r"at most ([\d,]+) of its own")
    of_partition, of_company = said(r"(\d+) for each partition"), said(r"(\d+) for each company")
    assert (of_partition, of_company) == (OF_PARTITION, OF_COMPANY)
    assert fixed > CALLS
    bound = fixed + HANDLERS * PARTITIONS * of_partition + COMPANIES * of_company
    counts = played.history("scrape_samples_scraped > 0")
    most = {series.labels["job"]: max(value for _, value in series.values) for series in counts}
    assert len(most) == 3
    assert max(most.values()) <= bound
    assert max(most.values()) > 0.95 * bound, "a bound that is far off would notice nothing"


def test_all_series_of_the_whole_play_are_no_more_than_those_of_one_moment(played: Prometheus) -> None:
    """A label that takes ever new values would leave series behind that are not served any more."""
    ours = '{__name__=~"crewsync_.*", job="crewsync-broken"}'
    span: dict[str, str | float] = {"match[]": ours, "start": played.began, "end": time.time()}
    ever = played.get("series", **span)
    assert len(ever) == played.value(f"count({ours})")
