"""What the console knows of this moment: runs under way, dead letters that wait, and how the lag went lately.

One thread follows the topics and takes samples; any thread may ask.
"""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from consumer.broker.port import Broker
from consumer.broker.table import Table
from consumer.engine.outage import ride_out
from consumer.engine.state import EngineState
from consumer.model.codec import Codec
from consumer.model.events import Kind, SyncCommand
from consumer.model.results import Phase
from consumer.runs.dead_letters import Choice, Letter, Letters
from consumer.runs.progress import Progress, RunState
from consumer.topics import TopicNames


_FOLLOW_S = 0.25
_OUTAGE_S = 300.0
SAMPLE_S = 5.0
SAMPLES = 120
"""Ten minutes of samples."""
_MOST_ASKED = 1000

EngineStates = Callable[[], Mapping[str, EngineState | None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A sync that was asked for here, and may not have been taken up yet; ``at`` in Unix seconds."""

    command: SyncCommand
    at: float

    @property
    def fingerprint(self) -> str:
        """Tells whether another wish is for the same."""
        one = self.command
        parts = (one.company_id, one.kind, one.project_id, one.first_day, one.last_day, one.requested_by)
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class Live:
    """Follows the broker for the console. ``run`` belongs to one thread, the rest to any."""

    def __init__(
        self,
        broker: Broker,
        codec: Codec,
        topics: TopicNames,
        engine_states: EngineStates,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._broker = broker
        self._codec = codec
        self._topics = topics
        self._engine_states = engine_states
        self._on_turn = on_turn
        self._progress: Progress | None = None
        self._letters = Letters(codec)
        self._lags: dict[str, deque[int]] = {}
        self._sampled_at = float("-inf")
        self._asked: dict[str, Asked] = {}
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Follow until ``stop`` is set. Raises BrokerError if the broker stays away for too long."""
        ride_out(self._work, stop, _OUTAGE_S, self._on_turn)

    @property
    def is_ready(self) -> bool:
        """Whether all that is on the topics by now is known."""
        return self._progress is not None

    def run_state(self, run_id: str) -> RunState | None:
        """How far a run is, or the one that it joined; None if its start was not seen."""
        state = self.own_state(run_id)
        if state is not None and state.marker.phase is Phase.JOINED:
            return self.own_state(state.marker.joined or "") or state
        return state

    def own_state(self, run_id: str) -> RunState | None:
        """How far a run itself is; None if its start was not seen."""
        progress = self._progress
        return None if progress is None else progress.run(run_id)

    def running(self, company_id: int, kind: Kind) -> RunState | None:
        """The company's newest run of the kind that is not over, if there is one."""
        progress = self._progress
        state = None if progress is None else progress.latest(company_id, kind)
        return None if state is None or state.is_over else state

    def letters(self, choice: Choice | None = None) -> Sequence[Letter]:
        """The dead letters of a choice that wait for somebody, or all of them, the oldest first."""
        return [one for one in self._letters.waiting() if choice is None or choice.has(one)]

    def lags(self) -> Mapping[str, Sequence[int]]:
        """By flow, records without a result in this process, one sample each SAMPLE_S, the newest last."""
        with self._lock:
            return {name: list(samples) for name, samples in self._lags.items()}

    def note(self, asked: Asked) -> None:
        """Remember that a sync was asked for."""
        with self._lock:
            self._asked[asked.command.run_id] = asked
            while len(self._asked) > _MOST_ASKED:
                del self._asked[next(iter(self._asked))]

    def asked(self, run_id: str) -> Asked | None:
        """A sync that was asked for here, None if it was not, or long ago."""
        with self._lock:
            return self._asked.get(run_id)

    def newest_asked(self, company_id: int, kind: Kind) -> Asked | None:
        """The last sync that was asked for here."""
        with self._lock:
            found = [
                one
                for one in self._asked.values()
                if (one.command.company_id, one.command.kind) == (company_id, kind)
            ]
        return found[-1] if found else None

    def _work(self, stop: threading.Event) -> None:
        progress = Progress(self._broker, self._topics.sync_log, self._codec)
        try:
            letters = Letters(self._codec)
            table = Table(self._broker, self._topics.dead_letters, letters.apply)
            try:
                progress.catch_up(time.monotonic, self._on_turn)
                table.catch_up(time.monotonic, on_turn=self._on_turn)
                self._letters, self._progress = letters, progress
                while not stop.is_set():
                    self._on_turn()
                    progress.follow(_FOLLOW_S)
                    table.follow()
                    self._sample()
            finally:
                table.close()
        finally:
            progress.close()

    def _sample(self) -> None:
        now = time.monotonic()
        if now - self._sampled_at < SAMPLE_S:
            return
        self._sampled_at = now
        for name, state in self._engine_states().items():
            lag = 0 if state is None else lag_of(state)
            with self._lock:
                self._lags.setdefault(name, deque(maxlen=SAMPLES)).append(lag)


def lag_of(state: EngineState) -> int:
    """Records of an engine's partitions that have no result yet."""
    return sum(one.lag for one in state.partitions)
