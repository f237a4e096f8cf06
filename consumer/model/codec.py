"""Values of records: the dataclasses of this package to and from Avro.

A value carries a header that names its writer's schema, in one of two framings:

- single object: ``C3 01`` and the schema's fingerprint
  (https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding);
- schema registry: ``00`` and the schema's id in the registry, four bytes, the highest first
  (https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format).

No error message holds a value of a field: they end up in logs, and records hold personal data.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import Any, TypeVar, overload

from fastavro import schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError
from fastavro.schema import expand_schema, fullname, parse_schema
from fastavro.types import Schema

from consumer.exceptions import SchemaError, UndecodableValue, UnknownSchema
from consumer.model.avro_values import Convert, record_converters, without_logical_types
from consumer.model.deadletters import DeadLetter
from consumer.model.events import SyncCommand, TimesheetEvent, UserEvent
from consumer.model.links import Link
from consumer.model.notices import WebhookNotice
from consumer.model.registry import SchemaRegistry
from consumer.model.results import Result, RunMarker
from consumer.model.schemas import NAMESPACE, Catalogue, fingerprint, parse
from consumer.model.settings import CompanySettings


RECORD_TYPES: tuple[type, ...] = (
    UserEvent,
    TimesheetEvent,
    SyncCommand,
    Result,
    RunMarker,
    Link,
    CompanySettings,
    DeadLetter,
    WebhookNotice,
)
"""Every type that can stand as the value of a record."""

SINGLE_OBJECT = b"\xc3\x01"
REGISTRY = b"\x00"

_SINGLE_OBJECT_HEADER = len(SINGLE_OBJECT) + 8
_REGISTRY_HEADER = len(REGISTRY) + 4
_CACHED_IDS = 1000

# What fastavro lets out for data that do not fit: it has no error of its own for them.
_MISFIT = (
    EOFError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    SchemaResolutionError,
)

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True, eq=False)
class _Kind:
    """A type that has a schema: how it is written, and what readers turn old versions into."""

    type: type
    name: str
    text: str
    fingerprint: bytes
    schema: Schema
    to_avro: Convert
    from_avro: Convert


@dataclass(frozen=True, slots=True)
class _Writer:
    """A schema with which values were written. ``reader`` is None if no resolution is needed.

    ``kind`` is None if this project has no type for such values.
    """

    name: str
    schema: Schema
    reader: Schema | None = None
    kind: _Kind | None = None


@dataclass(frozen=True)
class Codec:
    """Encodes with the newest schema of a type, decodes what any known version has written.

    With a registry, values are written with the registry's ids, and schemas that are only known there can be
    read; without one, with fingerprints. Either framing is read if it can be. Threads may share a codec.
    Raises SchemaError if a type and its newest schema do not agree.
    """

    catalogue: Catalogue = field(default_factory=Catalogue.load)
    registry: SchemaRegistry | None = None
    _kinds: Mapping[type, _Kind] = field(init=False, repr=False, compare=False)
    _writers: Mapping[bytes, _Writer] = field(init=False, repr=False, compare=False)
    _header: Callable[[_Kind], bytes] = field(init=False, repr=False, compare=False)
    _registered: Callable[[int], _Writer] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kinds = {cls: _kind(cls, self.catalogue) for cls in RECORD_TYPES}
        object.__setattr__(self, "_kinds", kinds)
        writers = {
            version.fingerprint: self._writer(parse(version.text), version.fingerprint)
            for version in self.catalogue.versions
        }
        object.__setattr__(self, "_writers", writers)
        object.__setattr__(self, "_header", lru_cache(maxsize=len(RECORD_TYPES))(self._make_header))
        object.__setattr__(self, "_registered", lru_cache(maxsize=_CACHED_IDS)(self._ask_registry))

    def encode(self, value: object) -> bytes:
        """The value with its header.

        Raises SchemaError if it is of no known type or does not fit the schema, such as a moment without a
        time zone; SchemaRegistryError if the schema has no id yet and the registry gives none.
        """
        kind = self._kinds.get(type(value))
        if kind is None:
            raise SchemaError(f"There is no schema for a {type(value).__name__}.")
        buffer = BytesIO()
        buffer.write(self._header(kind))
        try:
            schemaless_writer(buffer, kind.schema, kind.to_avro(value))
        except _MISFIT as error:
            raise SchemaError(
                f"A {kind.type.__name__} does not fit its schema ({type(error).__name__})."
            ) from None
        return buffer.getvalue()

    @overload
    def decode(self, data: bytes, one: type[T], /) -> T: ...
    @overload
    def decode(self, data: bytes, one: type[A], other: type[B], /) -> A | B: ...
    @overload
    def decode(self, data: bytes, *types: type) -> Any: ...
    def decode(self, data: bytes, *types: type) -> Any:
        """The value of one of the types that may stand here, whichever version has written it.

        Raises UndecodableValue if the bytes are no such value; UnknownSchema if their header names a schema
        that is not known, or needs a registry; SchemaRegistryError if the registry does not answer, which
        says nothing about the value.
        """
        writer, start = self._framing(data)
        kind = writer.kind
        if kind is None or kind.type not in types:
            expected = " or ".join(cls.__name__ for cls in types)
            raise UndecodableValue(f"The value is a {writer.name}; {expected} may stand here.")
        source = BytesIO(data)
        source.seek(start)
        try:
            record = schemaless_reader(source, writer.schema, writer.reader)
            value = kind.from_avro(record)
        except EOFError:
            raise UndecodableValue(f"The {writer.name} is cut off.") from None
        except _MISFIT as error:
            raise UndecodableValue(f"The {writer.name} is malformed ({type(error).__name__}).") from None
        if source.tell() != len(data):
            raise UndecodableValue(
                f"The {writer.name} is followed by {len(data) - source.tell()} more bytes."
            )
        return value

    def _framing(self, data: bytes) -> tuple[_Writer, int]:
        """Who has written the data, and where the value begins."""
        if data[:2] == SINGLE_OBJECT and len(data) >= _SINGLE_OBJECT_HEADER:
            name = data[2:_SINGLE_OBJECT_HEADER]
            writer = self._writers.get(name)
            if writer is None:
                raise UnknownSchema(f"No known schema has the fingerprint {name.hex()}.")
            return writer, _SINGLE_OBJECT_HEADER
        if data[:1] == REGISTRY and len(data) >= _REGISTRY_HEADER:
            schema_id = int.from_bytes(data[1:_REGISTRY_HEADER])
            return self._registered(schema_id), _REGISTRY_HEADER
        if not data:
            raise UndecodableValue("The value is empty.")
        if data[:2] == SINGLE_OBJECT[: len(data)] or data[:1] == REGISTRY:
            raise UndecodableValue("The value is cut off within its header.")
        raise UndecodableValue(
            "The value begins with neither C3 01 (single object) nor 00 (schema registry)."
        )

    def _make_header(self, kind: _Kind) -> bytes:
        if self.registry is None:
            return SINGLE_OBJECT + kind.fingerprint
        return REGISTRY + self.registry.schema_id(kind.name, kind.text).to_bytes(4)

    def _ask_registry(self, schema_id: int) -> _Writer:
        if self.registry is None:
            raise UnknownSchema(
                f"Reading this value needs a schema registry, which has its schema as id {schema_id}."
            )
        text = self.registry.schema(schema_id)
        try:
            schema = parse(text) if text is not None else None
        except SchemaError:
            schema = None
        if schema is None:
            return _Writer(name="value of a schema that is not Avro", schema="null")
        mark = fingerprint(schema)
        return self._writers.get(mark) or self._writer(schema, mark)

    def _writer(self, schema: Schema, mark: bytes) -> _Writer:
        if not isinstance(schema, dict) or schema["type"] != "record":
            return _Writer(name="value that is no record", schema=schema)
        name = fullname(schema)
        kind = next((kind for kind in self._kinds.values() if kind.name == name), None)
        if kind is None:
            return _Writer(name, schema)
        if mark == kind.fingerprint:
            return _Writer(kind.type.__name__, kind.schema, None, kind)
        return _Writer(kind.type.__name__, parse_schema(without_logical_types(schema)), kind.schema, kind)


def _kind(cls: type, catalogue: Catalogue) -> _Kind:
    version = catalogue.newest(f"{NAMESPACE}.{cls.__name__}")
    schema = parse(version.text)
    to_avro, from_avro = record_converters(cls, expand_schema(schema), cls.__name__)
    return _Kind(
        type=cls,
        name=version.name,
        text=version.text,
        fingerprint=version.fingerprint,
        schema=parse_schema(without_logical_types(json.loads(version.text))),
        to_avro=to_avro,
        from_avro=from_avro,
    )
