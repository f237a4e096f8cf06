"""The codec against the schema registry at CREWSYNC_SCHEMA_REGISTRY_URL, if there is one.

The registry must speak Confluent's API. The schemas are registered under their own subjects and stay there.
"""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from consumer.exceptions import UnknownSchema
from consumer.model.codec import RECORD_TYPES, Codec
from consumer.model.links import Link
from consumer.model.registry import SchemaRegistry, SchemaRegistryError
from consumer.model.schemas import fingerprint, parse


URL = os.environ.get("CREWSYNC_SCHEMA_REGISTRY_URL", "")

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(not URL, reason="CREWSYNC_SCHEMA_REGISTRY_URL names no schema registry"),
]


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    """A client of the real registry."""
    client = SchemaRegistry(URL)
    yield client
    client.close()


def test_every_schema_can_be_registered_and_found_again(
    registry: SchemaRegistry, examples: Mapping[type, Any]
) -> None:
    """A second codec finds the same ids, and reads what the first has written."""
    first, second = Codec(registry=registry), Codec(registry=registry)
    for cls in RECORD_TYPES:
        data = first.encode(examples[cls])
        assert data[:1] == b"\x00"
        assert second.encode(examples[cls]) == data
        assert second.decode(data, cls) == examples[cls]


def test_the_registry_gives_a_schema_back_with_its_meaning(registry: SchemaRegistry) -> None:
    """It may lay the text out anew, but the fingerprint stays."""
    codec = Codec(registry=registry)
    version = codec.catalogue.newest("crewsync.TimesheetEvent")
    text = registry.schema(registry.schema_id(version.name, version.text))
    assert text is not None
    assert fingerprint(parse(text)) == version.fingerprint
    assert text.count("logicalType") == version.text.count("logicalType")


def test_an_id_that_the_registry_never_gave_is_unknown(registry: SchemaRegistry) -> None:
    with pytest.raises(UnknownSchema):
        Codec(registry=registry).decode(b"\x00\x7f\xff\xff\xfe\x00", Link)


def test_an_address_without_the_api_is_no_unknown_schema() -> None:
    """Or every record would be set aside because of a wrong path in the configuration."""
    client = SchemaRegistry(URL.rstrip("/") + "/no/such/path")
    try:
        with pytest.raises(SchemaRegistryError):
            client.schema(1)
    finally:
        client.close()
