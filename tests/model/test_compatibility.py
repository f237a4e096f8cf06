"""Any two versions of a record read each other's values: today's consumers old ones, and the reverse.

Two checks, since neither sees all. Reading generated values with fastavro proves the working of what is used;
rules about the schemas see what fastavro leaves to the reader: logical types and full names.
"""

import json
from collections.abc import Callable
from io import BytesIO
from itertools import combinations_with_replacement
from typing import Any

import fastavro
import pytest
from fastavro.read import SchemaResolutionError
from fastavro.schema import expand_schema
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from consumer.model.compatibility import incompatible
from consumer.model.schemas import Catalogue, SchemaVersion


CATALOGUE = Catalogue.load()
PAIRS = [
    pytest.param(older, newer, id=f"{older.record}-v{older.number}-v{newer.number}")
    for versions in CATALOGUE.by_name.values()
    for older, newer in combinations_with_replacement(versions, 2)
]
"""Every older and newer version, and each with itself, so that records with one version are seen too."""

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**15), 2**15),
    "long": st.integers(-(2**45), 2**45),
    "float": st.floats(width=32),
    "double": st.floats(),
    "string": st.text(max_size=5),
    "bytes": st.binary(min_size=1, max_size=3),
}
"""Numbers stay within what every logical type can show."""


def values_of(schema: Any) -> st.SearchStrategy[Any]:
    """Any value of a schema with all names spelt out."""
    found: st.SearchStrategy[Any]
    match schema:
        case list():
            found = st.one_of([values_of(branch) for branch in schema])
        case {"type": "record", "fields": fields}:
            found = st.fixed_dictionaries({each["name"]: values_of(each["type"]) for each in fields})
        case {"type": "enum", "symbols": symbols}:
            found = st.sampled_from(symbols)
        case {"type": "array", "items": items}:
            found = st.lists(values_of(items), max_size=2)
        case {"type": "map", "values": values}:
            found = st.dictionaries(st.text(max_size=3), values_of(values), max_size=2)
        case {"type": "fixed", "size": size}:
            found = st.binary(min_size=size, max_size=size)
        case {"type": scalar} | scalar:
            found = SCALARS[scalar]
    return found


def read_each_others_values(older: Any, newer: Any) -> None:
    """Write values with one schema and read them with the other, both ways; raises what fastavro raises."""
    read_all(older, newer)
    read_all(newer, older)


def read_all(writer: Any, reader: Any) -> None:
    """Write values with one schema and read them with the other."""
    names = {field["name"] for field in reader["fields"]}

    @settings(
        derandomize=True,
        deadline=None,
        max_examples=50,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.generate],
    )
    @given(values_of(expand_schema(writer)))
    def can_be_read(value: Any) -> None:
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, writer, value)
        buffer.seek(0)
        found = fastavro.schemaless_reader(buffer, writer, reader)
        assert isinstance(found, dict)
        assert set(found) == names
        assert buffer.read() == b""

    can_be_read()


def changed(name: str, change: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The newest schema of a record, and one that is changed as told."""
    text = CATALOGUE.newest(f"crewsync.{name}").text
    newer = json.loads(text)
    change(newer)
    return json.loads(text), newer


def field(schema: Any, name: str) -> Any:
    """The field of a record's schema."""
    return next(each for each in schema["fields"] if each["name"] == name)


def add(schema: Any, **new: Any) -> None:
    """Put a field in front of a record's others."""
    schema["fields"].insert(0, new)


@pytest.mark.parametrize(("older", "newer"), PAIRS)
def test_two_versions_break_no_rule(older: SchemaVersion, newer: SchemaVersion) -> None:
    assert incompatible(json.loads(older.text), json.loads(newer.text)) == []


@pytest.mark.parametrize(("older", "newer"), PAIRS)
def test_two_versions_read_each_others_values(older: SchemaVersion, newer: SchemaVersion) -> None:
    read_each_others_values(json.loads(older.text), json.loads(newer.text))


COMPATIBLE = {
    "an optional field is added": (
        "Link",
        lambda schema: add(schema, name="note", type=["null", "string"], default=None),
    ),
    "a field with a default is added": ("Link", lambda schema: add(schema, name="n", type="long", default=0)),
    "an optional field is taken away": ("UserEvent", lambda schema: schema["fields"].pop()),
    "an optional field is added to a nested record": (
        "TimesheetEvent",
        lambda schema: add(
            field(schema, "project")["type"], name="colour", type=["null", "string"], default=None
        ),
    ),
    "the fields come in another order": (
        "Result",
        lambda schema: schema["fields"].insert(3, schema["fields"].pop()),
    ),
    "a symbol is added to an enum with a default": (
        "Result",
        lambda schema: field(schema, "outcome")["type"]["symbols"].insert(0, "postponed"),
    ),
    "a doc is reworded": ("Link", lambda schema: schema.update(doc="Another.")),
}


@pytest.mark.parametrize(("name", "change"), COMPATIBLE.values(), ids=COMPATIBLE.keys())
def test_a_harmless_change_passes_both_checks(name: str, change: Callable[[Any], Any]) -> None:
    older, newer = changed(name, change)
    assert incompatible(older, newer) == []
    read_each_others_values(older, newer)


INCOMPATIBLE = {
    "a field without a default is added": (
        "Link",
        lambda schema: add(schema, name="note", type="string"),
        "newer reader.note: is not written and has no default",
    ),
    "a field without a default is taken away": (
        "Link",
        lambda schema: schema["fields"].pop(),
        "older reader.fingerprint: is not written and has no default",
    ),
    "a field without a default is added to a nested record": (
        "TimesheetEvent",
        lambda schema: add(field(schema, "project")["type"], name="colour", type="string"),
        "newer reader.project.colour: is not written and has no default",
    ),
    "a field gets another name": (
        "Link",
        lambda schema: field(schema, "revision").update(name="version"),
        "newer reader.version: is not written and has no default",
    ),
    "a field gets another type": (
        "Link",
        lambda schema: field(schema, "target_id").update(type="long"),
        "newer reader.target_id: string is read as long",
    ),
    "a number is narrowed": (
        "Link",
        lambda schema: field(schema, "revision").update(type="int"),
        "newer reader.revision: long is read as int",
    ),
    "a number is widened": (
        "Link",
        lambda schema: field(schema, "revision").update(type="double"),
        "older reader.revision: double is read as long",
    ),
    "an optional field becomes required": (
        "UserEvent",
        lambda schema: field(schema, "email").update(type="string", default=""),
        "newer reader.email: nobody reads null",
    ),
    "a required field becomes optional": (
        "Link",
        lambda schema: field(schema, "target_id").update(type=["null", "string"], default=None),
        "older reader.target_id: nobody reads null",
    ),
    "a symbol is added to an enum without a default": (
        "Link",
        lambda schema: field(schema, "kind")["type"]["symbols"].append("project"),
        "older reader.kind: nobody reads project",
    ),
    "a symbol is taken from an enum without a default": (
        "SyncCommand",
        lambda schema: field(schema, "kind")["type"]["symbols"].remove("users"),
        "newer reader.kind: nobody reads users",
    ),
    "the items of an array change": (
        "Result",
        lambda schema: field(schema, "reasons")["type"]["items"]["fields"][0].update(type="long"),
        "newer reader.reasons[].code: string is read as long",
    ),
    "a record gets another name": (
        "Link",
        lambda schema: schema.update(name="Bond"),
        "newer reader: record crewsync.Link is read as record crewsync.Bond",
    ),
}


@pytest.mark.parametrize(("name", "change", "complaint"), INCOMPATIBLE.values(), ids=INCOMPATIBLE.keys())
def test_a_harmful_change_fails_both_checks(name: str, change: Callable[[Any], Any], complaint: str) -> None:
    older, newer = changed(name, change)
    assert complaint in incompatible(older, newer)
    with pytest.raises(SchemaResolutionError):
        read_each_others_values(older, newer)


UNSEEN_BY_FASTAVRO = {
    "a moment gets another unit": (
        "RunMarker",
        lambda schema: field(schema, "started_at")["type"].update(logicalType="timestamp-millis"),
        "newer reader.started_at: long timestamp-micros is read as long timestamp-millis",
    ),
    "a decimal gets another scale": (
        "TimesheetEvent",
        lambda schema: field(schema, "total_hours")["type"].update(scale=3),
        "newer reader.total_hours: bytes decimal 9 2 is read as bytes decimal 9 3",
    ),
    "a record gets another namespace": (
        "CompanySettings",
        lambda schema: schema.update(namespace="elsewhere"),
        "newer reader: record crewsync.CompanySettings is read as record elsewhere.CompanySettings",
    ),
}


@pytest.mark.parametrize(
    ("name", "change", "complaint"), UNSEEN_BY_FASTAVRO.values(), ids=UNSEEN_BY_FASTAVRO.keys()
)
def test_a_harmful_change_that_fastavro_does_not_see_breaks_a_rule(
    name: str, change: Callable[[Any], Any], complaint: str
) -> None:
    assert complaint in incompatible(*changed(name, change))
