"""What the broker's tests share: either adapter behind one fixture, and names that no other test uses."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.broker.connect import connect
from consumer.broker.port import Broker, Reader, Record, TopicSpec


PATIENCE_S = 30.0
"""How long a test waits for what must happen; only a failing test waits that long."""


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a broker: a new embedded one, or the shared Kafka of CREWSYNC_BROKER_URL."""
    if request.param == "embedded":
        return f"embedded:{tmp_path / 'broker.db'}"
    found = os.environ.get("CREWSYNC_BROKER_URL", "")
    if not found.startswith("kafka://"):
        pytest.fail(f"CREWSYNC_BROKER_URL must be a kafka:// URL for these tests, and is {found!r}")
    return found


@pytest.fixture
def reopen(url: str) -> Iterator[Callable[[], Broker]]:
    """Close the test's broker, if it is open, and open it again: the same file, or a new connection."""
    opened: list[Broker] = []

    def again() -> Broker:
        while opened:
            opened.pop().close()
        opened.append(connect(url))
        return opened[-1]

    yield again
    while opened:
        opened.pop().close()


@pytest.fixture
def broker(reopen: Callable[[], Broker]) -> Broker:
    """The open broker under test."""
    return reopen()


@pytest.fixture
def make_topic(broker: Broker) -> Callable[..., str]:
    """Create a topic that no other test uses and return its name."""

    def make(partitions: int = 1, *, compacted: bool = False) -> str:
        name = f"contract-{uuid4().hex}"
        assert list(broker.ensure_topics([TopicSpec(name, partitions, compacted=compacted)])) == [name]
        return name

    return make


@pytest.fixture
def topic(make_topic: Callable[..., str]) -> str:
    """A new topic of one partition."""
    return make_topic()


@pytest.fixture
def group() -> str:
    """A group that no other test uses."""
    return f"contract-{uuid4().hex}"


@pytest.fixture
def transactional_id() -> str:
    """A transactional id that no other test uses."""
    return f"contract-{uuid4().hex}"


@pytest.fixture
def take() -> Callable[[Reader, int], list[Record]]:
    """Poll until so many records have come; fail if they do not."""

    def polled(reader: Reader, count: int) -> list[Record]:
        deadline = time.monotonic() + PATIENCE_S
        records: list[Record] = []
        while len(records) < count:
            assert time.monotonic() < deadline, f"only {len(records)} of {count} records came"
            records += reader.poll(0.2)
        return records

    return polled


@pytest.fixture
def poll_until() -> Callable[[Reader, Callable[[], bool]], list[Record]]:
    """Poll until a condition holds, and return what was delivered meanwhile."""

    def polled(reader: Reader, condition: Callable[[], bool]) -> list[Record]:
        deadline = time.monotonic() + PATIENCE_S
        records: list[Record] = []
        while not condition():
            assert time.monotonic() < deadline, f"the condition never held; {len(records)} records came"
            records += reader.poll(0.1)
        return records

    return polled
