"""The codec on generated values and bytes: what goes in comes out, and no bytes at all do harm."""

from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.exceptions import UndecodableValue, UnknownSchema
from consumer.model.codec import RECORD_TYPES, Codec


CODEC = Codec()

# A day off either end of the calendar, so that any offset stays within it.
MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis wants its bounds naive
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001 - likewise
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    | st.just(UTC),
)

SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    str: st.text(),
    date: st.dates(),
    datetime: MOMENTS,
    Decimal: st.decimals(Decimal("-9999999.99"), Decimal("9999999.99"), places=2),
    NoneType: st.none(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value that a type hint of a record's field allows."""
    if hint in SCALARS:
        return SCALARS[hint]
    if get_origin(hint) is tuple:
        return st.lists(values_of(get_args(hint)[0]), max_size=4).map(tuple)
    if get_args(hint):
        return st.one_of([values_of(part) for part in get_args(hint)])
    assert isinstance(hint, type)
    if issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    assert is_dataclass(hint)
    hints = get_type_hints(hint)
    parts = {each.name: values_of(hints[each.name]) for each in fields(hint)}
    return st.builds(hint, **parts)


def mutated(data: bytes, edits: list[tuple[str, int, int]]) -> bytes:
    """The bytes with some of them changed, put in, taken out, doubled, or cut off."""
    result = bytearray(data)
    for what, where, byte in edits:
        at = where % (len(result) + 1)
        if what == "change":
            result[at : at + 1] = bytes([byte])
        elif what == "insert":
            result[at:at] = bytes([byte])
        elif what == "delete":
            del result[at : at + 1 + byte % 8]
        elif what == "double":
            result[at:at] = result[at : at + byte]
        else:
            del result[at:]
    return bytes(result)


VALUES = st.one_of([values_of(cls) for cls in RECORD_TYPES])
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["change", "insert", "delete", "double", "cut"]),
        st.integers(0, 400),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=6,
)
HEADERS = [
    b"",
    b"\x00\x00\x00\x00\x01",
    *(b"\xc3\x01" + version.fingerprint for version in CODEC.catalogue.versions),
]


def read(data: bytes) -> object:
    """What the codec makes of the bytes: a value, or None for one of the two errors that it may raise."""
    try:
        return CODEC.decode(data, *RECORD_TYPES)
    except (UndecodableValue, UnknownSchema):
        return None


@pytest.mark.parametrize("cls", RECORD_TYPES)
def test_every_value_of_every_type_comes_back_as_it_went_in(cls: type) -> None:
    @settings(derandomize=True, deadline=None)
    @given(values_of(cls))
    def comes_back(value: object) -> None:
        assert CODEC.decode(CODEC.encode(value), cls) == value

    comes_back()


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(HEADERS))
def test_any_bytes_are_a_value_or_one_of_two_errors(data: bytes, header: bytes) -> None:
    found = read(header + data)
    assert found is None or type(found) in RECORD_TYPES


@settings(derandomize=True, deadline=None, max_examples=1000)
@given(VALUES.map(CODEC.encode), EDITS)
def test_a_damaged_value_is_a_value_or_one_of_two_errors(
    data: bytes, edits: list[tuple[str, int, int]]
) -> None:
    """What can still be read can be written again, so that no half-read value goes on its way."""
    found = read(mutated(data, edits))
    assert found is None or CODEC.decode(CODEC.encode(found), type(found)) == found
