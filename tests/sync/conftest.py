"""The handlers on a small company in both systems."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from consumer.engine.handler import Handled
from consumer.engine.links import Links
from consumer.model.codec import Codec
from consumer.model.events import TimesheetEvent, UserEvent
from consumer.model.links import Link
from consumer.model.settings import CompanySettings
from consumer.sync.company import Company, company
from consumer.sync.timesheets import TimesheetHandler
from consumer.sync.users import UserHandler
from tests.contracts import ContractChecker
from tests.upstream.site import COMPANY, Site, company_data


@dataclass(slots=True)
class Office:
    """A company with its handlers and the links that they have made so far."""

    site: Site
    settings: CompanySettings
    links: Links = field(default_factory=lambda: Links(Codec()))
    company: Company = field(init=False)
    users: UserHandler = field(init=False)
    timesheets: TimesheetHandler = field(init=False)

    def __post_init__(self) -> None:
        """Make handlers that have read nothing yet."""
        self.restart()

    def restart(self, *, lose_links: bool = False) -> None:
        """As after a crash: nothing in memory but, unless they were not committed, the links."""
        if lose_links:
            self.links = Links(Codec())
        self.company = company(
            lambda: self.settings, "Granite Ridge", self.site.procore, self.site.smartbarrel
        )
        companies = {COMPANY: self.company}
        self.users = UserHandler(companies, self.links)
        self.timesheets = TimesheetHandler(companies, self.links)

    async def handle(self, event: UserEvent | TimesheetEvent) -> Handled:
        """Handle the event as the engine does: what it links is known from then on."""
        handler: Any = self.users if isinstance(event, UserEvent) else self.timesheets
        handled: Handled = await handler.handle(event)
        self.links.add_pending(handled.links)
        return handled

    def sync(self, event: UserEvent | TimesheetEvent) -> Handled:
        """Handle the event and wait for its outcome."""
        return self.site.run(self.handle(event))

    def link(self, link: Link) -> None:
        """Make a link known."""
        self.links.add_pending([link])


@pytest.fixture
def build(tmp_path: Path, contract_checker: ContractChecker) -> Iterator[Callable[..., Site]]:
    """Builds the systems with what ``company_data`` is to hold."""
    with ExitStack() as built:

        def one(*, unique_origin_ids: bool = True, **data: Any) -> Site:
            path = tmp_path / "sandbox.db"
            made = Site(path, contract_checker, company_data(**data), unique_origin_ids=unique_origin_ids)
            return built.enter_context(made)

        yield one


@pytest.fixture
def open_office(build: Callable[..., Site]) -> Callable[..., Office]:
    """Opens an office over what both systems hold; ``settings`` are the company's."""

    def one(settings: CompanySettings | None = None, **data: Any) -> Office:
        return Office(build(**data), settings or CompanySettings(COMPANY))

    return one


@pytest.fixture
def office(open_office: Callable[..., Office]) -> Office:
    """An office with Maria in Procore, and nobody in SmartBarrel."""
    return open_office()


@pytest.fixture
def site(build: Callable[..., Site]) -> Site:
    """The systems with Maria in Procore, and nobody in SmartBarrel."""
    return build()
