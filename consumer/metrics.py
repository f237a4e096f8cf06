"""What the engines count and measure: the metrics' children, bound once, since binding is slow."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Self

from prometheus_client import Counter, Gauge, Histogram

from consumer.metric_families import REGISTRY, Families
from consumer.model import reasons
from consumer.model.results import Outcome


OTHER = "other"
"""The label value of whatever is not on a closed list."""

UPSTREAMS = ("procore", "smartbarrel")
RETRIES = ("transient", "rate_limited", "misconfigured")
COMMITS = ("committed", "failed", "fenced", "unknown")
TRANSACTIONS = ("committed", "aborted")
REBALANCES = ("assigned", "revoked", "lost")
BREAKER_STATES: Mapping[str, int] = {"closed": 0, "half_open": 1, "open": 2}

_UNAVAILABLE, _REFUSED = reasons.upstream_unavailable("").code, reasons.access_refused("").code
_INTERNAL, _UNKNOWN = reasons.INTERNAL_ERROR.code, reasons.COMPANY_UNKNOWN.code
DEAD_LETTERS: Mapping[str, tuple[str, ...]] = {
    "decode": (reasons.UNDECODABLE.code, OTHER),
    "handle": (_UNAVAILABLE, _REFUSED, _UNKNOWN, _INTERNAL, OTHER),
    "encode": (_INTERNAL, OTHER),
    "held": (_UNAVAILABLE, _REFUSED, OTHER),
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
    """What is told of one company."""

    waiting: Gauge
    running: Gauge
    _families: Families
    _labels: tuple[str, str]

    def show_breaker(self, system: str, state: str, *, is_denied: bool = False) -> None:
        """The breaker of an upstream has come to this state, one of ``BREAKER_STATES``.

        ``is_denied`` tells whether it is not closed because access was refused.
        """
        self._families.breaker_state.labels(*self._labels, system).set(BREAKER_STATES[state])
        self._families.breaker_transitions.labels(*self._labels, system, state).inc()
        self._families.access_refused.labels(*self._labels, system).set(int(is_denied))


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """The metrics of one engine. Timestamps are Unix seconds; any thread may use it."""

    handler: str
    topic: str
    consumed: Counter
    outcomes: Mapping[Outcome, Counter]
    decode_errors: Counter
    duplicates_suppressed: Counter
    late_completions: Counter
    handler_seconds: Histogram
    end_to_end_seconds: Histogram
    retries: Mapping[str, Counter]
    in_flight: Gauge
    waiting: Gauge
    keys_active: Gauge
    assigned_partitions: Gauge
    paused_partitions: Gauge
    backpressure_seconds: Counter
    loop_turns: Counter
    commits: Mapping[str, Counter]
    transactions: Mapping[str, Counter]
    commit_seconds: Histogram
    rebalances: Mapping[str, Counter]
    dead_letter_failures: Counter
    redriven: Counter
    parked_waiting: Gauge
    parked_oldest_age: Gauge
    last_poll: Gauge
    last_commit: Gauge
    links: Gauge
    _families: Families
    _dead_letters: Mapping[tuple[str, str], Counter]
    companies: set[int] = field(default_factory=set)
    """Those of the settings. No others are shown, since ids come from events too."""

    @classmethod
    def of(cls, handler: str, topic: str, families: Families = _FAMILIES) -> Self:
        """The metrics of the engine that runs this handler on this topic; every label value is shown at 0."""

        def each(counter: Counter, values: Collection[str]) -> Mapping[str, Counter]:
            return {value: counter.labels(handler, value) for value in values}

        return cls(
            handler=handler,
            topic=topic,
            consumed=families.consumed.labels(handler),
            outcomes={outcome: families.outcomes.labels(handler, outcome) for outcome in Outcome},
            decode_errors=families.decode_errors.labels(handler),
            duplicates_suppressed=families.duplicates_suppressed.labels(handler),
            late_completions=families.late_completions.labels(handler),
            handler_seconds=families.handler_seconds.labels(handler),
            end_to_end_seconds=families.end_to_end_seconds.labels(handler),
            retries=each(families.retries, RETRIES),
            in_flight=families.in_flight.labels(handler),
            waiting=families.waiting.labels(handler),
            keys_active=families.keys_active.labels(handler),
            assigned_partitions=families.assigned_partitions.labels(handler),
            paused_partitions=families.paused_partitions.labels(handler),
            backpressure_seconds=families.backpressure_seconds.labels(handler),
            loop_turns=families.loop_turns.labels(handler),
            commits=each(families.commits, COMMITS),
            transactions=each(families.transactions, TRANSACTIONS),
            commit_seconds=families.commit_seconds.labels(handler),
            rebalances=each(families.rebalances, REBALANCES),
            dead_letter_failures=families.dead_letter_failures.labels(handler),
            redriven=families.redriven.labels(handler),
            parked_waiting=families.parked_waiting.labels(handler),
            parked_oldest_age=families.parked_oldest_age.labels(handler),
            last_poll=families.last_poll.labels(handler),
            last_commit=families.last_commit.labels(handler),
            links=families.links.labels(handler),
            _families=families,
            _dead_letters={
                (stage, reason): families.dead_letters.labels(handler, stage, reason)
                for stage, codes in DEAD_LETTERS.items()
                for reason in codes
            },
        )

    def dead_letter(self, stage: str, reason: str) -> Counter:
        """Records set aside at a stage for a reason; what is not in ``DEAD_LETTERS`` is "other"."""
        known = self._dead_letters.get((stage, reason))
        return known or self._dead_letters[stage if stage in DEAD_LETTERS else OTHER, OTHER]

    def partition(self, number: int) -> PartitionMetrics:
        """The gauges of a partition that is owned. They are shown until ``forget_partition``."""
        labels = (self.handler, self.topic, str(number))
        return PartitionMetrics(*(family.labels(*labels) for family in self._families.of_partition()))

    def forget_partition(self, number: int) -> None:
        """Show a partition no more: it is another's."""
        for family in self._families.of_partition():
            family.remove(self.handler, self.topic, str(number))

    def company(self, company_id: int) -> CompanyMetrics:
        """What is told of a company of the settings."""
        labels = (self.handler, str(company_id))
        waiting = self._families.company_waiting.labels(*labels)
        running = self._families.company_running.labels(*labels)
        return CompanyMetrics(waiting, running, self._families, labels)

    def init_companies(self, company_ids: Collection[int], system: str) -> None:
        """Show the companies, and their breakers of the upstream that the handler writes to, as in order."""
        self.companies.update(company_ids)
        for company_id in company_ids:
            self.company(company_id)
            labels = (self.handler, str(company_id), system)
            self._families.breaker_state.labels(*labels).set(BREAKER_STATES["closed"])
            self._families.access_refused.labels(*labels).set(0)
            for state in BREAKER_STATES:
                self._families.breaker_transitions.labels(*labels, state)


_LIMIT_WAIT = {system: _FAMILIES.rate_limit_wait.labels(system) for system in UPSTREAMS}


def limited(system: str, seconds: float) -> None:
    """An upstream has asked for a pause."""
    _LIMIT_WAIT[system].inc(seconds)


def show_stuck(loop: str, *, is_stuck: bool) -> None:
    """A loop has not turned for too long, or turns."""
    _FAMILIES.stuck.labels(loop).set(int(is_stuck))
