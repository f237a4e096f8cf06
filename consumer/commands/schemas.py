"""``schemas``: check every version of every schema, and register them with a schema registry."""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing

import typer

from consumer.commands.options import Json
from consumer.config import Config, load
from consumer.doctor.findings import Finding, finding_text, findings_document, is_failed
from consumer.doctor.schemas import Ids, catalogue_findings, ids_of, registry_failure, registry_findings
from consumer.exceptions import ConfigurationError
from consumer.model.registry import SchemaRegistry, SchemaRegistryError
from consumer.model.schemas import Catalogue, SchemaVersion


app = typer.Typer(no_args_is_help=True, help="Check the Avro schemas, and register them.")


@app.command("check")
def check(as_json: Json = False) -> None:
    """Check that every version can be read, is as released, fits the others and, if set, is registered.

    Nothing is registered. The exit code is 1 if anything is wrong.
    """
    config = load()
    found = list(catalogue_findings())
    # With schemas that cannot be read there is nothing to ask a registry for.
    versions = () if is_failed(found) else Catalogue.load().versions
    ids: Ids = {}
    if config.schema_registry_url is not None and versions:
        try:
            with closing(_registry(config)) as registry:
                ids = ids_of(registry, Catalogue.load())
            found += registry_findings(ids)
        except SchemaRegistryError as error:
            found.append(registry_failure(error))
    _say(versions, {version: _where(ids, version) for version in versions}, ids, found, as_json=as_json)
    if is_failed(found):
        raise typer.Exit(1)


@app.command("register")
def register(as_json: Json = False) -> None:
    """Register every version, oldest first, with the schema registry, and say which were there."""
    config = load()
    versions = Catalogue.load().versions
    words: dict[SchemaVersion, str] = {}
    ids: dict[SchemaVersion, int | None] = {}
    with closing(_registry(config)) as registry:
        for version in versions:
            before = registry.registered(version.name, version.text)
            number = registry.schema_id(version.name, version.text) if before is None else before
            ids[version] = number
            words[version] = f"{'registered' if before is None else 'was there'}, id {number}"
    _say(versions, words, ids, [], as_json=as_json)


def _registry(config: Config) -> SchemaRegistry:
    if config.schema_registry_url is None:
        raise ConfigurationError(
            "no schema registry is set: set CREWSYNC_SCHEMA_REGISTRY_URL; without one, values carry their "
            "schema's fingerprint, and nothing has to be registered"
        )
    return SchemaRegistry(config.schema_registry_url.get_secret_value())


def _where(ids: Ids, version: SchemaVersion) -> str:
    if version not in ids:
        return ""
    return "not registered" if ids[version] is None else f"id {ids[version]}"


def _say(
    versions: Sequence[SchemaVersion],
    words: Mapping[SchemaVersion, str],
    ids: Ids,
    found: Sequence[Finding],
    *,
    as_json: bool,
) -> None:
    if as_json:
        document = {
            "ok": not is_failed(found),
            "schemas": [
                {
                    "name": version.name,
                    "version": version.number,
                    "fingerprint": version.fingerprint.hex(),
                    "registry_id": ids.get(version),
                    "said": words[version],
                }
                for version in versions
            ],
            "findings": findings_document(found),
        }
        sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
        return
    for version in versions:
        line = f"{version.name} v{version.number}, fingerprint {version.fingerprint.hex()}"
        sys.stdout.write(f"{line}, {words[version]}\n" if words[version] else f"{line}\n")
    for finding in found:
        sys.stdout.write(f"{finding_text(finding)}\n")
