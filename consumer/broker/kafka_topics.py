"""What Kafka's admin client is asked about topics, and what its answers mean."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from consumer.broker.kafka_client import as_broker_error, errors, kafka, native
from consumer.broker.port import TopicPartition, TopicSpec, TopicState


LATEST_OFFSET = -1
"""What ListOffsets calls the end of a partition; read uncommitted, that is the high watermark."""

EARLIEST_OFFSET = -2

Spans = tuple[tuple[int, int], ...]


class Found(NamedTuple):
    """A topic that exists: the numbers of its partitions, in order, and the fewest copies one has."""

    partitions: Sequence[int]
    replicas: int


def definition(spec: TopicSpec) -> dict[str, object]:
    """A topic as kafka-python's admin client creates it, with the cluster's own replication factor."""
    kept = {"cleanup.policy": "compact"} if spec.compacted else {"cleanup.policy": "delete"}
    if spec.compacted:
        kept["min.compaction.lag.ms"] = str(spec.compaction_lag_ms)
    else:
        kept["retention.ms"] = "-1" if spec.retention_ms is None else str(spec.retention_ms)
    return {"num_partitions": spec.partitions, "replication_factor": -1, "configs": kept}


def found_of(admin: Any, topics: Collection[str]) -> Mapping[str, Found]:
    """Those of the topics that exist. Raises BrokerError, and what the library raises."""
    found = {}
    # An empty list would ask for all topics of the cluster.
    for topic in admin.describe_topics(list(topics)) if topics else ():
        code = errors.for_code(topic["error_code"])
        if code is errors.NoError:
            found[topic["name"]] = Found(
                sorted(each["partition_index"] for each in topic["partitions"]),
                min(len(each["replica_nodes"]) for each in topic["partitions"]),
            )
        elif code is not errors.UnknownTopicOrPartitionError:
            raise as_broker_error(code(topic["name"]), f"describe topic {topic['name']}")
    return found


def configs_of(admin: Any, topics: Collection[str]) -> Mapping[str, Mapping[str, str]]:
    """Every setting of each topic, with the cluster's default where the topic has none of its own."""
    if not topics:
        return {}
    resources = [kafka.admin.ConfigResource("topic", name) for name in topics]
    described = admin.describe_configs(resources, config_filter="all")["topic"]
    return {name: {key: one["value"] for key, one in described[name].items()} for name in topics}


def spans_of(admin: Any, topics: Mapping[str, Found]) -> Mapping[str, Spans]:
    """For each topic the first offset of each partition, and the one after its last record."""
    partitions = [
        native(TopicPartition(name, number)) for name, found in topics.items() for number in found.partitions
    ]
    if not partitions:
        return {}
    first, end = (
        admin.list_partition_offsets(dict.fromkeys(partitions, which))
        for which in (EARLIEST_OFFSET, LATEST_OFFSET)
    )
    return {
        name: tuple((first[name, number].offset, end[name, number].offset) for number in found.partitions)
        for name, found in topics.items()
    }


def state_of(found: Found, configs: Mapping[str, str], spans: Spans) -> TopicState:
    """The state of a topic with these settings."""
    return TopicState(
        cleanup=frozenset(part.strip() for part in configs["cleanup.policy"].split(",")),
        retention_ms=_limit(configs["retention.ms"]),
        retention_bytes=_limit(configs["retention.bytes"]),
        compaction_lag_ms=int(configs["min.compaction.lag.ms"]),
        replicas=found.replicas,
        spans=spans,
    )


def _limit(value: str) -> int | None:
    """A limit as Kafka writes it; any negative number is none."""
    number = int(value)
    return None if number < 0 else number
