"""What is told of request budgets: how much is left, and how long calls have waited."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Gauge

from consumer.metric_families import REGISTRY
from consumer.upstream.quota import Quota


@dataclass(frozen=True, slots=True)
class BudgetMetrics:
    """Children of the metrics, bound once for one company at one upstream."""

    limit: Gauge
    remaining: Gauge
    wait_seconds: Counter

    def told(self, quota: Quota | None) -> None:
        """An answer came; the quota is the one that leaves least, if any is told."""
        if quota is not None:
            self.limit.set(quota.limit)
            self.remaining.set(quota.remaining)

    def waited(self, seconds: float) -> None:
        """A call has waited so long."""
        self.wait_seconds.inc(seconds)


@dataclass(frozen=True, slots=True)
class BudgetFamilies:
    """The metrics before their labels have values. ``company`` is one of the settings' only."""

    limit: Gauge
    remaining: Gauge
    wait_seconds: Counter

    @classmethod
    def on(cls, registry: CollectorRegistry) -> Self:
        """Register the metrics."""
        labels = ["system", "company"]
        return cls(
            Gauge(
                "crewsync_budget_limit",
                "Calls that the limit allows which was nearest to being exceeded, as last told.",
                labels,
                registry=registry,
            ),
            Gauge(
                "crewsync_budget_remaining",
                "Calls left of that limit, as last told.",
                labels,
                registry=registry,
            ),
            Counter(
                "crewsync_budget_wait_seconds_total",
                "Seconds that calls have waited for the budget.",
                labels,
                registry=registry,
            ),
        )

    def told(self) -> Iterator[tuple[str, int, float, float]]:
        """System, company, limit and remaining calls of each budget of which anything was told."""
        remaining = dict(_by_labels(self.remaining))
        for labels, limit in _by_labels(self.limit):
            if limit:
                yield (*labels, limit, remaining[labels])

    def of(self, system: str, company_id: int) -> BudgetMetrics:
        """Those of one company at one upstream, shown from the start."""
        labels = (system, str(company_id))
        return BudgetMetrics(
            self.limit.labels(*labels), self.remaining.labels(*labels), self.wait_seconds.labels(*labels)
        )


def _by_labels(gauge: Gauge) -> Iterator[tuple[tuple[str, int], float]]:
    for metric in gauge.collect():
        for sample in metric.samples:
            yield (sample.labels["system"], int(sample.labels["company"])), sample.value


BUDGETS = BudgetFamilies.on(REGISTRY)
"""What this process tells."""
