"""The catalogue: what is in it, how versions are told apart, and that released ones stay as they are."""

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest

from consumer.exceptions import SchemaError
from consumer.model.codec import RECORD_TYPES
from consumer.model.compatibility import digests, released
from consumer.model.schemas import Catalogue, SchemaVersion, fingerprint, schema_folder


CATALOGUE = Catalogue.load()

LINK_IN_CANONICAL_FORM = (
    '{"name":"crewsync.Link","type":"record","fields":['
    '{"name":"company_id","type":"long"},'
    '{"name":"kind","type":{"name":"crewsync.LinkKind","type":"enum",'
    '"symbols":["user","contact","timesheet","position"]}},'
    '{"name":"source_id","type":"string"},'
    '{"name":"target_id","type":"string"},'
    '{"name":"revision","type":"long"},'
    '{"name":"fingerprint","type":"string"}]}'
)


def crc_64_avro(data: bytes) -> int:
    """The Avro specification's fingerprint, bit by bit instead of by its table."""
    empty = 0xC15D213AA4D7A795
    value = empty
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (empty if value & 1 else 0)
    return value


def each_part(schema: Any) -> list[dict[str, Any]]:
    """Every JSON object within a schema."""
    if isinstance(schema, list):
        return [part for branch in schema for part in each_part(branch)]
    if not isinstance(schema, dict):
        return []
    return [schema, *(part for value in schema.values() for part in each_part(value))]


@pytest.fixture(params=CATALOGUE.versions, ids=lambda version: f"{version.record}-v{version.number}")
def version(request: pytest.FixtureRequest) -> SchemaVersion:
    """Each version of each record."""
    found = request.param
    assert isinstance(found, SchemaVersion)
    return found


def test_fingerprints_agree_with_avros_own_test_data() -> None:
    """Numbers from share/test/data/schema-tests.txt in the Avro sources, in little-endian order."""
    expected = {
        "null": 7195948357588979594,
        "boolean": -6970731678124411036,
        "int": 8247732601305521295,
        "string": -8142146995180207161,
    }
    assert fingerprint("null").hex() == "8a8f25cce724dd63"
    assert {name: int.from_bytes(fingerprint(name), "little", signed=True) for name in expected} == expected


def test_a_fingerprint_is_taken_of_the_canonical_form() -> None:
    link = CATALOGUE.by_name["crewsync.Link"][0]
    assert link.fingerprint == crc_64_avro(LINK_IN_CANONICAL_FORM.encode()).to_bytes(8, "little")


def test_every_record_type_has_a_schema_and_every_schema_a_record_type() -> None:
    assert {f"crewsync.{cls.__name__}" for cls in RECORD_TYPES} == set(CATALOGUE.by_name)


def test_no_two_records_share_a_fingerprint() -> None:
    names = {version.fingerprint: version.name for version in CATALOGUE.versions}
    assert all(names[version.fingerprint] == version.name for version in CATALOGUE.versions)


def test_every_record_field_and_enum_is_explained(version: SchemaVersion) -> None:
    named = [part for part in each_part(json.loads(version.text)) if "name" in part]
    assert [part["name"] for part in named if not str(part.get("doc", "")).endswith(".")] == []


def test_an_optional_field_is_null_unless_told_otherwise(version: SchemaVersion) -> None:
    unions = [part for part in each_part(json.loads(version.text)) if isinstance(part.get("type"), list)]
    assert all(field["type"][0] == "null" and len(field["type"]) == 2 for field in unions)
    assert all("default" in field and field["default"] is None for field in unions)


def test_whole_numbers_have_64_bits(version: SchemaVersion) -> None:
    """Only a date is an int, as Avro demands."""
    assert version.text.count('"int"') == version.text.count('"logicalType":"date"')


@pytest.mark.parametrize("cls", RECORD_TYPES)
def test_a_default_is_the_same_in_the_type_and_its_schema(cls: type) -> None:
    schema = json.loads(CATALOGUE.newest(f"crewsync.{cls.__name__}").text)
    in_schema = {field["name"]: field["default"] for field in schema["fields"] if "default" in field}
    in_type = {
        each.name: list(each.default) if isinstance(each.default, tuple) else each.default
        for each in fields(cls)
        if each.default is not MISSING
    }
    assert in_type == {name: value for name, value in in_schema.items() if name in in_type}
    assert all(in_schema[name] in (None, []) for name in in_schema.keys() - in_type.keys())


def test_a_released_version_is_never_edited_and_a_new_one_is_locked() -> None:
    """``released.json`` holds them; a change of a schema is a new version and a new line there."""
    assert digests(CATALOGUE) == released()


def test_an_installed_package_reads_the_schemas_that_it_carries(tmp_path: Path) -> None:
    (tmp_path / "_schemas" / "avro").mkdir(parents=True)
    assert schema_folder(tmp_path) == tmp_path / "_schemas" / "avro"


def test_a_checkout_reads_the_schemas_beside_the_package(tmp_path: Path) -> None:
    assert schema_folder(tmp_path / "consumer") == tmp_path / "schemas" / "avro"


def test_the_newest_version_has_the_highest_number(tmp_path: Path) -> None:
    folder = tmp_path / "link"
    folder.mkdir()
    for number in range(1, 11):
        (folder / f"v{number}.avsc").write_text(CATALOGUE.newest("crewsync.Link").text, encoding="utf-8")
    assert Catalogue.load(tmp_path).newest("crewsync.Link").number == 10


def test_a_record_that_nobody_described_has_no_newest_version() -> None:
    with pytest.raises(SchemaError, match=r"crewsync\.Nobody"):
        CATALOGUE.newest("crewsync.Nobody")


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "no schemas"),
        ({"link/v2.avsc": '{"type":"record","name":"Link","fields":[]}'}, "not numbered"),
        ({"link/latest.avsc": '{"type":"record","name":"Link","fields":[]}'}, "not called"),
        ({"link/v1.avsc": "not JSON"}, "no Avro schema"),
        ({"link/v1.avsc": '{"type":"record","name":"Link","fields":[{"name":"a"}]}'}, "no Avro schema"),
        ({"link/v1.avsc": '"string"'}, "not describe a record"),
        (
            {
                "link/v2.avsc": '{"type":"record","name":"Link","fields":[]}',
                "bond/v1.avsc": '{"type":"record","name":"Link","fields":[]}',
            },
            "more than one folder",
        ),
    ],
)
def test_a_folder_that_is_not_in_order_is_refused(
    tmp_path: Path, files: dict[str, str], complaint: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(SchemaError, match=complaint):
        Catalogue.load(tmp_path)
