"""All that a handler needs of one company."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from consumer.exceptions import Misconfigured
from consumer.model.settings import CompanySettings
from consumer.sync.classifications import Classifications
from consumer.sync.codes import ProjectCodes
from consumer.sync.directory import Directory
from consumer.sync.entries import Entries
from consumer.sync.positions import Positions
from consumer.sync.projects import Projects
from consumer.sync.roster import Roster
from consumer.sync.workers import Workers
from consumer.upstream.procore import Procore
from consumer.upstream.smartbarrel import SmartBarrel


@dataclass(frozen=True, slots=True)
class Company:
    """A company with what it has chosen, its two upstreams, and what was read from Procore."""

    name: str
    choices: Callable[[], CompanySettings]
    procore: Procore
    smartbarrel: SmartBarrel
    directory: Directory
    codes: ProjectCodes
    classifications: Classifications
    positions: Positions
    roster: Roster
    workers: Workers
    entries: Entries
    projects: Projects
    linking: set[str] = field(default_factory=set)
    """Workers who are being linked at this moment."""
    linked: dict[str, str] = field(default_factory=dict)
    """Workers whom this process has linked, each with the external id of the user who has them."""

    @property
    def settings(self) -> CompanySettings:
        """What the company has chosen, as of now."""
        return self.choices()

    @property
    def company_id(self) -> int:
        """Procore's id of it."""
        return self.procore.company_id

    def renew(self) -> None:
        """Read everything anew before it is used again."""
        self.directory.renew()
        self.codes.renew()
        self.classifications.renew()
        self.positions.renew()
        self.roster.renew()
        self.workers.renew()
        self.entries.renew()
        self.projects.renew()


Companies = Mapping[int, Company]
"""By Procore's company id."""


def set_up(companies: Companies, company_id: int) -> Company:
    """The company. Raises Misconfigured if it is not in the settings."""
    found = companies.get(company_id)
    if found is None:
        raise Misconfigured("settings", "company", None)
    return found


def company(
    choices: Callable[[], CompanySettings], name: str, procore: Procore, smartbarrel: SmartBarrel
) -> Company:
    """A company with nothing read yet."""
    classifications = Classifications(procore)
    return Company(
        name,
        choices,
        procore,
        smartbarrel,
        Directory(procore),
        ProjectCodes(procore),
        classifications,
        Positions(smartbarrel, classifications, procore.company_id),
        Roster(smartbarrel),
        Workers(smartbarrel),
        Entries(procore),
        Projects(procore),
    )
