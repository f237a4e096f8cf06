"""Procore's people, found by user id, origin id or employee id.

Procore offers no look-up by these, so the whole directory is read and kept. That is safe because of who
may create contacts: a worker's events are handled by one owner at a time, and ``renew`` is called when an
owner begins, and after a call whose effect is unknown.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from consumer.sync.mapping import origin_id
from consumer.sync.readthrough import ReadThrough
from consumer.upstream.procore import Procore
from consumer.upstream.procore_answers import Person


@dataclass(frozen=True, slots=True)
class _Index:
    by_id: dict[int, Person] = field(default_factory=dict)
    by_user: dict[int, Person] = field(default_factory=dict)
    by_origin: dict[str, Person] = field(default_factory=dict)
    by_employee: dict[str, dict[int, Person]] = field(default_factory=dict)

    def add(self, person: Person) -> None:
        """Put in a person, who takes the place of what is known of them."""
        known = self.by_id.get(person.id)
        if known is not None:
            self._remove(known)
        self.by_id[person.id] = person
        if person.user_id is not None:
            self.by_user[person.user_id] = person
        if person.origin_id is not None:
            self.by_origin.setdefault(person.origin_id, person)
        if person.employee_id is not None:
            self.by_employee.setdefault(person.employee_id, {})[person.id] = person

    def _remove(self, person: Person) -> None:
        if person.user_id is not None and self.by_user.get(person.user_id) is person:
            del self.by_user[person.user_id]
        if person.origin_id is not None and self.by_origin.get(person.origin_id) is person:
            del self.by_origin[person.origin_id]
        if person.employee_id is not None:
            del self.by_employee[person.employee_id][person.id]


def _index(people: Iterable[Person]) -> _Index:
    index = _Index()
    for person in people:
        index.add(person)
    return index


class Ambiguous(Exception):
    """Several people in Procore have the worker's employee ID."""

    def __init__(self, people: Sequence[Person]) -> None:
        super().__init__(f"{len(people)} people have one employee ID")
        self.people = people


def _of_worker(index: _Index, worker_id: str, payroll_id: str | None) -> Person | None:
    return index.by_origin.get(origin_id(worker_id)) or _with_employee_id(index, worker_id, payroll_id)


def _with_employee_id(index: _Index, worker_id: str, payroll_id: str | None) -> Person | None:
    """The one person with this employee ID; never another worker's contact.

    Users come before contacts, and active people before inactive ones.
    """
    people = [
        person
        for person in index.by_employee.get(payroll_id or "", {}).values()
        if not (person.origin_id or "").startswith(origin_id("")) or person.origin_id == origin_id(worker_id)
    ]
    if not people:
        return None
    best = max(map(_standing, people))
    candidates = [person for person in people if _standing(person) == best]
    if len(candidates) > 1:
        raise Ambiguous(candidates)
    return candidates[0]


def _standing(person: Person) -> tuple[bool, bool]:
    return person.user_id is not None, person.is_active


class Directory:
    """The people of one company."""

    def __init__(self, procore: Procore, clock: Callable[[], float] = time.monotonic) -> None:
        self._added: dict[int, Person] = {}

        def begin(_: None) -> Callable[[], Awaitable[_Index]]:
            reading = procore.people_reading()
            # Who is added from now on may be on a page that was read before.
            added = self._added = {}

            async def go_on() -> _Index:
                return _index([*await reading(), *added.values()])

            return go_on

        self._people: ReadThrough[None, _Index] = ReadThrough.going_on(begin, clock=clock)

    async def of_user(self, user_id: int) -> Person | None:
        """The person that a user is."""
        return await self._people.find(None, lambda index: index.by_user.get(user_id))

    async def of_worker(self, worker_id: str, payroll_id: str | None) -> Person | None:
        """The person whom an earlier sync made of the worker, else the one with their employee ID.

        Raises Ambiguous.
        """
        # A contact is made of a worker who is not there, so that must not rest on an old look.
        return await self._people.find(None, lambda index: _of_worker(index, worker_id, payroll_id))

    async def user_with(self, worker_id: str, employee_id: str) -> Person | None:
        """The user with this employee ID, as the directory was read last. Raises Ambiguous."""
        person = _with_employee_id(await self._people.get(None), worker_id, employee_id)
        return person if person is not None and person.user_id is not None else None

    async def with_id(self, person_id: int) -> Person | None:
        """The person with this id, as the directory was read last."""
        return (await self._people.get(None)).by_id.get(person_id)

    async def contact_of(self, worker_id: str) -> Person | None:
        """The contact that an earlier sync made of the worker, whoever they are now."""
        return (await self._people.get(None)).by_origin.get(origin_id(worker_id))

    def add(self, person: Person) -> None:
        """Note a person who was just created or changed."""
        self._added[person.id] = person
        index = self._people.kept(None)
        if index is not None:
            index.add(person)

    def renew(self) -> None:
        """Read the directory anew before it is used again."""
        self._people.renew()
