"""A broker with our topics, companies whose pages a test decides on, and runners beside them."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Broker, Message, Record
from consumer.engine.retry import RetryPolicy
from consumer.model.codec import Codec
from consumer.model.events import Event, Kind, SyncCommand, TimesheetEvent, UserEvent
from consumer.model.results import Outcome, Result, RunMarker
from consumer.model.settings import CompanySettings
from consumer.model.topics import log_key
from consumer.runs.commands import manual_sync, send_command
from consumer.runs.runner import Runner
from consumer.runs.under_way import RunnerConfig
from consumer.service import HandlerLoop
from consumer.sync.company import Company
from consumer.sync.settings import Settings
from consumer.topics import TopicNames
from tests.sync.people import MARIA, another_user


COMPANY = 4281001
PATIENCE_S = 20.0
TOPICS = TopicNames()


def until(condition: Callable[[], object]) -> None:
    """Wait for what must happen."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.003)


def users(*numbers: int) -> list[UserEvent]:
    """Users of a page."""
    return [another_user(number) for number in numbers]


class _Nothing:
    """A company's positions, which nobody asks for here."""

    async def sync_all(self) -> None:
        raise AssertionError("Sync Classifications is off")


@dataclass
class Office:
    """A company whose lists are ``pages``; an exception among them is raised in its place, once.

    Reading waits before page number ``stops_at`` (from 0) until the test sets ``goes_on``.
    """

    company_id: int = COMPANY
    pages: list[Sequence[Event] | Exception] = field(default_factory=list)
    stops_at: int | None = None
    goes_on: threading.Event = field(default_factory=threading.Event)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    settings: CompanySettings = field(default_factory=lambda: CompanySettings(COMPANY))
    positions: _Nothing = field(default_factory=_Nothing)

    @property
    def procore(self) -> "Office":
        return self

    @property
    def smartbarrel(self) -> "Office":
        return self

    @property
    def as_company(self) -> Company:
        """As the runner takes it."""
        return cast("Company", self)

    async def users(self) -> AsyncIterator[Sequence[Event]]:
        async for page in self._read(Kind.USERS):
            yield page

    async def timesheets(
        self, first: date | None, last: date | None, project: str | None
    ) -> AsyncIterator[Sequence[Event]]:
        async for page in self._read(Kind.TIMESHEETS, first, last, project):
            yield page

    async def _read(self, *asked: object) -> AsyncIterator[Sequence[Event]]:
        self.asked.append(asked)
        for number, page in enumerate(list(self.pages)):
            if number == self.stops_at:
                await asyncio.to_thread(self.goes_on.wait, PATIENCE_S)
            if isinstance(page, Exception):
                self.pages.remove(page)
                raise page
            yield page


@dataclass
class Stage:
    """The broker, and who works on it."""

    broker: Broker
    loop: asyncio.AbstractEventLoop
    codec: Codec = field(default_factory=Codec, repr=False)
    runners: int = 0

    def runner(
        self, *offices: Office, wall: Callable[[], float] = time.time, deadline_s: float = 0.5
    ) -> Runner:
        """A runner that nobody has started."""
        self.runners += 1
        companies = {office.company_id: office.as_company for office in offices}
        return Runner(
            self.broker,
            self.codec,
            RunnerConfig(
                "crewsync-runner",
                f"crewsync-runner-{self.runners}",
                TOPICS,
                retry=RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05, deadline_s=deadline_s),
            ),
            companies,
            Settings(self.codec, [office.settings for office in offices]),
            self.loop,
            wall=wall,
        )

    @contextmanager
    def running(self, *offices: Office) -> Iterator[None]:
        """A runner at work; leaving ends it as a kill would: at once, and with what it has committed."""
        stop, errors = threading.Event(), list[BaseException]()
        runner = self.runner(*offices)

        def work() -> None:
            try:
                runner.work(stop)
            except BaseException as error:  # noqa: BLE001 - it belongs to the test's thread
                errors.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(PATIENCE_S)
        assert not thread.is_alive()
        if errors:
            raise errors[0]

    def ask(self, kind: Kind = Kind.USERS, run_id: str | None = None, **fields: Any) -> SyncCommand:
        """Write a command."""
        from dataclasses import replace  # noqa: PLC0415

        command = replace(manual_sync(COMPANY, kind, "Dana", run_id), **fields)
        send_command(self.broker, self.codec, TOPICS.sync_commands, command)
        return command

    def records(self, topic: str) -> list[Record]:
        """All records of a topic, as a read-committed reader sees them."""
        partitions = self.broker.partitions(topic)
        reader = self.broker.reader(partitions)
        ends = reader.end_offsets(partitions)
        found: list[Record] = []
        while any(reader.position(partition) < ends[partition] for partition in partitions):
            found += reader.poll(1.0)
        reader.close()
        return found

    def markers(self) -> dict[str, RunMarker]:
        """How far each run is."""
        values = [
            self.codec.decode(one.value or b"", Result, RunMarker) for one in self.records(TOPICS.sync_log)
        ]
        return {value.run_id: value for value in values if isinstance(value, RunMarker)}

    def all_markers(self) -> list[RunMarker]:
        """Whatever was said of runs."""
        values = [
            self.codec.decode(one.value or b"", Result, RunMarker) for one in self.records(TOPICS.sync_log)
        ]
        return [value for value in values if isinstance(value, RunMarker)]

    def events(self, kind: Kind = Kind.USERS) -> list[Event]:
        """All events that were published."""
        topic = TOPICS.user_events if kind is Kind.USERS else TOPICS.timesheet_events
        types: type[Event] = UserEvent if kind is Kind.USERS else TimesheetEvent
        return [self.codec.decode(record.value or b"", types) for record in self.records(topic)]

    def answer(self, run_id: str, count: int, outcome: Outcome = Outcome.CREATED) -> None:
        """Write the results of so many users of a run."""
        producer = self.broker.producer()
        for number in range(count):
            at = datetime.now(UTC)
            result = Result(
                COMPANY,
                Kind.USERS,
                run_id,
                str(number),
                "Ada",
                outcome,
                (),
                (),
                None,
                "t",
                0,
                number,
                at,
                at,
            )
            producer.send(Message(TOPICS.sync_log, log_key(COMPANY, run_id), self.codec.encode(result)))
        producer.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An embedded broker with our topics."""
    handlers = HandlerLoop()
    with EmbeddedBroker(tmp_path / "broker.db") as broker:
        broker.ensure_topics(TOPICS.specs())
        yield Stage(broker, handlers.loop)
    handlers.close()


assert MARIA.company_id == COMPANY
