"""The catalogue of Avro schemas: every version of every record type that was ever written.

A version is the file ``avro/<record>/v<number>.avsc`` in the repository's ``schemas`` folder, which an
installed package carries as ``consumer/_schemas``. A released file is never edited: a change is a new
version beside the old ones, so that a replay can read what was written years ago.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Self

from fastavro.schema import SchemaParseException, fullname, parse_schema, to_parsing_canonical_form
from fastavro.schema import fingerprint as hash_of
from fastavro.types import Schema

import consumer
from consumer.exceptions import SchemaError


NAMESPACE = "crewsync"

_FILE_NAME = re.compile(r"v([1-9][0-9]*)\.avsc")


def parse(text: str) -> Schema:
    """The schema that a JSON text describes, with its names resolved. Raises SchemaError if it is none."""
    try:
        return parse_schema(json.loads(text))
    except (
        SchemaParseException,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise SchemaError(f"this is no Avro schema: {error}") from error


def fingerprint(schema: Schema) -> bytes:
    """CRC-64-AVRO of the parsing canonical form: eight bytes in the order of a value's header.

    See "Schema Fingerprints" in https://avro.apache.org/docs/1.12.0/specification/. The canonical form has no
    docs, defaults and logical types, so versions that differ only in these have one fingerprint.
    """
    return bytes.fromhex(hash_of(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of a record's schema."""

    record: str
    """Name of its folder, such as ``user-event``."""
    number: int
    """From 1 upwards, without gaps."""
    name: str
    """The record's full name, such as ``crewsync.UserEvent``; also its subject in a schema registry."""
    text: str
    """The schema as JSON on one line."""
    fingerprint: bytes
    """As ``fingerprint`` gives it."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """The version in a file. Raises SchemaError if the file does not hold one."""
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise SchemaError(f"{path} is not called v<number>.avsc")
        try:
            content = path.read_text(encoding="utf-8")
            schema = parse(content)
        except (OSError, UnicodeError, SchemaError) as error:
            raise SchemaError(f"{path} cannot be read: {error}") from error
        if not isinstance(schema, dict) or schema["type"] != "record":
            raise SchemaError(f"{path} does not describe a record")
        return cls(
            record=path.parent.name,
            number=int(match[1]),
            name=fullname(schema),
            text=json.dumps(json.loads(content), separators=(",", ":")),
            fingerprint=fingerprint(schema),
        )


@dataclass(frozen=True)
class Catalogue:
    """All versions of all records, ordered by record and number."""

    versions: tuple[SchemaVersion, ...]

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """Read all versions in a folder, by default the project's own. Raises SchemaError if one is wrong."""
        folder = folder or schema_folder()
        versions = [SchemaVersion.read(path) for path in folder.glob("*/*.avsc")]
        if not versions:
            raise SchemaError(f"there are no schemas in {folder}")
        versions.sort(key=lambda version: (version.record, version.number))
        catalogue = cls(tuple(versions))
        for name, of_record in catalogue.by_name.items():
            if [version.number for version in of_record] != list(range(1, len(of_record) + 1)):
                raise SchemaError(f"the versions of {name} in {folder} are not numbered 1, 2, 3 …")
            if len({version.record for version in of_record}) > 1:
                raise SchemaError(f"{name} is in more than one folder of {folder}")
        return catalogue

    @cached_property
    def by_name(self) -> Mapping[str, tuple[SchemaVersion, ...]]:
        """The versions of each record, oldest first, by the record's full name."""
        names = {version.name: () for version in self.versions}
        return MappingProxyType(
            {name: tuple(version for version in self.versions if version.name == name) for name in names}
        )

    def newest(self, name: str) -> SchemaVersion:
        """The newest version of the record with this full name. Raises SchemaError if there is none."""
        try:
            return self.by_name[name][-1]
        except KeyError:
            raise SchemaError(f"there is no schema called {name}") from None


def schema_folder(package: Path | None = None) -> Path:
    """Where the Avro schemas are: inside the import package if it is installed, else beside it."""
    package = package or Path(consumer.__file__).parent
    installed = package / "_schemas" / "avro"
    return installed if installed.is_dir() else package.parent / "schemas" / "avro"
