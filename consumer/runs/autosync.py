"""When a company's automatic syncs are due: each hour, at a moment of its own. Pure.

An hour is a slot with a number, and the run of a slot has an id that follows from it. So a slot that is
thought due twice, after a restart, by a second process or because a clock was put back, is still one run.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from consumer.model.events import Kind, SyncCommand, Trigger
from consumer.model.settings import CompanySettings


EVERY_S = 3600
LATE_S = 600
"""How late a sync may start. What was missed for longer, while nobody ran, is not made up."""
DAYS = 35
"""Working days back that an automatic sync of timesheets looks at."""
REQUESTED_BY = "Autosync"


@dataclass(frozen=True, slots=True)
class Slot:
    """One hour of one company and kind."""

    company_id: int
    kind: Kind
    number: int

    @property
    def run_id(self) -> str:
        """The id of its run: the same wherever and whenever it is worked out."""
        text = f"{self.company_id}:{self.kind}:{self.number}"
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def due(settings: Iterable[CompanySettings], now: float) -> Iterator[Slot]:
    """The slots that may be started at ``now``, in Unix seconds."""
    for one in settings:
        for kind in _kinds(one):
            number, since = divmod(now - _shift(one.company_id, kind), EVERY_S)
            if since < LATE_S:
                yield Slot(one.company_id, kind, int(number))


def command_of(slot: Slot, now: float) -> SyncCommand:
    """The wish to sync that a slot stands for."""
    at = datetime.fromtimestamp(now, UTC)
    first_day = None if slot.kind is Kind.USERS else at.date() - timedelta(days=DAYS)
    return SyncCommand(
        company_id=slot.company_id,
        kind=slot.kind,
        trigger=Trigger.AUTOMATIC,
        requested_by=REQUESTED_BY,
        requested_at=at,
        run_id=slot.run_id,
        first_day=first_day,
    )


def _kinds(settings: CompanySettings) -> Iterator[Kind]:
    if settings.autosync_users and settings.user_sync:
        yield Kind.USERS
    if settings.auto_sync_time_card:
        yield Kind.TIMESHEETS


def _shift(company_id: int, kind: Kind) -> int:
    """How many seconds after the full hour: spread, so that companies do not all start at once."""
    return zlib.crc32(f"{company_id}:{kind}".encode()) % EVERY_S
