"""``crewsync topics`` and ``crewsync doctor`` on Apache Kafka."""

import json
from collections.abc import Mapping
from uuid import uuid4

import pytest

from consumer.broker.connect import connect
from consumer.broker.port import TopicSpec
from consumer.topics import TopicNames
from tests.e2e.program import Place


pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(url: str) -> Mapping[str, str]:
    """The Kafka, with topics that no other test uses."""
    return {"CREWSYNC_BROKER_URL": url, "CREWSYNC_TOPIC_PREFIX": f"topics-{uuid4().hex}."}


def test_topics_that_were_created_are_well_in_the_doctor_s_eyes(
    place: Place, settings: Mapping[str, str]
) -> None:
    names = [spec.name for spec in TopicNames(settings["CREWSYNC_TOPIC_PREFIX"]).specs()]
    created = json.loads(place.run("topics", "create", "--json", **settings).stdout)
    assert created == {"created": names, "existing": []}
    described = json.loads(place.run("topics", "describe", "--json", **settings).stdout)
    assert {finding["level"] for finding in described["findings"]} == {"ok"}
    assert [topic["replicas"] for topic in described["topics"]] == [1] * len(names)
    found = json.loads(place.run("doctor", "--json", **settings).stdout)["findings"]
    assert {finding["level"] for finding in found} == {"ok"}


def test_topics_that_somebody_else_made_are_told_with_kafka_s_own_commands(
    place: Place, settings: Mapping[str, str]
) -> None:
    names = TopicNames(settings["CREWSYNC_TOPIC_PREFIX"])
    with connect(settings["CREWSYNC_BROKER_URL"]) as broker:
        broker.ensure_topics(
            [TopicSpec(names.links, 4), TopicSpec(names.sync_log, 2, retention_ms=86_400_000)]
        )
    process = place.start("topics", "describe", **settings)
    assert process.end() == 1
    for words in (
        f"FAIL  topic {names.links}: its cleanup policy is delete instead of compact",
        f"kafka-configs --alter --entity-type topics --entity-name {names.links} --add-config cleanup",
        f"FAIL  topic {names.sync_log}: it has 2 partitions, and needs 4",
        f"warn  topic {names.sync_log}: records are kept 1 day instead of 400 days",
        f"FAIL  topic {names.dead_letters}: it does not exist",
        f"kafka-topics --create --topic {names.dead_letters} --partitions 8",
    ):
        assert words in process.stdout
