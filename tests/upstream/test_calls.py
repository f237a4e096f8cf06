"""Calls are counted by operation and kind of answer, with labels from closed lists only."""

import asyncio
import inspect
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry

from consumer.exceptions import UpstreamError
from consumer.metrics import UPSTREAMS
from consumer.upstream import http, procore, procore_tokens, smartbarrel
from consumer.upstream.calls import CODE_CLASSES, OPERATIONS, HttpMetrics


CONTRACTS = Path(__file__).parents[2] / "schemas" / "http"
Answer = Callable[[httpx.Request], httpx.Response]


def of_contract(system: str) -> dict[str, str]:
    """The method of each operation in a system's contract."""
    document = yaml.safe_load((CONTRACTS / f"{system}.openapi.yaml").read_text("utf-8"))
    return {
        operation["operationId"]: method.upper()
        for path in document["paths"].values()
        for method, operation in path.items()
        if isinstance(operation, dict) and "operationId" in operation
    }


@pytest.mark.parametrize(
    ("system", "parts"), [("procore", (procore, procore_tokens)), ("smartbarrel", (smartbarrel,))]
)
def test_the_known_operations_are_those_that_the_client_calls_with_the_contract_s_methods(
    system: str, parts: tuple[ModuleType, ...]
) -> None:
    contract = of_contract(system)
    named = set(re.findall(r'"([a-z]+[A-Z]\w+)"', "".join(map(inspect.getsource, parts))))
    called = {name: method for name, method in contract.items() if name in named}
    assert OPERATIONS[system] == called


def test_the_systems_are_those_of_the_other_metrics() -> None:
    assert tuple(OPERATIONS) == UPSTREAMS


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> CollectorRegistry:
    """Where calls are counted for the time of a test."""
    made = CollectorRegistry()
    monkeypatch.setattr(http, "CALLS", HttpMetrics.on(made))
    return made


def call(answer: Answer, system: str = "smartbarrel", operation: str = "createWorker") -> None:
    """One call, however it ends."""

    async def run() -> None:
        async with http.http_client("http://upstream.test", httpx.MockTransport(answer)) as client:
            with suppress(UpstreamError):
                await http.send(client, system, operation, "POST", "/api/v1/secret-path/+15125550143")

    asyncio.run(run())


def counted(registry: CollectorRegistry) -> dict[tuple[str, str, str, str], float]:
    """The calls that were made, by system, endpoint, method and kind of answer."""
    return {
        tuple(sample.labels[name] for name in ("system", "endpoint", "method", "code_class")): sample.value  # type: ignore[misc]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "crewsync_http_requests_total" and sample.value
    }


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody there", request=request)


@pytest.mark.parametrize(
    ("answer", "code_class"),
    [
        *((lambda _, status=status: httpx.Response(status), f"{status // 100}xx") for status in (201, 302)),
        *((lambda _, status=status: httpx.Response(status), "4xx") for status in (401, 404, 422, 429)),
        *((lambda _, status=status: httpx.Response(status), "5xx") for status in (500, 503)),
        (_unreachable, "none"),
        (lambda _: httpx.Response(999), "none"),
    ],
)
def test_each_call_is_counted_once_by_the_kind_of_its_answer(
    registry: CollectorRegistry, answer: Answer, code_class: str
) -> None:
    call(answer)
    assert counted(registry) == {("smartbarrel", "createWorker", "POST", code_class): 1}


def test_each_call_s_time_is_measured(registry: CollectorRegistry) -> None:
    for answer in (lambda _: httpx.Response(200), _unreachable):
        call(answer)
    labels = {"system": "smartbarrel", "endpoint": "createWorker"}
    assert registry.get_sample_value("crewsync_http_request_duration_seconds_count", labels) == 2
    total = registry.get_sample_value("crewsync_http_request_duration_seconds_sum", labels)
    assert total is not None
    assert 0 < total < 10


def test_an_operation_that_is_not_on_the_list_makes_no_new_series(registry: CollectorRegistry) -> None:
    before = sum(len(family.samples) for family in registry.collect())
    for number in range(5):
        call(lambda _: httpx.Response(200), "procore", f"operation-{number}")
    assert sum(len(family.samples) for family in registry.collect()) == before
    assert counted(registry) == {("procore", "other", "other", "2xx"): 5}


def test_every_operation_and_kind_of_answer_is_there_at_zero(registry: CollectorRegistry) -> None:
    expected = {
        (system, endpoint, code_class)
        for system, operations in OPERATIONS.items()
        for endpoint in (*operations, "other")
        for code_class in CODE_CLASSES
    }
    found = {
        (sample.labels["system"], sample.labels["endpoint"], sample.labels["code_class"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "crewsync_http_requests_total"
    }
    assert set(found) == expected
    assert set(found.values()) == {0.0}


def test_no_address_is_a_label(registry: CollectorRegistry) -> None:
    call(_unreachable)
    shown = "".join(str(sample.labels) for family in registry.collect() for sample in family.samples)
    assert "secret-path" not in shown
    assert "+1512" not in shown
