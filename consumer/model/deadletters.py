"""Why a record was set aside: the headers of a dead letter. The record itself stays untouched."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Where a record came from, at which stage it was set aside, why and when."""

    source_topic: str
    source_partition: int
    source_offset: int
    source_timestamp: datetime
    stage: str
    reason_code: str
    reason: str
    failed_at: datetime
    redrive_count: int = 0
    company_id: int | None = None
    run_id: str | None = None
