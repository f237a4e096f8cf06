"""Whether every version of every schema can be read, stays as it was released, and fits the others."""

from collections.abc import Iterator, Mapping

from consumer.doctor.findings import Finding, fail, ok, warn
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.compatibility import conflicts, digests, released
from consumer.model.registry import SchemaRegistry, SchemaRegistryError
from consumer.model.schemas import Catalogue, SchemaVersion


Ids = Mapping[SchemaVersion, int | None]
"""What a schema registry has each version under; None for one that is not registered."""

_INSTALL_ANEW = "install crewsync anew: its schemas are not those that it was released with"


def catalogue_findings() -> Iterator[Finding]:
    """What is wrong with the schemas that crewsync itself brings along."""
    try:
        catalogue = Catalogue.load()
        locked = released()
    except SchemaError as error:
        yield fail(f"schemas: {error}", _INSTALL_ANEW)
        return
    found = [*_changed(digests(catalogue), locked), *_conflicts(catalogue), *_unusable(catalogue)]
    yield from found or [
        ok(f"schemas: all {len(catalogue.versions)} can be read, are as released, and fit each other")
    ]


def ids_of(registry: SchemaRegistry, catalogue: Catalogue) -> Ids:
    """What the registry has each version under; nothing is registered. Raises SchemaRegistryError."""
    return {version: registry.registered(version.name, version.text) for version in catalogue.versions}


def registry_findings(ids: Ids) -> Iterator[Finding]:
    """Which versions the schema registry does not have."""
    missing = [f"{version.name} v{version.number}" for version, number in ids.items() if number is None]
    if missing:
        yield warn(
            f"schema registry: {len(missing)} of {len(ids)} schemas are not registered: {', '.join(missing)}",
            "crewsync schemas register, with an account that may",
        )
    else:
        yield ok(f"schema registry: all {len(ids)} schemas are registered")


def registry_failure(error: SchemaRegistryError) -> Finding:
    """The registry does not do what it is asked."""
    return fail(
        f"schema registry: {error}",
        "see that it runs, and that CREWSYNC_SCHEMA_REGISTRY_URL has its address and, if it wants them, a "
        "user name and a password",
    )


def _changed(
    found: Mapping[str, Mapping[str, str]], locked: Mapping[str, Mapping[str, str]] | None
) -> Iterator[Finding]:
    if locked is None:
        return
    for name in sorted(found.keys() | locked.keys()):
        if name not in locked:
            yield fail(f"schemas: {name} was never released", _INSTALL_ANEW)
        elif name not in found:
            yield fail(f"schemas: {name} is missing, so what it has written cannot be read", _INSTALL_ANEW)
        elif found[name] != locked[name]:
            yield fail(f"schemas: {name} was changed after its release", _INSTALL_ANEW)


def _conflicts(catalogue: Catalogue) -> Iterator[Finding]:
    for (older, newer), problems in conflicts(catalogue).items():
        yield fail(
            f"schemas: {older.name} v{older.number} and v{newer.number} do not fit: {'; '.join(problems)}",
            _INSTALL_ANEW,
        )


def _unusable(catalogue: Catalogue) -> Iterator[Finding]:
    try:
        Codec(catalogue)
    except SchemaError as error:
        yield fail(f"schemas: {error}", _INSTALL_ANEW)
