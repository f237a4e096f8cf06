"""What the Kafka adapter does beyond the port's contract, and where kafka-python has to be helped."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from consumer.broker.kafka import KafkaBroker
from consumer.broker.kafka_client import KafkaTimes, committable
from consumer.broker.kafka_consumer import KafkaGroupConsumer
from consumer.broker.kafka_producer import KafkaTransactionalProducer
from consumer.broker.port import Message, Position, Reader, Record, TopicPartition, TopicSpec
from consumer.exceptions import BrokerError, Fenced, TopicMissing


pytestmark = pytest.mark.kafka

Take = Callable[[Reader, int], list[Record]]
PollUntil = Callable[[Reader, Callable[[], bool]], list[Record]]
MakeTopic = Callable[..., str]

HASTY = KafkaTimes(max_poll_interval_s=2.0)
"""A member that is not polled for two seconds loses its partitions."""


@pytest.fixture
def open_broker() -> Iterator[Callable[..., KafkaBroker]]:
    """Connect to the Kafka of CREWSYNC_BROKER_URL."""
    opened: list[KafkaBroker] = []

    def connected(times: KafkaTimes = HASTY) -> KafkaBroker:
        servers = os.environ.get("CREWSYNC_BROKER_URL", "").removeprefix("kafka://").split(",")
        opened.append(KafkaBroker(servers, times=times))
        return opened[-1]

    yield connected
    for broker in opened:
        broker.close()


@pytest.fixture
def kafka(open_broker: Callable[..., KafkaBroker]) -> KafkaBroker:
    """An open broker with little patience for silent members."""
    return open_broker()


@pytest.fixture
def new_topic(kafka: KafkaBroker) -> MakeTopic:
    """Create a topic that no other test uses and return its name."""

    def make(partitions: int = 1, *, compacted: bool = False) -> str:
        name = f"adapter-{uuid4().hex}"
        kafka.ensure_topics([TopicSpec(name, partitions, compacted=compacted)])
        return name

    return make


class Diary:
    """What a listener was told."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, frozenset[TopicPartition]]] = []

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self.entries.append(("assigned", partitions))

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.entries.append(("revoked", partitions))

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        self.entries.append(("lost", partitions))


def write(broker: KafkaBroker, topic: str, *values: bytes, key: bytes | None = b"key") -> None:
    with closing(broker.producer()) as producer:
        for value in values:
            producer.send(Message(topic, key, value))
        producer.flush()


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def read_to_end(broker: KafkaBroker, topic: str) -> list[bytes | None]:
    partitions = broker.partitions(topic)
    found: list[Record] = []
    with closing(broker.reader(partitions)) as reader:
        ends = reader.end_offsets(partitions)
        deadline = time.monotonic() + 30
        while any(reader.position(each) < end for each, end in ends.items()):
            assert time.monotonic() < deadline, f"the end {ends} was not reached"
            found += reader.poll(0.1)
    return values(found)


def test_the_library_defaults_that_bite_are_overruled(
    open_broker: Callable[..., KafkaBroker], new_topic: MakeTopic, group: str, transactional_id: str
) -> None:
    topic, broker = new_topic(), open_broker(KafkaTimes())
    with closing(broker.consumer(group, [topic], instance_id="place")) as consumer:
        expected = {
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "isolation_level": "read_committed",
            "group_instance_id": "place",
            "session_timeout_ms": 10_000,
            "heartbeat_interval_ms": 3_000,
            "max_poll_interval_ms": 300_000,
        }
        assert {name: consumer._kafka.config[name] for name in expected} == expected
        (assignor,) = consumer._kafka.config["partition_assignment_strategy"]
        assert assignor.name == "cooperative-sticky"
    with closing(broker.transactional_producer(transactional_id)) as producer:
        config = producer._outbox.kafka.config
        assert (config["acks"], config["enable_idempotence"]) == (-1, True)


def test_topics_are_kept_as_their_specification_says(kafka: KafkaBroker) -> None:
    names = [f"adapter-{uuid4().hex}" for _ in range(3)]
    kafka.ensure_topics(
        [
            TopicSpec(names[0], 1, compacted=True),
            TopicSpec(names[1], 1, retention_ms=86_400_000),
            TopicSpec(names[2], 1),
        ]
    )
    from kafka.admin import ConfigResource  # noqa: PLC0415 - only after the adapter has imported kafka

    resources = [ConfigResource("topic", name) for name in names]
    described = kafka._admin.describe_configs(resources, config_filter="all")["topic"]
    found = {
        name: (described[name]["cleanup.policy"]["value"], described[name]["retention.ms"]["value"])
        for name in names
    }
    assert found[names[0]][0] == "compact"
    assert found[names[1]] == ("delete", "86400000")
    assert found[names[2]] == ("delete", "-1")


def test_several_processes_may_ensure_the_same_topics_at_once(kafka: KafkaBroker) -> None:
    specs = [TopicSpec(f"adapter-{uuid4().hex}", 1) for _ in range(5)]
    created: list[str] = []
    threads = [threading.Thread(target=lambda: created.extend(kafka.ensure_topics(specs))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == sorted(spec.name for spec in specs)


def test_a_partition_that_the_topic_does_not_have_is_missing(
    kafka: KafkaBroker, new_topic: MakeTopic
) -> None:
    topic = new_topic()
    with closing(kafka.producer()) as producer, pytest.raises(TopicMissing):
        producer.send(Message(topic, b"key", b"value", partition=1))


def test_nobody_reads_or_joins_for_a_topic_that_does_not_exist(kafka: KafkaBroker, group: str) -> None:
    missing = f"adapter-{uuid4().hex}"
    with pytest.raises(TopicMissing):
        kafka.reader([TopicPartition(missing, 0)])
    with pytest.raises(TopicMissing):
        kafka.consumer(group, [missing])


def test_a_refused_record_surfaces_at_flush_and_the_producer_goes_on(
    kafka: KafkaBroker, new_topic: MakeTopic
) -> None:
    """A compacted topic takes no record without a key."""
    topic = new_topic(compacted=True)
    with closing(kafka.producer()) as producer:
        producer.send(Message(topic, None, b"refused"))
        with pytest.raises(BrokerError):
            producer.flush()
        producer.flush()
        producer.send(Message(topic, b"key", b"taken"))
        producer.flush()
    assert read_to_end(kafka, topic) == [b"taken"]


def test_a_transaction_with_a_refused_record_cannot_be_committed_but_the_next_one_can(
    kafka: KafkaBroker, new_topic: MakeTopic, transactional_id: str
) -> None:
    topic = new_topic(compacted=True)
    with closing(kafka.transactional_producer(transactional_id)) as producer:
        producer.begin()
        producer.send(Message(topic, b"key", b"aborted"))
        producer.send(Message(topic, None, b"refused"))
        with pytest.raises(BrokerError):
            producer.commit()
        producer.abort()
        producer.begin()
        producer.send(Message(topic, b"key", b"committed"))
        producer.commit()
    assert read_to_end(kafka, topic) == [b"committed"]


def test_a_record_that_timed_out_keeps_its_transaction_from_being_committed(
    kafka: KafkaBroker, new_topic: MakeTopic, transactional_id: str
) -> None:
    """The library alone would commit the rest."""
    topic = new_topic()
    with closing(kafka.transactional_producer(transactional_id)) as producer:
        producer.begin()
        producer.send(Message(topic, b"key", b"value"))
        producer._outbox._failed(TimeoutError("expired"))
        with pytest.raises(BrokerError, match="expired"):
            producer.commit()
        producer.abort()
    assert read_to_end(kafka, topic) == []


def test_a_commit_that_is_never_answered_is_given_up_and_the_producer_goes_on_after_abort(
    kafka: KafkaBroker,
    open_broker: Callable[..., KafkaBroker],
    new_topic: MakeTopic,
    transactional_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topic = new_topic()
    hasty = open_broker(KafkaTimes(commit_s=1.0))
    with closing(hasty.transactional_producer(transactional_id)) as producer:
        producer.begin()
        producer.send(Message(topic, b"key", b"left open"))
        monkeypatch.setattr(
            producer._outbox.kafka._transaction_manager, "next_request_handler", lambda _waiting: None
        )
        with pytest.raises(BrokerError, match="unknown") as caught:
            producer._request("commit", lambda manager: manager.begin_commit())
        assert not isinstance(caught.value, Fenced)
        producer.abort()
        producer.begin()
        producer.send(Message(topic, b"key", b"committed"))
        producer.commit()
    assert read_to_end(kafka, topic) == [b"committed"]


def test_the_end_is_the_last_stable_offset_and_positions_pass_what_is_not_delivered(
    kafka: KafkaBroker, new_topic: MakeTopic, transactional_id: str
) -> None:
    topic = new_topic()
    partition = TopicPartition(topic, 0)
    with (
        closing(kafka.transactional_producer(transactional_id)) as producer,
        closing(kafka.reader([partition])) as reader,
    ):
        write(kafka, topic, b"plain")
        producer.begin()
        producer.send(Message(topic, b"key", b"aborted"))
        producer._outbox.flush()
        assert reader.end_offsets([partition]) == {partition: 1}
        producer.abort()
        found: list[Record] = []
        deadline = time.monotonic() + 30
        while reader.position(partition) < 3:
            assert time.monotonic() < deadline
            found += reader.poll(0.1)
        assert values(found) == [b"plain"]


def test_a_reader_whose_offset_was_deleted_goes_on_at_the_earliest(
    kafka: KafkaBroker, new_topic: MakeTopic, take: Take
) -> None:
    topic = new_topic()
    partition = TopicPartition(topic, 0)
    write(kafka, topic, *[str(number).encode() for number in range(10)])
    with closing(kafka.reader([partition])) as reader:
        kafka._admin.delete_records({reader._assigned([partition])[0]: 6})
        reader.seek(partition, 2)
        assert [record.offset for record in take(reader, 4)] == [6, 7, 8, 9]


def test_an_error_of_the_listener_surfaces_from_poll_and_costs_no_record(
    kafka: KafkaBroker, new_topic: MakeTopic, group: str, take: Take, poll_until: PollUntil
) -> None:
    topic = new_topic()
    write(kafka, topic, b"1", b"2")

    class Clumsy(Diary):
        def assigned(self, partitions: frozenset[TopicPartition]) -> None:
            super().assigned(partitions)
            raise ZeroDivisionError

        def revoked(self, partitions: frozenset[TopicPartition]) -> None:
            super().revoked(partitions)
            raise LookupError

    clumsy = Clumsy()
    consumer = kafka.consumer(group, [topic], clumsy)
    with pytest.raises(ZeroDivisionError):
        poll_until(consumer, lambda: False)
    assert values(take(consumer, 2)) == [b"1", b"2"]
    with pytest.raises(LookupError):
        consumer.close()
    consumer.close()
    assert [what for what, _ in clumsy.entries] == ["assigned", "revoked"]


def test_a_slow_listener_does_not_cost_the_membership(
    kafka: KafkaBroker, new_topic: MakeTopic, group: str, take: Take
) -> None:
    """Heartbeats go on while the listener is at work, for longer than the session lasts."""
    topic = new_topic()
    write(kafka, topic, b"1")
    broker = KafkaBroker(
        kafka._settings["bootstrap_servers"], times=KafkaTimes(session_s=1.2, heartbeat_s=0.3)
    )

    class Slow(Diary):
        def assigned(self, partitions: frozenset[TopicPartition]) -> None:
            super().assigned(partitions)
            threading.Event().wait(2.5)

    slow = Slow()
    with broker, closing(broker.consumer(group, [topic], slow)) as consumer:
        take(consumer, 1)
        consumer.commit({TopicPartition(topic, 0): Position(1)})
    assert [what for what, _ in slow.entries] == ["assigned", "revoked"]


def test_a_member_that_was_not_polled_for_too_long_has_lost_its_partitions(  # noqa: PLR0917 - fixtures
    kafka: KafkaBroker,
    new_topic: MakeTopic,
    group: str,
    take: Take,
    poll_until: PollUntil,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its next poll says so; the successor has them meanwhile, and what the zombie writes is void."""
    topic = new_topic()
    partition = TopicPartition(topic, 0)
    write(kafka, topic, b"1", b"2")
    diary = Diary()
    with (
        closing(kafka.consumer(group, [topic], diary)) as zombie,
        closing(kafka.transactional_producer(group + "-zombie")) as producer,
    ):
        take(zombie, 2)
        membership = zombie.fenced_offsets({partition: Position(2)})[1]
        with closing(kafka.consumer(group, [topic])) as successor:
            take(successor, 2)
            successor.commit({partition: Position(1, "successor")})
            with pytest.raises(Fenced):
                zombie.commit({partition: Position(2, "zombie")})
            with monkeypatch.context() as patch:
                patch.setattr(
                    zombie, "fenced_offsets", lambda positions: (committable(positions), membership)
                )
                _commit_late(producer, zombie, partition)
            assert successor.committed(partition) == Position(1, "successor")
            poll_until(zombie, lambda: ("lost", frozenset({partition})) in diary.entries)
    assert [what for what, _ in diary.entries[:2]] == ["assigned", "lost"]
    assert read_to_end(kafka, topic) == [b"1", b"2"]


def _commit_late(
    producer: KafkaTransactionalProducer, zombie: KafkaGroupConsumer, partition: TopicPartition
) -> None:
    """Commit in a transaction for a member that has not heard yet that it is none, and see it fenced."""
    producer.begin()
    producer.send(Message(partition.topic, b"key", b"void"))
    with pytest.raises(Fenced):
        producer.send_offsets(zombie, {partition: Position(2, "zombie")})
    producer.abort()
    with pytest.raises(Fenced):
        producer.begin()


def test_a_member_that_is_expelled_while_it_joins_starts_over_from_what_is_committed(
    kafka: KafkaBroker, new_topic: MakeTopic, group: str, take: Take
) -> None:
    """The library would keep its old positions, though others may have been there in between."""
    topic = new_topic()
    partition = TopicPartition(topic, 0)
    write(kafka, topic, b"1", b"2", b"3")
    diary = Diary()
    broker = KafkaBroker(
        kafka._settings["bootstrap_servers"], times=KafkaTimes(session_s=1.2, heartbeat_s=0.3)
    )
    with broker, closing(broker.consumer(group, [topic], diary)) as consumer:
        take(consumer, 3)
        consumer.commit({partition: Position(1)})
        coordinator = consumer._kafka._coordinator
        coordinator.rejoining = True
        coordinator.reset_generation()
        assert values(take(consumer, 2)) == [b"2", b"3"]
    assert [what for what, _ in diary.entries] == ["assigned", "lost", "assigned", "revoked"]


def test_what_was_committed_can_be_read_at_once(
    kafka: KafkaBroker, new_topic: MakeTopic, transactional_id: str
) -> None:
    """Kafka decides a commit before it marks the partitions; who looks for their end must not miss it."""
    topic = new_topic(3)
    partitions = kafka.partitions(topic)
    with (
        closing(kafka.transactional_producer(transactional_id)) as producer,
        closing(kafka.reader(partitions)) as reader,
    ):
        for round_number in range(1, 11):
            producer.begin()
            for partition in partitions:
                producer.send(Message(topic, b"key", b"value", partition=partition.partition))
            producer.commit()
            assert set(reader.end_offsets(partitions).values()) == {2 * round_number}


def test_a_member_whose_commit_was_fenced_finds_out_at_its_next_poll(  # noqa: PLR0917 - fixtures
    kafka: KafkaBroker,
    open_broker: Callable[..., KafkaBroker],
    new_topic: MakeTopic,
    group: str,
    take: Take,
    poll_until: PollUntil,
) -> None:
    """It does not have to wait for its next heartbeat."""
    from kafka.admin import MemberToRemove  # noqa: PLC0415 - only after the adapter has imported kafka

    topic = new_topic()
    partition = TopicPartition(topic, 0)
    write(kafka, topic, b"1")
    diary = Diary()
    patient = open_broker(KafkaTimes(session_s=600, heartbeat_s=200))
    with (
        closing(patient.consumer(group, [topic], diary)) as consumer,
        closing(patient.transactional_producer(group)) as producer,
    ):
        take(consumer, 1)
        member_id = consumer._kafka.group_metadata().member_id
        kafka._admin.remove_group_members(group, [MemberToRemove(member_id=member_id)])
        producer.begin()
        with pytest.raises(Fenced):
            producer.send_offsets(consumer, {partition: Position(1)})
        producer.abort()
        poll_until(consumer, lambda: len(diary.entries) == 3)
        consumer.commit({partition: Position(1)})
    assert [what for what, _ in diary.entries] == ["assigned", "lost", "assigned", "revoked"]


def test_records_of_a_poll_that_was_interrupted_come_again(
    kafka: KafkaBroker, new_topic: MakeTopic, group: str, take: Take, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a person presses Ctrl-C; what was read but not delivered must not be taken for handled."""
    topic = new_topic()
    with closing(kafka.consumer(group, [topic])) as consumer:
        write(kafka, topic, b"1")
        take(consumer, 1)
        write(kafka, topic, b"2")
        monkeypatch.setattr(consumer, "_returned", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            consumer.poll(5)
        monkeypatch.undo()
        assert values(take(consumer, 1)) == [b"2"]


def _interrupted(_patience_s: float) -> None:
    raise KeyboardInterrupt
