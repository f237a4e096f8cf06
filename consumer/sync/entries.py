"""Which shifts have a timecard entry already, whoever it is booked on: each day is read once and kept.

Somebody whose links were lost with a crash may look among the wrong people for what an earlier process has
booked. A day is read after this process took over, so it has all that others made before.
"""

from collections.abc import Mapping
from datetime import date

from consumer.sync.readthrough import ReadThrough
from consumer.upstream.procore import Procore


_MOST_DAYS = 62


class Entries:
    """The origin ids of one company's entries, by day."""

    def __init__(self, procore: Procore) -> None:
        async def read(day: date) -> Mapping[str, int]:
            entries = await procore.timecards((), day, day)
            return {entry.origin_id: entry.id for entry in entries if entry.origin_id is not None}

        self._days: ReadThrough[date, Mapping[str, int]] = ReadThrough(read, most=_MOST_DAYS)

    async def find(self, day: date, origin_id: str) -> int | None:
        """The entry of that day with this origin id, if it was there when the day was read."""
        return (await self._days.get(day)).get(origin_id)

    def renew(self) -> None:
        """Read each day anew before it is used again."""
        self._days.renew()
