"""What the engines count and measure: the metrics' children, bound once, since binding is slow."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from prometheus_client import Counter, Gauge, Histogram

from consumer.metric_families import REGISTRY, Families
from consumer.model import reasons
from consumer.model.results import Outcome


OTHER = "other"
"""The label value of whatever is not on a closed list."""

RETRIES = ("transient", "rate_limited", "misconfigured")
COMMITS = ("committed", "failed", "fenced", "unknown")
TRANSACTIONS = ("committed", "aborted")
REBALANCES = ("assigned", "revoked", "lost")
BREAKER_STATES = ("closed", "half_open", "open")
"""In this order: the gauge of a breaker's state is the index."""

_UNAVAILABLE = reasons.upstream_unavailable("").code
DEAD_LETTERS: Mapping[str, tuple[str, ...]] = {
    "decode": (reasons.UNDECODABLE.code, OTHER),
    "handle": (_UNAVAILABLE, reasons.COMPANY_UNKNOWN.code, reasons.INTERNAL_ERROR.code, OTHER),
    "encode": (reasons.INTERNAL_ERROR.code, OTHER),
    "held": (_UNAVAILABLE, OTHER),
    OTHER: (OTHER,),
}
"""The stages at which a record is set aside, and the codes of the reasons that can lead there."""

_FAMILIES = Families(REGISTRY)


@dataclass(frozen=True, slots=True)
class PartitionMetrics:
    """The gauges of one partition that is owned here."""

    committed_offset: Gauge
    frontier_gap: Gauge
    oldest_in_flight_age_seconds: Gauge
    lag_records: Gauge
    lag_seconds: Gauge
    in_flight: Gauge


@dataclass(frozen=True, slots=True)
class CompanyMetrics:
    """The gauges of one company."""

    waiting: Gauge
    running: Gauge
    _families: Families
    _labels: tuple[str, str]

    def breaker(self, upstream: str) -> Gauge:
        """The state of its breaker for a system, as the index in ``BREAKER_STATES``."""
        return self._families.breaker_state.labels(*self._labels, upstream)

    def breaker_transitions(self, upstream: str, to_state: str) -> Counter:
        """How often the breaker came to this state, one of ``BREAKER_STATES``."""
        return self._families.breaker_transitions.labels(*self._labels, upstream, to_state)


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """What one engine counts and measures. Timestamps are Unix seconds; any thread may use it."""

    consumed: Counter
    outcomes: Mapping[Outcome, Counter]
    handler_seconds: Histogram
    end_to_end_seconds: Histogram
    retries: Mapping[str, Counter]
    in_flight: Gauge
    waiting: Gauge
    keys_active: Gauge
    paused_partitions: Gauge
    assigned_partitions: Gauge
    backpressure_seconds: Counter
    commits: Mapping[str, Counter]
    transactions: Mapping[str, Counter]
    commit_seconds: Histogram
    rebalances: Mapping[str, Counter]
    dead_letter_failures: Counter
    redriven: Counter
    parked_waiting: Gauge
    parked_oldest_age_seconds: Gauge
    decode_errors: Counter
    stale_completions: Counter
    duplicates_suppressed: Counter
    last_poll: Gauge
    last_commit: Gauge
    loop_turns: Counter
    links: Gauge
    _handler: str
    _topic: str
    _families: Families
    _dead_letters: Mapping[tuple[str, str], Counter]
    _companies: dict[int, CompanyMetrics] = field(default_factory=dict)

    @classmethod
    def of(cls, handler: str, topic: str, families: Families = _FAMILIES) -> Self:
        """The metrics of the engine that runs this handler on this topic, every label value shown at 0."""
        return cls(
            consumed=families.consumed.labels(handler),
            outcomes={outcome: families.outcomes.labels(handler, outcome) for outcome in Outcome},
            handler_seconds=families.handler_seconds.labels(handler),
            end_to_end_seconds=families.end_to_end_seconds.labels(handler),
            retries={reason: families.retries.labels(handler, reason) for reason in RETRIES},
            in_flight=families.in_flight.labels(handler),
            waiting=families.waiting.labels(handler),
            keys_active=families.keys_active.labels(handler),
            paused_partitions=families.paused_partitions.labels(handler),
            assigned_partitions=families.assigned_partitions.labels(handler),
            backpressure_seconds=families.backpressure_seconds.labels(handler),
            commits={result: families.commits.labels(handler, result) for result in COMMITS},
            transactions={result: families.transactions.labels(handler, result) for result in TRANSACTIONS},
            commit_seconds=families.commit_seconds.labels(handler),
            rebalances={kind: families.rebalances.labels(handler, kind) for kind in REBALANCES},
            dead_letter_failures=families.dead_letter_failures.labels(handler),
            redriven=families.redriven.labels(handler),
            parked_waiting=families.parked_waiting.labels(handler),
            parked_oldest_age_seconds=families.parked_oldest_age_seconds.labels(handler),
            decode_errors=families.decode_errors.labels(handler),
            stale_completions=families.stale_completions.labels(handler),
            duplicates_suppressed=families.duplicates_suppressed.labels(handler),
            last_poll=families.last_poll.labels(handler),
            last_commit=families.last_commit.labels(handler),
            loop_turns=families.loop_turns.labels(handler),
            links=families.links.labels(handler),
            _handler=handler,
            _topic=topic,
            _families=families,
            _dead_letters={
                (stage, reason): families.dead_letters.labels(handler, stage, reason)
                for stage, codes in DEAD_LETTERS.items()
                for reason in codes
            },
        )

    def dead_letter(self, stage: str, reason: str) -> Counter:
        """The dead letters of a stage with a reason's code; what is not in ``DEAD_LETTERS`` is "other"."""
        known = self._dead_letters.get((stage, reason))
        return known or self._dead_letters[stage if stage in DEAD_LETTERS else OTHER, OTHER]

    def partition(self, partition: int) -> PartitionMetrics:
        """Bind the gauges of a partition. They are served until ``forget_partition``."""
        labels = (self._handler, self._topic, str(partition))
        return PartitionMetrics(*(family.labels(*labels) for family in self._families.of_partition()))

    def forget_partition(self, partition: int) -> None:
        """Serve nothing more of a partition that is not owned any longer; its new owner does."""
        for family in self._families.of_partition():
            family.remove(self._handler, self._topic, str(partition))

    def init_companies(self, company_ids: Iterable[int], upstreams: Iterable[str]) -> None:
        """Name the companies of the settings, once: no other ever becomes a label value."""
        systems = tuple(upstreams)
        for company_id in company_ids:
            self._companies[company_id] = company = self._company(str(company_id))
            for upstream in systems:
                company.breaker(upstream).set(0)
                for state in BREAKER_STATES:
                    company.breaker_transitions(upstream, state)

    def company(self, company_id: int | None) -> CompanyMetrics:
        """The gauges of a company; all that the settings do not name share those of "other"."""
        known = self._companies.get(company_id) if company_id is not None else None
        return known or self._company(OTHER)

    def _company(self, label: str) -> CompanyMetrics:
        labels = (self._handler, label)
        waiting = self._families.company_waiting.labels(*labels)
        running = self._families.company_running.labels(*labels)
        return CompanyMetrics(waiting, running, self._families, labels)
