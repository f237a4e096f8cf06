"""What is said of topics that are not as they should be."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from consumer.broker.port import TopicSpec, TopicState
from consumer.doctor.findings import Finding, Level
from consumer.doctor.topics import duration_words, state_words, topic_findings


DAY_MS = 86_400_000
LOG = TopicSpec("sync-log", 2, retention_ms=400 * DAY_MS)
LINKS = TopicSpec("links", 2, compacted=True)
USERS = TopicSpec("users", 2, compacted=True, compaction_lag_ms=DAY_MS)
FOREVER = TopicSpec("for-ever", 2)


def kept(spec: TopicSpec, **values: Any) -> TopicState:
    """The state of a topic that was made as specified, but for these values."""
    state = TopicState(
        cleanup=frozenset({"compact" if spec.compacted else "delete"}),
        retention_ms=spec.retention_ms,
        retention_bytes=None,
        compaction_lag_ms=spec.compaction_lag_ms,
        replicas=3,
        spans=((0, 0),) * spec.partitions,
    )
    return replace(state, **values)


def found(spec: TopicSpec, state: TopicState | None, *, on_kafka: bool = True) -> list[Finding]:
    return list(topic_findings([spec], {spec.name: state}, on_kafka=on_kafka))


@pytest.mark.parametrize("spec", [LOG, LINKS, USERS, FOREVER], ids=lambda spec: spec.name)
def test_a_topic_as_specified_is_well(spec: TopicSpec) -> None:
    (one,) = found(spec, kept(spec))
    assert one.level is Level.OK


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (LOG, {"retention_ms": None}),
        (LOG, {"retention_ms": 500 * DAY_MS}),
        (LOG, {"spans": ((0, 5),) * 12}),
        (LINKS, {"retention_ms": 7 * DAY_MS, "retention_bytes": 5}),
        (USERS, {"compaction_lag_ms": 7 * DAY_MS}),
    ],
    ids=["kept for ever", "kept longer", "more partitions", "limits that are not in force", "longer lag"],
)
def test_more_than_is_needed_is_well(spec: TopicSpec, values: Mapping[str, Any]) -> None:
    """A compacted topic deletes nothing by its age or size, whatever its limits are."""
    assert [one.level for one in found(spec, kept(spec, **values))] == [Level.OK]


WRONG: Mapping[str, tuple[TopicSpec, Mapping[str, Any], Level, str, str]] = {
    "links deleted": (
        LINKS,
        {"cleanup": frozenset({"delete"})},
        Level.FAIL,
        "delete instead of compact: what was linked or set long ago vanishes",
        "kafka-configs --alter --entity-type topics --entity-name links --add-config cleanup.policy=compact",
    ),
    "links compacted and deleted": (
        LINKS,
        {"cleanup": frozenset({"compact", "delete"})},
        Level.FAIL,
        "compact,delete instead of compact: what was linked or set long ago vanishes",
        "--add-config cleanup.policy=compact",
    ),
    "a log compacted": (
        LOG,
        {"cleanup": frozenset({"compact"})},
        Level.FAIL,
        "records vanish as soon as a later one has their key",
        "--entity-name sync-log --add-config cleanup.policy=delete",
    ),
    "links never cleaned": (
        LINKS,
        {"cleanup": frozenset()},
        Level.FAIL,
        "none instead of compact: it grows without end",
        "cleanup.policy=compact",
    ),
    "kept too short": (
        LOG,
        {"retention_ms": 7 * DAY_MS},
        Level.WARN,
        "records are kept 7 days instead of 400 days",
        "--entity-name sync-log --add-config retention.ms=34560000000",
    ),
    "not kept for ever": (
        FOREVER,
        {"retention_ms": DAY_MS},
        Level.WARN,
        "records are kept 1 day instead of for ever",
        "retention.ms=-1",
    ),
    "kept by size": (
        LOG,
        {"retention_bytes": 1_000_000},
        Level.WARN,
        "records go when a partition has 1000000 bytes",
        "retention.bytes=-1",
    ),
    "compacted too early": (
        USERS,
        {"compaction_lag_ms": 0},
        Level.WARN,
        "a superseded record stays for 0 s instead of 1 day",
        "min.compaction.lag.ms=86400000",
    ),
    "an empty topic with too few partitions": (
        LOG,
        {"spans": ((4, 4),)},
        Level.FAIL,
        "it has 1 partition, and needs 2",
        "kafka-topics --alter --topic sync-log --partitions 2; it is empty",
    ),
    "a full log with too few partitions": (
        LOG,
        {"spans": ((0, 9),)},
        Level.FAIL,
        "it has 1 partition, and needs 2",
        "let crewsync finish what is in it",
    ),
    "full links with too few partitions": (
        LINKS,
        {"spans": ((0, 9),)},
        Level.FAIL,
        "it has 1 partition, and needs 2",
        "only adding partitions would leave a key on two",
    ),
}


@pytest.mark.parametrize(("spec", "values", "level", "what", "remedy"), WRONG.values(), ids=WRONG.keys())
def test_a_topic_that_is_not_as_specified_has_its_harm_and_its_remedy_told(
    spec: TopicSpec, values: Mapping[str, Any], level: Level, what: str, remedy: str
) -> None:
    (one,) = found(spec, kept(spec, **values))
    assert one.level is level
    assert what in one.what
    assert remedy in one.remedy


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        (LOG, "--partitions 2 --config cleanup.policy=delete --config retention.ms=34560000000"),
        (FOREVER, "cleanup.policy=delete --config retention.ms=-1"),
        (USERS, "cleanup.policy=compact --config min.compaction.lag.ms=86400000"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_missing_topic_can_be_made_with_either_command(spec: TopicSpec, remedy: str) -> None:
    (one,) = found(spec, None)
    assert one.level is Level.FAIL
    assert one.remedy.startswith("crewsync topics create; or, ")
    assert remedy in one.remedy


def test_no_remedy_for_an_embedded_broker_names_a_command_of_kafka_s() -> None:
    for spec, values, *_ in WRONG.values():
        for one in [*found(spec, kept(spec, **values), on_kafka=False), *found(spec, None, on_kafka=False)]:
            assert "kafka-" not in one.remedy


def test_everything_that_is_wrong_with_a_topic_is_told() -> None:
    state = kept(LOG, spans=((0, 1),), cleanup=frozenset({"compact"}), retention_ms=1000)
    assert [one.level for one in found(LOG, state)] == [Level.FAIL, Level.FAIL, Level.WARN]


def test_a_state_is_told_in_one_line() -> None:
    assert state_words(kept(LOG, spans=((2, 5), (0, 4)))) == (
        "2 partitions, delete, kept 400 days, 3 replicas, at most 7 records"
    )
    assert state_words(kept(USERS, spans=((0, 0),), replicas=None)) == (
        "1 partition, compact, compacted after 1 day, empty"
    )


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (None, "for ever"),
        (0, "0 s"),
        (1500, "1.5 s"),
        (3_600_000, "1 hour"),
        (2 * DAY_MS, "2 days"),
        (90_000_000, "25 hours"),
    ],
)
def test_a_duration_is_told_in_the_largest_unit_that_fits(ms: int | None, words: str) -> None:
    assert duration_words(ms) == words
