"""Contacts in Procore: made for workers whom nobody there is, and kept as SmartBarrel, their source, says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from consumer.exceptions import NotFound, Rejected, Transient
from consumer.model import reasons
from consumer.model.events import ShiftWorker, TimesheetEvent
from consumer.model.links import Link
from consumer.model.results import Reason
from consumer.sync.company import Company
from consumer.sync.mapping import origin_id
from consumer.sync.party import Party, looked_for
from consumer.upstream.procore_answers import Person


@dataclass(frozen=True, slots=True)
class Settled:
    """The person to book on, with the links to be noted. Nothing can be booked on one who ``is_new``."""

    person_id: int
    links: tuple[Link, ...] = ()
    is_new: bool = False
    is_changed: bool = False
    warnings: tuple[Reason, ...] = ()


async def carry_out_party(party: Party, event: TimesheetEvent, company: Company) -> Settled:
    """Make or change the contact."""
    person_id, is_new, is_changed = party.person_id, False, False
    if person_id is None:
        person, is_new = await _contact(company, event.worker, party.employee_id)
        person_id = person.id
    elif party.changes:
        is_changed = await _changed(company, person_id, party.changes)
    links = () if party.link is None else (replace(party.link, target_id=str(person_id)),)
    # The link is noted either way: to try for each shift would cost a look through the directory each time.
    is_refused = bool(party.changes) and not is_changed
    name = f"{event.worker.first_name} {event.worker.last_name}"
    warnings = (reasons.contact_not_changed(name),) if is_refused else ()
    return Settled(person_id, links, is_new, is_changed, warnings)


def is_taken(error: Rejected) -> bool:
    """Whether Procore says that our origin id is in use; no source tells the status for sure."""
    return error.status == HTTPStatus.CONFLICT or any("origin_id" in words for words in error.words)


async def _contact(company: Company, worker: ShiftWorker, employee_id: str | None) -> tuple[Person, bool]:
    """The contact, and whether it was made just now."""
    try:
        person = await company.procore.create_contact(
            first_name=worker.first_name,
            last_name=worker.last_name,
            employee_id=employee_id,
            origin_id=origin_id(worker.id),
        )
    except Transient:
        # It may have been made without our knowing: look at the directory again before trying.
        company.directory.renew()
        raise
    except Rejected as error:
        found = await _contact_made_meanwhile(company, worker) if is_taken(error) else None
        if found is None:
            raise
        return found, False
    company.directory.add(person)
    return person, True


async def _contact_made_meanwhile(company: Company, worker: ShiftWorker) -> Person | None:
    """A call of the last owner may take effect after we looked."""
    company.directory.renew()
    return await company.directory.of_worker(worker.id, looked_for(worker))


async def _changed(company: Company, person_id: int, changes: Mapping[str, object]) -> bool:
    """Change the contact; whether Procore has let us.

    "Not found" also means "no access". Hours can be booked on a person all the same.
    """
    try:
        person = await company.procore.update_person(person_id, changes)
    except NotFound as error:
        company.directory.renew()
        if await company.directory.with_id(person_id) is not None:
            return False
        # Deleted since the directory was read: the next attempt finds somebody else, or nobody.
        raise Transient(error.upstream, error.operation, error.status, error.words) from None
    company.directory.add(person)
    return True
