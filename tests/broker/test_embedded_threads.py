"""The embedded broker under many threads."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Message, Position, Record, TopicPartition, TopicSpec


RECORDS = 3000


def copy_some(broker: EmbeddedBroker, turn: int, done: threading.Event) -> None:
    """Join, copy a few batches and leave or be ousted, again and again, until all is copied."""
    choice = Random(turn)
    with closing(broker.transactional_producer(f"copy-{turn}")) as producer:
        while not done.is_set():
            with closing(broker.consumer("copy", ["source"])) as consumer:
                for _ in range(choice.randint(1, 12)):
                    records = consumer.poll(0.005, max_records=choice.randint(1, 20))
                    ends: dict[TopicPartition, Position] = {}
                    producer.begin()
                    for record in records:
                        producer.send(Message("copy", record.value, record.value))
                        ends[record.source] = Position(record.offset + 1)
                    producer.send_offsets(consumer, ends)
                    producer.commit()


def test_members_that_come_and_go_copy_every_record_exactly_once(tmp_path: Path) -> None:
    """With a writer at work, four threads each join and leave a group all the time."""
    with EmbeddedBroker(tmp_path / "broker.db") as broker:
        broker.ensure_topics([TopicSpec("source", 6), TopicSpec("copy", 2)])
        done = threading.Event()
        copied: list[Record] = []
        with ThreadPoolExecutor(5) as threads, closing(broker.reader(broker.partitions("copy"))) as reader:
            work = [threads.submit(copy_some, broker, turn, done) for turn in range(4)]
            work.append(threads.submit(fill, broker))
            try:
                while len(copied) < RECORDS and (batch := reader.poll(20)):
                    copied += batch
            finally:
                done.set()
            for each in work:
                each.result()
            copied += reader.poll(0)
    assert Counter(record.value for record in copied) == Counter(b"%d" % n for n in range(RECORDS))


def fill(broker: EmbeddedBroker) -> None:
    with closing(broker.producer()) as producer:
        for number in range(RECORDS):
            producer.send(Message("source", None, b"%d" % number))
            if number % 50 == 0:
                producer.flush()
