"""The schema registry's client, and the codec that uses one, against a registry that answers as documented.

The answers are those of https://docs.confluent.io/platform/current/schema-registry/develop/api.html.
"""

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from io import BytesIO
from typing import Any

import fastavro
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.exceptions import ConfigurationError, UndecodableValue, UnknownSchema
from consumer.model.codec import RECORD_TYPES, Codec
from consumer.model.links import Link, LinkKind
from consumer.model.registry import CONTENT_TYPE, SchemaRegistry, SchemaRegistryError
from consumer.model.results import Outcome, Result
from consumer.model.schemas import Catalogue
from tests.model.registry_server import RegistryServer, refuse


LINK = Link(7, LinkKind.CONTACT, "w-1", "55", 3, "ab12")
PASSWORD = "correct-horse"
URL = f"https://crew:{PASSWORD}@registry.example.com/apis/ccompat/v7/"

Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def server() -> RegistryServer:
    """A registry that knows nothing yet."""
    return RegistryServer()


@pytest.fixture
def registry(server: RegistryServer) -> Iterator[SchemaRegistry]:
    """A client of that registry."""
    with closing(SchemaRegistry(URL, transport=httpx.MockTransport(server))) as client:
        yield client


@pytest.fixture
def against() -> Iterator[Callable[[Answer], SchemaRegistry]]:
    """Make a client of a registry that always answers in one way."""
    clients: list[SchemaRegistry] = []

    def make(answer: Answer) -> SchemaRegistry:
        clients.append(SchemaRegistry(URL, transport=httpx.MockTransport(answer)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def test_an_unknown_schema_is_registered_under_its_records_name(
    server: RegistryServer, registry: SchemaRegistry
) -> None:
    Codec(registry=registry).encode(LINK)
    subject = "/apis/ccompat/v7/subjects/crewsync.Link"
    assert server.paths() == [f"POST {subject}", f"POST {subject}/versions"]
    assert json.loads(server.schemas[0])["name"] == "Link"


def test_a_registered_schema_is_only_looked_up(server: RegistryServer, registry: SchemaRegistry) -> None:
    server._register("crewsync.Link", Catalogue.load().newest("crewsync.Link").text)
    Codec(registry=registry).encode(LINK)
    assert server.paths() == ["POST /apis/ccompat/v7/subjects/crewsync.Link"]


def test_a_value_begins_with_its_schemas_id(server: RegistryServer, registry: SchemaRegistry) -> None:
    for number in range(299):
        server.put(f'"filler {number}"')
    assert Codec(registry=registry).encode(LINK)[:7] == b"\x00\x00\x00\x01\x2c" + b"\x0e\x02"


def test_an_id_is_asked_for_once(server: RegistryServer, registry: SchemaRegistry) -> None:
    codec = Codec(registry=registry)
    data = [codec.encode(LINK) for _ in range(3)]
    asked = len(server.requests)
    assert [codec.decode(each, Link) for each in data] == [LINK, LINK, LINK]
    assert (asked, len(server.requests)) == (2, 3)


def test_a_second_codec_finds_the_same_ids(
    server: RegistryServer, registry: SchemaRegistry, examples: Mapping[type, Any]
) -> None:
    first, second = Codec(registry=registry), Codec(registry=registry)
    for cls in RECORD_TYPES:
        data = first.encode(examples[cls])
        assert second.encode(examples[cls]) == data
        assert second.decode(data, cls) == examples[cls]
    assert len(server.schemas) == len(RECORD_TYPES)


def test_a_codec_with_a_registry_reads_fingerprints_too(codec: Codec, registry: SchemaRegistry) -> None:
    assert Codec(registry=registry).decode(codec.encode(LINK), Link) == LINK


def test_a_newer_version_that_only_the_registry_knows_is_resolved(
    codec: Codec, server: RegistryServer, registry: SchemaRegistry
) -> None:
    """A field is passed over, and a new outcome read as the enum's default."""
    newer = json.loads(codec.catalogue.newest("crewsync.Result").text)
    newer["fields"].append({"name": "note", "type": ["null", "string"], "default": None})
    (outcome,) = (field for field in newer["fields"] if field["name"] == "outcome")
    outcome["type"]["symbols"].insert(0, "postponed")
    record = {
        "kind": "users",
        "subject_id": "1",
        "subject_name": "",
        "outcome": "postponed",
        "note": "soon",
        "source_topic": "t",
        "source_partition": 0,
        "source_offset": 12,
        "event_at": 0,
        "handled_at": 0,
    }
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, newer, record)
    header = b"\x00" + server.put(json.dumps(newer)).to_bytes(4)
    value = Codec(registry=registry).decode(header + buffer.getvalue(), Result)
    assert value.outcome is Outcome.FAILED
    assert value.source_offset == 12


@pytest.mark.parametrize(
    "answer",
    [
        {"schema": '{"type":"record","name":"crewsync.Link2","fields":[]}'},
        {"schema": '{"type":"array","items":"null"}'},
        {"schema": '"string"'},
        {"schema": '{"type":"record","name":"x","fields":[{"name":"a","type":"Unknown"}]}'},
        {"schema": "[" * 100_000},
        {"schema": "message Link {}", "schemaType": "PROTOBUF"},
    ],
)
def test_a_value_of_another_kind_of_schema_is_refused(
    against: Callable[[Answer], SchemaRegistry], answer: dict[str, str]
) -> None:
    codec = Codec(registry=against(lambda _: httpx.Response(200, json=answer)))
    with pytest.raises(UndecodableValue, match="Link may stand here"):
        codec.decode(b"\x00\x00\x00\x00\x01\xfe\xff\xff\xff\x0f", Link)


def test_a_writers_schema_that_cannot_be_resolved_makes_its_values_undecodable(
    against: Callable[[Answer], SchemaRegistry],
) -> None:
    schema = '{"type":"record","name":"crewsync.Link","fields":[{"name":"company_id","type":"long"}]}'
    codec = Codec(registry=against(lambda _: httpx.Response(200, json={"schema": schema})))
    with pytest.raises(UndecodableValue, match="Link is malformed"):
        codec.decode(b"\x00\x00\x00\x00\x01\x0e", Link)


def test_an_unknown_id_is_asked_for_again_only_after_half_a_minute(server: RegistryServer) -> None:
    now = [1000.0]
    transport = httpx.MockTransport(server)
    with closing(SchemaRegistry(URL, transport=transport, clock=lambda: now[0])) as client:
        for now[0] in (1000.0, 1001.0, 1030.0):
            with pytest.raises(UnknownSchema, match="no schema with id 1"):
                client.schema(1)
        assert len(server.requests) == 1
        server.put('"string"')
        now[0] = 1030.5
        assert client.schema(1) == '"string"'


def test_only_so_many_unknown_ids_are_remembered(registry: SchemaRegistry) -> None:
    for schema_id in range(1, 1200):
        with pytest.raises(UnknownSchema):
            registry.schema(schema_id)
    assert len(registry._unknown) == 1000


def test_credentials_in_the_url_are_sent_as_basic_authentication(
    server: RegistryServer, registry: SchemaRegistry
) -> None:
    registry.schema_id("crewsync.Link", '"string"')
    assert {request.headers["authorization"] for request in server.requests} == {
        httpx.BasicAuth("crew", PASSWORD)._auth_header
    }
    assert all(PASSWORD not in str(request.url) for request in server.requests)
    assert server.requests[0].headers["content-type"] == CONTENT_TYPE


def fail(error: type[httpx.TransportError]) -> Answer:
    """An answer that never comes."""

    def answer(request: httpx.Request) -> httpx.Response:
        raise error(f"no luck with {URL}", request=request)

    return answer


@pytest.mark.parametrize(
    ("answer", "message", "retriable"),
    [
        (fail(httpx.ReadTimeout), "did not answer in time", True),
        (fail(httpx.ConnectTimeout), "did not answer in time", True),
        (fail(httpx.ConnectError), "cannot be reached", True),
        (fail(httpx.RemoteProtocolError), "cannot be reached", True),
        (lambda _: refuse(500, 50001, "Error in the backend data store"), "answered 500 .code 50001.", True),
        (lambda _: refuse(503, 50003, "Error while forwarding"), "answered 503", True),
        (lambda _: httpx.Response(502, text="<html>"), "answered 502 .code None.: Bad Gateway", True),
        (lambda _: refuse(429, 42901, "Too many"), "answered 429", True),
        (lambda _: refuse(401, 40101, "Unauthorized"), "answered 401", False),
        (lambda _: refuse(409, 409, "Schema being registered is incompatible"), "incompatible", False),
        (lambda _: refuse(422, 42201, "Invalid schema"), "Invalid schema", False),
        (lambda _: refuse(404, 404, "HTTP 404 Not Found"), "answered 404", False),
        (lambda _: httpx.Response(404, text="no such page"), "answered 404", False),
        (lambda _: httpx.Response(302, headers={"location": "https://example.com"}), "answered 302", False),
        (lambda _: httpx.Response(200, text="<html>"), "other than a JSON object", False),
        (lambda _: httpx.Response(200, json=[1]), "other than a JSON object", False),
        (lambda _: httpx.Response(200, json={"id": "1", "schema": 5}), "gave no", False),
        (lambda _: httpx.Response(200, json={"id": 2**32}), "gave no", False),
        (lambda _: httpx.Response(200, json={"id": True}), "gave no", False),
    ],
)
def test_a_registry_that_fails_is_no_fault_of_the_value(
    against: Callable[[Answer], SchemaRegistry], answer: Answer, message: str, retriable: bool
) -> None:
    """The error says what happened, and shows no password."""
    codec = Codec(registry=against(answer))
    for call in (lambda: codec.encode(LINK), lambda: codec.decode(b"\x00\x00\x00\x00\x01\x0e", Link)):
        with pytest.raises(SchemaRegistryError, match=message) as caught:
            call()
        assert caught.value.retriable is retriable
        assert "registry.example.com/apis/ccompat/v7 " in str(caught.value)
        assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_a_registry_that_finds_nothing_to_register_under_is_an_error(
    against: Callable[[Answer], SchemaRegistry],
) -> None:
    registry = against(lambda _: refuse(404, 40401, "Subject not found"))
    with pytest.raises(SchemaRegistryError, match=r"gave no id for crewsync\.Link"):
        registry.schema_id("crewsync.Link", '"string"')


def test_an_id_is_asked_for_again_after_a_failure(server: RegistryServer) -> None:
    down = True

    def answer(request: httpx.Request) -> httpx.Response:
        return refuse(503, 50003, "starting") if down else server(request)

    with closing(SchemaRegistry(URL, transport=httpx.MockTransport(answer))) as client:
        codec = Codec(registry=client)
        with pytest.raises(SchemaRegistryError):
            codec.encode(LINK)
        down = False
        assert codec.decode(codec.encode(LINK), Link) == LINK


@pytest.mark.parametrize(
    "url", ["", "registry:8081", f"ftp://crew:{PASSWORD}@host", f"http://crew:{PASSWORD}@host:x"]
)
def test_a_url_that_is_none_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        SchemaRegistry(url)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_any_bytes_behind_an_id_are_a_value_or_an_error_about_the_value(
    server: RegistryServer, registry: SchemaRegistry, examples: Mapping[type, Any]
) -> None:
    codec = Codec(registry=registry)
    ids = {cls: codec.encode(examples[cls])[:5] for cls in RECORD_TYPES}

    @settings(derandomize=True, deadline=None)
    @given(st.sampled_from([*ids.values(), b"\x00\x00\x00\x00\x00"]), st.binary(max_size=100))
    def decodes(header: bytes, body: bytes) -> None:
        try:
            value = codec.decode(header + body, *RECORD_TYPES)
        except (UndecodableValue, UnknownSchema):
            return
        assert ids[type(value)] == header

    decodes()
    assert len(server.schemas) == len(RECORD_TYPES)
