"""The embedded broker's log: compaction, retention and a full disk."""

import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.embedded_store import TOMBSTONES_KEPT_MS, UPKEEP_EVERY
from consumer.broker.port import Message, Position, Record, TopicPartition, TopicSpec
from consumer.exceptions import BrokerError


TABLE = TopicSpec("table", 1, compacted=True)
LOG = TopicSpec("log", 1, retention_ms=60_000)
KEPT = TopicSpec("kept", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


def write(broker: EmbeddedBroker, *messages: Message) -> None:
    with closing(broker.producer()) as producer:
        for message in messages:
            producer.send(message)


def everything(broker: EmbeddedBroker, topic: str) -> list[Record]:
    partition = TopicPartition(topic, 0)
    records: list[Record] = []
    with closing(broker.reader([partition])) as reader:
        while reader.position(partition) < reader.end_offsets([partition])[partition]:
            records += reader.poll(0)
    return records


def content(broker: EmbeddedBroker, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(record.offset, record.key, record.value) for record in everything(broker, topic)]


def test_compaction_keeps_the_newest_record_of_each_key_at_its_offset(path: Path) -> None:
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([TABLE, KEPT])
        for topic in ("table", "kept"):
            keyed = [(b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1"), (b"a", b"3"), (b"b", b"2")]
            write(broker, *[Message(topic, key, value) for key, value in keyed])
    with EmbeddedBroker(path) as broker:
        assert content(broker, "table") == [(3, b"c", b"1"), (4, b"a", b"3"), (5, b"b", b"2")]
        assert len(everything(broker, "kept")) == 6
        write(broker, Message("table", b"d", b"1"))
        assert content(broker, "table")[-1] == (6, b"d", b"1")
        with closing(broker.reader(broker.partitions("table"))) as reader:
            partition = TopicPartition("table", 0)
            assert reader.position(partition) == 3
            assert dict(reader.beginning_offsets([partition])) == {partition: 3}
            reader.seek(partition, 0)
            assert reader.poll(0, max_records=1)[0].offset == 3, "the next one there is"


def test_a_compacted_topic_is_compacted_while_it_is_written(path: Path) -> None:
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([TABLE])
        write(broker, Message("table", b"gone", None, timestamp_ms=1))
        write(broker, *[Message("table", b"%d" % (n % 10), b"%d" % n) for n in range(1, UPKEEP_EVERY - 1)])
        assert len(everything(broker, "table")) == UPKEEP_EVERY - 1
        write(broker, Message("table", b"9", b"last"))
        left = content(broker, "table")
    assert left[0] == (0, b"gone", None), "a reader may be on its way to the deletion"
    expected = {b"%d" % (n % 10): b"%d" % n for n in range(1, UPKEEP_EVERY - 1)} | {b"9": b"last"}
    assert {key: value for _, key, value in left[1:]} == expected
    assert [offset for offset, _, _ in left[1:]] == list(range(UPKEEP_EVERY - 10, UPKEEP_EVERY))


def test_a_deletion_stays_for_a_day_and_goes_with_the_next_opening(path: Path) -> None:
    now_ms = int(time.time() * 1000)
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([TABLE])
        write(
            broker,
            Message("table", b"old", b"value"),
            Message("table", b"young", b"value"),
            Message("table", b"old", None, timestamp_ms=now_ms - TOMBSTONES_KEPT_MS - 1000),
            Message("table", b"young", None, timestamp_ms=now_ms - TOMBSTONES_KEPT_MS + 600_000),
        )
    with EmbeddedBroker(path) as broker:
        assert content(broker, "table") == [(3, b"young", None)]


def test_expired_records_go_and_their_offsets_are_never_used_again(path: Path) -> None:
    """Not even when nothing is left in the partition."""
    old_ms = int(time.time() * 1000) - 120_000
    partition = TopicPartition("log", 0)
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([LOG])
        write(broker, *[Message("log", None, b"old", timestamp_ms=old_ms) for _ in range(5)])
    with EmbeddedBroker(path) as broker:
        assert everything(broker, "log") == []
        with closing(broker.reader([partition])) as reader:
            assert dict(reader.beginning_offsets([partition])) == {partition: 5}
            assert dict(reader.end_offsets([partition])) == {partition: 5}
            assert reader.offsets_for_times({partition: 0}) == {partition: None}
        write(broker, Message("log", None, b"new"))
        assert content(broker, "log") == [(5, None, b"new")]
    with EmbeddedBroker(path) as broker:
        assert content(broker, "log") == [(5, None, b"new")]


def test_expired_records_go_while_the_topic_is_written(path: Path) -> None:
    old_ms = int(time.time() * 1000) - 120_000
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([LOG])
        write(broker, *[Message("log", None, b"old", timestamp_ms=old_ms) for _ in range(100)])
        write(broker, *[Message("log", None, b"new") for _ in range(UPKEEP_EVERY - 100)])
        left = everything(broker, "log")
    assert [record.value for record in left] == [b"new"] * (UPKEEP_EVERY - 100)


def test_a_reader_passes_over_what_was_removed_behind_its_back(path: Path) -> None:
    """The tail of a partition can vanish; its reader still reaches the end."""
    partition = TopicPartition("table", 0)
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([TABLE])
        long_ago_ms = int(time.time() * 1000) - 2 * TOMBSTONES_KEPT_MS
        write(broker, Message("table", b"a", b"1"), Message("table", b"b", None, timestamp_ms=long_ago_ms))
    with EmbeddedBroker(path) as broker, closing(broker.reader([partition])) as reader:
        assert [record.offset for record in reader.poll(0)] == [0]
        assert reader.position(partition) == 2


def test_a_full_disk_fails_the_write_whole_and_later_writes_work(path: Path) -> None:
    """A page limit stands in for the disk: SQLite reports both as SQLITE_FULL."""
    partition = TopicPartition("kept", 0)
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([KEPT])
        write(broker, Message("kept", b"key", b"before"))
        with (
            closing(broker.consumer("group", ["kept"])) as consumer,
            closing(broker.transactional_producer("id")) as transactional,
            closing(broker.producer()) as plain,
        ):
            assert len(consumer.poll(1)) == 1
            sql = broker._store._sql
            (pages,) = sql.execute("PRAGMA page_count").fetchone()
            sql.execute(f"PRAGMA max_page_count = {pages + 10}")
            transactional.begin()
            for _ in range(20):
                transactional.send(Message("kept", b"key", b"x" * 10_000))
            transactional.send_offsets(consumer, {partition: Position(1)})
            with pytest.raises(BrokerError, match="full"):
                transactional.commit()
            transactional.abort()
            for _ in range(20):
                plain.send(Message("kept", b"key", b"x" * 10_000))
            with pytest.raises(BrokerError, match="full"):
                plain.flush()
            assert content(broker, "kept") == [(0, b"key", b"before")]
            assert consumer.committed(partition) is None

            sql.execute("PRAGMA max_page_count = 1000000")
            transactional.begin()
            transactional.send(Message("kept", b"key", b"after"))
            transactional.send_offsets(consumer, {partition: Position(1)})
            transactional.commit()
            assert consumer.committed(partition) == Position(1)
        expected = [(0, b"key", b"before"), (1, b"key", b"after")]
        assert content(broker, "kept") == expected
    with EmbeddedBroker(path) as broker:
        assert content(broker, "kept") == expected


def test_a_record_that_cannot_be_stored_fails_its_batch_whole(path: Path) -> None:
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([KEPT])
        with closing(broker.producer()) as producer:
            producer.send(Message("kept", b"key", b"good"))
            producer.send(Message("kept", b"key", b"bad", timestamp_ms=2**63))
            with pytest.raises(BrokerError):
                producer.flush()
        write(broker, Message("kept", b"key", b"later"))
        assert content(broker, "kept") == [(0, b"key", b"later")]


def test_a_producer_writes_large_batches_before_it_is_flushed(path: Path) -> None:
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([KEPT])
        with closing(broker.producer()) as producer:
            for number in range(1500):
                producer.send(Message("kept", b"key", b"%d" % number))
            assert len(everything(broker, "kept")) == 1000
            producer.flush()
        left = everything(broker, "kept")
    assert [record.value for record in left] == [b"%d" % number for number in range(1500)]
    assert all(later.offset == earlier.offset + 1 for earlier, later in pairwise(left))


def test_records_without_a_key_go_to_all_partitions_in_turn(path: Path) -> None:
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([TopicSpec("wide", 3)])
        write(broker, *[Message("wide", None, b"value") for _ in range(9)])
        with closing(broker.reader(broker.partitions("wide"))) as reader:
            assert sorted(record.partition for record in reader.poll(0)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
