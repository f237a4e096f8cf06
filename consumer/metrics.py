"""Every metric, by the names under which Prometheus knows it.

Base units and ``_total`` as https://prometheus.io/docs/practices/naming/ asks. Labels are bounded: handlers,
outcomes, partitions of one topic, and the companies of the settings. Children are bound once, since
``labels`` costs more than the count itself; all values of a label are there from the start, so that rates
and absences can be told.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram

from consumer.model import reasons
from consumer.model.results import Outcome


_CALL_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_HANDLER_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_END_TO_END_S = (1, 5, 15, 30, 60, 300, 900, 3600, 21600)

UPSTREAMS = ("procore", "smartbarrel")
BREAKER_STATES: Mapping[str, int] = {"closed": 0, "half_open": 1, "open": 2}
CODE_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx", "none")
"""Of HTTP's status codes; ``none`` is a call without an answer."""

_H = ("handler",)
_P = ("handler", "topic", "partition")

_CONSUMED = Counter("crewsync_records_consumed_total", "Records read from the topic of events.", _H)
_RECORDS = Counter("crewsync_records_total", "Events with a committed result.", (*_H, "outcome"))
_DECODE_ERRORS = Counter("crewsync_decode_errors_total", "Records that could not be read.", _H)
_SUPPRESSED = Counter(
    "crewsync_duplicates_suppressed_total", "Records that came again and had their result already.", _H
)
_LATE = Counter("crewsync_late_completions_total", "Completions after the partition had gone.", _H)
_HANDLER_SECONDS = Histogram(
    "crewsync_handler_duration_seconds", "One attempt of a handler.", _H, buckets=_HANDLER_S
)
_END_TO_END = Histogram(
    "crewsync_end_to_end_latency_seconds",
    "From an event's timestamp to its committed result.",
    _H,
    buckets=_END_TO_END_S,
)
_RETRIES = Counter("crewsync_http_retries_total", "Attempts that are made again.", (*_H, "reason"))
_IN_FLIGHT = Gauge("crewsync_inflight_records", "Attempts under way.", _H)
_WAITING = Gauge("crewsync_waiting_records", "Records that were read and have no completion yet.", _H)
_KEYS = Gauge("crewsync_keys_active", "Keys with work that runs or waits.", _H)
_ASSIGNED = Gauge("crewsync_assigned_partitions", "Partitions that this process owns.", _H)
_PAUSED = Gauge("crewsync_paused_partitions", "Partitions that are not read because too much waits.", _H)
_BACKPRESSURE = Counter("crewsync_backpressure_seconds_total", "Time during which reading was paused.", _H)
_TURNS = Counter("crewsync_loop_turns_total", "Turns of the engine's loop.", _H)
_COMMITS = Counter("crewsync_commit_total", "Commits, by how they ended.", (*_H, "result"))
_TRANSACTIONS = Counter("crewsync_txn_total", "Transactions, by how they ended.", (*_H, "result"))
_COMMIT_SECONDS = Histogram(
    "crewsync_commit_duration_seconds", "A transaction, from its begin to its end.", _H, buckets=_COMMIT_S
)
_REBALANCES = Counter("crewsync_rebalances_total", "Partitions came or went.", (*_H, "kind"))
_DEAD = Counter("crewsync_dlq_total", "Records that were set aside.", (*_H, "stage", "reason"))
_DEAD_FAILURES = Counter("crewsync_dlq_failures_total", "Commits with dead letters in them that failed.", _H)
_REDRIVEN = Counter("crewsync_dlq_redriven_total", "Dead letters that were published again.", _H)
_PARKED = Gauge("crewsync_dlq_waiting_records", "Dead letters that wait for being published again.", _H)
_LAST_POLL = Gauge("crewsync_last_poll_timestamp_seconds", "When the loop polled last.", _H)
_LAST_COMMIT = Gauge("crewsync_last_commit_timestamp_seconds", "When something was committed last.", _H)
_LINKS = Gauge("crewsync_links", "Links that are known.", _H)

_COMMITTED = Gauge("crewsync_committed_offset", "The committed frontier.", _P)
_GAP = Gauge("crewsync_frontier_gap_records", "From the frontier to the highest completed offset.", _P)
_OLDEST = Gauge(
    "crewsync_oldest_inflight_age_seconds", "How long the record at the frontier has been here.", _P
)
_LAG = Gauge("crewsync_consumer_lag_records", "From the frontier to the end of the partition.", _P)
_LAG_SECONDS = Gauge("crewsync_consumer_lag_seconds", "Age of the oldest record without a result.", _P)
_OF_PARTITION = Gauge("crewsync_partition_waiting_records", "Records without a completion.", _P)
_BY_PARTITION = (_COMMITTED, _GAP, _OLDEST, _LAG, _LAG_SECONDS, _OF_PARTITION)

_COMPANY_WAITING = Gauge("crewsync_company_waiting_records", "Records that wait.", (*_H, "company"))
_COMPANY_RUNNING = Gauge("crewsync_company_inflight_records", "Attempts under way.", (*_H, "company"))
_BREAKER = Gauge("crewsync_breaker_state", "0 closed, 1 half open, 2 open.", (*_H, "company", "system"))
_BREAKER_MOVES = Counter(
    "crewsync_breaker_transitions_total", "Changes of a breaker's state.", (*_H, "company", "system", "to")
)

_REQUESTS = Counter(
    "crewsync_http_requests_total", "Calls to upstreams.", ("system", "endpoint", "method", "code_class")
)
_REQUEST_SECONDS = Histogram(
    "crewsync_http_request_duration_seconds",
    "A call to an upstream.",
    ("system", "endpoint"),
    buckets=_CALL_S,
)
_LIMIT_WAIT = Counter(
    "crewsync_rate_limit_wait_seconds_total", "Pauses that upstreams have asked for.", ("system",)
)
_STUCK = Gauge("crewsync_loop_stuck", "1 while a loop has not turned for too long.", ("loop",))
_BUILD = Gauge("crewsync_build_info", "Always 1; the version is a label.", ("version",))

_BUILD.labels(version("crewsync")).set(1)
for _system in UPSTREAMS:
    _LIMIT_WAIT.labels(_system)

_DEAD_REASONS: Mapping[str, tuple[str, ...]] = {
    "decode": (reasons.UNDECODABLE.code,),
    "encode": (reasons.INTERNAL_ERROR.code,),
    "handle": (
        reasons.INTERNAL_ERROR.code,
        reasons.COMPANY_UNKNOWN.code,
        reasons.upstream_unavailable("").code,
        reasons.access_refused("").code,
    ),
    "held": (reasons.upstream_unavailable("").code, reasons.access_refused("").code),
}
"""The reasons that can set a record aside, by stage."""


@dataclass(frozen=True, slots=True)
class PartitionMetrics:
    """The gauges of one partition."""

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
    _handler: str
    _company: str

    def show_breaker(self, system: str, state: str) -> None:
        """The breaker of an upstream has changed to this state."""
        labels = (self._handler, self._company, system)
        _BREAKER.labels(*labels).set(BREAKER_STATES[state])
        _BREAKER_MOVES.labels(*labels, state).inc()


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """The metrics of one engine, bound to its handler and topic."""

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
    last_poll: Gauge
    last_commit: Gauge
    links: Gauge
    companies: set[int] = field(default_factory=set)
    """Those of the settings. No others are shown, since ids come from events too."""

    @classmethod
    def of(cls, handler: str, topic: str) -> "EngineMetrics":
        """Bind, and initialise, the children of a handler."""
        for stage, codes in _DEAD_REASONS.items():
            for code in codes:
                _DEAD.labels(handler, stage, code)
        return cls(
            handler=handler,
            topic=topic,
            consumed=_CONSUMED.labels(handler),
            outcomes={outcome: _RECORDS.labels(handler, outcome) for outcome in Outcome},
            decode_errors=_DECODE_ERRORS.labels(handler),
            duplicates_suppressed=_SUPPRESSED.labels(handler),
            late_completions=_LATE.labels(handler),
            handler_seconds=_HANDLER_SECONDS.labels(handler),
            end_to_end_seconds=_END_TO_END.labels(handler),
            retries=_each(_RETRIES, handler, ("transient", "rate_limited", "misconfigured")),
            in_flight=_IN_FLIGHT.labels(handler),
            waiting=_WAITING.labels(handler),
            keys_active=_KEYS.labels(handler),
            assigned_partitions=_ASSIGNED.labels(handler),
            paused_partitions=_PAUSED.labels(handler),
            backpressure_seconds=_BACKPRESSURE.labels(handler),
            loop_turns=_TURNS.labels(handler),
            commits=_each(_COMMITS, handler, ("committed", "failed", "fenced", "unknown")),
            transactions=_each(_TRANSACTIONS, handler, ("committed", "aborted")),
            commit_seconds=_COMMIT_SECONDS.labels(handler),
            rebalances=_each(_REBALANCES, handler, ("assigned", "revoked", "lost")),
            dead_letter_failures=_DEAD_FAILURES.labels(handler),
            redriven=_REDRIVEN.labels(handler),
            parked_waiting=_PARKED.labels(handler),
            last_poll=_LAST_POLL.labels(handler),
            last_commit=_LAST_COMMIT.labels(handler),
            links=_LINKS.labels(handler),
        )

    def dead_letter(self, stage: str, reason: str) -> Counter:
        """Records set aside at a stage for a reason."""
        return _DEAD.labels(self.handler, stage, reason)

    def partition(self, number: int) -> PartitionMetrics:
        """The gauges of a partition that is owned."""
        return PartitionMetrics(*(gauge.labels(self.handler, self.topic, number) for gauge in _BY_PARTITION))

    def forget_partition(self, number: int) -> None:
        """Show a partition no more: it is another's."""
        for gauge in _BY_PARTITION:
            gauge.remove(self.handler, self.topic, str(number))

    def company(self, company_id: int) -> CompanyMetrics:
        """What is told of a company of the settings."""
        labels = (self.handler, str(company_id))
        return CompanyMetrics(_COMPANY_WAITING.labels(*labels), _COMPANY_RUNNING.labels(*labels), *labels)

    def init_companies(self, company_ids: Collection[int], system: str) -> None:
        """Show the companies, and their breakers of the upstream that the handler writes to, as in order."""
        self.companies.update(company_ids)
        for company_id in company_ids:
            self.company(company_id)
            labels = (self.handler, str(company_id), system)
            _BREAKER.labels(*labels).set(BREAKER_STATES["closed"])
            for state in BREAKER_STATES:
                _BREAKER_MOVES.labels(*labels, state)


def called(system: str, endpoint: str, method: str, status: int | None, seconds: float) -> None:
    """A call to an upstream has ended. ``endpoint`` is the operation's name in the upstream's contract."""
    code_class = "none" if status is None else f"{status // 100}xx"
    _REQUESTS.labels(system, endpoint, method, code_class).inc()
    _REQUEST_SECONDS.labels(system, endpoint).observe(seconds)


def limited(system: str, seconds: float) -> None:
    """An upstream has asked for a pause."""
    _LIMIT_WAIT.labels(system).inc(seconds)


def show_stuck(loop: str, *, is_stuck: bool) -> None:
    """A loop has not turned for too long, or turns again."""
    _STUCK.labels(loop).set(int(is_stuck))


def _each(counter: Counter, handler: str, values: Collection[str]) -> Mapping[str, Counter]:
    return {value: counter.labels(handler, value) for value in values}
