"""The companies with their clients: from the settings, or for the sandbox."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import httpx
from pydantic import SecretStr

from consumer.config import CompanyConfig, Config
from consumer.exceptions import ConfigurationError
from consumer.model.codec import Codec
from consumer.secret import Secret
from consumer.sync.company import Companies, Company, company
from consumer.sync.settings import Settings
from consumer.upstream import procore, smartbarrel
from consumer.upstream.budget import Budget
from consumer.upstream.budget_metrics import BUDGETS
from consumer.upstream.http import http_client
from consumer.upstream.procore_tokens import ProcoreCredentials, TokenSource


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Upstreams:
    """Every company, and the connections that they share."""

    companies: Companies
    clients: Sequence[httpx.AsyncClient]

    async def close(self) -> None:
        """Close the connections."""
        for client in self.clients:
            await client.aclose()


async def closing_after(work: Awaitable[T], upstreams: Upstreams) -> T:
    """What the work gives; then the connections are closed, on the loop on which they were opened."""
    try:
        return await work
    finally:
        await upstreams.close()


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs of the upstreams."""

    procore: str
    procore_login: str
    smartbarrel: str


def addresses(config: Config) -> Addresses:
    """Where the real upstreams are."""
    if config.smartbarrel_url is None:
        raise ConfigurationError("no SmartBarrel address is set")
    return Addresses(str(config.procore_url), str(config.procore_login_url), str(config.smartbarrel_url))


def connect_upstreams(
    where: Addresses,
    companies: Sequence[CompanyConfig],
    config: Config,
    transport: httpx.AsyncBaseTransport | None = None,
    *,
    settings: Settings | None = None,
) -> Upstreams:
    """Make the clients: one connection pool per server, one token per pair of Procore credentials.

    ``settings`` are what the companies have chosen since; without them, what they were set up with holds.
    """
    chosen = settings or Settings(Codec(), (one.settings for one in companies))
    api = http_client(where.procore, transport)
    login = http_client(where.procore_login, transport)
    barrel = http_client(where.smartbarrel, transport)
    tokens: dict[ProcoreCredentials, TokenSource] = {}
    made: dict[int, Company] = {}
    for one in companies:
        credentials = ProcoreCredentials(
            _secret(one.procore_client_id, config.secret("procore_client_id")),
            _secret(one.procore_client_secret, config.secret("procore_client_secret")),
        )
        source = tokens.setdefault(credentials, TokenSource(login, credentials))
        account = smartbarrel.SmartBarrelAccount(
            one.smartbarrel_company_id, _secret(one.smartbarrel_api_key, config.secret("smartbarrel_api_key"))
        )
        made[one.company_id] = company(
            partial(chosen.of, one.company_id),
            one.name,
            procore.Procore(api, source, one.company_id, _budget(procore.NAME, one)),
            smartbarrel.SmartBarrel(barrel, account, one.company_id, _budget(smartbarrel.NAME, one)),
        )
    return Upstreams(made, (api, login, barrel))


def _budget(system: str, company: CompanyConfig) -> Budget:
    return Budget(BUDGETS.of(system, company.company_id))


def _secret(own: SecretStr | None, common: Secret | None) -> Secret:
    secret = Secret(own.get_secret_value()) if own else common
    if secret is None:
        raise ConfigurationError("a company has no credentials")
    return secret
