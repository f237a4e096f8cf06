"""``crewsync topics`` and ``crewsync schemas`` as people and programs use them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.model.schemas import Catalogue
from consumer.topics import TopicNames
from tests.e2e.program import Place
from tests.model.registry_server import RegistryServer, serving


NAMES = [spec.name for spec in TopicNames().specs()]
VERSIONS = [(version.name, version.number) for version in Catalogue.load().versions]


def test_topics_are_created_once_and_then_are_as_they_should_be(place: Place) -> None:
    first = place.run("topics", "create")
    assert first.stdout.splitlines() == [f"{name}: created" for name in NAMES]
    second = json.loads(place.run("topics", "create", "--json").stdout)
    assert second == {"created": [], "existing": NAMES}
    described = place.run("topics", "describe")
    assert "links: 4 partitions, compact, empty\n" in described.stdout
    assert "sync-log: 4 partitions, delete, kept 400 days, empty\n" in described.stdout


def test_topics_that_are_missing_are_told_with_what_to_do_and_none_is_made(place: Place) -> None:
    process = place.start("topics", "describe", CREWSYNC_TOPIC_PREFIX="crew.")
    assert process.end() == 1
    assert "crew.links: missing\n" in process.stdout
    assert "FAIL  topic crew.links: it does not exist\n      to do: crewsync topics create" in process.stdout
    assert not place.broker.exists()


def test_a_description_for_programs_has_the_offsets_and_the_findings(place: Place) -> None:
    place.broker.parent.mkdir()
    with EmbeddedBroker(place.broker) as broker:
        broker.ensure_topics(
            replace(spec, retention_ms=60_000) if spec.name == "sync-log" else spec
            for spec in TopicNames().specs()
        )
        # A process that has the broker is no obstacle.
        document = json.loads(place.run("topics", "describe", "--json").stdout)
    assert document["ok"] is True
    assert [topic["name"] for topic in document["topics"]] == NAMES
    (log,) = (topic for topic in document["topics"] if topic["name"] == "sync-log")
    assert log["offsets"] == [{"first": 0, "end": 0}] * 4
    assert log["retention_ms"] == 60_000
    (shorter,) = (finding for finding in document["findings"] if finding["level"] == "warn")
    assert "sync-log: records are kept 60 s instead of 400 days" in shorter["what"]


def test_a_folder_s_name_may_hold_anything(tmp_path: Path) -> None:
    folder = tmp_path / "what? 100% #1"
    folder.mkdir()
    place = Place(folder)
    try:
        place.run("topics", "create")
        place.run("doctor")
    finally:
        place.close()


def test_schemas_are_well_without_a_registry(place: Place) -> None:
    document = json.loads(place.run("schemas", "check", "--json").stdout)
    assert [(schema["name"], schema["version"]) for schema in document["schemas"]] == VERSIONS
    assert {schema["registry_id"] for schema in document["schemas"]} == {None}
    assert document["ok"] is True


def test_schemas_are_registered_in_order_once_and_then_known_by_their_ids(place: Place) -> None:
    server = RegistryServer()
    with serving(server) as url:
        settings = {"CREWSYNC_SCHEMA_REGISTRY_URL": url}
        before = place.start("schemas", "check", **settings)
        assert before.end() == 0
        assert "to do: crewsync schemas register" in before.stdout
        assert server.schemas == [], "to check registers nothing"

        first = place.run("schemas", "register", **settings)
        assert first.stdout.count(", registered, id ") == len(VERSIONS)
        assert server.schemas == [version.text for version in Catalogue.load().versions]
        assert place.run("schemas", "register", **settings).stdout.count(", was there, id ") == len(VERSIONS)

        after = json.loads(place.run("schemas", "check", "--json", **settings).stdout)
        assert [schema["registry_id"] for schema in after["schemas"]] == list(range(1, len(VERSIONS) + 1))
        found = json.loads(place.run("doctor", "--json", **settings).stdout)["findings"]
        assert f"schema registry: all {len(VERSIONS)} schemas are registered" in [
            one["what"] for one in found
        ]


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({}, 2, "set CREWSYNC_SCHEMA_REGISTRY_URL"),
        ({"CREWSYNC_SCHEMA_REGISTRY_URL": "http://127.0.0.1:9"}, 3, "cannot be reached"),
    ],
    ids=["none", "unreachable"],
)
def test_without_a_registry_nothing_is_registered_and_one_line_says_why(
    place: Place, settings: dict[str, str], code: int, words: str
) -> None:
    process = place.start("schemas", "register", **settings)
    assert process.end() == code
    assert words in process.stderr
    assert len(process.stderr.splitlines()) == 1
