"""How far each run is, as ``sync-log`` tells it."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from consumer.broker.port import Broker, Record
from consumer.broker.table import Table
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.events import Kind
from consumer.model.results import Outcome, Result, RunMarker


@dataclass(frozen=True, slots=True)
class RunState:
    """A run and the outcomes it has so far."""

    marker: RunMarker
    outcomes: Mapping[Outcome, int]

    @property
    def done(self) -> int:
        """How many results there are."""
        return sum(self.outcomes.values())

    @property
    def is_complete(self) -> bool:
        """Whether every event of the run has its result."""
        return self.done >= self.marker.expected


@dataclass(slots=True)
class _Counts:
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    marker: RunMarker | None = None


class Progress:
    """Follows ``sync-log`` from its beginning. ``follow`` belongs to one thread, the rest to any."""

    def __init__(self, broker: Broker, topic: str, codec: Codec) -> None:
        self._codec = codec
        self._runs: dict[str, _Counts] = {}
        self._lock = threading.Lock()
        self._table = Table(broker, topic, self._apply)

    def catch_up(self, clock: Callable[[], float]) -> None:
        """Read all that is there now."""
        self._table.catch_up(clock)

    def follow(self, timeout_s: float) -> None:
        """Take over what has arrived."""
        self._table.follow(timeout_s)

    def latest(self, company_id: int, kind: Kind) -> RunState | None:
        """The company's newest run of the kind."""
        with self._lock:
            states = [
                RunState(counts.marker, dict(counts.outcomes))
                for counts in self._runs.values()
                if counts.marker and (counts.marker.company_id, counts.marker.kind) == (company_id, kind)
            ]
        return max(states, key=lambda state: state.marker.started_at, default=None)

    def run(self, run_id: str) -> RunState | None:
        """One run, once its start was seen."""
        with self._lock:
            counts = self._runs.get(run_id)
            return RunState(counts.marker, dict(counts.outcomes)) if counts and counts.marker else None

    def close(self) -> None:
        """Stop following."""
        self._table.close()

    def _apply(self, record: Record) -> None:
        try:
            value = self._codec.decode(record.value or b"", Result, RunMarker)
        except SchemaError:
            # The sink keeps and reports these; they count for no run.
            return
        with self._lock:
            if isinstance(value, RunMarker):
                self._runs.setdefault(value.run_id, _Counts()).marker = value
            elif value.run_id is not None:
                self._runs.setdefault(value.run_id, _Counts()).outcomes[value.outcome] += 1
