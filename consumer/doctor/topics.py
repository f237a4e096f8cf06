"""Whether the topics are as they have to be."""

from collections.abc import Iterator, Mapping, Sequence

from consumer.broker.port import TopicSpec, TopicState
from consumer.doctor.findings import Finding, fail, ok, warn


_DAY_MS, _HOUR_MS = 86_400_000, 3_600_000


def topic_findings(
    specs: Sequence[TopicSpec], states: Mapping[str, TopicState | None], *, on_kafka: bool
) -> Iterator[Finding]:
    """What is wrong with each topic, or one line that it is well. Remedies are those of the broker's kind."""
    for spec in specs:
        state = states[spec.name]
        if state is None:
            yield fail(f"topic {spec.name}: it does not exist", _create(spec, on_kafka=on_kafka))
            continue
        found = [
            *_partitions(spec, state, on_kafka=on_kafka),
            *_cleanup(spec, state, on_kafka=on_kafka),
            *_kept_too_short(spec, state, on_kafka=on_kafka),
        ]
        yield from found or [ok(f"topic {spec.name}: {state_words(state)}")]


def state_words(state: TopicState) -> str:
    """How a topic is kept and what is in it, in one line."""
    words = [_partitions_words(state), _cleanup_words(state)]
    if "delete" in state.cleanup:
        words.append(f"kept {duration_words(state.retention_ms)}")
        if state.retention_bytes is not None:
            words.append(f"at most {state.retention_bytes} bytes a partition")
    if "compact" in state.cleanup and state.compaction_lag_ms:
        words.append(f"compacted after {duration_words(state.compaction_lag_ms)}")
    if state.replicas is not None:
        words.append(f"{state.replicas} replica{'' if state.replicas == 1 else 's'}")
    words.append(f"at most {state.most_records} records" if state.most_records else "empty")
    return ", ".join(words)


def duration_words(ms: int | None) -> str:
    """A duration as people say it; None is for ever."""
    if ms is None:
        return "for ever"
    for unit, name in ((_DAY_MS, "day"), (_HOUR_MS, "hour")):
        if ms and ms % unit == 0:
            return f"{ms // unit} {name}{'' if ms == unit else 's'}"
    return f"{ms / 1000:g} s"


def _partitions(spec: TopicSpec, state: TopicState, *, on_kafka: bool) -> Iterator[Finding]:
    if state.partitions >= spec.partitions:
        return
    what = f"topic {spec.name}: it has {_partitions_words(state)}, and needs {spec.partitions}"
    alter = f"kafka-topics --alter --topic {spec.name} --partitions {spec.partitions}"
    if not on_kafka:
        remedy = _ANEW
    elif state.most_records == 0:
        remedy = f"{alter}; it is empty, so no record's key moves to another partition"
    elif spec.compacted:
        # The newest record of a key would stand on one partition, and an older one of it on another.
        remedy = (
            "stop every crewsync process, copy the records to a new topic of that name with "
            f"{spec.partitions} partitions, and start again; only adding partitions would leave a key on two"
        )
    else:
        remedy = f"stop what publishes, let crewsync finish what is in it, then {alter}, since keys move"
    yield fail(what, remedy)


def _cleanup(spec: TopicSpec, state: TopicState, *, on_kafka: bool) -> Iterator[Finding]:
    wanted = "compact" if spec.compacted else "delete"
    if state.cleanup == {wanted}:
        return
    harm = (
        "what was linked or set long ago vanishes"
        if spec.compacted and "delete" in state.cleanup
        else "it grows without end, and is read whole at each start"
        if spec.compacted
        else "records vanish as soon as a later one has their key"
        if "compact" in state.cleanup
        else "it is never cleaned up"
    )
    yield fail(
        f"topic {spec.name}: its cleanup policy is {_cleanup_words(state)} instead of {wanted}: {harm}",
        _alter(spec, f"cleanup.policy={wanted}", on_kafka=on_kafka),
    )


def _kept_too_short(spec: TopicSpec, state: TopicState, *, on_kafka: bool) -> Iterator[Finding]:
    """What vanishes earlier than it should, where the policy is right."""
    if spec.compacted and state.compaction_lag_ms < spec.compaction_lag_ms:
        yield warn(
            f"topic {spec.name}: a superseded record stays for {duration_words(state.compaction_lag_ms)} "
            f"instead of {duration_words(spec.compaction_lag_ms)}, so one may go before it was read",
            _alter(spec, f"min.compaction.lag.ms={spec.compaction_lag_ms}", on_kafka=on_kafka),
        )
    if spec.compacted:
        return
    if state.retention_ms is not None and (
        spec.retention_ms is None or state.retention_ms < spec.retention_ms
    ):
        yield warn(
            f"topic {spec.name}: records are kept {duration_words(state.retention_ms)} "
            f"instead of {duration_words(spec.retention_ms)}",
            _alter(spec, f"retention.ms={_number(spec.retention_ms)}", on_kafka=on_kafka),
        )
    if state.retention_bytes is not None:
        yield warn(
            f"topic {spec.name}: records go when a partition has {state.retention_bytes} bytes, "
            "however young they are",
            _alter(spec, "retention.bytes=-1", on_kafka=on_kafka),
        )


_ANEW = (
    "an embedded broker's topics cannot be changed: stop crewsync, move the file away (it keeps its records) "
    "and run crewsync topics create"
)


def _create(spec: TopicSpec, *, on_kafka: bool) -> str:
    remedy = "crewsync topics create"
    if not on_kafka:
        return remedy
    kept = (
        f"cleanup.policy=compact --config min.compaction.lag.ms={spec.compaction_lag_ms}"
        if spec.compacted
        else f"cleanup.policy=delete --config retention.ms={_number(spec.retention_ms)}"
    )
    made = f"kafka-topics --create --topic {spec.name} --partitions {spec.partitions} --config {kept}"
    return f"{remedy}; or, where crewsync may not, {made}"


def _alter(spec: TopicSpec, setting: str, *, on_kafka: bool) -> str:
    if not on_kafka:
        return _ANEW
    return f"kafka-configs --alter --entity-type topics --entity-name {spec.name} --add-config {setting}"


def _partitions_words(state: TopicState) -> str:
    return f"{state.partitions} partition{'' if state.partitions == 1 else 's'}"


def _cleanup_words(state: TopicState) -> str:
    return ",".join(sorted(state.cleanup)) or "none"


def _number(retention_ms: int | None) -> int:
    return -1 if retention_ms is None else retention_ms
