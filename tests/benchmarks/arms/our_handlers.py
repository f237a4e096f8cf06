"""The handlers of our arms."""

from collections.abc import Mapping
from typing import Any, cast

from consumer.engine.handler import Handled, Subject
from consumer.engine.links import Links
from consumer.model.events import Kind, UserEvent
from consumer.model.links import Link
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from consumer.sync.company import Company, company
from consumer.sync.users import UserHandler
from consumer.upstream.http import http_client
from tests.benchmarks.client import Waiting, checked, number_of
from tests.benchmarks.events import COMPANY
from tests.benchmarks.task import Task


_UNCHANGED = Handled(Outcome.UNCHANGED)
_UPDATED = Handled(Outcome.UPDATED)


def handler_of(task: Task, links: Links) -> Any:
    """The handler that the task's variant names."""
    if task.variant == "users":
        return UserHandler(_companies(), links)
    upstream = WaitingHttpx(task) if task.variant == "httpx" else Waiting(task.upstream_port)
    return BenchHandler(task.work_ms, upstream)


class WaitingHttpx:
    """The same calls through the HTTP client that the real handlers have."""

    def __init__(self, task: Task) -> None:
        self._client = http_client(f"http://127.0.0.1:{task.upstream_port}")

    async def upsert(self, event: UserEvent, work_ms: int) -> None:
        """Make the call that an event leads to."""
        path = f"/{event.company_id}/{event.user_id}/{number_of(event)}/{work_ms}"
        checked((await self._client.post(path, json={"first_name": event.first_name})).status_code)

    async def probe(self, company_id: int) -> None:
        """See whether the company is served. Raises Misconfigured if not."""
        checked((await self._client.get(f"/probe/{company_id}")).status_code)


class BenchHandler:
    """One call for each event, or, with no work, none: then nothing has changed."""

    kind = Kind.USERS

    def __init__(self, work_ms: int, upstream: Waiting | WaitingHttpx) -> None:
        self._work_ms = work_ms
        self._upstream = upstream

    def subject(self, event: UserEvent) -> Subject:
        """The user."""
        name = f"{event.first_name} {event.last_name}"
        return Subject(str(event.user_id), name, event.asked_at, event.run_id)

    def at_once(self, event: UserEvent) -> Handled | None:
        """Unchanged, if there is no work; None if the call must be made."""
        del event
        return None if self._work_ms else _UNCHANGED

    async def handle(self, event: UserEvent) -> Handled:
        """Make the call. Raises Misconfigured where the upstream refuses the company."""
        if not self._work_ms:
            return _UNCHANGED
        await self._upstream.upsert(event, self._work_ms)
        return _UPDATED

    async def probe(self, company_id: int) -> None:
        """A cheap call. Raises Misconfigured where the upstream refuses the company."""
        await self._upstream.probe(company_id)

    def in_doubt(self, event: UserEvent) -> tuple[Link, ...]:
        """Nothing is kept."""
        del event
        return ()

    def renew(self) -> None:
        """Nothing is kept."""


def _companies() -> Mapping[int, Company]:
    """The one company. Nothing has changed, so neither of its upstreams is ever called."""
    nobody = cast("Any", None)
    settings = CompanySettings(COMPANY, autosync_users=True, auto_sync_time_card=True)
    return {COMPANY: company(lambda: settings, "Granite Ridge Builders", nobody, nobody)}
