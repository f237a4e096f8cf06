"""The Kafka adapter of the broker port."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from consumer.broker.kafka_access import Access
from consumer.broker.kafka_client import (
    KafkaTimes,
    as_broker_error,
    errors,
    kafka,
    knock,
    native,
    opened,
    quieten,
    translated,
)
from consumer.broker.kafka_consumer import KafkaGroupConsumer
from consumer.broker.kafka_producer import KafkaPlainProducer, KafkaTransactionalProducer
from consumer.broker.kafka_reader import KafkaReader
from consumer.broker.kafka_topics import (
    LATEST_OFFSET,
    Found,
    configs_of,
    definition,
    found_of,
    spans_of,
    state_of,
)
from consumer.broker.port import RebalanceListener, TopicPartition, TopicSpec, TopicState
from consumer.broker.security import PLAINTEXT, Security
from consumer.exceptions import BrokerError, TopicMissing


log = logging.getLogger(__name__)

T = TypeVar("T")

ADMIN_TRIES_S = 15.0
"""How long a question to the cluster is repeated when it fails for a passing reason."""

ADMIN_PAUSE_S = 0.2

TOPIC_VISIBLE_S = 15.0

COMMIT_VISIBLE_S = 10.0
COMMIT_PAUSE_S = 0.002

PATIENT = KafkaTimes()


class KafkaBroker:
    """A Kafka cluster; see ``consumer.broker.port.Broker``.

    ``bootstrap`` names some of its servers as ``host:port``. ``security`` goes to every client;
    what it names files for is read again for each new connection. Its consumers and producers may be used
    from different threads, each from one at a time.

    Raises BrokerUnavailable if no server answers; BrokerRefused if all that do fail in TLS or SASL.
    """

    def __init__(
        self,
        bootstrap: Sequence[str],
        *,
        client_id: str = "crewsync",
        security: Security = PLAINTEXT,
        times: KafkaTimes = PATIENT,
    ) -> None:
        quieten()
        self._times = times
        self._settings: dict[str, Any] = {
            "bootstrap_servers": list(bootstrap),
            "client_id": client_id,
            "request_timeout_ms": int(times.request_s * 1000),
            "bootstrap_timeout_ms": int(times.connect_s * 1000),
            "reconnect_backoff_max_ms": 2_000,
            "metadata_max_age_ms": 60_000,
            "access": Access(security),
        }
        knock(bootstrap, times.connect_s)
        self._opened = opened(kafka.KafkaAdminClient, self._settings)
        self._admin = self._opened.client
        # Of any thread: to add to a set and to look into it are one step each.
        self._known_topics: set[str] = set()

    def ensure_topics(self, specs: Iterable[TopicSpec]) -> Sequence[str]:
        """Create the topics that do not exist and return their names. Existing ones are left as they are."""
        wanted = {spec.name: spec for spec in specs}
        existing = self._found(wanted)
        missing = {name: definition(spec) for name, spec in wanted.items() if name not in existing}
        if not missing:
            return []
        answer = self._asked("create topics", lambda: self._create(missing))
        codes = {topic["name"]: errors.for_code(topic["error_code"]) for topic in answer["topics"]}
        for name, code in codes.items():
            if code not in {errors.NoError, errors.TopicAlreadyExistsError}:
                raise as_broker_error(code(name), f"create topic {name}")
        with translated("wait for new topics"):
            self._admin.wait_for_topics(list(missing), timeout_ms=TOPIC_VISIBLE_S * 1000)
        return [name for name in missing if codes[name] is errors.NoError]

    def describe(self, topics: Collection[str]) -> Mapping[str, TopicState | None]:
        """How each topic is configured, and what is in it; None for one that does not exist."""
        found = self._found(topics)
        configs = self._asked("describe topics' settings", lambda: configs_of(self._admin, found))
        spans = self._asked("list offsets", lambda: spans_of(self._admin, found))
        return {
            name: state_of(found[name], configs[name], spans[name]) if name in found else None
            for name in topics
        }

    def partitions(self, topic: str) -> Sequence[TopicPartition]:
        """The topic's partitions in order. Raises TopicMissing."""
        found = self._found([topic])
        if topic not in found:
            raise TopicMissing(f"there is no topic {topic}")
        self._known_topics.add(topic)
        return [TopicPartition(topic, number) for number in found[topic].partitions]

    def written_offsets(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The high watermarks."""
        for topic in {partition.topic for partition in partitions}:
            self._require(topic)
        latest = {native(partition): LATEST_OFFSET for partition in partitions}
        found = self._asked("written offsets", lambda: self._admin.list_partition_offsets(latest))
        return {partition: found[partition].offset for partition in partitions}

    def reader(self, partitions: Collection[TopicPartition]) -> KafkaReader:
        """A reader of these partitions, outside any group. Raises TopicMissing."""
        for topic in {partition.topic for partition in partitions}:
            self._require(topic)
        return KafkaReader(self._settings, self._times, partitions)

    def consumer(
        self,
        group: str,
        topics: Collection[str],
        listener: RebalanceListener | None = None,
        instance_id: str | None = None,
    ) -> KafkaGroupConsumer:
        """A new member of a group. Raises TopicMissing."""
        for topic in topics:
            self._require(topic)
        return KafkaGroupConsumer(self._settings, self._times, group, topics, listener, instance_id)

    def producer(self) -> KafkaPlainProducer:
        """A producer outside transactions."""
        return KafkaPlainProducer(self._settings, self._times, self._require)

    def transactional_producer(self, transactional_id: str) -> KafkaTransactionalProducer:
        """A transactional producer, which fences earlier ones with its id."""
        return KafkaTransactionalProducer(
            self._settings, self._times, self._require, self._await_visible, transactional_id
        )

    def close(self) -> None:
        """Close the broker. Its consumers and producers are to be closed first."""
        self._admin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require(self, topic: str) -> None:
        """Raise TopicMissing, unless the topic was seen once."""
        if topic not in self._known_topics:
            self.partitions(topic)

    def _await_visible(self, transactional_id: str) -> None:
        """Wait until what the producer has committed can be read by all.

        Kafka answers a commit as soon as it is decided, and marks the partitions a little later. Without this
        a reader that looks for the end then would miss the newest records. What is decided stays so: if the
        state cannot be found out, nothing is raised.
        """
        deadline = time.monotonic() + COMMIT_VISIBLE_S
        while time.monotonic() < deadline:
            try:
                with translated("describe transaction"):
                    state = self._admin.describe_transactions([transactional_id])[transactional_id].state
            except BrokerError as error:
                log.info("whether a commit can be read already is not known: %s", error)
                # The admin client would ask the former coordinator for ever.
                self._admin._manager.cluster._coordinators.clear()  # noqa: SLF001 - there is no other way
                return
            if state.value != "PrepareCommit":
                return
            time.sleep(COMMIT_PAUSE_S)
        log.warning("a commit cannot be read after %g seconds", COMMIT_VISIBLE_S)

    def _found(self, topics: Collection[str]) -> Mapping[str, Found]:
        return self._asked("describe topics", lambda: found_of(self._admin, topics))

    def _create(self, definitions: Mapping[str, Mapping[str, object]]) -> Any:
        return self._admin.create_topics(dict(definitions), raise_errors=False)

    def _asked(self, doing: str, ask: Callable[[], T]) -> T:
        """Ask the cluster, again after a lost connection."""
        deadline = time.monotonic() + ADMIN_TRIES_S
        while True:
            try:
                with translated(doing):
                    return ask()
            except BrokerError as error:
                if not isinstance(error.__cause__, errors.RetriableError) or time.monotonic() > deadline:
                    if refusal := self._opened.net.refusal:
                        # The server that was to be asked may be the only one that cannot be used.
                        raise refusal from error
                    raise
            time.sleep(ADMIN_PAUSE_S)
