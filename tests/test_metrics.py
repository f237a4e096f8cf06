"""Metrics have names, units and labels as Prometheus asks, and are all there from the start."""

import inspect
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.samples import Sample

import consumer.engine
from consumer.metric_families import REGISTRY, Families
from consumer.metrics import (
    BREAKER_STATES,
    COMMITS,
    DEAD_LETTERS,
    OTHER,
    REBALANCES,
    RETRIES,
    TRANSACTIONS,
    EngineMetrics,
    limited,
    show_stuck,
)
from consumer.model import reasons
from consumer.model.results import Outcome
from consumer.upstream.calls import HttpMetrics
from consumer.version import program_version


LABELS = {
    "handler",
    "topic",
    "partition",
    "company",
    "outcome",
    "reason",
    "result",
    "kind",
    "stage",
    "system",
    "endpoint",
    "method",
    "code_class",
    "to",
    "loop",
    "le",
}
"""Every label that there may be: nothing that says who somebody is, or which record it was."""

BASE_UNITS = ("_seconds", "_records", "_partitions", "_offset", "_state", "_active", "_links", "_stuck")
OTHER_UNITS = {"ms", "milliseconds", "micros", "minutes", "hours", "days", "kb", "mb", "percent", "ratio"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> EngineMetrics:
    """An engine's metrics, on a registry on which nothing else is."""
    made = EngineMetrics.of("users", "events", Families(registry))
    made.init_companies([4281001, 7], "smartbarrel")
    return made


@pytest.fixture
def whole(registry: CollectorRegistry, metrics: EngineMetrics) -> Iterator[CollectorRegistry]:
    """All that there is: with a partition, and with the calls."""
    metrics.partition(3)
    HttpMetrics.on(registry)
    yield registry
    metrics.forget_partition(3)


def families(registry: CollectorRegistry) -> dict[str, Metric]:
    return {family.name: family for family in registry.collect()}


def values(registry: CollectorRegistry, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """The value of each series of a metric, by the values of some of its labels."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def series(registry: CollectorRegistry) -> int:
    return sum(len(family.samples) for family in registry.collect())


# ------------------------------------------------------------------ names


def test_every_name_begins_with_ours_and_every_help_is_a_sentence(whole: CollectorRegistry) -> None:
    for name, family in families(whole).items():
        assert re.fullmatch(r"crewsync(_[a-z]+)+", name), name
        assert re.fullmatch(r"[A-Z0-9].{10,}[^.]", family.documentation.removesuffix(".")), name


def test_a_counter_ends_in_total_and_nothing_else_does(whole: CollectorRegistry) -> None:
    for name, family in families(whole).items():
        exposed = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert exposed <= {f"{name}_total"}
        else:
            assert not [one for one in exposed if one.endswith(("_total", "_info"))], name
            assert not name.endswith(("_count", "_sum", "_bucket")), name


def test_units_are_base_units_at_the_end_of_the_name(whole: CollectorRegistry) -> None:
    for name, family in families(whole).items():
        assert not OTHER_UNITS & set(name.split("_")), name
        if family.type == "gauge":
            assert name.endswith(BASE_UNITS), name
        if family.type == "histogram":
            assert name.endswith("_seconds"), name
        if "seconds" in name:
            assert name.endswith("_seconds"), name


def test_a_label_says_neither_who_nor_which_record(whole: CollectorRegistry) -> None:
    used = {label for family in whole.collect() for sample in family.samples for label in sample.labels}
    assert used <= LABELS


def test_buckets_grow_and_cover_what_they_are_for(whole: CollectorRegistry) -> None:
    longest = {
        "crewsync_handler_duration_seconds": 120,
        "crewsync_end_to_end_latency_seconds": 21_600,
        "crewsync_commit_duration_seconds": 60,
        "crewsync_http_request_duration_seconds": 30,
    }
    found = {}
    for name, family in families(whole).items():
        if family.type == "histogram":
            bounds = [float(sample.labels["le"]) for sample in _of_first_series(family)]
            assert bounds == sorted(set(bounds))
            assert bounds[-1] == float("inf")
            found[name] = bounds[-2]
    assert found == longest


def _of_first_series(family: Metric) -> list[Sample]:
    """The buckets of one series."""
    buckets = [sample for sample in family.samples if sample.name.endswith("_bucket")]
    first = {**buckets[0].labels, "le": ""}
    return [sample for sample in buckets if {**sample.labels, "le": ""} == first]


# ------------------------------------------------------------------ all values from the start


@pytest.mark.usefixtures("metrics")
def test_every_value_of_every_label_is_there_at_zero(registry: CollectorRegistry) -> None:
    expected = {
        "crewsync_records_total": ("outcome", set(Outcome)),
        "crewsync_http_retries_total": ("reason", set(RETRIES)),
        "crewsync_commit_total": ("result", set(COMMITS)),
        "crewsync_txn_total": ("result", set(TRANSACTIONS)),
        "crewsync_rebalances_total": ("kind", set(REBALANCES)),
        "crewsync_breaker_transitions_total": ("to", set(BREAKER_STATES)),
    }
    for name, (label, known) in expected.items():
        found = values(registry, name, label)
        assert {value for (value,) in found} == known
        assert set(found.values()) == {0.0}
    letters = values(registry, "crewsync_dlq_total", "stage", "reason")
    assert set(letters) == {(stage, reason) for stage, codes in DEAD_LETTERS.items() for reason in codes}


@pytest.mark.usefixtures("metrics")
def test_every_company_of_the_settings_is_there_with_its_breaker_closed(registry: CollectorRegistry) -> None:
    for name in ("crewsync_company_waiting_records", "crewsync_company_inflight_records"):
        assert values(registry, name, "company") == {("4281001",): 0.0, ("7",): 0.0}
    assert values(registry, "crewsync_breaker_state", "company", "system") == {
        ("4281001", "smartbarrel"): 0.0,
        ("7", "smartbarrel"): 0.0,
    }


@pytest.mark.usefixtures("metrics")
def test_the_rate_limits_and_the_program_are_there_from_the_start() -> None:
    assert set(values(REGISTRY, "crewsync_rate_limit_wait_seconds_total", "system")) == {
        ("procore",),
        ("smartbarrel",),
    }
    assert values(REGISTRY, "crewsync_build_info", "version") == {(program_version(),): 1.0}


def test_the_process_s_own_cpu_time_and_memory_are_served() -> None:
    names = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"} <= names


def test_the_process_s_own_threads_are_counted() -> None:
    before = values(REGISTRY, "crewsync_threads")[()]
    ends = threading.Event()
    thread = threading.Thread(target=ends.wait, args=(10,))
    thread.start()
    counted = values(REGISTRY, "crewsync_threads")[()]
    ends.set()
    thread.join()
    assert counted == before + 1


def test_both_formats_can_be_read_by_their_own_parsers() -> None:
    assert list(parse(generate_latest(REGISTRY).decode()))
    document = generate_openmetrics(REGISTRY).decode()  # type: ignore[no-untyped-call] # nor is the next
    assert list(parse_openmetrics(document))  # type: ignore[no-untyped-call]


# ------------------------------------------------------------------ labels stay bounded


def test_a_dead_letter_of_an_unknown_stage_or_reason_makes_no_new_series(
    metrics: EngineMetrics, registry: CollectorRegistry
) -> None:
    before = series(registry)
    metrics.dead_letter("decode", "undecodable").inc()
    for number in range(50):
        metrics.dead_letter("decode", f"reason-{number}").inc()
        metrics.dead_letter(f"stage-{number}", "undecodable").inc()
    letters = values(registry, "crewsync_dlq_total", "stage", "reason")
    assert series(registry) == before
    assert letters["decode", "undecodable"] == 1
    assert letters["decode", OTHER] == 50
    assert letters[OTHER, OTHER] == 50


def test_the_reasons_of_dead_letters_are_codes_that_exist() -> None:
    codes = set(re.findall(r'Reason\(\s*"(\w+)"', inspect.getsource(reasons)))
    assert {reason for known in DEAD_LETTERS.values() for reason in known} - {OTHER} <= codes


def test_every_stage_at_which_the_engine_sets_records_aside_is_known() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(consumer.engine.__path__[0]).glob("*.py"))
    stages = set(re.findall(r'dead_stage="(\w+)"', sources))
    assert stages
    assert stages <= set(DEAD_LETTERS)


def test_a_partition_is_shown_while_it_is_owned(metrics: EngineMetrics, registry: CollectorRegistry) -> None:
    before = series(registry)
    for number in (0, 11):
        gauges = metrics.partition(number)
        gauges.lag_records.set(number + 1)
        gauges.in_flight.set(5)
    assert values(registry, "crewsync_consumer_lag_records", "topic", "partition") == {
        ("events", "0"): 1.0,
        ("events", "11"): 12.0,
    }
    metrics.forget_partition(0)
    metrics.forget_partition(5)
    assert values(registry, "crewsync_partition_waiting_records", "partition") == {("11",): 5.0}
    metrics.forget_partition(11)
    assert series(registry) == before


def test_each_gauge_of_a_partition_is_its_own(metrics: EngineMetrics, registry: CollectorRegistry) -> None:
    gauges = metrics.partition(1)
    for number, name in enumerate(
        (
            "committed_offset",
            "frontier_gap",
            "oldest_in_flight_age_seconds",
            "lag_records",
            "lag_seconds",
            "in_flight",
        )
    ):
        getattr(gauges, name).set(number)
    names = (
        "crewsync_committed_offset",
        "crewsync_frontier_gap_records",
        "crewsync_oldest_inflight_age_seconds",
        "crewsync_consumer_lag_records",
        "crewsync_consumer_lag_seconds",
        "crewsync_partition_waiting_records",
    )
    assert [values(registry, name, "partition")["1",] for name in names] == [0, 1, 2, 3, 4, 5]


# ------------------------------------------------------------------ what is counted


def test_a_breaker_s_state_is_a_number_and_its_changes_are_counted(
    metrics: EngineMetrics, registry: CollectorRegistry
) -> None:
    for state in ("open", "half_open", "open"):
        metrics.company(7).show_breaker("smartbarrel", state)
    assert set(values(registry, "crewsync_access_refused_state", "company").values()) == {0.0}
    assert values(registry, "crewsync_breaker_state", "company") == {("4281001",): 0.0, ("7",): 2.0}
    changes = values(registry, "crewsync_breaker_transitions_total", "company", "to")
    assert (changes["7", "open"], changes["7", "half_open"], changes["7", "closed"]) == (2, 1, 0)


def test_a_company_that_is_refused_access_is_shown_until_its_breaker_is_open_for_another_reason(
    metrics: EngineMetrics, registry: CollectorRegistry
) -> None:
    company = metrics.company(7)
    for is_denied in (True, False):
        company.show_breaker("smartbarrel", "open", is_denied=is_denied)
        assert values(registry, "crewsync_access_refused_state", "company", "system") == {
            ("4281001", "smartbarrel"): 0.0,
            ("7", "smartbarrel"): float(is_denied),
        }


def test_two_engines_count_apart(registry: CollectorRegistry) -> None:
    both = Families(registry)
    users, timesheets = EngineMetrics.of("users", "a", both), EngineMetrics.of("timesheets", "b", both)
    users.outcomes[Outcome.CREATED].inc(3)
    timesheets.commits["unknown"].inc()
    created = values(registry, "crewsync_records_total", "handler", "outcome")
    assert (created["users", "created"], created["timesheets", "created"]) == (3, 0)
    unknown = values(registry, "crewsync_commit_total", "handler", "result")
    assert (unknown["users", "unknown"], unknown["timesheets", "unknown"]) == (0, 1)


def test_a_pause_that_an_upstream_asks_for_is_added_up() -> None:
    before = values(REGISTRY, "crewsync_rate_limit_wait_seconds_total", "system")["procore",]
    limited("procore", 1.5)
    limited("procore", 2.0)
    after = values(REGISTRY, "crewsync_rate_limit_wait_seconds_total", "system")["procore",]
    # Other tests of the process may have added fractions.
    assert after - before == pytest.approx(3.5)


def test_a_stuck_loop_is_one_and_a_turning_one_is_zero() -> None:
    show_stuck("test-loop", is_stuck=True)
    assert values(REGISTRY, "crewsync_loop_stuck", "loop")["test-loop",] == 1
    show_stuck("test-loop", is_stuck=False)
    assert values(REGISTRY, "crewsync_loop_stuck", "loop")["test-loop",] == 0
