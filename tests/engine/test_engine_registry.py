"""A schema registry that does not answer says nothing about the events: they wait, in their order."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from consumer.broker.port import Message
from consumer.model.codec import Codec
from consumer.model.events import UserEvent
from consumer.model.registry import SchemaRegistry, SchemaRegistryError
from consumer.model.results import Outcome
from consumer.model.topics import user_key
from tests.engine.test_engine_stage import TOPICS, Stage, a_stage, link, until, user


class Registry:
    """A schema registry's server. While ``down`` is set, it answers so; what a writer registers stays."""

    def __init__(self) -> None:
        self.down: int | None = None
        self.asked = 0
        self._schemas: list[str] = []
        self._clients: list[SchemaRegistry] = []

    def client(self) -> SchemaRegistry:
        """A client that has cached nothing."""
        transport = httpx.MockTransport(self._answer)
        self._clients.append(SchemaRegistry("http://registry.test", transport=transport))
        return self._clients[-1]

    def close(self) -> None:
        """Close all clients."""
        for client in self._clients:
            client.close()

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.down is not None:
            return httpx.Response(self.down)
        if request.method == "GET":
            number = int(request.url.path.rpartition("/")[2])
            return httpx.Response(200, json={"schema": self._schemas[number]})
        schema = json.loads(request.content)["schema"]
        if schema not in self._schemas:
            self._schemas.append(schema)
        return httpx.Response(200, json={"id": self._schemas.index(schema)})


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def stage(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """A stage whose results are read with the registry's help."""
    monkeypatch.setattr("consumer.engine.loop._REGISTRY_PAUSE_S", 0.01)
    with a_stage(tmp_path, partitions=2) as made:
        made.codec = Codec(registry=registry.client())
        yield made
    registry.close()


def publish(stage: Stage, *events: UserEvent, plain: bool = False, partition: int = 0) -> None:
    """Write events as sources with the registry do, or, if ``plain``, as those without."""
    codec = Codec() if plain else stage.codec
    values = [Message(TOPICS.events, user_key(e), codec.encode(e), partition=partition) for e in events]
    stage.write(*values)


def warm(stage: Stage, registry: Registry) -> Codec:
    """A codec that has been at work, but has not met an event of the registry's yet."""
    publish(stage, user(0), plain=True, partition=1)
    codec = Codec(registry=registry.client())
    running = stage.engine(codec=codec, name="first")
    stage.wait_for_results(1)
    until(lambda: running.links.get(link(user(0)).key) and len(running.links) == 1, "for its own link")
    running.stop()
    return codec


def test_events_wait_in_their_order_for_a_registry_that_is_down_and_none_is_set_aside(
    stage: Stage, registry: Registry
) -> None:
    codec = warm(stage, registry)
    publish(stage, user(1, moment=0), plain=True)
    publish(stage, user(1, moment=1), user(2))
    publish(stage, user(1, moment=2), plain=True)
    running = stage.engine(codec=codec)
    registry.down = 503
    asked = registry.asked
    until(lambda: registry.asked > asked + 5, "for the registry to be asked again")
    assert running.error is None
    assert stage.letters() == []
    registry.down = None
    found = stage.wait_for_results(5)
    running.stop()
    assert set(found.values()) == {Outcome.CREATED}
    assert [call for call in running.handler.calls if call[0] == 1] == [(1, 0), (1, 1), (1, 2)]
    assert stage.letters() == []


def test_a_stop_while_the_registry_is_down_is_no_longer_than_another_and_loses_nothing(
    stage: Stage, registry: Registry
) -> None:
    codec = warm(stage, registry)
    publish(stage, user(1), user(2))
    registry.down = 503
    first = stage.engine(codec=codec, drain_s=1000.0)
    asked = registry.asked
    until(lambda: registry.asked > asked + 2, "for the registry to be asked")
    first.stop()
    registry.down = None
    last = stage.engine(codec=stage.codec, name="last")
    found = stage.wait_for_results(3)
    last.stop()
    assert len(found) == 3
    assert first.handler.calls == []


def test_a_partition_that_goes_while_its_events_wait_is_handled_by_the_next_owner_once(
    stage: Stage, registry: Registry
) -> None:
    codec = warm(stage, registry)
    publish(stage, user(5), partition=1)
    veteran = stage.engine(codec=stage.codec, name="veteran")
    stage.wait_for_results(2)
    until(lambda: len(veteran.links) == 2, "for it to know all schemas")
    veteran.stop()
    for partition in range(2):
        publish(stage, user(10 + partition), user(20 + partition), partition=partition)
    registry.down = 503
    first = stage.engine(codec=codec, name="first")
    asked = registry.asked
    until(lambda: registry.asked > asked + 2, "for the registry to be asked")
    second = stage.engine(codec=stage.codec, name="second")
    until(lambda: len(second.handler.calls) == 2, "for the second, which knows the schema, to do its part")
    second.stop()
    until(lambda: registry.asked > asked + 6, "for the first to go on asking")
    registry.down = None
    found = stage.wait_for_results(6)
    first.stop()
    assert len(found) == 6
    assert sorted([*first.handler.calls, *second.handler.calls]) == [(10, 0), (11, 0), (20, 0), (21, 0)]


@pytest.mark.parametrize("status", [401, 403])
def test_a_registry_that_refuses_ends_the_engine_and_sets_nothing_aside(
    stage: Stage, registry: Registry, status: int
) -> None:
    """Somebody has to mend the credentials; until then the events stay where they are."""
    codec = warm(stage, registry)
    publish(stage, user(1))
    registry.down = status
    running = stage.engine(codec=codec)
    running.join()
    assert isinstance(running.error, SchemaRegistryError)
    assert stage.letters() == []
    registry.down = None
    last = stage.engine(codec=stage.codec, name="last")
    assert len(stage.wait_for_results(2)) == 2
    last.stop()


@pytest.mark.parametrize("status", [500, 503])
def test_a_registry_that_is_down_at_the_start_loses_nothing(
    stage: Stage, registry: Registry, status: int
) -> None:
    """Whether an engine waits for it or ends and is started again is its own affair."""
    warm(stage, registry)
    publish(stage, user(1), user(2))
    registry.down = status
    cold = stage.engine(codec=Codec(registry=registry.client()), name="cold")
    asked = registry.asked
    until(lambda: registry.asked > asked + 2 or cold.error is not None)
    registry.down = None
    last = stage.engine(name="last")
    found = stage.wait_for_results(3)
    cold.ask_to_stop()
    cold.join()
    last.stop()
    assert cold.error is None or isinstance(cold.error, SchemaRegistryError)
    assert set(found.values()) == {Outcome.CREATED}
    assert stage.letters() == []
