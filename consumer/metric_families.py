"""Every metric of the engines: its name, what it means, and its labels.

Names follow Prometheus: base units, counters end in ``_total``, and the values of every label are a closed
list. No label names a person or a record.
"""

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
_COMMIT_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

# The moment at which each series was made would double their number, and nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no type for it

REGISTRY = CollectorRegistry(auto_describe=True)
"""What this process serves, with its own CPU time and memory."""
for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
    REGISTRY.register(collector)
Info("crewsync_build", "What runs here.", registry=REGISTRY).info({"version": program_version()})


class Families:
    """The engines' metrics on one registry, before their labels have values."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = partial(Counter, registry=registry, labelnames=["handler"])
        gauge = partial(Gauge, registry=registry, labelnames=["handler"])
        histogram = partial(Histogram, registry=registry, labelnames=["handler"])
        self.consumed = counter("crewsync_records_consumed_total", "Records that were received.")
        self.outcomes = counter(
            "crewsync_records_total",
            "Records that have their result, by how it ended.",
            labelnames=["handler", "outcome"],
        )
        self.handler_seconds = histogram(
            "crewsync_handler_duration_seconds",
            "From a record's first attempt to its result, waits for another attempt included.",
            buckets=_HANDLER_S,
        )
        self.end_to_end_seconds = histogram(
            "crewsync_end_to_end_latency_seconds",
            "From a record's timestamp to its result.",
            buckets=_END_TO_END_S,
        )
        self.retries = counter(
            "crewsync_handler_retries_total",
            "Attempts that have to be made again, by what the upstream said.",
            labelnames=["handler", "reason"],
        )
        self.in_flight = gauge("crewsync_inflight_records", "Records that were received and have no result.")
        self.waiting = gauge(
            "crewsync_waiting_records",
            "Of the records in flight, those behind another of their key, a limit or a breaker.",
        )
        self.keys_active = gauge("crewsync_keys_active", "Keys that have a record in flight.")
        self.paused_partitions = gauge(
            "crewsync_paused_partitions", "Partitions of which nothing is received, to let the work catch up."
        )
        self.assigned_partitions = gauge("crewsync_assigned_partitions", "Partitions that are owned here.")
        self.backpressure_seconds = counter(
            "crewsync_backpressure_seconds_total", "For how long partitions were paused."
        )
        self.commits = counter(
            "crewsync_commit_total",
            "Commits, by what is known of them; an unknown one is looked up before anything else.",
            labelnames=["handler", "result"],
        )
        self.transactions = counter(
            "crewsync_txn_total", "Transactions, by how they ended.", labelnames=["handler", "result"]
        )
        self.commit_seconds = histogram(
            "crewsync_commit_duration_seconds", "How long a commit took.", buckets=_COMMIT_S
        )
        self.rebalances = counter(
            "crewsync_rebalances_total",
            "Changes of the partitions that are owned here.",
            labelnames=["handler", "kind"],
        )
        self.dead_letters = counter(
            "crewsync_dlq_total",
            "Records that were set aside in the dead letters.",
            labelnames=["handler", "stage", "reason"],
        )
        self.dead_letter_failures = counter(
            "crewsync_dlq_failures_total", "Dead letters that could not be written; the frontier waits."
        )
        self.redriven = counter("crewsync_dlq_redriven_total", "Dead letters that were handled again.")
        self.parked_waiting = gauge(
            "crewsync_dlq_waiting_records", "Dead letters that wait to be handled again by themselves."
        )
        self.parked_oldest_age_seconds = gauge(
            "crewsync_dlq_oldest_age_seconds", "How long the oldest of the waiting dead letters has waited."
        )
        self.decode_errors = counter("crewsync_decode_errors_total", "Records that could not be read.")
        self.stale_completions = counter(
            "crewsync_late_completions_total",
            "Completions that came after their partition had gone, and changed nothing.",
        )
        self.duplicates_suppressed = counter(
            "crewsync_duplicates_suppressed_total",
            "Records that were received again but had been completed before.",
        )
        self.last_poll = gauge("crewsync_last_poll_timestamp_seconds", "When the broker was last asked.")
        self.last_commit = gauge("crewsync_last_commit_timestamp_seconds", "When a commit last succeeded.")
        self.loop_turns = counter("crewsync_loop_turns_total", "Turns of the engine's loop.")
        self.links = gauge("crewsync_links", "Links that are known.")

        of_partition = partial(gauge, labelnames=["handler", "topic", "partition"])
        self.committed_offset = of_partition(
            "crewsync_committed_offset", "The offset that was committed last: all below it have their result."
        )
        self.frontier_gap = of_partition(
            "crewsync_frontier_gap_records",
            "From the lowest offset without a result to the highest that has one; 0 if nothing is overtaken.",
        )
        self.oldest_in_flight_age_seconds = of_partition(
            "crewsync_oldest_inflight_age_seconds", "How long the oldest record in flight has been here."
        )
        self.lag_records = of_partition(
            "crewsync_consumer_lag_records", "Offsets from the frontier to the partition's end."
        )
        self.lag_seconds = of_partition(
            "crewsync_consumer_lag_seconds",
            "The age of the first record that has no result; 0 if there is none.",
        )
        self.partition_in_flight = of_partition(
            "crewsync_partition_inflight_records", "Records in flight, by partition."
        )

        of_company = partial(gauge, labelnames=["handler", "company"])
        self.company_waiting = of_company(
            "crewsync_company_waiting_records", "Records that wait, by company (Procore's id)."
        )
        self.company_running = of_company(
            "crewsync_company_running_records", "Records being handled, by company (Procore's id)."
        )
        self.breaker_state = gauge(
            "crewsync_breaker_state",
            "0: calls are made; 1: one call is tried; 2: the company's records are held back.",
            labelnames=["handler", "company", "system"],
        )
        self.breaker_transitions = counter(
            "crewsync_breaker_transitions_total",
            "Changes of a breaker, by the state that it came to.",
            labelnames=["handler", "company", "system", "to"],
        )

    def of_partition(self) -> tuple[Gauge, ...]:
        """The gauges that are bound and removed by partition, in the order of ``PartitionMetrics``."""
        return (
            self.committed_offset,
            self.frontier_gap,
            self.oldest_in_flight_age_seconds,
            self.lag_records,
            self.lag_seconds,
            self.partition_in_flight,
        )
