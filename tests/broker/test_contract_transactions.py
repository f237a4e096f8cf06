"""The port's promises about transactions, on every adapter."""

from collections.abc import Callable
from contextlib import closing
from uuid import uuid4

import pytest

from consumer.broker.port import (
    Broker,
    Message,
    Position,
    Reader,
    Record,
    TopicPartition,
    TransactionalProducer,
)
from consumer.exceptions import Fenced, TopicMissing


Take = Callable[[Reader, int], list[Record]]
PollUntil = Callable[[Reader, Callable[[], bool]], list[Record]]
MakeTopic = Callable[..., str]


def write(broker: Broker, topic: str, *values: bytes) -> None:
    with closing(broker.producer()) as producer:
        for value in values:
            producer.send(Message(topic, b"key", value))
        producer.flush()


def transact(producer: TransactionalProducer, topic: str, *values: bytes) -> None:
    producer.begin()
    for value in values:
        producer.send(Message(topic, b"key", value))
    producer.commit()


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


@pytest.fixture
def read_to_end(broker: Broker, poll_until: PollUntil) -> Callable[[str], list[Record]]:
    """Read a topic from its beginning to its present end."""

    def read(topic: str) -> list[Record]:
        partitions = broker.partitions(topic)
        with closing(broker.reader(partitions)) as reader:
            ends = reader.end_offsets(partitions)
            return poll_until(reader, lambda: all(reader.position(each) >= end for each, end in ends.items()))

    return read


def test_results_offsets_and_notes_become_visible_together(
    broker: Broker, make_topic: MakeTopic, group: str, take: Take, transactional_id: str
) -> None:
    source, results, links = make_topic(), make_topic(), make_topic(compacted=True)
    partition = TopicPartition(source, 0)
    write(broker, source, b"1", b"2", b"3")
    with (
        closing(broker.consumer(group, [source])) as consumer,
        closing(broker.transactional_producer(transactional_id)) as producer,
        closing(broker.reader([*broker.partitions(results), *broker.partitions(links)])) as reader,
    ):
        take(consumer, 3)
        producer.begin()
        producer.send(Message(results, b"key", b"result", (("name", b"value"),)))
        producer.send(Message(links, b"key", b"link"))
        producer.send_offsets(consumer, {partition: Position(2, "note")})
        assert list(reader.poll(0.3)) == []
        producer.commit()
        assert consumer.committed(partition) == Position(2, "note")
        found = {record.topic: (record.value, record.headers) for record in take(reader, 2)}
    assert found == {results: (b"result", (("name", b"value"),)), links: (b"link", ())}


def test_an_aborted_transaction_leaves_nothing(
    broker: Broker, make_topic: MakeTopic, group: str, take: Take, transactional_id: str
) -> None:
    """Neither records nor positions; and the producer can go on."""
    source, results = make_topic(), make_topic()
    partition = TopicPartition(source, 0)
    write(broker, source, b"1", b"2", b"3")
    with (
        closing(broker.consumer(group, [source])) as consumer,
        closing(broker.transactional_producer(transactional_id)) as producer,
        closing(broker.reader(broker.partitions(results))) as reader,
    ):
        take(consumer, 3)
        producer.begin()
        producer.send(Message(results, b"key", b"aborted"))
        producer.send_offsets(consumer, {partition: Position(3, "aborted")})
        producer.abort()
        assert consumer.committed(partition) is None
        transact(producer, results, b"committed")
        assert values(take(reader, 1)) == [b"committed"]
        assert consumer.committed(partition) is None


def test_an_empty_transaction_commits_and_aborts(
    broker: Broker, topic: str, take: Take, transactional_id: str
) -> None:
    with closing(broker.transactional_producer(transactional_id)) as producer:
        producer.begin()
        producer.commit()
        producer.begin()
        producer.abort()
        transact(producer, topic, b"value")
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert values(take(reader, 1)) == [b"value"]


def test_closing_a_transactional_producer_aborts_what_is_open(
    broker: Broker, topic: str, transactional_id: str, read_to_end: Callable[[str], list[Record]]
) -> None:
    producer = broker.transactional_producer(transactional_id)
    transact(producer, topic, b"committed")
    producer.begin()
    producer.send(Message(topic, b"key", b"open"))
    producer.close()
    producer.close()
    write(broker, topic, b"later")
    assert values(read_to_end(topic)) == [b"committed", b"later"]


def test_a_transaction_cannot_write_to_a_topic_that_does_not_exist(
    broker: Broker, topic: str, take: Take, transactional_id: str
) -> None:
    with closing(broker.transactional_producer(transactional_id)) as producer:
        producer.begin()
        producer.send(Message(topic, b"key", b"aborted"))
        with pytest.raises(TopicMissing):
            producer.send(Message(f"contract-{uuid4().hex}", b"key", b"value"))
        producer.abort()
        transact(producer, topic, b"committed")
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert values(take(reader, 1)) == [b"committed"]


def test_a_transaction_keeps_the_order_in_which_it_was_written(
    broker: Broker, topic: str, take: Take, transactional_id: str
) -> None:
    expected = [str(number).encode() for number in range(200)]
    with closing(broker.transactional_producer(transactional_id)) as producer:
        transact(producer, topic, *expected[:120])
        transact(producer, topic, *expected[120:])
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert values(take(reader, 200)) == expected


def test_a_reader_that_follows_does_not_miss_a_transaction_that_was_open_when_it_looked(
    broker: Broker, topic: str, poll_until: PollUntil, transactional_id: str
) -> None:
    """Whether the broker holds back later records or lets them through, none is passed over."""
    with (
        closing(broker.transactional_producer(transactional_id)) as producer,
        closing(broker.reader(broker.partitions(topic))) as reader,
    ):
        producer.begin()
        producer.send(Message(topic, b"key", b"transactional"))
        write(broker, topic, b"plain")
        seen = list(reader.poll(0.5))
        assert b"transactional" not in values(seen)
        producer.commit()
        seen += poll_until(reader, lambda: reader.position(TopicPartition(topic, 0)) >= 2)
    assert sorted(record.value or b"" for record in seen) == [b"plain", b"transactional"]
    assert [record.offset for record in seen] == [0, 1]


def test_position_and_end_of_a_reader_that_follows_transactions_come_together(
    broker: Broker, make_topic: MakeTopic, transactional_id: str, poll_until: PollUntil
) -> None:
    """Even where the last thing in a partition is a mark or an aborted record that is never delivered."""
    topic = make_topic(2)
    partitions = broker.partitions(topic)
    with (
        closing(broker.transactional_producer(transactional_id)) as producer,
        closing(broker.reader(partitions)) as reader,
    ):
        for round_number in range(3):
            producer.begin()
            for partition in partitions:
                producer.send(Message(topic, b"key", b"committed", partition=partition.partition))
            producer.commit()
            producer.begin()
            producer.send(Message(topic, b"key", b"aborted", partition=round_number % 2))
            producer.abort()
            seen: list[Record] = []
            while len(seen) < 2:
                seen += poll_until(reader, lambda: _at_end(reader))
            assert values(seen) == [b"committed", b"committed"]


def _at_end(reader: Reader) -> bool:
    ends = reader.end_offsets(reader.assignment())
    return all(reader.position(partition) == end for partition, end in ends.items())


def test_a_second_producer_with_the_id_fences_the_first(
    broker: Broker, topic: str, transactional_id: str, read_to_end: Callable[[str], list[Record]]
) -> None:
    """The first one's open transaction is aborted, and it can begin no other."""
    first = broker.transactional_producer(transactional_id)
    transact(first, topic, b"first")
    first.begin()
    first.send(Message(topic, b"key", b"open"))
    with closing(broker.transactional_producer(transactional_id)) as second:
        with pytest.raises(Fenced):
            first.commit()
        with pytest.raises(Fenced):
            transact(first, topic, b"too late")
        first.close()
        transact(second, topic, b"second")
    assert values(read_to_end(topic)) == [b"first", b"second"]


def test_a_restarted_producer_is_not_fenced_by_its_past(
    broker: Broker, topic: str, transactional_id: str, reopen: Callable[[], Broker], take: Take
) -> None:
    with closing(broker.transactional_producer(transactional_id)) as producer:
        transact(producer, topic, b"before")
    again = reopen()
    with closing(again.transactional_producer(transactional_id)) as producer:
        transact(producer, topic, b"after")
    with closing(again.reader(again.partitions(topic))) as reader:
        assert values(take(reader, 2)) == [b"before", b"after"]


def test_producers_with_different_ids_do_not_disturb_each_other(
    broker: Broker, topic: str, take: Take, transactional_id: str
) -> None:
    with (
        closing(broker.transactional_producer(transactional_id + "-one")) as one,
        closing(broker.transactional_producer(transactional_id + "-two")) as two,
        closing(broker.reader(broker.partitions(topic))) as reader,
    ):
        one.begin()
        one.send(Message(topic, b"key", b"one"))
        transact(two, topic, b"two")
        one.commit()
        assert sorted(record.value or b"" for record in take(reader, 2)) == [b"one", b"two"]


def test_what_was_written_counts_open_transactions_and_a_reader_gets_there_when_they_end(
    broker: Broker, make_topic: MakeTopic, poll_until: PollUntil, transactional_id: str
) -> None:
    topic = make_topic()
    partitions = broker.partitions(topic)
    with (
        closing(broker.transactional_producer(transactional_id)) as producer,
        closing(broker.reader(partitions)) as reader,
    ):
        transact(producer, topic, b"before")
        producer.begin()
        producer.send(Message(topic, b"key", b"open"))
        write(broker, topic, b"behind")
        written = broker.written_offsets(partitions)
        assert sum(written.values()) >= sum(reader.end_offsets(partitions).values()) >= 1
        producer.commit()
        read = poll_until(reader, lambda: all(reader.position(each) >= end for each, end in written.items()))
    assert {b"before", b"behind"} <= set(values(read))
