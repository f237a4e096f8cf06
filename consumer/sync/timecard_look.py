"""Whether a shift has a time card in Procore already."""

from datetime import timedelta

from consumer.exceptions import NotFound
from consumer.model.events import TimesheetEvent
from consumer.model.links import Link
from consumer.sync.company import Company
from consumer.sync.mapping import origin_id
from consumer.sync.party import Party
from consumer.sync.revisions import is_doubted
from consumer.upstream.procore_answers import Timecard


_SOME_DAYS = timedelta(days=3)


async def existing_entry(
    event: TimesheetEvent, company: Company, party: Party, link: Link | None
) -> Timecard | None:
    """The entry that stands for the timesheet: the linked one, else one with its origin id.

    It may have been made for an earlier revision, which nobody could commit: on another day, and on the
    worker's contact rather than on the user whom they became. So both are looked at, within a week.
    """
    if link is not None and link.target_id:
        entry = await _shown(company, int(link.target_id))
        if entry is not None:
            return entry
    contact = await company.directory.contact_of(event.worker.id)
    known = {party.person_id, None if contact is None else contact.id}
    parties = {person_id for person_id in known if person_id is not None}
    # What an earlier revision, perhaps of another worker, has led to is not known: look at everybody's.
    is_in_doubt = link is not None and is_doubted(link)
    origin = origin_id(event.timesheet_id)
    if parties or is_in_doubt:
        first, last = event.work_date - _SOME_DAYS, event.work_date + _SOME_DAYS
        entries = await company.procore.timecards(() if is_in_doubt else parties, first, last)
        entry = next((one for one in entries if one.origin_id == origin), None)
        if entry is not None:
            return entry
    entry_id = await company.entries.find(event.work_date, origin)
    return None if entry_id is None else await _shown(company, entry_id)


async def _shown(company: Company, entry_id: int) -> Timecard | None:
    try:
        return await company.procore.timecard(entry_id)
    except NotFound:
        return None
