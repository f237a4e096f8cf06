"""Each alert fires when what it is about goes wrong, and resolves when that is over."""

import pytest
import yaml

from tests.alerts.prometheus import RULES, Prometheus
from tests.alerts.scenes import PROVOKED


pytestmark = [pytest.mark.prometheus, pytest.mark.timeout(300)]

RULE_LIST = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
ALERTS = sorted(rule["alert"] for rule in RULE_LIST if "alert" in rule)
RECORDED = sorted(rule["record"] for rule in RULE_LIST if "record" in rule)


def test_each_alert_is_provoked() -> None:
    assert sorted(PROVOKED) == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_the_alert_fires_and_resolves(played: Prometheus, alert: str) -> None:
    job = PROVOKED[alert]
    fired = played.history(f'ALERTS{{alertname="{alert}", alertstate="firing", job="{job}"}}')
    assert fired
    assert (alert, job) not in played.firing()


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_recorded_has_values(played: Prometheus, name: str) -> None:
    assert any(value == value for series in played.history(name) for _, value in series.values)  # noqa: PLR0124 - NaN


def test_every_rule_is_evaluated_without_an_error(played: Prometheus) -> None:
    rules = [rule for group in played.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}
    assert len(rules) == len(RULE_LIST)
