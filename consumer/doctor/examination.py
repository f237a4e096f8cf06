"""The whole examination: every check in turn, whatever the ones before it have found."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from consumer.config import Config
from consumer.doctor.broker import broker_findings
from consumer.doctor.clock import Skews, clock_findings
from consumer.doctor.companies import company_findings
from consumer.doctor.files import folder_findings, secret_findings
from consumer.doctor.findings import Finding, fail, ok
from consumer.doctor.schemas import catalogue_findings, ids_of, registry_failure, registry_findings
from consumer.exceptions import ConfigurationError, SchemaError
from consumer.model.registry import SchemaRegistry, SchemaRegistryError
from consumer.model.schemas import Catalogue
from consumer.topics import TopicNames
from consumer.upstreams import Upstreams, closing_after, connect_upstreams
from consumer.whereabouts import whereabouts


ENV_FILE = Path(".env")


def settings_findings(error: ConfigurationError) -> Sequence[Finding]:
    """A line for every problem of settings that could not be read; nothing else can be looked at then."""
    first, *others = str(error).splitlines()
    remedy = "put it right in the environment or in .env; the README lists every setting"
    return [fail(f"settings: {line.strip()}", remedy) for line in others or [first]]


def examine(config: Config, given: Mapping[str, str]) -> Iterator[Finding]:
    """Check everything, one finding at a time; ``given`` are all variables, which name secrets' files."""
    yield ok(f"settings: {_settings_words(config)}")
    yield from secret_findings(given, ENV_FILE)
    yield from folder_findings("log directory", config.log_dir)
    yield from broker_findings(config.broker_url, TopicNames(config.topic_prefix).specs(), config.security)
    yield from catalogue_findings()
    if config.schema_registry_url is not None:
        yield from _registry(config.schema_registry_url.get_secret_value())
    yield from _upstreams(config)


def _settings_words(config: Config) -> str:
    if config.uses_sandbox:
        return "no real upstreams are set, so the sandbox stands in for both"
    count = len(config.companies)
    return f"they are complete, for {count} {'company' if count == 1 else 'companies'}"


def _registry(url: str) -> Iterator[Finding]:
    try:
        catalogue = Catalogue.load()
        with closing(SchemaRegistry(url)) as registry:
            yield from registry_findings(ids_of(registry, catalogue))
    except SchemaRegistryError as error:
        yield registry_failure(error)
    except ConfigurationError as error:
        yield fail(f"schema registry: {error}", "set CREWSYNC_SCHEMA_REGISTRY_URL right")
    except SchemaError:
        # Told already, with the schemas.
        return


def _upstreams(config: Config) -> Iterator[Finding]:
    with ExitStack() as stack:
        state = config.sandbox_state
        if config.uses_sandbox and not state.exists():
            # The demo's first start makes it; to look at a set-up leaves nothing behind.
            state = Path(stack.enter_context(TemporaryDirectory())) / "sandbox.db"
        try:
            where = stack.enter_context(whereabouts(config, state))
        except ConfigurationError as error:
            yield fail(f"sandbox: {error}", "move its file away, or set CREWSYNC_SANDBOX_STATE to another")
            return
        except OSError as error:
            yield fail(f"sandbox: it does not start ({error})", "see that loopback ports and memory are free")
            return
        upstreams = connect_upstreams(where.addresses, where.companies, config)
        skews = Skews()
        for client, name in zip(
            upstreams.clients, ("Procore", "Procore's login server", "SmartBarrel"), strict=True
        ):
            skews.watch(client, name)
        yield from asyncio.run(closing_after(_companies(upstreams), upstreams))
        yield from clock_findings(skews.seen)


async def _companies(upstreams: Upstreams) -> Sequence[Finding]:
    return [
        finding for company in upstreams.companies.values() for finding in await company_findings(company)
    ]
