"""How far each run is, as ``sync-log`` tells it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from consumer.broker.port import Broker, Record
from consumer.broker.table import Table
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.events import Kind, Trigger
from consumer.model.results import Outcome, Phase, Result, RunMarker


LOOK_BACK_S = 3 * 86_400.0
"""How far back the log is read: a large company's first run may take days on an hourly budget."""
_SILENT_S = 86_400.0
"""A run of which nothing was heard for so long is followed no more: whatever it waits for will not come."""
_KEEP_S = 7200.0
_PRUNE_EVERY_S = 600.0


@dataclass(frozen=True, slots=True)
class RunState:
    """A run and the outcomes it has so far: each user or timesheet counts once, by its latest result."""

    marker: RunMarker
    outcomes: Mapping[Outcome, int]
    done: int
    """How many of its users or timesheets have a result."""

    @property
    def is_complete(self) -> bool:
        """Whether every event of the run has its result."""
        return self.marker.phase is Phase.PUBLISHED and self.done >= self.marker.expected

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        phase, expected = self.marker.phase, self.marker.expected
        return phase is Phase.JOINED or (phase is not Phase.READING and self.done >= expected)


@dataclass(slots=True)
class _Counts:
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    marker: RunMarker | None = None
    heard_at: float = 0.0
    latest: dict[str, Outcome] = field(default_factory=dict)

    def take(self, subject_id: str, outcome: Outcome) -> None:
        # All of a run is under one key, so what comes later is later.
        former = self.latest.get(subject_id)
        if former is not None:
            self.outcomes[former] -= 1
        self.latest[subject_id] = outcome
        self.outcomes[outcome] += 1

    def state(self) -> RunState | None:
        return None if self.marker is None else RunState(self.marker, dict(+self.outcomes), len(self.latest))


class Progress:
    """Follows ``sync-log``, from some days ago. ``follow`` belongs to one thread, the rest to any."""

    def __init__(
        self, broker: Broker, topic: str, codec: Codec, wall: Callable[[], float] = time.time
    ) -> None:
        self._codec = codec
        self._wall = wall
        self._runs: dict[str, _Counts] = {}
        self._lock = threading.Lock()
        self._pruned_at = wall()
        since_ms = int((wall() - LOOK_BACK_S) * 1000)
        self._table = Table(broker, topic, self._apply, since_ms=since_ms)

    def catch_up(self, clock: Callable[[], float], on_turn: Callable[[], None] = lambda: None) -> None:
        """Read all that is there now."""
        self._table.catch_up(clock, on_turn=on_turn)
        self._prune()

    def follow(self, timeout_s: float) -> None:
        """Take over what has arrived."""
        self._table.follow(timeout_s)
        if abs(self._wall() - self._pruned_at) > _PRUNE_EVERY_S:
            self._pruned_at = self._wall()
            self._prune()

    def latest(self, company_id: int, kind: Kind) -> RunState | None:
        """The company's newest run of the kind, but those that joined another."""
        states = [one for one in self._states(company_id, kind) if one.marker.phase is not Phase.JOINED]
        return max(states, key=lambda state: state.marker.started_at, default=None)

    def running(self, company_id: int, kind: Kind, scope: str | None) -> RunState | None:
        """The oldest run that is not over and covers what a new one of this scope would."""
        states = [
            one
            for one in self._states(company_id, kind)
            if not one.is_over
            and one.marker.phase is not Phase.FAILED
            and one.marker.trigger is not Trigger.REPLAY
            and one.marker.scope in {scope, None}
        ]
        return min(states, key=lambda state: state.marker.started_at, default=None)

    def replays(self) -> int:
        """How many replays are under way: not each event that they publish has its result."""
        with self._lock:
            replays = [
                counts.state()
                for counts in self._runs.values()
                if counts.marker is not None and counts.marker.trigger is Trigger.REPLAY
            ]
        return sum(state is not None and not state.is_over for state in replays)

    def run(self, run_id: str) -> RunState | None:
        """One run, once its start was seen."""
        with self._lock:
            counts = self._runs.get(run_id)
            return None if counts is None else counts.state()

    def note(self, marker: RunMarker) -> None:
        """Take over a marker that this process has just written."""
        with self._lock:
            self._heard(marker.run_id, self._wall()).marker = marker

    def close(self) -> None:
        """Stop following."""
        self._table.close()

    def _states(self, company_id: int, kind: Kind) -> Sequence[RunState]:
        with self._lock:
            states = [
                counts.state()
                for counts in self._runs.values()
                if counts.marker and (counts.marker.company_id, counts.marker.kind) == (company_id, kind)
            ]
        return [state for state in states if state is not None]

    def _apply(self, record: Record) -> None:
        try:
            value = self._codec.decode(record.value or b"", Result, RunMarker)
        except SchemaError:
            # The sink keeps and reports these; they count for no run.
            return
        at = record.timestamp_ms / 1000
        with self._lock:
            if isinstance(value, RunMarker):
                self._heard(value.run_id, at).marker = value
            elif value.run_id is not None:
                self._heard(value.run_id, at).take(value.subject_id, value.outcome)

    def _heard(self, run_id: str, at: float) -> _Counts:
        counts = self._runs.setdefault(run_id, _Counts())
        counts.heard_at = max(counts.heard_at, at)
        return counts

    def _prune(self) -> None:
        """Forget runs that were over long ago, and those of which nothing is heard."""
        now = self._wall()
        with self._lock:
            for run_id, counts in list(self._runs.items()):
                state = counts.state()
                is_over = state is not None and state.is_over
                if now - counts.heard_at > (_KEEP_S if is_over else _SILENT_S):
                    del self._runs[run_id]
