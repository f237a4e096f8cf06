"""What the sink tells of itself."""

from prometheus_client import Counter, Gauge

from consumer.metric_families import REGISTRY


TAKEN = Counter(
    "crewsync_sink_records_total", "Records of the log that a sink has stored.", registry=REGISTRY
)
STATE = Gauge(
    "crewsync_sink_state",
    "0: what the sink knows is in its files, or will be soon; 1: its last step failed.",
    registry=REGISTRY,
)
