"""The codec on chosen values: its framings, what it refuses, and how it reads what older versions wrote."""

import json
import traceback
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest

from consumer.exceptions import SchemaError, UndecodableValue, UnknownSchema
from consumer.model.codec import RECORD_TYPES, Codec
from consumer.model.events import ShiftWorker, TimesheetEvent, UserEvent
from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome, Reason, Result, RunMarker
from consumer.model.schemas import Catalogue
from consumer.model.settings import CompanySettings


WithOlder = Callable[[str, Callable[[Any], None]], Catalogue]

SECRET = "Zephyrine-Quillfeather"
HEADER = 10
"""Length of a single-object header."""


def written(catalogue: Catalogue, name: str, number: int, record: Mapping[str, Any]) -> bytes:
    """A value as another program would write it with a version of a schema."""
    version = catalogue.by_name[f"crewsync.{name}"][number - 1]
    buffer = BytesIO(b"\xc3\x01" + version.fingerprint)
    buffer.seek(HEADER)
    fastavro.schemaless_writer(buffer, json.loads(version.text), record)
    return buffer.getvalue()


def field(schema: Any, name: str) -> dict[str, Any]:
    """The field of a record's schema."""
    (found,) = (each for each in schema["fields"] if each["name"] == name)
    assert isinstance(found, dict)
    return found


def without(schema: Any, name: str) -> None:
    """Take a field out of a record's schema."""
    schema["fields"].remove(field(schema, name))


@pytest.mark.parametrize("cls", RECORD_TYPES)
def test_a_decoded_value_equals_the_encoded_one(
    codec: Codec, examples: Mapping[type, Any], cls: type
) -> None:
    assert codec.decode(codec.encode(examples[cls]), cls) == examples[cls]


def test_a_link_is_written_as_the_avro_specification_says(codec: Codec) -> None:
    """Header, company 7, the kind's index 1, four fields: zigzag numbers, strings with their lengths."""
    fingerprint = Catalogue.load().newest("crewsync.Link").fingerprint
    body = b"\x0e\x02\x04w1\x0455\x06\x04ab"
    assert codec.encode(Link(7, LinkKind.CONTACT, "w1", "55", 3, "ab")) == b"\xc3\x01" + fingerprint + body


def test_one_of_several_types_may_stand_on_a_topic(codec: Codec, examples: Mapping[type, Any]) -> None:
    values: list[Result | RunMarker] = [
        codec.decode(codec.encode(examples[cls]), Result, RunMarker) for cls in (Result, RunMarker)
    ]
    assert values == [examples[Result], examples[RunMarker]]


def test_a_record_of_another_topic_is_refused(codec: Codec, examples: Mapping[type, Any]) -> None:
    data = codec.encode(examples[Link])
    with pytest.raises(UndecodableValue, match="is a Link; Result or RunMarker may stand here"):
        codec.decode(data, Result, RunMarker)


def test_a_moment_in_any_time_zone_comes_back_in_utc(codec: Codec, examples: Mapping[type, Any]) -> None:
    chicago = datetime(2026, 11, 23, 1, 15, 0, 1, tzinfo=timezone(timedelta(hours=-6)))
    marker = codec.decode(codec.encode(replace(examples[RunMarker], started_at=chicago)), RunMarker)
    assert marker.started_at == chicago
    assert marker.started_at.tzinfo is UTC


def test_a_moment_without_a_time_zone_is_refused(codec: Codec, examples: Mapping[type, Any]) -> None:
    naive = replace(examples[RunMarker], started_at=datetime(2026, 11, 23, 1, 15))  # noqa: DTZ001 - the point
    with pytest.raises(SchemaError, match=r"RunMarker\.started_at has no time zone"):
        codec.encode(naive)


def test_a_moment_before_year_one_in_utc_is_refused(codec: Codec, examples: Mapping[type, Any]) -> None:
    early = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))
    with pytest.raises(SchemaError, match=r"RunMarker\.started_at is out of range"):
        codec.encode(replace(examples[RunMarker], started_at=early))


def test_hours_keep_two_digits_after_the_point(codec: Codec, examples: Mapping[type, Any]) -> None:
    event = replace(examples[TimesheetEvent], total_hours=Decimal("8.5"))
    assert str(codec.decode(codec.encode(event), TimesheetEvent).total_hours) == "8.50"


@pytest.mark.parametrize(
    "hours", ["8.333", "10000000", "-10000000", "1E+999999", "1E-999999", "NaN", "sNaN", "-Infinity"]
)
def test_hours_that_would_be_rounded_are_refused(
    codec: Codec, examples: Mapping[type, Any], hours: str
) -> None:
    with pytest.raises(SchemaError, match=r"TimesheetEvent\.total_hours"):
        codec.encode(replace(examples[TimesheetEvent], total_hours=Decimal(hours)))


@pytest.mark.parametrize(
    ("cls", "change"),
    [
        (UserEvent, {"company_id": 3.7}),
        (UserEvent, {"company_id": True}),
        (UserEvent, {"company_id": 2**63}),
        (UserEvent, {"user_id": None}),
        (UserEvent, {"work_classification_id": 2**63}),
        (UserEvent, {"is_employee": None}),
        (UserEvent, {"is_active": SECRET}),
        (UserEvent, {"asked_at": SECRET}),
        (UserEvent, {"email": 5}),
        (UserEvent, {"email": b"a"}),
        (UserEvent, {"email": f"{SECRET}\ud800"}),
        (TimesheetEvent, {"worker": None}),
        (TimesheetEvent, {"worker": SECRET}),
        (TimesheetEvent, {"work_date": datetime(2026, 11, 23, tzinfo=UTC)}),
        (TimesheetEvent, {"status": SECRET}),
        (TimesheetEvent, {"total_hours": SECRET}),
        (Result, {"reasons": None}),
        (Result, {"reasons": (SECRET,)}),
        (Result, {"subject_name": None}),
    ],
)
def test_a_value_that_does_not_fit_is_refused_without_being_told(
    codec: Codec, examples: Mapping[type, Any], cls: type, change: dict[str, Any]
) -> None:
    """Neither the message nor the traceback of the error holds a value of a field."""
    with pytest.raises(SchemaError) as caught:
        codec.encode(replace(examples[cls], **change))
    assert cls.__name__ in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_type_without_a_schema_is_refused(codec: Codec) -> None:
    with pytest.raises(SchemaError, match="no schema for a Reason"):
        codec.encode(Reason("a", "b"))


@pytest.mark.parametrize("data", [b"", b"\xc3", b"\xc3\x01", b"\xc3\x01\x00", b"\x00", b"\x00\x00\x00\x01"])
def test_a_value_without_a_whole_header_is_refused(codec: Codec, data: bytes) -> None:
    with pytest.raises(UndecodableValue, match=r"empty|cut off within its header"):
        codec.decode(data, UserEvent)


@pytest.mark.parametrize("data", [b"{}", b"\xc3\x02" + bytes(20), b"\x01" + bytes(20)])
def test_a_value_in_no_known_framing_is_refused(codec: Codec, data: bytes) -> None:
    with pytest.raises(UndecodableValue, match="neither C3 01"):
        codec.decode(data, UserEvent)


def test_an_unknown_fingerprint_is_named(codec: Codec) -> None:
    with pytest.raises(UnknownSchema, match="0102030405060708"):
        codec.decode(b"\xc3\x01\x01\x02\x03\x04\x05\x06\x07\x08\x00", UserEvent)


def test_an_id_of_a_registry_needs_a_registry(codec: Codec) -> None:
    with pytest.raises(UnknownSchema, match="needs a schema registry, which has its schema as id 258"):
        codec.decode(b"\x00\x00\x00\x01\x02\x00", UserEvent)


@pytest.mark.parametrize("cls", RECORD_TYPES)
def test_a_value_that_is_cut_off_anywhere_is_refused(
    codec: Codec, examples: Mapping[type, Any], cls: type
) -> None:
    data = codec.encode(examples[cls])
    for length in range(len(data)):
        with pytest.raises(UndecodableValue):
            codec.decode(data[:length], cls)


def test_bytes_after_the_value_are_refused(codec: Codec, examples: Mapping[type, Any]) -> None:
    with pytest.raises(UndecodableValue, match="followed by 2 more bytes"):
        codec.decode(codec.encode(examples[Link]) + b"ab", Link)


@pytest.mark.parametrize("hours", [b"", b"\x3b\x9a\xca\x00", b"\x7f" * 100_000])
def test_hours_out_of_range_are_not_rounded_but_refused(
    codec: Codec, examples: Mapping[type, Any], hours: bytes
) -> None:
    """No byte at all, 10⁹ hundredths, and a number with a quarter of a million digits."""
    length = BytesIO()
    fastavro.schemaless_writer(length, "bytes", hours)
    data = codec.encode(examples[TimesheetEvent])
    eight_and_a_quarter = b"\x04\x03\x39"
    assert data.count(eight_and_a_quarter) == 1
    with pytest.raises(UndecodableValue, match=r"TimesheetEvent\.total_hours is out of range"):
        codec.decode(data.replace(eight_and_a_quarter, length.getvalue()), TimesheetEvent)


@pytest.mark.parametrize("micros", [2**63 - 1, -(2**63), 253402300800 * 10**6])
def test_a_moment_beyond_the_calendar_is_refused(codec: Codec, micros: int) -> None:
    """The last one is the first microsecond of the year 10,000."""
    record = {"company_id": 1, "kind": "users", "run_id": "", "trigger": "manual", "requested_by": SECRET}
    data = written(codec.catalogue, "RunMarker", 1, {**record, "started_at": micros, "expected": 1})
    with pytest.raises(UndecodableValue, match=r"RunMarker\.started_at is out of range"):
        codec.decode(data, RunMarker)


@pytest.mark.parametrize("days", [-719163, 2932897, 2**31 - 1])
def test_a_day_beyond_the_calendar_is_refused(codec: Codec, examples: Mapping[type, Any], days: int) -> None:
    """The days before 1 January of year 1 and after 31 December 9999, and the greatest number."""
    today, there = BytesIO(), BytesIO()
    fastavro.schemaless_writer(today, "int", (date(2026, 11, 23) - date(1970, 1, 1)).days)
    fastavro.schemaless_writer(there, "int", days)
    data = codec.encode(examples[TimesheetEvent])
    assert data.count(today.getvalue()) == 1
    with pytest.raises(UndecodableValue, match=r"TimesheetEvent\.work_date is out of range"):
        codec.decode(data.replace(today.getvalue(), there.getvalue()), TimesheetEvent)


def test_an_error_while_decoding_tells_no_value(codec: Codec) -> None:
    """The text is no UTF-8, which Python's own error would show."""
    data = codec.encode(Link(7, LinkKind.USER, SECRET, "", 3, "")).replace(b"Zephyrine", b"\xffephyrine")
    with pytest.raises(UndecodableValue) as caught:
        codec.decode(data, Link)
    assert "ephyrine" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("length", [2**63 - 1, -(2**63), 2**40])
def test_a_length_beyond_the_data_takes_no_memory(codec: Codec, length: int) -> None:
    number = BytesIO()
    fastavro.schemaless_writer(number, "long", length)
    text = codec.encode(Link(7, LinkKind.USER, "", "", 3, ""))[: HEADER + 2] + number.getvalue() + b"abc"
    items = (
        codec.catalogue.newest("crewsync.Result").fingerprint
        + b"\x00\x00\x00\x00\x00\x0c"
        + number.getvalue()
    )
    tracemalloc.start()
    try:
        for data, cls in ((text, Link), (b"\xc3\x01" + items + bytes(50), Result)):
            with pytest.raises(UndecodableValue):
                codec.decode(data, cls)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_codec_cannot_be_changed(codec: Codec) -> None:
    with pytest.raises(FrozenInstanceError):
        codec.registry = None  # type: ignore[misc]


def test_a_missing_field_of_an_older_version_gets_its_default(with_older: WithOlder) -> None:
    catalogue = with_older("crewsync.CompanySettings", lambda older: without(older, "only_approved_shift"))
    record = {
        **dict.fromkeys(
            ("user_sync", "sync_classifications", "autosync_users", "auto_sync_time_card"), False
        ),
        "company_id": 7,
        "include_sub_workers": True,
        "time_entry": "start_stop",
        "default_region": "CA",
        "deactivate_workers": False,
    }
    settings = Codec(catalogue).decode(written(catalogue, "CompanySettings", 1, record), CompanySettings)
    assert settings.only_approved_shift is True
    assert settings.include_sub_workers is True


def test_an_absent_optional_field_and_null_are_the_same(with_older: WithOlder) -> None:
    catalogue = with_older("crewsync.UserEvent", lambda older: without(older, "email"))
    codec = Codec(catalogue)
    record = {"company_id": 7, "user_id": 9, "asked_at": 0, "is_employee": True, "is_active": True}
    old = codec.decode(written(catalogue, "UserEvent", 1, record), UserEvent)
    new = codec.decode(written(catalogue, "UserEvent", 2, {**record, "email": None}), UserEvent)
    assert old == new == UserEvent(7, 9, datetime(1970, 1, 1, tzinfo=UTC), is_employee=True)


def test_a_field_that_was_given_up_is_passed_over(with_older: WithOlder) -> None:
    extra = {"name": "nickname", "type": ["null", "string"], "default": None}
    catalogue = with_older("crewsync.Link", lambda older: older["fields"].insert(1, extra))
    record = {"company_id": 7, "nickname": "Al", "kind": "contact", "source_id": "w", "target_id": "5"}
    data = written(catalogue, "Link", 1, {**record, "revision": 3, "fingerprint": "f"})
    assert Codec(catalogue).decode(data, Link) == Link(7, LinkKind.CONTACT, "w", "5", 3, "f")


def test_a_given_up_symbol_becomes_the_default_of_its_enum(with_older: WithOlder) -> None:
    catalogue = with_older(
        "crewsync.Result", lambda older: field(older, "outcome")["type"]["symbols"].append("postponed")
    )
    moments = {"event_at": 0, "handled_at": 0}
    source = {"source_topic": "t", "source_partition": 0, "source_offset": 0}
    subject = {"kind": "users", "subject_id": "1", "subject_name": "", "outcome": "postponed"}
    record = {**moments, **source, **subject, "reasons": [], "warnings": []}
    assert Codec(catalogue).decode(written(catalogue, "Result", 1, record), Result).outcome is Outcome.FAILED


def test_an_older_version_of_a_nested_record_is_resolved_too(
    with_older: WithOlder, examples: Mapping[type, Any]
) -> None:
    """The worker had no contractor, and a named thing had a colour wherever one stands."""

    def older_timesheet(older: Any) -> None:
        without(field(older, "worker")["type"], "contractor")
        field(older, "project")["type"]["fields"].append({"name": "colour", "type": "string"})

    catalogue = with_older("crewsync.TimesheetEvent", older_timesheet)
    event = examples[TimesheetEvent]
    red = {"colour": "red"}
    record = {name: getattr(event, name) for name in TimesheetEvent.__slots__}
    record["project"] = {"id": "p-1", "name": "North Tower", **red}
    record["worker"] = {
        name: getattr(event.worker, name) for name in ShiftWorker.__slots__ if name != "contractor"
    }
    record["worker"]["position"] = {"id": "c-1", "name": "Carpenter", **red}
    assert Codec(catalogue).decode(written(catalogue, "TimesheetEvent", 1, record), TimesheetEvent) == event


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Link", lambda schema: without(schema, "target_id")),
        ("Link", lambda schema: field(schema, "revision").update(type="string")),
        ("Link", lambda schema: field(schema, "revision").update(type=["null", "long"], default=None)),
        ("Link", lambda schema: field(schema, "kind")["type"]["symbols"].append("project")),
        ("UserEvent", lambda schema: field(schema, "asked_at").update(type="long")),
    ],
)
def test_a_type_that_disagrees_with_its_newest_schema_makes_no_codec(
    codec: Codec, name: str, change: Callable[[Any], None]
) -> None:
    versions = []
    for version in codec.catalogue.versions:
        schema = json.loads(version.text)
        if version.name == f"crewsync.{name}":
            change(schema)
        versions.append(replace(version, text=json.dumps(schema)))
    with pytest.raises(SchemaError, match=name):
        Codec(Catalogue(tuple(versions)))
