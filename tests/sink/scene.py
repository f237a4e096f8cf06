"""Results, markers and a topic to write logs of; all people are invented."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from consumer.broker.connect import connect
from consumer.broker.port import Message, TopicSpec
from consumer.model.codec import Codec
from consumer.model.events import Kind, Trigger
from consumer.model.results import Outcome, Result, RunMarker
from consumer.model.topics import SYNC_LOG, USER_EVENTS
from consumer.sink.sink import Sink


START = datetime(2026, 11, 23, 7, 15, tzinfo=UTC)
RUN_FILE = "4100/users-20261123T071500Z-manual-r1.txt"


def result(number: int, name: str = "Ana Abel", outcome: Outcome = Outcome.CREATED, **fields: Any) -> Result:
    """The result of the nth event in run r1, n seconds after 07:15; any field can be given."""
    values: dict[str, Any] = {
        "company_id": 4100,
        "kind": Kind.USERS,
        "run_id": "r1",
        "subject_id": str(500 + number),
        "subject_name": name,
        "outcome": outcome,
        "reasons": (),
        "warnings": (),
        "detail": None,
        "source_topic": USER_EVENTS,
        "source_partition": 0,
        "source_offset": number,
        "event_at": START,
        "handled_at": START + timedelta(seconds=number),
    }
    return Result(**(values | fields))


def marker(expected: int, **fields: Any) -> RunMarker:
    """The marker of run r1, which Dana started at 07:15; any field can be given."""
    values: dict[str, Any] = {
        "company_id": 4100,
        "kind": Kind.USERS,
        "run_id": "r1",
        "trigger": Trigger.MANUAL,
        "requested_by": "Dana Dorn",
        "started_at": START,
        "expected": expected,
    }
    return RunMarker(**(values | fields))


def drain(sink: Sink) -> None:
    """Take all there is."""
    while sink.step(0):
        pass


def texts(log_dir: Path) -> dict[str, str]:
    """Every file in the companies' folders with its text, unfinished ones too."""
    return {
        str(path.relative_to(log_dir)): path.read_bytes().decode()
        for path in sorted(log_dir.rglob("*"))
        if path.is_file() and path.parent != log_dir
    }


class Scene:
    """A ``sync-log`` topic of three partitions, a log directory, and a clock that a test moves."""

    def __init__(self, place: Path) -> None:
        self.now = 1000.0
        self.log_dir = place / "logs"
        self.codec = Codec()
        self.broker_path = place / "broker" / "broker.db"
        self.broker_path.parent.mkdir(parents=True)
        self.broker = connect(f"embedded:{self.broker_path}")
        self.broker.ensure_topics([TopicSpec(SYNC_LOG, partitions=3)])
        self._sinks = ExitStack()

    def write(self, *records: Result | RunMarker | bytes | None, partition: int = 0) -> None:
        """Append records to the topic; bytes as they are."""
        producer = self.broker.producer()
        for record in records:
            value = self.codec.encode(record) if isinstance(record, Result | RunMarker) else record
            producer.send(Message(SYNC_LOG, b"4100:r1", value, partition=partition))
        producer.close()

    def open(self, codec: Codec | None = None, log_dir: Path | None = None) -> Sink:
        """A new sink, which is closed with the scene at the latest."""
        clock: Callable[[], float] = lambda: self.now  # noqa: E731 - typed
        return self._sinks.enter_context(
            Sink(self.broker, SYNC_LOG, codec or self.codec, log_dir or self.log_dir, clock=clock)
        )

    def follow(self, codec: Codec | None = None, log_dir: Path | None = None) -> None:
        """Open a sink, take all there is, close it."""
        with self.open(codec, log_dir) as sink:
            drain(sink)

    def files(self) -> dict[str, str]:
        """The log files with their texts."""
        return texts(self.log_dir)

    def status(self) -> str:
        """What the file of run r1 says about its status."""
        (line,) = (line for line in self.files()[RUN_FILE].splitlines() if line.startswith("Status:"))
        return line.removeprefix("Status:").strip()

    def close(self) -> None:
        """Close the sinks and the broker."""
        self._sinks.close()
        self.broker.close()
