"""``crewsync doctor`` finds what is broken, names the remedy, and goes on; it changes nothing."""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any

import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import TopicSpec
from consumer.sandbox.server import RunningSandbox, start
from consumer.topics import TopicNames
from tests.e2e.program import Place, Process, real_upstreams


SPECS = TopicNames().specs()


class Scene:
    """A folder for the program, and what a test starts around it."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self.place = place
        self.stack = stack

    def sandbox(self, faults: str = "") -> RunningSandbox:
        """A sandbox that stands alone."""
        folder = self.place.folder / "upstreams"
        folder.mkdir()
        (folder / "faults.toml").write_text(faults)
        return self.stack.enter_context(start(folder / "sandbox.db", faults=folder / "faults.toml"))

    def real(self, faults: str = "", **other: str) -> dict[str, str]:
        """Settings for such a sandbox in place of the real upstreams, some of them others."""
        return {**real_upstreams(self.sandbox(faults).address), **other}

    def topics(self, change: Callable[[TopicSpec], TopicSpec | None]) -> dict[str, str]:
        """A broker whose topics are made as they are changed."""
        self.place.broker.parent.mkdir()
        with EmbeddedBroker(self.place.broker) as broker:
            broker.ensure_topics([made for spec in SPECS if (made := change(spec)) is not None])
        return {}

    def closed_port(self) -> str:
        """An address where whoever connects is refused."""
        taken = self.stack.enter_context(closing(socket.socket()))
        taken.bind(("127.0.0.1", 0))  # bound but not listening
        return f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def scene(place: Place) -> Iterator[Scene]:
    """An empty folder, and nothing around it."""
    with ExitStack() as stack:
        yield Scene(place, stack)


def findings(process: Process, code: int) -> list[Mapping[str, str]]:
    """What a process has found that ended with this code, and has shown no traceback."""
    assert process.end() == code, process.stdout + process.stderr
    assert "Traceback" not in process.stdout + process.stderr
    document = json.loads(process.stdout)
    assert document["ok"] == (code == 0)
    found: list[Mapping[str, str]] = document["findings"]
    return found


def rule(fault: str, *operations: str) -> str:
    """The sandbox's rules that let these operations fail."""
    return "".join(f'[[rules]]\noperation = "{each}"\nfault = "{fault}"\n' for each in operations)


def changed(name: str, **values: Any) -> Callable[[Scene], dict[str, str]]:
    """A broker with one topic that is not as it should be."""

    def change(spec: TopicSpec) -> TopicSpec:
        return replace(spec, **values) if spec.name == name else spec

    return lambda scene: scene.topics(change)


def in_use(scene: Scene) -> dict[str, str]:
    changed("")(scene)
    scene.stack.enter_context(EmbeddedBroker(scene.place.broker))
    return {}


def file_in_the_way(scene: Scene) -> dict[str, str]:
    (scene.place.folder / "file").write_text("no directory")
    return {"CREWSYNC_LOG_DIR": "file/logs"}


def directory_as_broker(scene: Scene) -> dict[str, str]:
    (scene.place.folder / "mine").mkdir()
    return {"CREWSYNC_BROKER_URL": "embedded:mine"}


def other_company(**values: object) -> Callable[[Scene], dict[str, str]]:
    """A company that is set up under another id than its own."""

    def make(scene: Scene) -> dict[str, str]:
        settings = scene.real()
        (company,) = json.loads(settings["CREWSYNC_COMPANIES"])
        return {**settings, "CREWSYNC_COMPANIES": json.dumps([{**company, **values}])}

    return make


HIDDEN = ("listCompanyUsers", "listInactiveCompanyUsers", "listCompanyPeople")

BROKEN: Mapping[str, tuple[Callable[[Scene], Mapping[str, str]], str, str]] = {
    "an unknown setting": (
        lambda _: {"CREWSYNC_BROKER_ULR": "x"},
        "settings: CREWSYNC_BROKER_ULR: no such setting; did you mean CREWSYNC_BROKER_URL?",
        "the README lists every setting",
    ),
    "a wrong client secret": (
        lambda scene: scene.real(CREWSYNC_PROCORE_CLIENT_SECRET="wrong"),
        "Procore gives no access token (HTTP 401: Client authentication failed",
        "CREWSYNC_PROCORE_CLIENT_SECRET",
    ),
    "a login server that cannot be reached": (
        lambda scene: scene.real(CREWSYNC_PROCORE_LOGIN_URL=f"http://{scene.closed_port()}"),
        "Procore gives no access token (no answer: ConnectError)",
        "CREWSYNC_PROCORE_LOGIN_URL",
    ),
    "an app that is not connected": (
        other_company(company_id=17),
        "Procore lets the account read nothing of this company (HTTP 403: App is not connected",
        "install the app in this company",
    ),
    "a hidden directory": (
        lambda scene: scene.real(rule("empty-page", *HIDDEN)),
        "Procore shows no users: hidden from the account",
        "Directory tool",
    ),
    "timecards that are not to be seen": (
        lambda scene: scene.real(rule("status=403", "listTimecardEntries")),
        "Procore refuses to show timecards (HTTP 403",
        "Timesheets tool",
    ),
    "a wrong API key": (
        lambda scene: scene.real(CREWSYNC_SMARTBARREL_API_KEY="wrong"),
        "SmartBarrel refuses the API key (HTTP 401: API key is missing or invalid)",
        "CREWSYNC_SMARTBARREL_API_KEY",
    ),
    "another company's API key": (
        other_company(smartbarrel_company_id="another"),
        "SmartBarrel does not open this company (HTTP 403",
        "smartbarrel_company_id",
    ),
    "a SmartBarrel that cannot be reached": (
        lambda scene: scene.real(CREWSYNC_SMARTBARREL_URL=f"http://{scene.closed_port()}"),
        "SmartBarrel cannot be reached (no answer: ConnectError)",
        "CREWSYNC_SMARTBARREL_URL",
    ),
    "a SmartBarrel that is out of order": (
        lambda scene: scene.real(rule("status=500", "listWorkers", "listTimesheets")),
        "SmartBarrel is out of order (HTTP 500",
        "run this again",
    ),
    "a broker in use": (in_use, f"is in use by process {os.getpid()}", f"kill {os.getpid()}"),
    "a directory in place of the broker": (directory_as_broker, "mine", "move away what is at mine"),
    "a missing topic": (
        lambda scene: scene.topics(lambda spec: None if spec.name == "links" else spec),
        "topic links: it does not exist",
        "crewsync topics create",
    ),
    "links that are not compacted": (
        changed("links", compacted=False),
        "topic links: its cleanup policy is delete instead of compact",
        "move the file away",
    ),
    "a topic with too few partitions": (
        changed("sync-log", partitions=1),
        "topic sync-log: it has 1 partition, and needs 4",
        "move the file away",
    ),
    "a log directory that cannot be made": (
        file_in_the_way,
        "log directory: file/logs cannot be made, since file is no folder",
        "move file away",
    ),
    "a Kafka that cannot be reached": (
        lambda scene: {"CREWSYNC_BROKER_URL": f"kafka://{scene.closed_port()}"},
        "broker: no Kafka server can be reached: 127.0.0.1",
        "CREWSYNC_BROKER_URL",
    ),
    "a schema registry that cannot be reached": (
        lambda scene: {"CREWSYNC_SCHEMA_REGISTRY_URL": f"http://crew:hunter2@{scene.closed_port()}"},
        "schema registry: The schema registry at http://127.0.0.1",
        "CREWSYNC_SCHEMA_REGISTRY_URL",
    ),
    "a sandbox's file that is not ours": (
        lambda scene: {"CREWSYNC_SANDBOX_STATE": str(scene.place.folder)},
        "sandbox: ",
        "CREWSYNC_SANDBOX_STATE",
    ),
}


@pytest.mark.parametrize(("make", "what", "remedy"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_set_up_is_found_with_its_remedy_and_the_other_checks_are_made(
    scene: Scene, make: Callable[[Scene], Mapping[str, str]], what: str, remedy: str
) -> None:
    found = findings(scene.place.start("doctor", "--json", **make(scene)), 1)
    failed = [one for one in found if one["level"] == "FAIL"]
    (first, *_) = [one for one in failed if what in one["what"]] or [{"remedy": f"nothing like it: {failed}"}]
    assert remedy in first["remedy"]
    assert all(one["remedy"] for one in failed)
    assert "hunter2" not in json.dumps(found)
    # Wrong settings alone end it.
    goes_on = any(one["what"].startswith("schemas: all") for one in found)
    assert goes_on == (not first_is_settings(found))


def first_is_settings(found: Sequence[Mapping[str, str]]) -> bool:
    return found[0]["level"] == "FAIL" and found[0]["what"].startswith("settings: ")


def test_all_is_well_in_a_fresh_folder_and_nothing_is_made_there(place: Place) -> None:
    process = place.start("doctor")
    assert process.end() == 0, process.stdout + process.stderr
    *lines, _, summary = process.stdout.splitlines()
    assert [line for line in lines if not line.startswith("ok    ")] == []
    assert summary == f"{len(lines)} ok"
    assert process.stderr == ""
    assert sorted(path.name for path in place.folder.iterdir()) == ["stderr-0.txt", "stdout-0.txt"]


def test_all_is_well_after_the_demo_and_with_a_sandbox_beside_it(scene: Scene) -> None:
    scene.place.run("demo")
    settings = scene.real()
    before = sorted(scene.place.broker.parent.iterdir())
    found = findings(scene.place.start("doctor", "--json", **settings), 0)
    assert {one["level"] for one in found} == {"ok"}
    topics = [one["what"] for one in found if one["what"].startswith("topic ")]
    assert [what.split(":")[0].removeprefix("topic ") for what in topics] == [spec.name for spec in SPECS]
    assert sorted(scene.place.broker.parent.iterdir()) == before


def test_doctor_writes_nothing_to_either_upstream(scene: Scene) -> None:
    sandbox = scene.sandbox()
    findings(scene.place.start("doctor", "--json", **real_upstreams(sandbox.address)), 0)
    assert sandbox.state.writes() == []


def test_every_problem_of_the_settings_is_a_line_and_nothing_else_is_looked_at(place: Place) -> None:
    process = place.start("doctor", CREWSYNC_BROKER_ULR="x", CREWSYNC_LOG_LEVEL="loud")
    assert process.end() == 1
    failed = [line for line in process.stdout.splitlines() if line.startswith("FAIL")]
    assert [re.findall(r"CREWSYNC_\w+", line)[0] for line in failed] == [
        "CREWSYNC_BROKER_ULR",
        "CREWSYNC_LOG_LEVEL",
    ]
    assert process.stdout.endswith("\n0 ok, 2 FAIL\n")


def test_a_secret_that_everybody_can_read_is_a_warning_with_the_command_that_mends_it(scene: Scene) -> None:
    settings = scene.real()
    path = scene.place.folder / "secret"
    path.write_text(settings.pop("CREWSYNC_PROCORE_CLIENT_SECRET"))
    path.chmod(0o644)
    settings["CREWSYNC_PROCORE_CLIENT_SECRET_FILE"] = "secret"
    found = findings(scene.place.start("doctor", "--json", **settings), 0)
    assert [(one["what"], one["remedy"]) for one in found if one["level"] == "warn"] == [
        (
            "secrets: everybody on this machine can read secret (CREWSYNC_PROCORE_CLIENT_SECRET_FILE)",
            "chmod o= secret",
        )
    ]
    path.chmod(0o600)
    assert {one["level"] for one in findings(scene.place.start("doctor", "--json", **settings), 0)} == {"ok"}


def test_a_login_that_is_refused_by_all_companies_is_told_for_each(scene: Scene) -> None:
    settings = scene.real(CREWSYNC_PROCORE_CLIENT_SECRET="wrong")
    (company,) = json.loads(settings["CREWSYNC_COMPANIES"])
    other = {**company, "company_id": 17, "name": "Another"}
    found = findings(
        scene.place.start(
            "doctor", "--json", **{**settings, "CREWSYNC_COMPANIES": json.dumps([company, other])}
        ),
        1,
    )
    assert len([one for one in found if "Procore gives no access token" in one["what"]]) == 2


def test_the_broker_is_looked_at_while_another_process_has_it(scene: Scene) -> None:
    in_use(scene)
    found = findings(scene.place.start("doctor", "--json"), 1)
    assert len([one for one in found if one["level"] == "FAIL"]) == 1
    assert len([one for one in found if one["what"].startswith("topic ")]) == len(SPECS)
