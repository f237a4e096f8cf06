"""On whom a shift is booked in Procore: a user's person, or a contact, who is made where nobody is found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus

from consumer.engine.links import Links
from consumer.exceptions import NotFound, Rejected, Transient
from consumer.model import reasons
from consumer.model.events import ShiftWorker, TimesheetEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Reason
from consumer.sync.company import Company
from consumer.sync.directory import Ambiguous
from consumer.sync.fingerprint import fingerprint
from consumer.sync.mapping import one_line, origin_id, procore_id
from consumer.upstream.procore_answers import Person


@dataclass(frozen=True, slots=True)
class Party:
    """The person to book on; without a ``person_id`` a contact is to be made.

    ``changes`` is what has to be changed on a contact that an earlier sync made, ``link`` what is to be noted
    of one who is no user by their worker's own word.
    """

    person_id: int | None
    why: str
    is_user: bool = False
    changes: Mapping[str, object] | None = None
    link: Link | None = None
    is_trusted: bool = False
    """Whether only the link says so, and nobody looked at Procore."""


def user_of(worker: ShiftWorker, company_id: int, links: Links) -> int | None:
    """The Procore user who the worker is, by the worker's own word or by what is linked."""
    stated = procore_id(worker.external_id)
    return stated if stated is not None else links.user_of_worker(company_id, worker.id)


async def find_party(
    event: TimesheetEvent, company: Company, links: Links, *, trust_link: bool = True
) -> Party | Reason:
    """Who it is, or why nobody must be booked on. Reads only."""
    worker = event.worker
    user_id = user_of(worker, event.company_id, links)
    if user_id is not None:
        return await _of_user(user_id, worker, company)
    digest = fingerprint(worker.first_name, worker.last_name, worker.payroll_id)
    link = links.get(LinkKey(event.company_id, LinkKind.CONTACT, worker.id))
    trusted = link if trust_link and link is not None and link.fingerprint == digest else None
    try:
        person = await _user_with(event, company, links)
        if person is None and trusted is not None and await _is_still(trusted, event, company, links):
            why = f"The worker is linked to the contact with person id {trusted.target_id}."
            return Party(int(trusted.target_id), why, is_trusted=True)
        if person is None:
            person = await company.directory.of_worker(worker.id, worker.payroll_id)
    except Ambiguous as found:
        names = [_full_name(one) for one in found.people]
        return reasons.employee_id_ambiguous(worker.payroll_id or "", names)
    new = Link(event.company_id, LinkKind.CONTACT, worker.id, "", event.revision, digest)
    if person is None:
        why = "Nobody in Procore, active or not, has the worker's origin id or employee ID."
        return Party(None, why, link=new)
    if _is_another_worker(event, person, links):
        return reasons.employee_id_of_another(worker.payroll_id or "", _full_name(person))
    return _found(person, worker, new)


@dataclass(frozen=True, slots=True)
class Settled:
    """The person to book on, with the links to be noted. Nothing can be booked on one who ``is_new``."""

    person_id: int
    links: tuple[Link, ...] = ()
    is_new: bool = False


async def carry_out_party(party: Party, event: TimesheetEvent, company: Company) -> Settled:
    """Make or change the contact."""
    person_id, is_new = party.person_id, False
    if person_id is None:
        person, is_new = await _contact(company, event.worker)
        person_id = person.id
    elif party.changes:
        await _changed(company, person_id, party.changes)
    links = () if party.link is None else (replace(party.link, target_id=str(person_id)),)
    return Settled(person_id, links, is_new)


def is_taken(error: Rejected) -> bool:
    """Whether Procore says that our origin id is in use; no source tells the status for sure."""
    return error.status == HTTPStatus.CONFLICT or any("origin_id" in words for words in error.words)


async def _of_user(user_id: int, worker: ShiftWorker, company: Company) -> Party | Reason:
    person = await company.directory.of_user(user_id)
    if person is None:
        return reasons.person_not_found(f"{worker.first_name} {worker.last_name}")
    return Party(person.id, f"The worker is Procore user {user_id}, person {person.id}.", is_user=True)


def _found(person: Person, worker: ShiftWorker, new: Link) -> Party:
    if person.origin_id == origin_id(worker.id):
        why = f"An earlier sync made contact {person.id} of this worker."
        return Party(person.id, why, person.user_id is not None, _to_change(person, worker), new)
    kind = "user" if person.user_id is not None else "contact"
    why = f"The {kind} with person id {person.id} has the worker's payroll ID as employee ID."
    return Party(person.id, why, person.user_id is not None, None, new)


def _to_change(person: Person, worker: ShiftWorker) -> Mapping[str, object] | None:
    """What of a contact that we made is not as SmartBarrel, their source, says; never of a user."""
    if person.user_id is not None:
        return None
    changes: dict[str, object] = {}
    if one_line(person.first_name) != one_line(worker.first_name):
        changes["first_name"] = worker.first_name
    if worker.payroll_id is not None and person.employee_id != worker.payroll_id:
        changes["employee_id"] = worker.payroll_id
    if not person.is_employee:
        changes["is_employee"] = True
    if not person.is_active:
        changes["active"] = True
    if changes or one_line(person.last_name) != one_line(worker.last_name):
        # Procore demands the last name with every change.
        changes["last_name"] = worker.last_name
    return changes or None


async def _user_with(event: TimesheetEvent, company: Company, links: Links) -> Person | None:
    """The user whom a worker without a link has become since, by their employee ID.

    Not a user who is another worker already: then somebody has mistyped the payroll ID.
    """
    worker = event.worker
    if not worker.payroll_id:
        return None
    person = await company.directory.user_with(worker.id, worker.payroll_id)
    return None if person is None or _is_another_worker(event, person, links) else person


async def _is_still(link: Link, event: TimesheetEvent, company: Company, links: Links) -> bool:
    """Whether the linked person may be the worker yet, as the directory was read last.

    Somebody may have corrected an employee ID in Procore alone. Who is not in the directory is taken for the
    same: if they are gone, Procore says so when hours are booked on them.
    """
    worker = event.worker
    person = await company.directory.with_id(int(link.target_id))
    if person is None or person.origin_id == origin_id(worker.id):
        return True
    return person.employee_id == worker.payroll_id and not _is_another_worker(event, person, links)


def _is_another_worker(event: TimesheetEvent, person: Person, links: Links) -> bool:
    if person.user_id is None:
        return False
    link = links.get(LinkKey(event.company_id, LinkKind.USER, str(person.user_id)))
    return link is not None and link.target_id not in {"", event.worker.id}


def _full_name(person: Person) -> str:
    return " ".join(filter(None, (person.first_name, person.last_name)))


async def _contact(company: Company, worker: ShiftWorker) -> tuple[Person, bool]:
    """The contact, and whether it was made just now."""
    try:
        person = await company.procore.create_contact(
            first_name=worker.first_name,
            last_name=worker.last_name,
            employee_id=worker.payroll_id,
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
    return await company.directory.of_worker(worker.id, worker.payroll_id)


async def _changed(company: Company, person_id: int, changes: Mapping[str, object]) -> None:
    try:
        person = await company.procore.update_person(person_id, changes)
    except NotFound as error:
        # Deleted since the directory was read: the next attempt reads it anew.
        company.directory.renew()
        raise Transient(error.upstream, error.operation, error.status, error.words) from None
    company.directory.add(person)
