"""Webhooks on Apache Kafka, where one process takes them in and another handles what comes of them."""

import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.sandbox.server import RunningSandbox
from consumer.sandbox.server import start as start_sandbox
from tests.e2e.program import Place
from tests.e2e.test_kafka_demo import RECOVERY_S
from tests.e2e.test_webhooks import edit, post, with_autosync, worker_name
from tests.upstream.site import company_data
from tests.webhooks.deliveries import v2, v4


pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    """Both upstreams with Maria."""
    with start_sandbox(tmp_path / "var" / "sandbox.db", company_data()) as running:
        yield running


def test_an_intake_that_is_killed_is_followed_by_the_next_and_no_change_is_lost(
    place: Place, url: str, sandbox: RunningSandbox
) -> None:
    prefix = f"webhooks-{uuid4().hex[:8]}."
    place.settings |= with_autosync(sandbox)
    place.settings |= {"CREWSYNC_BROKER_URL": url, "CREWSYNC_TOPIC_PREFIX": prefix}
    handling = place.start("run", "--role", "users")
    intake = place.start("run", "--role", "webhooks")
    edit(place, "Alder")
    assert post(intake, v2()) == 202
    handling.until(lambda: worker_name(place) == "Alder", RECOVERY_S)
    edit(place, "Birch")
    assert post(intake, v4()) == 202
    intake.kill()
    intake = place.start("run", "--role", "webhooks")
    handling.until(lambda: worker_name(place) == "Birch", RECOVERY_S)
    for process in (intake, handling):
        assert process.stop(signal.SIGTERM) == 0, process.stderr
