"""What is counted of the calls to Procore and SmartBarrel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from prometheus_client import CollectorRegistry, Counter, Histogram

from consumer.metric_families import REGISTRY
from consumer.metrics import OTHER


_CALL_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
NO_ANSWER = "none"
CODE_CLASSES = ("2xx", "3xx", "4xx", "5xx", NO_ANSWER)

PROCORE, SMARTBARREL = "procore", "smartbarrel"

OPERATIONS: Mapping[str, Mapping[str, str]] = {
    PROCORE: {
        "createAccessToken": "POST",
        "listCompanyUsers": "GET",
        "listInactiveCompanyUsers": "GET",
        "listCompanyPeople": "GET",
        "listInactiveCompanyPeople": "GET",
        "createCompanyPerson": "POST",
        "updateCompanyPerson": "PATCH",
        "showCompanyUser": "GET",
        "listCompanyWorkClassifications": "GET",
        "createCompanyWorkClassification": "POST",
        "listProjectWorkClassifications": "GET",
        "importCompanyWorkClassifications": "POST",
        "updateProjectWorkClassification": "PATCH",
        "bulkUpdateTimecardEntries": "PATCH",
        "listTimecardEntries": "GET",
        "showTimecardEntry": "GET",
        "createTimecardEntry": "POST",
        "updateTimecardEntry": "PATCH",
        "listProjects": "GET",
        "listSubJobs": "GET",
        "listCostCodes": "GET",
        "listProjectLocations": "GET",
    },
    SMARTBARREL: {
        "listWorkers": "GET",
        "getWorker": "GET",
        "createWorker": "POST",
        "updateWorker": "PATCH",
        "listPositions": "GET",
        "createPosition": "POST",
        "updatePosition": "PATCH",
        "listTimesheets": "GET",
    },
}
"""Every operation that is called, with its method: an endpoint's label never holds an address."""


@dataclass(frozen=True, slots=True)
class _Operation:
    requests: Mapping[str, Counter]
    seconds: Histogram


@dataclass(frozen=True, slots=True)
class HttpMetrics:
    """Children of the metrics of calls, bound once; any thread may use them."""

    operations: Mapping[tuple[str, str], _Operation]

    @classmethod
    def on(cls, registry: CollectorRegistry) -> Self:
        """Register the metrics and show every label value at 0."""
        requests = Counter(
            "crewsync_http_requests_total",
            'Calls to the upstreams, by the first digit of the answer\'s status, or "none".',
            ["system", "endpoint", "method", "code_class"],
            registry=registry,
        )
        seconds = Histogram(
            "crewsync_http_request_duration_seconds",
            "From a call's start to its answer's end, or to the moment at which none could come any more.",
            ["system", "endpoint"],
            registry=registry,
            buckets=_CALL_S,
        )
        known = {
            (system, operation): method
            for system, operations in OPERATIONS.items()
            for operation, method in {**operations, OTHER: OTHER}.items()
        }
        return cls(
            operations={
                (system, operation): _Operation(
                    {one: requests.labels(system, operation, method, one) for one in CODE_CLASSES},
                    seconds.labels(system, operation),
                )
                for (system, operation), method in known.items()
            },
        )

    def made(self, system: str, operation: str, status: int | None, seconds: float) -> None:
        """A call was answered, or with None as its status, was not."""
        of = self.operations.get((system, operation)) or self.operations[system, OTHER]
        code_class = NO_ANSWER if status is None else f"{status // 100}xx"
        of.requests[code_class if code_class in CODE_CLASSES else NO_ANSWER].inc()
        of.seconds.observe(seconds)


CALLS = HttpMetrics.on(REGISTRY)
"""What this process counts."""
