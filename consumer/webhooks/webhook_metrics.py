"""What the intake and the reader of webhooks count."""

from enum import StrEnum

from prometheus_client import Counter, Gauge, Histogram

from consumer.metric_families import REGISTRY


class Answer(StrEnum):
    """How a delivery was answered."""

    ACCEPTED = "accepted"
    """It waits durably."""
    IGNORED = "ignored"
    """It is not about people."""
    UNKNOWN_COMPANY = "unknown_company"
    UNREADABLE = "unreadable"
    UNAUTHORIZED = "unauthorized"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    UNAVAILABLE = "unavailable"
    """It could not be written, so Procore is to send it again."""


class Ending(StrEnum):
    """What became of a notice that waited."""

    PUBLISHED = "published"
    """Its user was read and is on the topic of user events, maybe for other notices too."""
    GONE = "gone"
    """Its user is not there any more."""
    OWN = "own"
    """Crewsync itself has made the change."""
    DUPLICATE = "duplicate"
    """It was delivered before, and has been read."""
    UNKNOWN_COMPANY = "unknown_company"
    UNDECODABLE = "undecodable"
    REJECTED = "rejected"
    """Procore will not answer for this user, whenever it is asked."""


ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

ANSWERS = Counter(
    "crewsync_webhooks_total", "Deliveries, by how they were answered.", ["result"], registry=REGISTRY
)
ANSWER_SECONDS = Histogram(
    "crewsync_webhook_answer_duration_seconds",
    "From a delivery's head to its answer; Procore waits for 5 s.",
    buckets=ANSWER_S,
    registry=REGISTRY,
)
ENDINGS = Counter(
    "crewsync_webhook_notices_total", "Notices, by what became of them.", ["result"], registry=REGISTRY
)
MOVED = Counter(
    "crewsync_webhook_notices_moved_total",
    "Notices that wait and were written again at the end of their topic, so that the group gets on.",
    registry=REGISTRY,
)
WAITING = Gauge("crewsync_webhook_waiting_records", "Notices that were read and wait.", registry=REGISTRY)

for _answer in Answer:
    ANSWERS.labels(_answer)
for _ending in Ending:
    ENDINGS.labels(_ending)
