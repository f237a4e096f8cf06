"""The play: a Prometheus, three processes, and everything that goes wrong with them."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.alerts import scenes
from tests.alerts.prometheus import Prometheus
from tests.alerts.scenes import GENERAL, Actor


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """The Prometheus that has seen all scenes, with the processes still at work."""
    folder = tmp_path_factory.mktemp("alerts")
    names = ("refused", "limited", "broken")
    own, *ports = _free_ports(1 + len(names))
    with ExitStack() as stack:
        targets = {f"crewsync-{name}": port for name, port in zip(names, ports, strict=True)}
        prometheus = Prometheus(folder / "prometheus", own, targets)
        stack.callback(prometheus.close)
        # What takes ten minutes takes as many seconds here, parking too.
        actors = [
            Actor(folder / "refused", ports[0], prometheus, CREWSYNC_HOLD_S="10"),
            Actor(folder / "limited", ports[1], prometheus, CREWSYNC_HOLD_S="300"),
            Actor(folder / "broken", ports[2], prometheus, CREWSYNC_STUCK_S="2"),
        ]
        for actor in actors:
            stack.callback(actor.close)
        prometheus.until_fired("", *GENERAL, since=prometheus.began)
        with ThreadPoolExecutor() as pool:
            list(pool.map(Actor.start, actors))
            prometheus.until_resolved("", *GENERAL)
            playing = [
                pool.submit(scene, actor)
                for scene, actor in zip((scenes.refused, scenes.limited, scenes.broken), actors, strict=True)
            ]
        for scene in playing:
            scene.result()
        prometheus.until(lambda: not prometheus.firing(), 60, "nothing fires")
        yield prometheus


def _free_ports(number: int) -> list[int]:
    with ExitStack() as stack:
        return [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(number)
        ]
