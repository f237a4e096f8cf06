"""Values of dataclasses and their Avro forms: what to convert, found out once per type.

Moments, days and decimals are converted here and not by fastavro, which takes a naive datetime for local time
and rounds a decimal that has too many digits, both in silence.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from fastavro.types import DictSchema, Schema

from consumer.exceptions import SchemaError, UndecodableValue


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Mapper:
    """Both ways between a value and its Avro form; None where it stands for itself."""

    to_avro: Convert | None = None
    from_avro: Convert | None = None


def without_logical_types(schema: Schema) -> Schema:
    """The schema with each logical type replaced by the type that it is written as."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    nested = {"type", "items", "values", "fields"}
    return {
        key: without_logical_types(part) if key in nested else part
        for key, part in schema.items()
        # Names that begin so are fastavro's notes on a parsed schema, which would keep the logical types.
        if key != "logicalType" and not key.startswith("__")
    }


def record_converters(cls: type, schema: Schema, where: str) -> tuple[Convert, Convert]:
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
            return _Mapper(*record_converters(hint, described, where))
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
