"""A run's events, page by page, from the upstream that is the source."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from consumer.engine.clock import Clock
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import RateLimited, Transient
from consumer.model.events import Event, Kind, SyncCommand, TimesheetEvent, UserEvent
from consumer.sync.company import Company
from consumer.upstream.budget import be_patient


_LIMITED_S = 7200.0
"""How long an upstream may ask for one pause after the other: longer than an hourly budget lasts."""


async def read_pages(
    company: Company,
    command: SyncCommand,
    give: Callable[[Sequence[Event]], Awaitable[None]],
    *,
    retry: RetryPolicy,
    clock: Clock,
    rng: random.Random,
) -> None:
    """Give all users or timesheets that the command is about. After a failure pages may be given again.

    With *Sync Classifications* on, all of Procore's become positions before, whether or not a user has them.

    Raises UpstreamError: Transient once the upstream has not answered for as long as ``retry`` says.
    """
    be_patient()
    failures, since = 0, clock.now()

    async def given(page: Sequence[Event]) -> None:
        nonlocal failures, since
        await give(page)
        failures, since = 0, clock.now()

    while True:
        try:
            await _read(company, command, given)
        except RateLimited as error:
            if clock.now() > since + _LIMITED_S:
                raise
            await clock.sleep(error.retry_after_s)
        except Transient as error:
            failures += 1
            wait = retry.wait_s(failures, rng, error.retry_after_s or 0.0)
            if retry.is_over(since, clock.now(), wait):
                raise
            await clock.sleep(wait)
        else:
            return


async def _read(
    company: Company, command: SyncCommand, give: Callable[[Sequence[Event]], Awaitable[None]]
) -> None:
    settings = company.settings
    if command.kind is Kind.USERS and settings.user_sync and settings.sync_classifications:
        await company.positions.sync_all()
    async for page in _pages(company, command):
        await give(page)


def _pages(
    company: Company, command: SyncCommand
) -> AsyncIterator[Sequence[UserEvent]] | AsyncIterator[Sequence[TimesheetEvent]]:
    if command.kind is Kind.USERS:
        return company.procore.users()
    return company.smartbarrel.timesheets(command.first_day, command.last_day, command.project_id)
