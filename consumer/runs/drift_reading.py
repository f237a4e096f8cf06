"""What both upstreams hold of some links: read with as few calls as that takes, and changed by none."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from typing import TypeVar

from consumer.engine.retry import RetryPolicy
from consumer.exceptions import NotFound, RateLimited, Transient
from consumer.model.links import Link, LinkKind
from consumer.runs.drift import Held, number
from consumer.sync.company import Company
from consumer.upstream.budget import be_patient
from consumer.upstream.procore_answers import Timecard


T = TypeVar("T")
OnStep = Callable[[str, int, int], None]
"""Is told what is read, how much of it was read so far, and how much there is in all."""

LISTED_FROM = 200
"""So many timecards are looked for in lists of a week before each of the rest is asked for."""
_WEEK = timedelta(days=6)
"""From the first to the last day for which Procore is asked at once."""
_AT_ONCE = 8
_ATTEMPTS = 6
_RETRY = RetryPolicy()


async def read_held(company: Company, links: Collection[Link], on_step: OnStep) -> Held:
    """What the company's upstreams hold of these links. Raises UpstreamError."""
    be_patient()
    by_kind = {kind: [link for link in links if link.kind is kind and link.target_id] for kind in LinkKind}
    users, contacts = by_kind[LinkKind.USER], by_kind[LinkKind.CONTACT]
    people = (
        await _step("people in Procore", on_step, company.procore.people_reading())
        if users or contacts
        else ()
    )
    workers = (
        await _step("workers in SmartBarrel", on_step, company.smartbarrel.find_workers)
        if users or contacts
        else ()
    )
    classifications = (
        await _step("classifications in Procore", on_step, company.procore.classifications)
        if by_kind[LinkKind.POSITION]
        else ()
    )
    known = {person.user_id for person in people if person.user_id is not None}
    return Held(
        workers={worker.id: worker for worker in workers},
        people={person.id: person for person in people},
        users=known | await _other_users(company, users, known, on_step),
        timecards=await _timecards(company, by_kind[LinkKind.TIMESHEET], on_step),
        classifications={one.id for one in classifications},
    )


def weeks(days: Collection[date]) -> Sequence[tuple[date, date]]:
    """The fewest spans of seven days that have all these days."""
    spans: list[tuple[date, date]] = []
    for day in sorted(days):
        if not spans or day > spans[-1][1]:
            spans.append((day, day + _WEEK))
    return spans


async def _step(name: str, on_step: OnStep, call: Callable[[], Awaitable[T]]) -> T:
    on_step(name, 0, 1)
    found = await _persistently(call)
    on_step(name, 1, 1)
    return found


async def _other_users(
    company: Company, links: Sequence[Link], known: Collection[int], on_step: OnStep
) -> set[int]:
    """Users who are nobody of the directory: each is asked for before they are said to be gone."""
    ids = {user_id for link in links if (user_id := number(link.source_id)) is not None}
    found = await _each(
        "users not in the directory", sorted(ids.difference(known)), company.procore.user, on_step
    )
    return set(found)


async def _timecards(company: Company, links: Sequence[Link], on_step: OnStep) -> Mapping[int, Timecard]:
    ids = {entry_id for link in links if (entry_id := number(link.target_id)) is not None}
    found: dict[int, Timecard] = {}
    if len(ids) >= LISTED_FROM:
        spans = weeks(await _days(company, {link.source_id for link in links}, on_step))
        for done, (first, last) in enumerate(spans):
            on_step("weeks of timecards in Procore", done, len(spans))
            entries = await _persistently(partial(company.procore.timecards, (), first, last))
            found |= {entry.id: entry for entry in entries if entry.id in ids}
        on_step("weeks of timecards in Procore", len(spans), len(spans))
    rest = sorted(ids.difference(found))
    return {**found, **await _each("timecards in Procore", rest, company.procore.timecard, on_step)}


async def _days(company: Company, timesheet_ids: Collection[str], on_step: OnStep) -> Collection[date]:
    """The days of these timesheets, as far as it costs clearly less to learn them than to do without."""
    days: dict[str, date] = {}
    pages = 0
    async for page in company.smartbarrel.timesheets():
        pages += 1
        days |= {one.timesheet_id: one.work_date for one in page if one.timesheet_id in timesheet_ids}
        on_step("timesheets in SmartBarrel", len(days), len(timesheet_ids))
        if len(days) == len(timesheet_ids) or 2 * pages > len(timesheet_ids):
            break
    return set(days.values())


async def _each(
    name: str, ids: Sequence[int], ask: Callable[[int], Awaitable[T]], on_step: OnStep
) -> Mapping[int, T]:
    """Ask for each by its id; whoever is not found is left out."""
    found: dict[int, T] = {}
    pending, done = iter(ids), 0

    async def ask_on() -> None:
        nonlocal done
        for key in pending:
            with suppress(NotFound):
                found[key] = await _persistently(partial(ask, key))
            done += 1
            on_step(name, done, len(ids))

    tasks = [asyncio.create_task(ask_on()) for _ in range(min(_AT_ONCE, len(ids)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return found


async def _persistently(call: Callable[[], Awaitable[T]]) -> T:
    """Make the call, again and again for a while if it is not answered; it must be one that only reads."""
    rng = random.Random()  # noqa: S311 - spreads calls, keeps no secret
    for failures in range(1, _ATTEMPTS):
        try:
            return await call()
        except (Transient, RateLimited) as error:
            await asyncio.sleep(_RETRY.wait_s(failures, rng, error.retry_after_s or 0.0))
    return await call()
