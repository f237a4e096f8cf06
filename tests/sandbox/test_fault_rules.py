"""Faults by the rules of a file, and budgets out of it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import pytest
import structlog

from consumer.exceptions import ConfigurationError
from consumer.sandbox import procore, smartbarrel
from consumer.sandbox.fault_rules import Asked, FaultFile
from consumer.sandbox.limits import RateBudget
from consumer.sandbox.server import RunningSandbox
from tests.contracts import contract
from tests.sandbox.company import Clock


PEOPLE = "/rest/v1.0/companies/4281001/people"
LIST = Asked("procore", "listCompanyPeople", "GET", PEOPLE)
CREATE = Asked("procore", "createCompanyPerson", "POST", PEOPLE)
WORKERS = Asked("smartbarrel", "listWorkers", "GET", "/api/v1/companies/granite-ridge/workers")
OPERATIONS = procore.OPERATIONS | smartbarrel.OPERATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "faults.toml"


@pytest.fixture
def read(path: Path) -> Callable[[str], FaultFile]:
    """Reads a file with this text."""

    def one(text: str) -> FaultFile:
        path.write_text(text, "utf-8")
        return FaultFile(path, OPERATIONS)

    return one


def rewrite(path: Path, text: str) -> None:
    """Put another file in its place, as editors do."""
    new = path.with_suffix(".new")
    new.write_text(text, "utf-8")
    new.replace(path)


def faults(file: FaultFile, asked: Asked, count: int = 1) -> list[str | None]:
    found = (file.fault_for(asked) for _ in range(count))
    return [None if fault is None else fault.text for fault in found]


def rule(**fields: object) -> str:
    """A rule as TOML, whose numbers, texts and lists are written as Python's."""
    lines = [f"{name} = {value!r}" for name, value in {"fault": "reset", **fields}.items()]
    return "\n".join(["[[rules]]", *lines, ""])


# ------------------------------------------------------------------ which requests


@pytest.mark.parametrize(
    ("fields", "fitting"),
    [
        ({}, [LIST, CREATE, WORKERS]),
        ({"system": "procore"}, [LIST, CREATE]),
        ({"operation": "listWorkers"}, [WORKERS]),
        ({"method": "post"}, [CREATE]),
        ({"path": "/rest/*/people"}, [LIST, CREATE]),
        ({"path": "/rest/*", "method": "GET"}, [LIST]),
        ({"system": "smartbarrel", "operation": "listCompanyPeople"}, []),
    ],
)
def test_a_rule_befalls_the_requests_that_it_names(
    read: Callable[[str], FaultFile], fields: Mapping[str, object], fitting: list[Asked]
) -> None:
    file = read(rule(**fields))
    assert [asked for asked in (LIST, CREATE, WORKERS) if file.fault_for(asked)] == fitting


def test_a_rule_begins_after_so_many_fitting_requests_and_ends_after_so_many_faults(
    read: Callable[[str], FaultFile],
) -> None:
    file = read(rule(operation="listWorkers", after=2, times=1))
    assert faults(file, LIST, 3) == [None] * 3
    assert faults(file, WORKERS, 5) == [None, None, "reset", None, None]


def test_the_first_rule_that_takes_effect_counts(read: Callable[[str], FaultFile]) -> None:
    file = read(rule(fault="status=500", times=1) + rule(fault="reset"))
    assert faults(file, LIST, 3) == ["status=500", "reset", "reset"]
    assert file.counts == {"status=500": 1, "reset": 2}


def test_chance_is_seeded_and_takes_its_share(read: Callable[[str], FaultFile]) -> None:
    text = rule(fault=["reset", "latency=1..2"], probability=0.3)
    first = faults(read(text), LIST, 1000)
    assert faults(read(text), LIST, 1000) == first
    assert faults(read("seed = 1\n" + text), LIST, 1000) != first
    assert 0.25 < sum(fault is not None for fault in first) / 1000 < 0.35
    assert 0.4 < first.count("reset") / sum(fault is not None for fault in first) < 0.6


def test_a_range_of_seconds_becomes_one_number_for_each_request(read: Callable[[str], FaultFile]) -> None:
    file = read(rule(fault="latency=1..2"))
    spans = [fault.latency_s for fault in (file.fault_for(LIST) for _ in range(5)) if fault is not None]
    assert all(1 <= start == end <= 2 for start, end in spans)
    assert len(set(spans)) == 5


# ------------------------------------------------------------------ the file


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("rules = 1", ["rules: "]),
        ("[[rules]]", ["rules.1.fault: Field required"]),
        (rule(fault="rest"), ["rules.1.fault: there is no fault 'rest'"]),
        (rule(fault=[]), ["rules.1.fault: a fault is a text"]),
        (rule() + rule(operation="listPeople"), ["rules.2.operation: no contract has an operation"]),
        (rule(system="procor"), ["rules.1.system: "]),
        (rule(probability=1.5), ["rules.1.probability: "]),
        (rule(times=0) + rule(chance=1), ["rules.1.times: ", "rules.2.chance: Extra"]),
        ("[budget]\nhourly = 0", ["budget.hourly: "]),
        ("[budget]\nspike = '25'", ["budget.spike: "]),
        ("seed = ", ["no TOML"]),
        ("\udcff", ["no TOML"]),
    ],
)
def test_every_mistake_in_the_file_is_told_at_the_start(path: Path, text: str, complaints: list[str]) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError) as caught:
        FaultFile(path, OPERATIONS)
    assert str(path) in str(caught.value)
    assert [complaint for complaint in complaints if complaint not in str(caught.value)] == []


def test_a_file_that_is_not_there_is_told_at_the_start_and_no_state_is_made(
    run: Callable[..., RunningSandbox], path: Path, state_file: Path
) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        run(faults=path)
    assert not state_file.exists()


def test_a_file_that_was_changed_is_in_force_for_the_next_request(
    read: Callable[[str], FaultFile], path: Path
) -> None:
    file = read(rule(times=1))
    assert faults(file, LIST, 2) == ["reset", None]
    rewrite(path, rule(times=1, fault="status=500"))
    assert faults(file, LIST, 2) == ["status=500", None]
    rewrite(path, "")
    assert faults(file, LIST) == [None]


@pytest.mark.parametrize("mistake", ["[[rules]]", None])
def test_a_later_mistake_leaves_the_good_rules_in_force_and_is_logged_once(
    read: Callable[[str], FaultFile], path: Path, mistake: str | None
) -> None:
    file = read(rule(after=1))
    assert faults(file, LIST) == [None]
    with structlog.testing.capture_logs() as logs:
        if mistake is None:
            path.unlink()
        else:
            rewrite(path, mistake)
        assert faults(file, LIST, 3) == ["reset"] * 3
    assert [(entry["log_level"], entry["event"]) for entry in logs] == [
        ("warning", "earlier faults stay in force")
    ]
    assert str(path) in logs[0]["because"]
    rewrite(path, "")
    assert faults(file, LIST) == [None]


# ------------------------------------------------------------------ in the sandbox


def test_the_file_s_faults_befall_what_the_sandbox_is_asked_and_a_header_goes_before(
    run: Callable[..., RunningSandbox],
    procore_of: Callable[[RunningSandbox], httpx.Client],
    path: Path,
) -> None:
    path.write_text(rule(operation="createCompanyPerson", fault="expired-token"), "utf-8")
    sandbox = run(faults=path)
    client = procore_of(sandbox)
    new = {"person": {"last_name": "Rao"}}
    assert client.get(PEOPLE).status_code == 200
    assert client.post(PEOPLE, json=new).status_code == 401
    forced = client.post(PEOPLE, json=new, headers={"X-Sandbox-Fault": "latency=0"})
    assert forced.status_code == 201
    assert sandbox.faults is not None
    assert sandbox.faults.counts == {"expired-token": 1}


@pytest.fixture
def clients(
    run: Callable[..., RunningSandbox],
    procore_of: Callable[[RunningSandbox], httpx.Client],
    open_client: Callable[..., httpx.Client],
    path: Path,
) -> tuple[httpx.Client, httpx.Client]:
    """Clients of both systems of a sandbox whose file of faults is empty."""
    path.write_text("", "utf-8")
    sandbox = run(faults=path)
    headers = {"Authorization": f"Bearer {sandbox.address.api_key}"}
    barrel = open_client(f"{sandbox.address.smartbarrel_url}/api/v1/companies/granite-ridge", headers)
    return procore_of(sandbox), barrel


def test_smartbarrel_has_a_rate_limit_once_a_budget_is_set(
    run: Callable[..., RunningSandbox], open_client: Callable[..., httpx.Client], clock: Clock
) -> None:
    sandbox = run(budget=RateBudget(hourly=600, spike=2))
    headers = {"Authorization": f"Bearer {sandbox.address.api_key}"}
    barrel = open_client(f"{sandbox.address.smartbarrel_url}/api/v1/companies/granite-ridge", headers)
    assert [barrel.get("/workers").status_code for _ in range(2)] == [200, 200]
    clock.now += 3.5
    refused = barrel.get("/workers")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "7")
    assert refused.json() == {"error": {"code": "rate_limited", "message": "Too many requests"}}
    clock.now += 7
    assert barrel.get("/workers").status_code == 200


def test_without_a_budget_smartbarrel_has_no_rate_limit(smartbarrel: httpx.Client) -> None:
    answer = smartbarrel.get("/workers")
    assert [name for name in answer.headers if "rate" in name.lower()] == []


def test_an_hourly_budget_of_the_file_knows_the_whole_hour_and_no_more(
    clients: tuple[httpx.Client, httpx.Client], path: Path, clock: Clock
) -> None:
    client, _ = clients
    assert {client.get(PEOPLE).status_code for _ in range(2)} == {200}
    clock.now += 1800
    rewrite(path, "[budget]\nhourly = 3\n")
    assert [client.get(PEOPLE).status_code for _ in range(2)] == [200, 429]
    clock.now += 1800
    assert client.get(PEOPLE).status_code == 200


@pytest.mark.parametrize(
    ("system", "statuses"),
    [("", (429, 429)), ("system = 'procore'", (429, 200)), ("system = 'smartbarrel'", (200, 429))],
)
def test_a_budget_of_the_file_is_in_force_at_once_and_knows_what_was_asked_before(
    clients: tuple[httpx.Client, httpx.Client], path: Path, system: str, statuses: tuple[int, int]
) -> None:
    client, barrel = clients
    assert {client.get(PEOPLE).status_code for _ in range(2)} == {200}
    assert {barrel.get("/workers").status_code for _ in range(2)} == {200}
    rewrite(path, f"[budget]\nspike = 2\n{system}\n")
    assert (client.get(PEOPLE).status_code, barrel.get("/workers").status_code) == statuses
    rewrite(path, "")
    assert (client.get(PEOPLE).status_code, barrel.get("/workers").status_code) == (200, 200)


@pytest.mark.parametrize("system", ["procore", "smartbarrel"])
def test_operations_have_the_contract_s_names_methods_and_paths(system: str) -> None:
    served = {
        (operation, method, re.sub(r"\{.*?\}", "{}", path))
        for operation, method, path, _ in (
            procore._routes(unique_origin_ids=True) if system == "procore" else smartbarrel._routes()
        )
    }
    agreed = {
        (operation["operationId"], method.upper(), re.sub(r"\{.*?\}", "{}", path))
        for path, item in contract(system)["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "patch"} and path != "/oauth/token"
    }
    assert served == agreed
