"""Where the two systems are no longer as the links say. Pure: what they hold is given.

A drift tells what was found, for whoever keeps the systems in step, and what puts it right.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from consumer.model.links import Link, LinkKind
from consumer.sync.mapping import external_id, origin_id
from consumer.upstream.procore_answers import Person, Timecard
from consumer.upstream.smartbarrel import Worker


T = TypeVar("T")


class DriftCode(StrEnum):
    """The closed set of drifts; scripts may rely on the values."""

    USER_GONE = "user_gone"
    WORKER_GONE = "worker_gone"
    WORKER_NOT_LINKED = "worker_not_linked"
    WORKER_OF_ANOTHER = "worker_of_another"
    CONTACT_GONE = "contact_gone"
    CONTACT_OF_ANOTHER = "contact_of_another"
    TIMECARD_GONE = "timecard_gone"
    TIMECARD_OF_ANOTHER = "timecard_of_another"
    CLASSIFICATION_GONE = "classification_gone"


@dataclass(frozen=True, slots=True)
class Drift:
    """A link that the upstreams contradict: what was found, and the remedy, each in a sentence."""

    link: Link
    code: DriftCode
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Held:
    """What both systems hold, as far as the links at hand need it; each by the system's own id."""

    workers: Mapping[str, Worker] = field(default_factory=dict)
    people: Mapping[int, Person] = field(default_factory=dict)
    users: Collection[int] = frozenset()
    timecards: Mapping[int, Timecard] = field(default_factory=dict)
    classifications: Collection[int] = frozenset()


def drifts(link: Link, held: Held) -> Iterator[Drift]:
    """All that is wrong with a link; nothing of one that leads nowhere yet."""
    if link.target_id:
        yield from _COMPARISONS[link.kind](link, held)


def _of_user(link: Link, held: Held) -> Iterator[Drift]:
    user_id, worker = link.source_id, held.workers.get(link.target_id)
    own = external_id(number(user_id) or 0)
    again = f"replay with --force for user {user_id}"
    if not _has(held.users, user_id):
        yield Drift(
            link,
            DriftCode.USER_GONE,
            f"Procore has no user {user_id} any more, or hides them from this account; SmartBarrel worker "
            f"{link.target_id} is still linked to them",
            "see in Procore whether the user was removed; if so, deactivate the worker in SmartBarrel",
        )
    if worker is None:
        yield Drift(
            link,
            DriftCode.WORKER_GONE,
            f"SmartBarrel has no worker {link.target_id} any more, whom Procore user {user_id} is linked to",
            again,
        )
    elif worker.external_id is None:
        yield Drift(
            link,
            DriftCode.WORKER_NOT_LINKED,
            f"SmartBarrel worker {worker.id}, {worker.name}, has no external ID any more; it should be {own}",
            again,
        )
    elif worker.external_id != own:
        yield Drift(
            link,
            DriftCode.WORKER_OF_ANOTHER,
            f"SmartBarrel worker {worker.id}, {worker.name}, has the external ID {worker.external_id}, "
            f"but is linked to Procore user {user_id}",
            f"see which of the two is right; correct the external ID in SmartBarrel, then {again}",
        )


def _of_contact(link: Link, held: Held) -> Iterator[Drift]:
    worker_id, person = link.source_id, _get(held.people, link.target_id)
    again = f"replay with --force for worker {worker_id}"
    if person is None:
        yield Drift(
            link,
            DriftCode.CONTACT_GONE,
            f"Procore has no person {link.target_id} any more, on whom worker {worker_id} is booked",
            f"{again}; the contact is found or made anew with the worker's next shift, too",
        )
        return
    worker = held.workers.get(worker_id)
    payroll_id = None if worker is None else worker.payroll_id
    if person.origin_id == origin_id(worker_id) or (payroll_id and person.employee_id == payroll_id):
        return
    name = " ".join(filter(None, (person.first_name, person.last_name)))
    yield Drift(
        link,
        DriftCode.CONTACT_OF_ANOTHER,
        f"Procore person {person.id}, {name}, has neither the origin ID {origin_id(worker_id)} nor the "
        f"employee ID of SmartBarrel worker {worker_id}, who is booked on them",
        f"see whether they are the same; if so, correct the employee ID in Procore; then {again}",
    )


def _of_timesheet(link: Link, held: Held) -> Iterator[Drift]:
    sheet_id, entry = link.source_id, _get(held.timecards, link.target_id)
    again = f"replay with --force for timesheet {sheet_id}"
    if entry is None:
        yield Drift(
            link,
            DriftCode.TIMECARD_GONE,
            f"Procore has no timecard entry {link.target_id} any more, made of timesheet {sheet_id}",
            f"if it should be there, {again}, which makes it anew",
        )
    elif entry.origin_id != origin_id(sheet_id):
        found = "no origin ID" if entry.origin_id is None else f"the origin ID {entry.origin_id}"
        yield Drift(
            link,
            DriftCode.TIMECARD_OF_ANOTHER,
            f"Procore's timecard entry {entry.id} of {entry.date.isoformat()} has {found}, but should have "
            f"{origin_id(sheet_id)}",
            f"see in Procore whose entry it is; if it is this timesheet's, {again}",
        )


def _of_position(link: Link, held: Held) -> Iterator[Drift]:
    if not _has(held.classifications, link.target_id):
        yield Drift(
            link,
            DriftCode.CLASSIFICATION_GONE,
            f"Procore has no work classification {link.target_id} any more, which SmartBarrel's position "
            f"{link.source_id} is linked to",
            "sync users if Sync Classifications is on; else the position's next shift makes it anew",
        )


_COMPARISONS: Mapping[LinkKind, Callable[[Link, Held], Iterator[Drift]]] = {
    LinkKind.USER: _of_user,
    LinkKind.CONTACT: _of_contact,
    LinkKind.TIMESHEET: _of_timesheet,
    LinkKind.POSITION: _of_position,
}


def number(text: str) -> int | None:
    """A Procore id out of a link, where every id is text; None if it is none."""
    return int(text) if text.isascii() and text.isdigit() else None


def _get(held: Mapping[int, T], target_id: str) -> T | None:
    key = number(target_id)
    return None if key is None else held.get(key)


def _has(held: Collection[int], target_id: str) -> bool:
    return number(target_id) in held
