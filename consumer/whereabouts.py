"""Where the upstreams are: at their addresses in the settings, or in a sandbox that is started for it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consumer.config import CompanyConfig, Config
from consumer.sandbox.demo import load_demo
from consumer.sandbox.server import start
from consumer.upstreams import Addresses, addresses


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The upstreams' addresses, and the companies with what they need to be let in."""

    addresses: Addresses
    companies: Sequence[CompanyConfig]


@contextmanager
def whereabouts(config: Config, sandbox_state: Path) -> Iterator[Whereabouts]:
    """The real upstreams, or, if none are configured, a sandbox with its state in this file.

    The sandbox runs until the end. Raises as its ``start`` does.
    """
    if not config.uses_sandbox:
        yield Whereabouts(addresses(config), config.companies)
        return
    data = load_demo()
    with start(sandbox_state, data, faults=config.sandbox_faults) as sandbox:
        at = sandbox.address
        company = CompanyConfig.model_validate(
            {
                "company_id": data.procore["company"]["id"],
                "name": data.procore["company"]["name"],
                "smartbarrel_company_id": data.smartbarrel["company"]["id"],
                "procore_client_id": at.client_id,
                "procore_client_secret": at.client_secret,
                "smartbarrel_api_key": at.api_key,
            }
        )
        yield Whereabouts(Addresses(at.procore_url, at.procore_login_url, at.smartbarrel_url), [company])
