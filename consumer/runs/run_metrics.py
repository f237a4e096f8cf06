"""What the runner counts."""

from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from consumer.metric_families import REGISTRY
from consumer.model.events import Kind, Trigger
from consumer.model.results import Phase


_ENDINGS = tuple(phase for phase in Phase if phase is not Phase.READING)
_READING = Gauge(
    "crewsync_runs_reading", "Runs whose events are being read and published.", registry=REGISTRY
)
_REPLAYS = Gauge(
    "crewsync_replays_active",
    "Replays of which not every event has its result, whoever publishes them.",
    registry=REGISTRY,
)
_ENDED = Counter(
    "crewsync_runs_total",
    "Runs whose events are all published, that failed, or that joined another.",
    labelnames=["kind", "trigger", "phase"],
    registry=REGISTRY,
)


@dataclass(frozen=True, slots=True)
class RunMetrics:
    """The metrics of this process's runner; every label value is shown at 0."""

    reading: Gauge = _READING
    replays: Gauge = _REPLAYS
    _ended: Counter = field(default=_ENDED)

    def __post_init__(self) -> None:
        """Show every series."""
        for kind in Kind:
            for trigger in (Trigger.MANUAL, Trigger.AUTOMATIC):
                for phase in _ENDINGS:
                    self._ended.labels(kind, trigger, phase)

    def ended(self, kind: Kind, trigger: Trigger, phase: Phase) -> None:
        """A run has come to its end here."""
        self._ended.labels(kind, trigger, phase).inc()
