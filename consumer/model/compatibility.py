"""Whether any two versions of a record read each other's values.

The rules are those of "Schema Resolution" in https://avro.apache.org/docs/1.12.0/specification/, but
stricter: no number is promoted, as that could not be undone on the way back, and there are no aliases. They
see what fastavro leaves to the reader: logical types and full names.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastavro.schema import expand_schema

from consumer.exceptions import SchemaError
from consumer.model.schemas import Catalogue, SchemaVersion, schema_folder


_ATTRIBUTES = ("size", "logicalType", "precision", "scale")


def incompatible(older: Any, newer: Any) -> list[str]:
    """What breaks a rule, either way, between two schemas as JSON; one line each."""
    one, other = expand_schema(older), expand_schema(newer)
    return [*_unreadable(one, other, "newer reader"), *_unreadable(other, one, "older reader")]


def conflicts(catalogue: Catalogue) -> Mapping[tuple[SchemaVersion, SchemaVersion], list[str]]:
    """What is incompatible between each version and the earlier ones of its record, where anything is."""
    found = {
        (older, newer): incompatible(json.loads(older.text), json.loads(newer.text))
        for versions in catalogue.by_name.values()
        for newer in versions
        for older in versions[: newer.number - 1]
    }
    return {pair: problems for pair, problems in found.items() if problems}


def digests(catalogue: Catalogue) -> Mapping[str, Mapping[str, str]]:
    """What ``released.json`` holds of each version, by its folder and number."""
    return {
        f"{version.record}/v{version.number}": {
            "fingerprint": version.fingerprint.hex(),
            "sha256": hashlib.sha256(version.text.encode()).hexdigest(),
        }
        for version in catalogue.versions
    }


def released(folder: Path | None = None) -> Mapping[str, Mapping[str, str]] | None:
    """The digests of the versions that were released; None if no file tells. Raises SchemaError."""
    path = (folder or schema_folder()) / "released.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise SchemaError(f"{path} is no JSON object")
    return document


def _unreadable(writer: Any, reader: Any, where: str) -> Iterator[str]:
    """Why some value of the writer's schema cannot be read with the reader's; names are spelt out."""
    if isinstance(writer, list) or isinstance(reader, list):
        yield from _unreadable_branches(writer, reader, where)
    elif _kind_of(writer) != _kind_of(reader):
        yield f"{where}: {_kind_of(writer)} is read as {_kind_of(reader)}"
    elif _kind_of(writer) == "array":
        yield from _unreadable(writer["items"], reader["items"], f"{where}[]")
    elif _kind_of(writer) == "map":
        yield from _unreadable(writer["values"], reader["values"], f"{where}{{}}")
    elif _kind_of(writer).startswith("enum "):
        lost = set(writer["symbols"]) - set(reader["symbols"])
        if lost and "default" not in reader:
            yield f"{where}: nobody reads {', '.join(sorted(lost))}"
    elif _kind_of(writer).startswith("record "):
        yield from _unreadable_fields(writer, reader, where)


def _unreadable_branches(writer: Any, reader: Any, where: str) -> Iterator[str]:
    """The same of two types of which at least one is a union."""
    options = reader if isinstance(reader, list) else [reader]
    for branch in writer if isinstance(writer, list) else [writer]:
        problems = [list(_unreadable(branch, option, where)) for option in options]
        if all(problems):
            same_kind = [
                found
                for found, option in zip(problems, options, strict=True)
                if _kind_of(branch) == _kind_of(option)
            ]
            yield from same_kind[0] if same_kind else [f"{where}: nobody reads {_kind_of(branch)}"]


def _unreadable_fields(writer: Any, reader: Any, where: str) -> Iterator[str]:
    """The same of two records."""
    written = {field["name"]: field["type"] for field in writer["fields"]}
    for field in reader["fields"]:
        if field["name"] in written:
            yield from _unreadable(written[field["name"]], field["type"], f"{where}.{field['name']}")
        elif "default" not in field:
            yield f"{where}.{field['name']}: is not written and has no default"


def _kind_of(schema: Any) -> str:
    """What must be equal on both sides: the type, with its name, size and logical type."""
    if not isinstance(schema, dict):
        return str(schema)
    parts = [schema["type"], schema.get("name"), *(schema.get(key) for key in _ATTRIBUTES)]
    return " ".join(str(part) for part in parts if part is not None)
