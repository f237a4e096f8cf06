"""Every metric of the engines: its name, what it means, and its labels.

Names follow Prometheus: base units, counters end in ``_total``, and the values of every label are a closed
list. No label names a person or a record.
"""

import threading
from functools import partial

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    disable_created_metrics,
)

from consumer.version import program_version


_HANDLER_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_END_TO_END_S = (1, 5, 15, 30, 60, 300, 900, 3600, 21600)
_COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)

# The moment at which each series was made would double their number, and nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no type for it

REGISTRY = CollectorRegistry(auto_describe=True)
"""What this process serves, with its own CPU time and memory."""
for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    REGISTRY.register(collector)
Gauge("crewsync_threads", "Threads of this process.", registry=REGISTRY).set_function(threading.active_count)
Info("crewsync_build", "What runs here.", registry=REGISTRY).info({"version": program_version()})


class Families:
    """The engines' metrics on one registry, before their labels have values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry, labelnames=["handler"])
        gauge = partial(Gauge, registry=registry, labelnames=["handler"])
        histogram = partial(Histogram, registry=registry, labelnames=["handler"])

        self.consumed = counter("crewsync_records_consumed_total", "Records read from the topic of events.")
        self.outcomes = counter(
            "crewsync_records_total", "Events with a committed result.", labelnames=["handler", "outcome"]
        )
        self.decode_errors = counter("crewsync_decode_errors_total", "Records that could not be read.")
        self.duplicates_suppressed = counter(
            "crewsync_duplicates_suppressed_total",
            "Records that came again and had been completed already.",
        )
        self.late_completions = counter(
            "crewsync_late_completions_total",
            "Completions after their partition had gone, which change nothing.",
        )
        self.handler_seconds = histogram(
            "crewsync_handler_duration_seconds", "One attempt of a handler.", buckets=_HANDLER_S
        )
        self.end_to_end_seconds = histogram(
            "crewsync_end_to_end_latency_seconds",
            "From an event's timestamp to its committed result.",
            buckets=_END_TO_END_S,
        )
        self.retries = counter(
            "crewsync_http_retries_total",
            "Attempts that are to be made again, by what the upstream said.",
            labelnames=["handler", "reason"],
        )
        self.in_flight = gauge("crewsync_inflight_records", "Attempts under way.")
        self.waiting = gauge("crewsync_waiting_records", "Records that were read and have no completion.")
        self.keys_active = gauge("crewsync_keys_active", "Keys with work that runs or waits.")
        self.assigned_partitions = gauge("crewsync_assigned_partitions", "Partitions that are owned here.")
        self.paused_partitions = gauge(
            "crewsync_paused_partitions", "Partitions that are not read, because too much waits."
        )
        self.backpressure_seconds = counter(
            "crewsync_backpressure_seconds_total", "Time during which reading was paused."
        )
        self.loop_turns = counter("crewsync_loop_turns_total", "Turns of the engine's loop.")
        self.commits = counter(
            "crewsync_commit_total",
            "Commits, by what is known of them; an unknown one is looked up before the next.",
            labelnames=["handler", "result"],
        )
        self.transactions = counter(
            "crewsync_txn_total", "Transactions, by how they ended.", labelnames=["handler", "result"]
        )
        self.commit_seconds = histogram(
            "crewsync_commit_duration_seconds",
            "A transaction, from its begin to its end.",
            buckets=_COMMIT_S,
        )
        self.rebalances = counter(
            "crewsync_rebalances_total", "Partitions came or went.", labelnames=["handler", "kind"]
        )
        self.dead_letters = counter(
            "crewsync_dlq_total",
            "Records that were set aside in the dead letters.",
            labelnames=["handler", "stage", "reason"],
        )
        self.dead_letter_failures = counter(
            "crewsync_dlq_failures_total", "Commits with dead letters in them that failed."
        )
        self.redriven = counter("crewsync_dlq_redriven_total", "Dead letters that were published again.")
        self.parked_waiting = gauge(
            "crewsync_dlq_waiting_records", "Dead letters that wait to be published again by themselves."
        )
        self.parked_oldest_age = gauge(
            "crewsync_dlq_oldest_age_seconds", "How long the oldest of those that wait has been set aside."
        )
        self.last_poll = gauge("crewsync_last_poll_timestamp_seconds", "When the broker was last asked.")
        self.last_commit = gauge(
            "crewsync_last_commit_timestamp_seconds", "When something was committed last; 0 for never."
        )
        self.links = gauge("crewsync_links", "Links that are known.")

        of_partition = partial(gauge, labelnames=["handler", "topic", "partition"])
        self.committed_offset = of_partition(
            "crewsync_committed_offset", "The committed frontier: everything below it has its result."
        )
        self.frontier_gap = of_partition(
            "crewsync_frontier_gap_records", "From the frontier to the highest completed offset."
        )
        self.oldest_in_flight_age_seconds = of_partition(
            "crewsync_oldest_inflight_age_seconds", "How long the record at the frontier has been here."
        )
        self.lag_records = of_partition(
            "crewsync_consumer_lag_records", "From the frontier to the end of the partition."
        )
        self.lag_seconds = of_partition(
            "crewsync_consumer_lag_seconds", "The age of the oldest record without a result; 0 for none."
        )
        self.partition_waiting = of_partition(
            "crewsync_partition_waiting_records", "Records that were read and have no completion."
        )

        of_company = partial(gauge, labelnames=["handler", "company"])
        self.company_waiting = of_company(
            "crewsync_company_waiting_records", "Records that wait, by company (Procore's id)."
        )
        self.company_running = of_company(
            "crewsync_company_inflight_records", "Attempts under way, by company (Procore's id)."
        )
        self.breaker_state = gauge(
            "crewsync_breaker_state",
            "0: closed, calls are made; 1: half open, a probe is made; 2: open, records are held.",
            labelnames=["handler", "company", "system"],
        )
        self.breaker_transitions = counter(
            "crewsync_breaker_transitions_total",
            "Changes of a breaker, by the state that it came to.",
            labelnames=["handler", "company", "system", "to"],
        )

        self.access_refused = gauge(
            "crewsync_access_refused_state",
            "1 while records are held because the upstream refuses access, else 0.",
            labelnames=["handler", "company", "system"],
        )

        self.rate_limit_wait = Counter(
            "crewsync_rate_limit_wait_seconds_total",
            "Pauses that upstreams have asked for.",
            ["system"],
            registry=registry,
        )
        self.stuck = Gauge(
            "crewsync_loop_stuck", "1 while a loop does not turn, else 0.", ["loop"], registry=registry
        )

    def of_partition(self) -> tuple[Gauge, ...]:
        """The gauges that are bound and removed by partition, in the order of ``PartitionMetrics``."""
        return (
            self.committed_offset,
            self.frontier_gap,
            self.oldest_in_flight_age_seconds,
            self.lag_records,
            self.lag_seconds,
            self.partition_waiting,
        )
