"""A log as it is listed: what it is of, how far it is, and where its file stands."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from consumer.model.results import SYNCED, Outcome, Phase, RunMarker
from consumer.sink.naming import LogKey


@dataclass(frozen=True, slots=True)
class LogEntry:
    """A log as it stands now; ``id`` is the state file's own.

    ``marker`` is the run's start: None of a day, and of a run whose start was not seen yet. ``outcomes``
    counts a run's users or shifts by their latest result, and each result of a day; ``events`` is how many
    users or shifts have one. ``path`` is below the log directory, and None until
    the file is written for the first time.
    """

    id: int
    key: LogKey
    marker: RunMarker | None
    outcomes: Mapping[Outcome, int]
    events: int
    last_handled_at: datetime | None
    path: PurePosixPath | None

    @property
    def started_at(self) -> datetime | None:
        """When the run began, or the day did."""
        if self.marker is not None:
            return self.marker.started_at
        day = self.key.day
        return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)

    @property
    def phase(self) -> Phase | None:
        """How far the run is with its events; the results are counted beyond that."""
        return None if self.marker is None else self.marker.phase

    @property
    def reason(self) -> str | None:
        """Why the run could not go on."""
        return None if self.marker is None else self.marker.reason

    @property
    def is_complete(self) -> bool:
        """Whether every event of the run has its result. A day never is."""
        return self.phase is Phase.PUBLISHED and self._has_all

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be waited for."""
        return self.phase is not Phase.READING and self._has_all

    @property
    def _has_all(self) -> bool:
        return self.marker is not None and self.events >= self.marker.expected

    @property
    def status(self) -> str:
        """In a word: ``complete``, ``running``, ``failed``, or ``day``."""
        if self.key.run_id is None:
            return "day"
        if self.phase is Phase.FAILED:
            return "failed"
        return "complete" if self.is_complete else "running"

    @property
    def synced(self) -> int:
        """Results after which both systems agree."""
        return sum(count for outcome, count in self.outcomes.items() if outcome in SYNCED)

    @property
    def not_synced(self) -> int:
        """The other results."""
        return sum(self.outcomes.values()) - self.synced
