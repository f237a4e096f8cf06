"""The real program takes a webhook in: somebody is edited in Procore, and their worker follows."""

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumer.sandbox.server import RunningSandbox
from consumer.sandbox.server import start as start_sandbox
from consumer.sandbox.store import SandboxState
from tests.e2e.program import Place, Process, real_upstreams
from tests.e2e.test_health import url_of, values
from tests.upstream.site import company_data
from tests.webhooks.deliveries import MARIA, TOKEN, v2, v3, v4


SAID = re.compile(r"^Webhooks: (http://\S+)$", re.MULTILINE)
REFUSED = '[[rules]]\noperation = "showCompanyUser"\nfault = "status=403"\n'


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """What goes wrong in the sandbox; nothing to begin with."""
    path = tmp_path / "faults.toml"
    path.write_text("")
    return path


@pytest.fixture
def sandbox(tmp_path: Path, faults: Path) -> Iterator[RunningSandbox]:
    """Both upstreams with Maria."""
    with start_sandbox(tmp_path / "var" / "sandbox.db", company_data(), faults=faults) as running:
        yield running


def with_autosync(sandbox: RunningSandbox) -> dict[str, str]:
    """The settings with which changes are applied as they come."""
    settings = dict(real_upstreams(sandbox.address))
    (company,) = json.loads(settings["CREWSYNC_COMPANIES"])
    settings["CREWSYNC_COMPANIES"] = json.dumps([company | {"autosync_users": True}])
    return {**settings, "CREWSYNC_WEBHOOKS_PORT": "0", "CREWSYNC_WEBHOOKS_TOKEN": TOKEN}


@pytest.fixture
def place(place: Place, sandbox: RunningSandbox) -> Place:
    """A folder to start the program in, that works with this sandbox."""
    place.settings |= with_autosync(sandbox)
    return place


def intake_of(process: Process) -> str:
    """Where a process says that it takes webhooks."""
    process.until(lambda: SAID.search(process.stdout) is not None)
    said = SAID.search(process.stdout)
    assert said is not None
    return said[1]


def post(process: Process, payload: dict[str, Any], token: str = TOKEN) -> int:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(intake_of(process), json=payload, headers=headers, timeout=5).status_code


def worker_name(place: Place) -> str | None:
    workers = SandboxState(place.sandbox).workers()
    return workers[0]["last_name"] if workers else None


def edit(place: Place, name: str) -> None:
    SandboxState(place.sandbox).edit_user(MARIA, last_name=name)


def test_a_user_who_is_edited_in_procore_is_changed_in_smartbarrel(place: Place) -> None:
    process = place.start("run")
    for name, payload in (("Alder", v2()), ("Birch", v3(ulid="2")), ("Cedar", v4())):
        edit(place, name)
        assert post(process, payload) == 202
        process.until(lambda name=name: worker_name(place) == name)  # type: ignore[misc] # bound now
    assert post(process, v2(), "wrong") == 401
    url = url_of(process)
    state = httpx.get(f"{url}state").json()
    assert {"webhooks", "webhooks-intake"} <= set(state["loops_turned_s_ago"])
    assert state["webhooks"]["held_s"] == {}
    counts = values(httpx.get(f"{url}metrics").text, "crewsync_webhooks_total", "result")
    assert {key: count for key, count in counts.items() if count} == {("accepted",): 3, ("unauthorized",): 1}
    assert process.stop(signal.SIGTERM) == 0
    said = process.stdout + process.stderr
    assert "Traceback" not in said
    assert not [word for word in (TOKEN, "Maria", "Cedar", "maria.delgado") if word in said]


def test_what_was_accepted_before_a_kill_while_procore_refused_is_done_by_the_next_process(
    place: Place, faults: Path
) -> None:
    """The answer does not wait for Procore, and nothing is lost."""
    faults.write_text(REFUSED)
    process = place.start("run")
    edit(place, "Alder")
    assert post(process, v4()) == 202
    url = url_of(process)
    process.until(lambda: httpx.get(f"{url}state").json()["webhooks"]["held_s"] != {})
    process.kill()
    assert worker_name(place) is None
    faults.write_text("")
    process = place.start("run")
    process.until(lambda: worker_name(place) == "Alder")
    assert process.stop(signal.SIGTERM) == 0


def test_without_a_token_no_webhooks_are_taken_and_the_role_is_refused(place: Place) -> None:
    place.settings.pop("CREWSYNC_WEBHOOKS_TOKEN")
    process = place.start("run", "--role", "webhooks")
    assert process.end() == 2
    assert process.stderr.startswith("crewsync: CREWSYNC_WEBHOOKS_TOKEN (or CREWSYNC_WEBHOOKS_TOKEN_FILE): ")
    process = place.start("run")
    process.until(lambda: "Waiting for events" in process.stdout)
    assert not SAID.search(process.stdout)
    assert process.stop(signal.SIGTERM) == 0
