"""Each query of the dashboard shows something when things happen."""

import math

import pytest

from tests.alerts.prometheus import Prometheus
from tests.alerts.queries import Query, of_dashboard


pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(300)]


@pytest.mark.parametrize("query", of_dashboard(), ids=lambda query: query.where)
def test_a_query_of_the_dashboard_has_data(played: Prometheus, query: Query) -> None:
    chosen = {"$job": ".*", "$handler": ".*", "$__rate_interval": "5s", "[15m]": "[15s]", "[1h]": "[60s]"}
    expr = query.expr
    for name, value in {**chosen, "[1m]": "[2s]"}.items():
        expr = expr.replace(name, value)
    found = played.history(expr)
    assert any(not math.isnan(value) for series in found for _, value in series.values)
