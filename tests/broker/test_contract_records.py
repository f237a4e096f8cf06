"""The port's promises about topics, records and readers outside groups, on every adapter."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from uuid import uuid4

import pytest

from consumer.broker.port import Broker, Headers, Message, Reader, Record, TopicPartition, TopicSpec
from consumer.exceptions import BrokerError, TopicMissing


Take = Callable[[Reader, int], list[Record]]
PollUntil = Callable[[Reader, Callable[[], bool]], list[Record]]
MakeTopic = Callable[..., str]

LONG_AGO_MS = 1_600_000_000_000


def write(broker: Broker, *messages: Message) -> None:
    with closing(broker.producer()) as producer:
        for message in messages:
            producer.send(message)
        producer.flush()


def numbered(topic: str, *numbers: int, partition: int | None = None) -> list[Message]:
    return [Message(topic, b"key", str(number).encode(), partition=partition) for number in numbers]


def values(records: list[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def test_ensure_topics_creates_what_is_missing_and_leaves_the_rest_alone(broker: Broker) -> None:
    old, new = f"contract-{uuid4().hex}", f"contract-{uuid4().hex}"
    assert list(broker.ensure_topics([TopicSpec(old, 3)])) == [old]

    assert list(broker.ensure_topics([TopicSpec(old, 7), TopicSpec(new, 2)])) == [new]

    assert list(broker.partitions(old)) == [TopicPartition(old, number) for number in range(3)]
    assert list(broker.partitions(new)) == [TopicPartition(new, number) for number in range(2)]
    assert list(broker.ensure_topics([TopicSpec(old, 3), TopicSpec(new, 2)])) == []


def test_a_topic_that_does_not_exist_has_no_partitions(broker: Broker) -> None:
    with pytest.raises(TopicMissing):
        broker.partitions(f"contract-{uuid4().hex}")


def test_a_record_cannot_be_sent_to_a_topic_that_does_not_exist(broker: Broker) -> None:
    """Sending must not create the topic either."""
    missing = f"contract-{uuid4().hex}"
    with closing(broker.producer()) as producer, pytest.raises(TopicMissing):
        producer.send(Message(missing, b"key", b"value"))
    with pytest.raises(TopicMissing):
        broker.partitions(missing)


@pytest.mark.parametrize("key", [b"key", b"", None], ids=["key", "empty-key", "null-key"])
@pytest.mark.parametrize("value", [b"value", b"", None], ids=["value", "empty-value", "null-value"])
def test_key_and_value_come_back_as_they_were_sent(
    broker: Broker, topic: str, take: Take, key: bytes | None, value: bytes | None
) -> None:
    write(broker, Message(topic, key, value))
    with closing(broker.reader(broker.partitions(topic))) as reader:
        (record,) = take(reader, 1)
    assert (record.key, record.value, record.headers) == (key, value, ())
    assert (record.topic, record.partition, record.offset) == (topic, 0, 0)
    assert record.source == TopicPartition(topic, 0)


@pytest.mark.parametrize(
    "headers",
    [(), (("a", b""),), (("why", b"\x00\xff"), ("why", b"twice"), ("an", b"order")), (("Gründe ✓", b"1"),)],
    ids=["none", "empty-value", "repeated-in-order", "unicode-name"],
)
def test_headers_come_back_as_they_were_sent(
    broker: Broker, topic: str, take: Take, headers: Headers
) -> None:
    write(broker, Message(topic, b"key", b"value", headers))
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert take(reader, 1)[0].headers == headers


def test_a_given_timestamp_is_kept(broker: Broker, topic: str, take: Take) -> None:
    write(broker, Message(topic, b"key", b"value", timestamp_ms=LONG_AGO_MS + 123))
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert take(reader, 1)[0].timestamp_ms == LONG_AGO_MS + 123


def test_without_a_timestamp_the_time_of_sending_is_taken(broker: Broker, topic: str, take: Take) -> None:
    before = int(time.time() * 1000)
    write(broker, Message(topic, b"key", b"value"))
    after = int(time.time() * 1000) + 1
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert before <= take(reader, 1)[0].timestamp_ms <= after


def test_a_partition_keeps_its_order_over_several_producers(broker: Broker, topic: str, take: Take) -> None:
    write(broker, *numbered(topic, *range(150)))
    write(broker, *numbered(topic, *range(150, 300)))
    with closing(broker.reader(broker.partitions(topic))) as reader:
        records = take(reader, 300)
    assert values(records) == [str(number).encode() for number in range(300)]
    assert [record.offset for record in records] == sorted({record.offset for record in records})


def test_a_message_with_a_partition_goes_there(broker: Broker, make_topic: MakeTopic, take: Take) -> None:
    topic = make_topic(3)
    write(broker, *[Message(topic, b"same", b"value", partition=number) for number in (2, 0, 1, 2)])
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert sorted(record.partition for record in take(reader, 4)) == [0, 1, 2, 2]


def test_equal_keys_go_to_one_partition_whoever_sends_them(
    broker: Broker, make_topic: MakeTopic, take: Take, reopen: Callable[[], Broker], transactional_id: str
) -> None:
    topic = make_topic(4)
    keys = [f"company:{number}".encode() for number in range(40)]
    write(broker, *[Message(topic, key, b"plain") for key in keys])
    again = reopen()
    write(again, *[Message(topic, key, b"restarted") for key in keys])
    with closing(again.transactional_producer(transactional_id)) as producer:
        producer.begin()
        for key in keys:
            producer.send(Message(topic, key, b"transactional"))
        producer.commit()
    with closing(again.reader(again.partitions(topic))) as reader:
        records = take(reader, 120)
    homes = {key: {record.partition for record in records if record.key == key} for key in keys}
    assert {len(partitions) for partitions in homes.values()} == {1}
    assert len({record.partition for record in records}) == 4, "forty keys spread over all four partitions"


def test_closing_a_producer_flushes_it(broker: Broker, topic: str, take: Take) -> None:
    producer = broker.producer()
    producer.send(Message(topic, b"key", b"value"))
    producer.close()
    producer.close()
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert values(take(reader, 1)) == [b"value"]


def test_flush_raises_if_a_record_was_not_written(broker: Broker, make_topic: MakeTopic) -> None:
    """As one without a key, which a compacted topic does not take; ``send`` may raise it already."""
    topic = make_topic(compacted=True)
    with pytest.raises(BrokerError):
        write(broker, Message(topic, None, b"value"))
    with closing(broker.reader(broker.partitions(topic))) as reader:
        assert list(reader.poll(0.2)) == []


def test_a_reader_reads_only_its_partitions_from_their_beginning(
    broker: Broker, make_topic: MakeTopic, take: Take
) -> None:
    topic = make_topic(2)
    write(broker, *numbered(topic, 1, 2, partition=0), *numbered(topic, 3, 4, partition=1))
    second = TopicPartition(topic, 1)
    with closing(broker.reader([second])) as reader:
        assert reader.assignment() == {second}
        assert reader.position(second) == 0
        assert values(take(reader, 2)) == [b"3", b"4"]
        assert reader.position(second) == 2
        assert list(reader.poll(0.2)) == []


def test_poll_returns_no_more_than_asked_for_and_the_rest_later(
    broker: Broker, topic: str, take: Take
) -> None:
    write(broker, *numbered(topic, *range(10)))
    partition = TopicPartition(topic, 0)
    with closing(broker.reader([partition])) as reader:
        batch: list[Record] = []
        while not batch:
            batch += reader.poll(5, max_records=3)
        assert values(batch) == [b"0", b"1", b"2"][: len(batch)]
        assert reader.position(partition) == len(batch)
        assert values(batch + take(reader, 10 - len(batch))) == [str(number).encode() for number in range(10)]


def test_poll_waits_for_its_timeout_and_no_longer(broker: Broker, topic: str) -> None:
    with closing(broker.reader(broker.partitions(topic))) as reader:
        reader.poll(0.5)
        started = time.monotonic()
        assert list(reader.poll(0.3)) == []
        assert 0.25 <= time.monotonic() - started < 2
        started = time.monotonic()
        assert list(reader.poll(0)) == []
        assert time.monotonic() - started < 0.25


def test_poll_returns_as_soon_as_there_is_a_record(broker: Broker, topic: str) -> None:
    """Another thread writes while the reader is already waiting."""
    with closing(broker.reader(broker.partitions(topic))) as reader, closing(broker.producer()) as producer:
        reader.poll(0.5)

        def send() -> None:
            producer.send(Message(topic, b"key", b"value"))
            producer.flush()

        later = threading.Timer(0.2, send)
        later.start()
        started = time.monotonic()
        records = reader.poll(20)
        took = time.monotonic() - started
        later.join()
    assert values(list(records)) == [b"value"]
    assert took < 5


def test_a_paused_partition_delivers_nothing_until_it_is_resumed(
    broker: Broker, make_topic: MakeTopic, take: Take
) -> None:
    topic = make_topic(2)
    first, second = broker.partitions(topic)
    write(broker, *numbered(topic, *range(10), partition=0), *numbered(topic, *range(10), partition=1))
    with closing(broker.reader([first, second])) as reader:
        reader.pause([first])
        assert {record.source for record in take(reader, 10)} == {second}
        assert list(reader.poll(0.3)) == []
        assert reader.position(first) == 0
        reader.resume([first])
        assert values(take(reader, 10)) == [str(number).encode() for number in range(10)]


def test_a_pause_holds_back_what_was_fetched_already(broker: Broker, topic: str, take: Take) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, *numbered(topic, *range(20)))
    with closing(broker.reader([partition])) as reader:
        got: list[Record] = []
        while not got:
            got += reader.poll(5, max_records=2)
        reader.pause([partition])
        assert list(reader.poll(0.3)) == []
        assert reader.position(partition) == len(got)
        reader.resume([partition])
        got += take(reader, 20 - len(got))
    assert values(got) == [str(number).encode() for number in range(20)]


def test_seek_goes_back_and_forth(broker: Broker, topic: str, take: Take) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, *numbered(topic, *range(10)))
    with closing(broker.reader([partition])) as reader:
        reader.seek(partition, 7)
        assert reader.position(partition) == 7
        assert values(take(reader, 3)) == [b"7", b"8", b"9"]
        reader.seek(partition, 2)
        assert reader.position(partition) == 2
        assert values(take(reader, 8)) == [str(number).encode() for number in range(2, 10)]


def test_a_seek_drops_what_was_fetched_already(broker: Broker, topic: str, take: Take) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, *numbered(topic, *range(20)))
    with closing(broker.reader([partition])) as reader:
        while not reader.poll(5, max_records=1):
            pass
        reader.seek(partition, 15)
        assert values(take(reader, 5)) == [b"15", b"16", b"17", b"18", b"19"]


def test_beginning_and_end_of_a_partition(broker: Broker, make_topic: MakeTopic) -> None:
    topic = make_topic(2)
    full, empty = broker.partitions(topic)
    write(broker, *numbered(topic, 1, 2, 3, partition=0))
    with closing(broker.reader([full])) as reader:
        assert dict(reader.beginning_offsets([full, empty])) == {full: 0, empty: 0}
        assert dict(reader.end_offsets([full, empty])) == {full: 3, empty: 0}


def test_offsets_for_times_finds_the_first_record_at_or_after_a_time(
    broker: Broker, make_topic: MakeTopic
) -> None:
    topic = make_topic(2)
    full, empty = broker.partitions(topic)
    times = [LONG_AGO_MS, LONG_AGO_MS + 1000, LONG_AGO_MS + 1000, LONG_AGO_MS + 2000]
    write(broker, *[Message(topic, b"key", b"value", partition=0, timestamp_ms=at) for at in times])
    with closing(broker.reader([full])) as reader:

        def found(after_ms: int) -> int | None:
            return reader.offsets_for_times({full: LONG_AGO_MS + after_ms})[full]

        assert [found(after) for after in (-1, 0, 1, 1000, 1001, 2000, 2001)] == [0, 0, 1, 1, 3, 3, None]
        assert dict(reader.offsets_for_times({full: LONG_AGO_MS + 1, empty: 0})) == {full: 1, empty: None}


def test_a_table_is_read_to_its_captured_end_and_then_followed(
    broker: Broker, make_topic: MakeTopic, take: Take, poll_until: PollUntil
) -> None:
    """The newest value per key of a compacted topic is what a reader has when it reaches the end."""
    topic = make_topic(2, compacted=True)
    partitions = broker.partitions(topic)
    keys = [f"key-{number}".encode() for number in range(20)]
    write(broker, *[Message(topic, key, version) for version in (b"old", b"new") for key in keys])
    write(broker, Message(topic, keys[0], None))
    with closing(broker.reader(partitions)) as reader:
        ends = reader.end_offsets(partitions)
        history = poll_until(reader, lambda: all(reader.position(each) >= end for each, end in ends.items()))
        table = {record.key: record.value for record in history}
        assert table == {keys[0]: None} | dict.fromkeys(keys[1:], b"new")
        write(broker, Message(topic, keys[5], b"newest"))
        (change,) = take(reader, 1)
    assert (change.key, change.value) == (keys[5], b"newest")


def test_what_was_flushed_is_there_after_a_restart(
    broker: Broker, topic: str, take: Take, reopen: Callable[[], Broker]
) -> None:
    message = Message(topic, b"key", b"value", (("why", b"because"),), timestamp_ms=LONG_AGO_MS)
    write(broker, message)
    again = reopen()
    write(again, *numbered(topic, 2))
    with closing(again.reader(again.partitions(topic))) as reader:
        first, second = take(reader, 2)
    assert first == Record(topic, 0, 0, LONG_AGO_MS, b"key", b"value", (("why", b"because"),))
    assert (second.offset, second.value) == (1, b"2")


def test_closing_twice_does_no_harm(broker: Broker, topic: str) -> None:
    reader = broker.reader(broker.partitions(topic))
    reader.close()
    reader.close()
