"""Fixtures for the end-to-end tests: every process that they start is killed, whatever happens."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from consumer.sandbox.store import SandboxState
from tests.e2e.expected import Body
from tests.e2e.observed import SyncLog, read_sync_log
from tests.e2e.program import Place, Process


@dataclass(frozen=True)
class Demo:
    """Two demos, one after the other, on one folder, and what was there after each."""

    place: Place
    first: Process
    second: Process
    workers: list[Body]
    """After the first."""
    writes: tuple[int, int]
    """How many changes the upstreams had been asked for, after the first and after the second."""
    log: SyncLog

    @property
    def state(self) -> SandboxState:
        """The sandbox after both."""
        return SandboxState(self.place.sandbox)

    def log_files(self, kind: str) -> tuple[Path, Path]:
        """The log of the first and of the second run of a kind."""
        by_number = {
            marker.run_id: index
            for index, marker in enumerate(
                sorted((m for m in self.log.markers if m.kind == kind), key=lambda m: m.started_at)
            )
        }
        first, second = sorted(
            self.place.logs(kind), key=lambda path: by_number[path.stem.rpartition("-")[2]]
        )
        return first, second


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty folder to start the program in."""
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The demo, made once for machines and once more for people."""
    place = Place(tmp_path_factory.mktemp("demo"))
    try:
        first = place.run("demo", "--json")
        state = SandboxState(place.sandbox)
        workers, writes = state.workers(), len(state.writes())
        second = place.run("demo", CREWSYNC_LOG_LEVEL="debug")
        log = read_sync_log(f"embedded:{place.broker}")
        yield Demo(place, first, second, workers, (writes, len(state.writes())), log)
    finally:
        place.close()


@pytest.fixture
def url() -> str:
    """The Kafka to be used."""
    found = os.environ.get("CREWSYNC_BROKER_URL", "")
    if not found.startswith("kafka://"):
        pytest.fail(f"CREWSYNC_BROKER_URL must be a kafka:// URL for these tests, and is {found!r}")
    return found
