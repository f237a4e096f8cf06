"""On whom a shift is booked in Procore: a user's person, or a contact, to be made where nobody is found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from consumer.engine.links import Links
from consumer.model import reasons
from consumer.model.events import ShiftWorker, TimesheetEvent
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Reason
from consumer.sync.company import Company
from consumer.sync.directory import Ambiguous
from consumer.sync.fingerprint import fingerprint
from consumer.sync.identity import worker_of
from consumer.sync.mapping import one_line, origin_id, payroll_id
from consumer.upstream.procore_answers import Person


@dataclass(frozen=True, slots=True)
class Party:
    """The person to book on; without a ``person_id`` a contact is to be made.

    ``changes`` is what has to be changed on a contact that an earlier sync made, ``link`` what is to be noted
    of one who is no user as far as is known. ``employee_id`` is what a new contact gets.
    """

    person_id: int | None
    why: str
    is_user: bool = False
    changes: Mapping[str, object] | None = None
    link: Link | None = None
    is_trusted: bool = False
    """Whether only the link says so, and nobody looked at Procore."""
    employee_id: str | None = None
    warnings: tuple[Reason, ...] = ()


def looked_for(worker: ShiftWorker) -> str | None:
    """The employee ID by which the worker may be found in Procore.

    None for a subcontractor's, who are found by our origin id alone: their employer counts on its own, so an
    equal number of ours is another person's.
    """
    return None if worker.contractor is not None else payroll_id(worker)


async def find_party(
    event: TimesheetEvent, user_id: int | None, company: Company, links: Links, *, trust_link: bool = True
) -> Party | Reason:
    """Who it is, or why nobody must be booked on; ``user_id`` is the user who the worker is. Reads only."""
    worker = event.worker
    if user_id is not None:
        return await _of_user(user_id, worker, company)
    is_of_contractor = worker.contractor is not None
    digest = fingerprint(worker.first_name, worker.last_name, payroll_id(worker), is_of_contractor)
    link = links.get(LinkKey(event.company_id, LinkKind.CONTACT, worker.id))
    trusted = link if trust_link and link is not None and link.fingerprint == digest else None
    warnings: tuple[Reason, ...] = ()
    try:
        person = await _user_with(worker, company)
        employee_id = payroll_id(worker)
        if person is not None and (
            is_of_contractor or await _is_another_worker(event, person, company, links)
        ):
            # Mistyped, or a subcontractor's own number: two people with one would be mistaken for each other.
            warnings = (reasons.employee_id_left_out(payroll_id(worker) or "", _full_name(person)),)
            person = employee_id = None
        if person is None and trusted is not None and await _is_still(trusted, event, company, links):
            why = f"The worker is linked to the contact with person id {trusted.target_id}."
            return Party(int(trusted.target_id), why, is_trusted=True, warnings=warnings)
        if person is None:
            person = await company.directory.of_worker(worker.id, looked_for(worker))
    except Ambiguous as found:
        names = [_full_name(one) for one in found.people]
        return reasons.employee_id_ambiguous(looked_for(worker) or "", names)
    new = Link(event.company_id, LinkKind.CONTACT, worker.id, "", event.revision, digest)
    if person is None:
        why = "Nobody in Procore, active or not, has the worker's origin id or employee ID."
        return Party(None, why, link=new, employee_id=employee_id, warnings=warnings)
    if await _is_another_worker(event, person, company, links):
        return reasons.employee_id_of_another(looked_for(worker) or "", _full_name(person))
    return replace(_found(person, worker, employee_id), link=new, warnings=warnings)


async def _of_user(user_id: int, worker: ShiftWorker, company: Company) -> Party | Reason:
    person = await company.directory.of_user(user_id)
    if person is None:
        return reasons.person_not_found(f"{worker.first_name} {worker.last_name}")
    return Party(person.id, f"The worker is Procore user {user_id}, person {person.id}.", is_user=True)


def _found(person: Person, worker: ShiftWorker, employee_id: str | None) -> Party:
    is_user = person.user_id is not None
    if person.origin_id == origin_id(worker.id):
        why = f"An earlier sync made contact {person.id} of this worker."
        return Party(person.id, why, is_user, _to_change(person, worker, employee_id))
    kind = "user" if is_user else "contact"
    why = f"The {kind} with person id {person.id} has the worker's payroll ID as employee ID."
    return Party(person.id, why, is_user)


def _to_change(person: Person, worker: ShiftWorker, employee_id: str | None) -> Mapping[str, object] | None:
    """What of a contact that we made is not as SmartBarrel, their source, says; never of a user."""
    if person.user_id is not None:
        return None
    changes: dict[str, object] = {}
    if one_line(person.first_name) != one_line(worker.first_name):
        changes["first_name"] = worker.first_name
    if employee_id is not None and person.employee_id != employee_id:
        changes["employee_id"] = employee_id
    if not person.is_employee:
        changes["is_employee"] = True
    if not person.is_active:
        changes["active"] = True
    if changes or one_line(person.last_name) != one_line(worker.last_name):
        # Procore demands the last name with every change.
        changes["last_name"] = worker.last_name
    return changes or None


async def _user_with(worker: ShiftWorker, company: Company) -> Person | None:
    """The user with the worker's payroll ID: whom a worker without a link has become since, or another."""
    employee_id = payroll_id(worker)
    if employee_id is None:
        return None
    try:
        return await company.directory.user_with(worker.id, employee_id)
    except Ambiguous as found:
        if looked_for(worker) is not None:
            raise
        return next((one for one in found.people if one.user_id is not None), None)


async def _is_still(link: Link, event: TimesheetEvent, company: Company, links: Links) -> bool:
    """Whether the linked person may be the worker yet, as the directory was read last.

    Somebody may have corrected an employee ID in Procore alone. Who is not in the directory is taken for the
    same: if they are gone, Procore says so when hours are booked on them.
    """
    worker = event.worker
    person = await company.directory.with_id(int(link.target_id))
    if person is None or person.origin_id == origin_id(worker.id):
        return True
    employee_id = looked_for(worker)
    if employee_id is None or person.employee_id != employee_id:
        return False
    return not await _is_another_worker(event, person, company, links)


async def _is_another_worker(event: TimesheetEvent, person: Person, company: Company, links: Links) -> bool:
    """Whether the person is a user who is another worker than the shift's."""
    if person.user_id is None or links.user_of_worker(event.company_id, event.worker.id) == person.user_id:
        return False
    return await worker_of(person.user_id, company, links) not in {None, event.worker.id}


def _full_name(person: Person) -> str:
    return " ".join(filter(None, (person.first_name, person.last_name)))
