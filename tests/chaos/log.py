"""What is on the topics and in the txt files of a chaos run."""

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from consumer.broker.port import Broker, Reader, Record
from consumer.engine.deadletters import REDRIVEN_HEADER, letter_of, settled_offset
from consumer.exceptions import BrokerError, SchemaError
from consumer.model.codec import Codec
from consumer.model.events import Event, TimesheetEvent, UserEvent
from consumer.model.results import Result, RunMarker
from consumer.topics import TopicNames
from tests.chaos.oracle import Place


PASSING = frozenset({"upstream_unavailable", "access_refused", "company_unknown"})
READ_S = 120.0
_FAILED = re.compile(r"event=role\.failed role=(\S+) kind=(\S+)")
_SUBJECT = re.compile(r"^- (.*) \(id .*\): [a-z]+$")


@dataclass
class Tail:
    """Follows all topics of a run, and keeps what the oracle needs."""

    codec: Codec = field(default_factory=Codec)
    names: TopicNames = field(default_factory=TopicNames)
    places: list[Place] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    results: list[Place] = field(default_factory=list)
    of_days: Counter[str] = field(default_factory=Counter)
    of_runs: dict[tuple[str, str, str], tuple[datetime, int, int, str]] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    parked: int = 0
    redriven: int = 0
    undecodable: int = 0

    @property
    def has_all_results(self) -> bool:
        """Whether each event has its result."""
        return len(self.places) == len(set(self.results))

    @property
    def subjects(self) -> Counter[str]:
        """How often each name is to stand in the txt files: in a run's, once with its latest result."""
        return self.of_days + Counter(name for *_, name in self.of_runs.values())

    def _note(self, result: Result, record: Record) -> None:
        if result.run_id is None:
            self.of_days[result.subject_name] += 1
            return
        key = (result.kind, result.run_id, result.subject_id)
        told = (result.handled_at, record.partition, record.offset, result.subject_name)
        self.of_runs[key] = max(told, self.of_runs.get(key, told))

    def open(self, broker: Broker) -> Reader:
        """A reader of all topics."""
        topics = (
            self.names.user_events,
            self.names.timesheet_events,
            self.names.sync_log,
            self.names.dead_letters,
        )
        return broker.reader([partition for topic in topics for partition in broker.partitions(topic)])

    def follow(self, reader: Reader) -> None:
        """Take over what has arrived."""
        while records := reader.poll(0.05, 5000):
            for record in records:
                self._take(record)

    def read_all(self, broker: Broker) -> None:
        """Read all topics from their beginnings to their ends. Raises BrokerError."""
        reader = self.open(broker)
        try:
            ends = reader.end_offsets(reader.assignment())
            deadline = time.monotonic() + READ_S
            while any(reader.position(partition) < end for partition, end in ends.items()):
                if time.monotonic() > deadline:
                    raise BrokerError("reading the topics took too long")
                self.follow(reader)
        finally:
            reader.close()

    def _take(self, record: Record) -> None:
        if record.topic == self.names.sync_log:
            value = self.codec.decode(record.value or b"", Result, RunMarker)
            if isinstance(value, Result):
                self.results.append((value.source_topic, value.source_partition, value.source_offset))
                self._note(value, record)
                self.outcomes[value.outcome] += 1
        elif record.topic == self.names.dead_letters and settled_offset(record) is None:
            self.parked += letter_of(record, self.codec).reason_code in PASSING
        elif record.topic != self.names.dead_letters and record.value is not None:
            self.places.append((record.topic, record.partition, record.offset))
            self.redriven += REDRIVEN_HEADER in dict(record.headers)
            try:
                self.events.append(self.codec.decode(record.value, UserEvent, TimesheetEvent))
            except SchemaError:
                self.undecodable += 1


def logged(folder: Path) -> Counter[str]:
    """How often each subject stands in the txt files."""
    found: Counter[str] = Counter()
    for path in folder.rglob("*.txt"):
        for line in path.read_text("utf-8").splitlines():
            if match := _SUBJECT.fullmatch(line):
                found[match[1]] += 1
    return found


def rebalances(folder: Path) -> int:
    """How often partitions came to a member, after the processes' logs."""
    return sum(
        path.read_text("utf-8", "replace").count("partitions.assigned") for path in folder.glob("*.log")
    )


def failed_roles(folder: Path) -> Counter[str]:
    """Which roles ended by an error of which kind, after the processes' logs."""
    found: Counter[str] = Counter()
    for path in folder.glob("*.log"):
        for line in path.read_text("utf-8", "replace").splitlines():
            if match := _FAILED.search(line):
                found[f"{match[1]}: {match[2]}"] += 1
    return found
