"""The console on invented logs of two companies: a real broker, a real sink, and the whole app."""

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from starlette.types import ASGIApp

from consumer.broker.connect import connect
from consumer.broker.port import Message, Record
from consumer.broker.writing import write
from consumer.console.access import Access
from consumer.console.app import console_app
from consumer.console.live import Live
from consumer.console.sources import Budget, Sources
from consumer.engine.deadletters import dead_letter
from consumer.model import reasons
from consumer.model.codec import Codec
from consumer.model.events import Kind, SyncCommand, Trigger
from consumer.model.results import Outcome, Phase, Reason, Result, RunMarker
from consumer.model.settings import CompanySettings
from consumer.model.topics import log_key
from consumer.runs.commands import new_run_id
from consumer.sink.sink import Sink
from consumer.sync.settings import Settings, follow_settings
from consumer.topics import TopicNames


GRANITE, OTHER = 4281001, 4281002
NAMES = {GRANITE: "Granite <Ridge> & Sons", OTHER: "Other Builders"}
NAUGHTY = "<script>alert(1)</script>"
START = datetime(2026, 11, 27, 7, 15, tzinfo=UTC)
TOKEN = "everything-5f4dcc3b5aa7"
TOKENS = {GRANITE: "granite-5f4dcc3b5aa765", OTHER: "other-61d8327deb882cf99"}
PATIENCE_S = 20.0


class Scene:
    """Everything that the console is made from; ``close`` ends it."""

    def __init__(self, folder: Path, *, is_open: bool = True) -> None:
        self.folder = folder
        self.topics = TopicNames()
        self.codec = Codec()
        self._stack = ExitStack()
        self.broker = self._stack.enter_context(connect(f"embedded:{folder / 'broker.db'}"))
        self.broker.ensure_topics(self.topics.specs())
        self.log_dir = folder / "logs"
        self.sink = Sink(self.broker, self.topics.sync_log, self.codec, self.log_dir)
        self._stack.callback(self.sink.close)
        self.settings = Settings(self.codec, (CompanySettings(one) for one in NAMES))
        self.live = Live(self.broker, self.codec, self.topics, dict)
        self._stop, known = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self.live.run, args=(self._stop,), daemon=True),
            threading.Thread(
                target=follow_settings,
                args=(self.broker, self.topics.company_settings, self.settings),
                kwargs={"stop": self._stop, "caught_up": known, "on_turn": lambda: None},
                daemon=True,
            ),
        ]
        for thread in self._threads:
            thread.start()
        self.access = Access() if is_open else Access.of(TOKEN, TOKENS)
        self.sources = Sources(
            self.broker,
            self.codec,
            self.topics,
            NAMES,
            self.settings,
            self.log_dir,
            self.live,
            self.access,
            "somebody",
            dict,
            lambda: self.sink.shown,
            lambda: {GRANITE: [Budget("procore", 600.0, 450.0)], OTHER: [Budget("procore", 77.0, 33.0)]},
        )
        self.app: ASGIApp = console_app(self.sources)
        self.until(lambda: self.live.is_ready)

    def run(
        self,
        company_id: int = GRANITE,
        kind: Kind = Kind.USERS,
        results: Sequence[Result] = (),
        **changes: Any,
    ) -> RunMarker:
        """Write a whole run: its start, its results, and that all was read."""
        marker = RunMarker(
            company_id,
            kind,
            new_run_id(),
            Trigger.MANUAL,
            "somebody",
            START,
            expected=len(results),
            phase=Phase.PUBLISHED,
        )
        marker = replace(marker, **changes)
        self._write(marker)
        for result in results:
            self._write(replace(result, company_id=company_id, kind=kind, run_id=marker.run_id))
        self.sink_all()
        return marker

    def sink_all(self) -> None:
        """Let the sink take over all that is written, and write every file."""
        while self.sink.step(0.05):
            pass
        deadline = time.monotonic() + PATIENCE_S
        while any(True for _ in self.log_dir.glob("*/.sink.tmp")) and time.monotonic() < deadline:
            self.sink.step(0.05)

    def letter(self, company_id: int | None = GRANITE, offset: int = 0) -> None:
        """Set a record aside."""
        record = Record(self.topics.user_events, 0, offset, 1_000, b"k", b"not an event", ())
        write(
            self.broker,
            dead_letter(
                record,
                company_id,
                topic=self.topics.dead_letters,
                stage="handle",
                reason=reasons.access_refused("SmartBarrel"),
                at=START,
                run_id=None,
                codec=self.codec,
            ),
        )

    def commands(self) -> list[SyncCommand]:
        """All syncs that were asked for, in the order in which they were."""
        records = self.records(self.topics.sync_commands)
        found = [self.codec.decode(one.value or b"", SyncCommand) for one in records]
        return sorted(found, key=lambda command: command.requested_at)

    def records(self, topic: str) -> list[Record]:
        """All records of a topic."""
        partitions = self.broker.partitions(topic)
        reader = self.broker.reader(partitions)
        try:
            ends = reader.end_offsets(partitions)
            found: list[Record] = []
            while any(reader.position(one) < end for one, end in ends.items()):
                found += reader.poll(0.05, 1000)
            return found
        finally:
            reader.close()

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """A client of the app, without a server between; with a token if one is given."""
        bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8080",
            headers={**bearer, **headers},
        )

    def until(self, condition: Any) -> None:
        """Wait for what must come true."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.005)

    def _write(self, value: Result | RunMarker) -> None:
        key = log_key(value.company_id, value.run_id)
        write(self.broker, Message(self.topics.sync_log, key, self.codec.encode(value)))

    def close(self) -> None:
        """End everything."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def result(
    number: int, name: str, outcome: Outcome = Outcome.CREATED, *why: Reason, **changes: Any
) -> Result:
    """An invented result; its company, kind and run are set where it is written."""
    made = Result(
        company_id=GRANITE,
        kind=Kind.USERS,
        run_id=None,
        subject_id=str(number),
        subject_name=name,
        outcome=outcome,
        reasons=why,
        warnings=(),
        detail=None,
        source_topic="procore.user-events",
        source_partition=0,
        source_offset=number,
        event_at=START,
        handled_at=START + timedelta(seconds=number),
    )
    return replace(made, **changes)
