"""What a broker tells of its topics."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.broker.connect import connect, describe
from consumer.broker.embedded_look import holder
from consumer.broker.port import Broker, Message, TopicSpec, TopicState
from consumer.exceptions import BrokerUnavailable


DAY_MS = 86_400_000


def state(broker: Broker, topic: str) -> TopicState:
    """The state of a topic that exists."""
    found = broker.describe([topic])[topic]
    assert found is not None
    return found


def test_each_topic_is_described_as_it_was_created(broker: Broker) -> None:
    specs = [
        TopicSpec(f"contract-{uuid4().hex}", 2, compacted=True, compaction_lag_ms=DAY_MS),
        TopicSpec(f"contract-{uuid4().hex}", 1, retention_ms=7 * DAY_MS),
        TopicSpec(f"contract-{uuid4().hex}", 3),
    ]
    broker.ensure_topics(specs)
    compacted, week, forever = (state(broker, spec.name) for spec in specs)
    assert (compacted.cleanup, compacted.partitions, compacted.compaction_lag_ms) == (
        frozenset({"compact"}),
        2,
        DAY_MS,
    )
    assert (week.cleanup, week.partitions, week.retention_ms) == (frozenset({"delete"}), 1, 7 * DAY_MS)
    assert (forever.cleanup, forever.partitions, forever.retention_ms) == (frozenset({"delete"}), 3, None)
    assert {one.retention_bytes for one in (compacted, week, forever)} == {None}


def test_a_topic_that_does_not_exist_is_none_beside_one_that_does(broker: Broker, topic: str) -> None:
    missing = f"contract-{uuid4().hex}"
    described = broker.describe([missing, topic])
    assert list(described) == [missing, topic]
    assert described[missing] is None
    assert described[topic] is not None
    assert broker.describe([missing]) == {missing: None}, "describing it did not create it"


def test_no_topics_are_nothing_to_describe(broker: Broker) -> None:
    assert broker.describe([]) == {}


def test_the_span_of_each_partition_grows_with_its_records(
    broker: Broker, make_topic: Callable[..., str]
) -> None:
    topic = make_topic(2)
    assert state(broker, topic).spans == ((0, 0), (0, 0))
    with closing(broker.producer()) as producer:
        for number in range(3):
            producer.send(Message(topic, b"key", b"%d" % number, partition=1))
        producer.flush()
    found = state(broker, topic)
    assert found.spans == ((0, 0), (0, 3))
    assert found.most_records == 3


def test_a_url_is_described_without_opening_the_broker_twice(broker: Broker, url: str, topic: str) -> None:
    """The embedded broker's file is read beside the process that has it."""
    assert describe(url, [topic, "contract-absent"]) == {
        topic: state(broker, topic),
        "contract-absent": None,
    }


def test_looking_into_an_embedded_broker_that_nobody_has_open_leaves_no_file_behind(tmp_path: Path) -> None:
    """A log of SQLite's that belongs to whoever looked would keep the broker's own user out."""
    url = f"embedded:{tmp_path / 'broker.db'}"
    with connect(url) as broker:
        broker.ensure_topics([TopicSpec("one", 1)])
    before = sorted(tmp_path.iterdir())
    assert describe(url, ["one"])["one"] is not None
    assert sorted(tmp_path.iterdir()) == before


def test_describing_an_embedded_broker_that_is_not_there_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "var" / "broker.db"
    assert describe(f"embedded:{path}", ["one"]) == {"one": None}
    assert not path.parent.exists()


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.write_text("a diary\n" * 500)])
def test_a_file_that_is_no_broker_cannot_be_described(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "mine"
    make(path)
    with pytest.raises(BrokerUnavailable, match="mine"):
        describe(f"embedded:{path}", ["one"])


def test_nobody_holds_an_embedded_broker_that_was_closed_or_never_opened(
    tmp_path: Path, reopen: Callable[[], Broker], url: str
) -> None:
    if url.startswith("kafka:"):
        # Nobody holds a cluster.
        return
    path = tmp_path / "broker.db"
    assert holder(path) is None
    reopen().close()
    assert holder(path) is None
