"""Values of records: the dataclasses of this package to and from Avro.

A value carries a header that names its writer's schema, in one of two framings:

- single object: ``C3 01`` and the schema's fingerprint
  (https://avro.apache.org/docs/1.12.0/specification/#single-object-encoding);
- schema registry: ``00`` and the schema's id in the registry, four bytes, the highest first
  (https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format).

No error message holds a value of a field: they end up in logs, and records hold personal data.

Moments, days and decimals are converted here and not by fastavro, which takes a naive datetime for local time
and rounds a decimal that has too many digits, both in silence. What to convert is found out once per type.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from operator import attrgetter
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints, overload

from fastavro import schemaless_reader, schemaless_writer
from fastavro.read import SchemaResolutionError
from fastavro.schema import expand_schema, fullname, parse_schema
from fastavro.types import DictSchema, Schema

from consumer.exceptions import SchemaError, UndecodableValue, UnknownSchema
from consumer.model.deadletters import DeadLetter
from consumer.model.events import SyncCommand, TimesheetEvent, UserEvent
from consumer.model.links import Link
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

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Mapper:
    """Both ways between a value and its Avro form; None where it stands for itself."""

    to_avro: Convert | None = None
    from_avro: Convert | None = None


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
        return _Writer(kind.type.__name__, parse_schema(_without_logical_types(schema)), kind.schema, kind)


def _kind(cls: type, catalogue: Catalogue) -> _Kind:
    version = catalogue.newest(f"{NAMESPACE}.{cls.__name__}")
    schema = parse(version.text)
    to_avro, from_avro = _record(cls, expand_schema(schema), cls.__name__)
    return _Kind(
        type=cls,
        name=version.name,
        text=version.text,
        fingerprint=version.fingerprint,
        schema=parse_schema(_without_logical_types(json.loads(version.text))),
        to_avro=to_avro,
        from_avro=from_avro,
    )


def _without_logical_types(schema: Schema) -> Schema:
    """The schema with each logical type replaced by the type that it is written as."""
    if isinstance(schema, list):
        return [_without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    nested = {"type", "items", "values", "fields"}
    return {
        key: _without_logical_types(part) if key in nested else part
        for key, part in schema.items()
        # Names that begin so are fastavro's notes on a parsed schema, which would keep the logical types.
        if key != "logicalType" and not key.startswith("__")
    }


def _record(cls: type, schema: Schema, where: str) -> tuple[Convert, Convert]:
    """Both ways between a dataclass and a record of its schema, in which each name is spelt out."""
    if not isinstance(schema, dict) or schema["type"] != "record":
        raise SchemaError(f"The schema of {where} is not that of a record.")
    hints = get_type_hints(cls)
    names = tuple(each.name for each in fields(cls))
    types = {each["name"]: each["type"] for each in schema["fields"]}
    if set(names) != set(types):
        raise SchemaError(f"{where} and its schema differ in {_difference(names, types)}.")
    required: dict[str, _Mapper] = {}
    optional: dict[str, _Mapper] = {}
    for name in names:
        hint, may_be_none = _without_none(hints[name])
        avro, may_be_null = _without_null(types[name])
        if may_be_none != may_be_null:
            raise SchemaError(f"{where}.{name} may be missing in its type or in its schema, but not in both.")
        (optional if may_be_none else required)[name] = _mapper(hint, avro, f"{where}.{name}")
    # attrgetter gives a tuple of values only from two names on; no record here has fewer.
    values: Convert = attrgetter(*names)
    encode = _in_place(
        ((name, mapper.to_avro) for name, mapper in required.items()),
        ((name, mapper.to_avro) for name, mapper in optional.items()),
    )
    decode = _in_place(
        ((name, mapper.from_avro) for name, mapper in required.items()),
        ((name, mapper.from_avro) for name, mapper in optional.items()),
    )
    return (
        lambda value: encode(dict(zip(names, values(value), strict=True))),
        lambda record: cls(**decode(record)),
    )


def _in_place(
    required: Iterable[tuple[str, Convert | None]], optional: Iterable[tuple[str, Convert | None]]
) -> Callable[[dict[str, Any]], dict[str, Any]]:
    always = tuple((name, convert) for name, convert in required if convert)
    unless_none = tuple((name, convert) for name, convert in optional if convert)

    def convert_all(record: dict[str, Any]) -> dict[str, Any]:
        for name, convert in always:
            record[name] = convert(record[name])
        for name, convert in unless_none:
            if record[name] is not None:
                record[name] = convert(record[name])
        return record

    return convert_all


def _difference(some: Iterable[str], others: Iterable[str]) -> str:
    return ", ".join(sorted(set(some) ^ set(others)))


def _without_none(hint: Any) -> tuple[Any, bool]:
    parts = get_args(hint)
    if NoneType not in parts:
        return hint, False
    (rest,) = (part for part in parts if part is not NoneType)
    return rest, True


def _without_null(schema: Schema) -> tuple[Any, bool]:
    return (schema[1], True) if isinstance(schema, list) and schema[0] == "null" else (schema, False)


def _mapper(hint: Any, schema: Any, where: str) -> _Mapper:
    """How a value that is not None is converted."""
    described: DictSchema = schema if isinstance(schema, dict) else {"type": schema}
    avro = str(described.get("logicalType", described["type"]))
    simple = _SIMPLE.get((hint, avro))
    if simple is not None:
        return simple(where)
    match avro:
        case "decimal" if hint is Decimal:
            return _decimal(described, where)
        case "enum" if isinstance(hint, type) and issubclass(hint, StrEnum):
            members = {member.value: member for member in hint}
            if set(members) != set(described["symbols"]):
                raise SchemaError(
                    f"{where} and its schema differ in {_difference(members, described['symbols'])}."
                )
            return _Mapper(None, members.__getitem__)
        case "record" if isinstance(hint, type) and is_dataclass(hint):
            return _Mapper(*_record(hint, described, where))
        case "array" if get_origin(hint) is tuple:
            item = _mapper(get_args(hint)[0], described["items"], f"{where}[]")
            return _Mapper(_each(item.to_avro, list), _each(item.from_avro, tuple))
    raise SchemaError(f"The type of {where} does not go with its schema, {avro}.")


def _each(convert: Convert | None, collect: Convert) -> Convert:
    return collect if convert is None else lambda values: collect(map(convert, values))


def _text(_where: str) -> _Mapper:
    return _Mapper()  # fastavro takes nothing else for a string


def _exactly(expected: type) -> Callable[[str], _Mapper]:
    # fastavro would write 3.7 as 3 and None as false.
    def mapper(where: str) -> _Mapper:
        def check(value: Any) -> Any:
            if type(value) is not expected:
                raise SchemaError(f"{where} is no {expected.__name__}.")
            return value

        return _Mapper(check)

    return mapper


def _moment(where: str) -> _Mapper:
    def to_micros(moment: datetime) -> int:
        if moment.utcoffset() is None:
            raise SchemaError(f"{where} has no time zone.")
        try:
            return (moment.astimezone(UTC) - _EPOCH) // _MICROSECOND
        except OverflowError:
            raise SchemaError(f"{where} is out of range.") from None

    def from_micros(micros: int) -> datetime:
        try:
            return _EPOCH + timedelta(microseconds=micros)
        except OverflowError:
            raise UndecodableValue(f"{where} is out of range.") from None

    return _Mapper(to_micros, from_micros)


def _day(where: str) -> _Mapper:
    def to_days(day: date) -> int:
        if type(day) is not date:
            raise SchemaError(f"{where} is no date.")
        return day.toordinal() - _EPOCH_DAY

    def from_days(days: int) -> date:
        try:
            return date.fromordinal(days + _EPOCH_DAY)
        except (OverflowError, ValueError):
            raise UndecodableValue(f"{where} is out of range.") from None

    return _Mapper(to_days, from_days)


def _decimal(schema: DictSchema, where: str) -> _Mapper:
    scale = int(schema.get("scale", 0))
    limit = 10 ** int(schema["precision"])
    unit = Decimal(1).scaleb(-scale)

    def to_bytes(value: Decimal) -> bytes:
        try:
            exact = value.quantize(unit)
            fits = exact == value
            unscaled = int(exact.scaleb(scale)) if fits else limit
        except ArithmeticError:
            unscaled = limit
        if abs(unscaled) >= limit:
            raise SchemaError(f"{where} is out of range, or has more than {scale} digits after the point.")
        bits = (unscaled if unscaled >= 0 else ~unscaled).bit_length() + 1
        return unscaled.to_bytes((bits + 7) // 8, signed=True)

    def from_bytes(data: bytes) -> Decimal:
        unscaled = int.from_bytes(data, signed=True)
        if not data or abs(unscaled) >= limit:
            raise UndecodableValue(f"{where} is out of range.")
        return Decimal(unscaled).scaleb(-scale)

    return _Mapper(to_bytes, from_bytes)


_SIMPLE: Mapping[tuple[Any, str], Callable[[str], _Mapper]] = {
    (str, "string"): _text,
    (int, "long"): _exactly(int),
    (bool, "boolean"): _exactly(bool),
    (datetime, "timestamp-micros"): _moment,
    (date, "date"): _day,
}
