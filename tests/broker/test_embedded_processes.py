"""The embedded broker's file among processes: one at a time, whole after a kill, and only its own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.embedded_file import SCHEMA_VERSION
from consumer.broker.port import Record, TopicPartition, TopicSpec
from consumer.exceptions import BrokerError, BrokerInUse, BrokerUnavailable


SOURCE = TopicPartition("source", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@contextmanager
def python(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a process of its own; whatever happens, it is gone afterwards."""
    process = subprocess.Popen(  # noqa: S603 - the program is this file's own
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


HOLD = """
import sys
from pathlib import Path
from consumer.broker.embedded import EmbeddedBroker
with EmbeddedBroker(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_first_ones_pid_until_that_is_killed(path: Path) -> None:
    with python(HOLD, str(path)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(BrokerInUse, match=rf"{path.name} is in use by process {holder.pid}$"):
            EmbeddedBroker(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with EmbeddedBroker(path) as broker:
            assert list(broker.ensure_topics([TopicSpec("topic", 1)])) == ["topic"]


def test_a_second_opening_in_the_same_process_is_refused_too(path: Path) -> None:
    with EmbeddedBroker(path):
        with pytest.raises(BrokerInUse, match=str(os.getpid())):
            EmbeddedBroker(path)
        link = path.with_name("link.db")
        link.symlink_to(path)
        with pytest.raises(BrokerInUse):
            EmbeddedBroker(link)
    with EmbeddedBroker(path) as broker:
        broker.close()


# Copies numbers from `source` to `left` and `right`, three records and the position per transaction, aborts
# some, and says what was committed as soon as it is.
COPY = """
import random, sys
from pathlib import Path
from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Message, Position, TopicPartition, TopicSpec
choice = random.Random(int(sys.argv[2]))
source = TopicPartition("source", 0)
broker = EmbeddedBroker(Path(sys.argv[1]))
broker.ensure_topics([TopicSpec("source", 1), TopicSpec("left", 2), TopicSpec("right", 2)])
consumer = broker.consumer("copy", ["source"])
producer = broker.transactional_producer("copy")
consumer.poll(0)
committed = consumer.committed(source)
number = committed.offset if committed else 0
consumer.seek(source, number)
filler = broker.producer()
for n in range(broker.reader([source]).end_offsets([source])[source], number + 5000):
    filler.send(Message("source", b"key", b"%d" % n))
filler.flush()
while records := consumer.poll(0, max_records=choice.randint(1, 5)):
    producer.begin()
    for record in records:
        for topic in ("left", "right"):
            producer.send(Message(topic, record.value, record.value + b"x" * choice.randint(0, 3000)))
    producer.send_offsets(consumer, {source: Position(records[-1].offset + 1, "n%d" % records[-1].offset)})
    if choice.random() < 0.1:
        producer.abort()
        consumer.seek(source, records[0].offset)
        continue
    producer.commit()
    print(records[-1].offset + 1, flush=True)
"""


def test_a_kill_amid_transactions_leaves_each_of_them_whole_or_absent(path: Path) -> None:
    """What was acknowledged is there; of the rest all topics and the position tell the same story."""
    choice = Random(20261123)
    for round_number in range(6):
        with python(COPY, str(path), str(round_number)) as process:
            assert process.stdout is not None
            acknowledged = 0
            for _ in range(choice.randint(1, 150)):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            acknowledged = max([acknowledged, *map(int, process.stdout.read().split()[:-1])])
        with EmbeddedBroker(path) as broker, closing(broker.consumer("copy", ["source"])) as consumer:
            committed = consumer.committed(SOURCE)
            assert committed is not None
            assert committed.offset >= acknowledged
            assert committed.metadata == f"n{committed.offset - 1}"
            for topic in ("left", "right"):
                copied = Counter(int(record.key or b"") for record in _everything(broker, topic))
                assert copied == Counter(range(committed.offset))


def _everything(broker: EmbeddedBroker, topic: str) -> list[Record]:
    partitions = broker.partitions(topic)
    records: list[Record] = []
    with closing(broker.reader(partitions)) as reader:
        ends = reader.end_offsets(partitions)
        while any(reader.position(partition) < end for partition, end in ends.items()):
            records += reader.poll(0)
    return records


def test_equal_keys_go_to_one_partition_in_every_process(path: Path) -> None:
    """Python's own hash differs from one process to the next; ours must not."""
    where = """
import json, sys
from pathlib import Path
from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Message, TopicSpec
with EmbeddedBroker(Path(sys.argv[1])) as broker:
    broker.ensure_topics([TopicSpec("topic", 8)])
    producer = broker.producer()
    for n in range(50):
        producer.send(Message("topic", b"key-%d" % n, sys.argv[2].encode()))
    producer.close()
    reader = broker.reader(broker.partitions("topic"))
    records = [r for r in reader.poll(0) if r.value == sys.argv[2].encode()]
    print(json.dumps({r.key.decode(): r.partition for r in records}))
"""
    found = []
    for turn in ("first", "second"):
        with python(where, str(path), turn) as process:
            found.append(json.loads(process.communicate()[0]))
    assert found[0] == found[1]
    assert len(found[0]) == 50


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to be looked at. " * 100)
    before = path.read_bytes()
    with pytest.raises(BrokerUnavailable, match=f"{path.name}: file is not a database"):
        EmbeddedBroker(path)
    assert path.read_bytes() == before


def test_somebody_elses_database_is_refused_and_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (value)")
    before = path.read_bytes()
    with pytest.raises(BrokerUnavailable, match="no crewsync broker"):
        EmbeddedBroker(path)
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    EmbeddedBroker(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(BrokerUnavailable, match="newer crewsync"):
        EmbeddedBroker(path)


def test_a_damaged_file_raises_a_broker_error_and_is_free_again(path: Path) -> None:
    with EmbeddedBroker(path) as broker:
        broker.ensure_topics([TopicSpec("topic", 1)])
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(BrokerError, match=path.name) as refused:
            EmbeddedBroker(path)
        assert not isinstance(refused.value, BrokerInUse)


def test_after_close_everything_says_so(path: Path) -> None:
    broker = EmbeddedBroker(path)
    broker.ensure_topics([TopicSpec("topic", 1)])
    consumer = broker.consumer("group", ["topic"])
    consumer.poll(0)
    broker.close()
    broker.close()
    with pytest.raises(BrokerError, match="closed"):
        consumer.poll(10)
    consumer.close()
