"""Log files are rebuilt from Apache Kafka as from the embedded broker, though its log begins later by now."""

from pathlib import Path
from uuid import uuid4

import pytest

from consumer.broker.connect import connect
from consumer.broker.port import Message, TopicSpec
from consumer.model.codec import Codec
from consumer.sink.keeping import Keeping
from consumer.sink.rebuild import Source, rebuild
from consumer.sink.sink import Sink
from tests.sink.scene import RUN_FILE, drain, marker, result, texts


pytestmark = pytest.mark.kafka

RESULTS = 40


def delete_before(url: str, topic: str, offset: int) -> None:
    """Let the topic's only partition begin here."""
    from kafka import KafkaAdminClient, TopicPartition  # noqa: PLC0415 - only after the adapter has imported kafka

    admin = KafkaAdminClient(bootstrap_servers=url.removeprefix("kafka://").split(","))
    try:
        admin.delete_records({TopicPartition(topic, 0): offset})
    finally:
        admin.close()


def test_a_rebuild_from_kafka_gives_the_same_files_and_keeps_what_kafka_deleted(
    url: str, tmp_path: Path
) -> None:
    topic, codec = f"rebuild-{uuid4().hex}", Codec()
    with connect(url) as broker:
        broker.ensure_topics([TopicSpec(topic, partitions=1)])
        producer = broker.transactional_producer(f"{topic}-writer")
        for part in range(4):
            # Each transaction's end takes an offset that no reader ever sees.
            producer.begin()
            records = [result(n, f"Person {n % 7}") for n in range(RESULTS) if n % 4 == part]
            for record in (marker(RESULTS), *records):
                producer.send(Message(topic, b"4100:r1", codec.encode(record)))
            producer.commit()
        producer.close()
        with Sink(broker, topic, codec, tmp_path) as sink:
            while "Status:       complete" not in texts(tmp_path).get(RUN_FILE, ""):
                sink.step(0.2)
            drain(sink)
        expected = texts(tmp_path)
        (tmp_path / RUN_FILE).write_text("damaged")
        source = Source(broker, topic, codec)

        found = rebuild(source, tmp_path, Keeping(), lambda *_: None, dry_run=False)

        assert (found.differing, found.taken_over, texts(tmp_path)) == (1, 0, expected)
        delete_before(url, topic, 15)
        (tmp_path / RUN_FILE).unlink()
        found = rebuild(source, tmp_path, Keeping(), lambda *_: None, dry_run=False)
        assert (found.missing, texts(tmp_path)) == (1, expected)
        assert found.taken_over > 10
