"""What is shipped for operators fits together, and fits the metrics that there are."""

import importlib.util
import json
import re
from types import ModuleType

import pytest
import yaml

import consumer.session
from consumer.metric_families import REGISTRY
from tests.alerts.prometheus import DEPLOY, RULES
from tests.alerts.queries import Query, of_dashboard, of_rules
from tests.alerts.shortened import shortened


assert consumer.session is not None, "imported for its metrics: all of a process's"

RUNBOOK = (DEPLOY / "RUNBOOK.md").read_text("utf-8")
QUERIES = [*of_dashboard(), *of_rules()]
TARGET = {"job", "instance"}
"""What Prometheus adds."""
GIVEN = {
    "up": TARGET,
    "ALERTS": {"alertname", "alertstate", "severity", "handler", "company", "job"},
}
"""Metrics that Prometheus makes itself."""
NAME = re.compile(r"(?<![\w:$])(?:crewsync[_:][a-z0-9_:]+|process_[a-z_]+|up|ALERTS)(?=[{\[)\s]|$)")
ENTRY = ("What it means", "Look first", "Causes", "Do", "Do not")


def labels_of_metrics() -> dict[str, set[str]]:
    """The labels of each name that a process serves or Prometheus records."""
    found = {name: set(labels) for name, labels in GIVEN.items()}
    for collector, names in REGISTRY._collector_to_names.items():
        labels = {*getattr(collector, "_labelnames", ()), "le", "version"}
        found |= dict.fromkeys(names, labels | TARGET)
    for query in of_rules():
        if query.where.startswith("crewsync:"):
            found[query.where] = {label.strip() for label in _grouped(query.expr)[0].split(",")}
            if "ratio" in query.where:
                found[query.where] = {"job", "handler"}
    return found


def _grouped(expr: str) -> list[str]:
    return re.findall(r"\bby \(([^)]*)\)", expr) or [""]


METRICS = labels_of_metrics()


def generator() -> ModuleType:
    """The program that makes what Grafana is given."""
    spec = importlib.util.spec_from_file_location("generate", DEPLOY / "grafana" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_query_asks_for_metrics_and_labels_that_there_are(query: Query) -> None:
    names = set(NAME.findall(query.expr))
    assert names
    assert names <= METRICS.keys()
    known = set().union(*(METRICS[name] for name in names))
    selected = set(re.findall(r"[{,]\s*(\w+)(?:=~|=|!=)", query.expr))
    grouped = {
        label.strip()
        for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", query.expr)
        for label in labels.split(",")
    }
    shown = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", query.text))
    shown -= {"alertname"} if "ALERTS" in names else set()
    assert selected | grouped | shown <= known | {"alertname"}


def test_what_grafana_is_given_is_what_the_generator_makes() -> None:
    made = generator()
    assert json.loads(made.DASHBOARD.read_text("utf-8")) == made.dashboard()
    assert yaml.safe_load(made.ALERTS.read_text("utf-8")) == made.alerts()


def test_grafana_s_alerts_are_those_of_the_rules_and_have_no_variable_that_it_would_expand() -> None:
    made = generator().alerts()
    rules = [rule for group in made["groups"] for rule in group["rules"]]
    alerts = [query for query in of_rules() if not query.where.startswith("crewsync:")]
    assert [(rule["title"], rule["data"][0]["model"]["expr"]) for rule in rules] == [
        (query.where, query.expr) for query in alerts
    ]
    texts = [text for rule in rules for text in rule["annotations"].values()]
    assert {found for text in texts for found in re.findall(r"\$\{\w+\}|\$\w*", text)} == {
        "${CREWSYNC_RUNBOOK_BASE}"
    }


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = generator().dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_alert_has_a_severity_a_text_and_a_link_to_its_entry_in_the_runbook() -> None:
    for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            if "alert" not in rule:
                continue
            assert rule["labels"]["severity"] in {"page", "warn"}
            assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
            anchor = rule["alert"].lower()
            assert rule["annotations"]["runbook_url"].endswith(f"deploy/RUNBOOK.md#{anchor}")


def test_the_runbook_has_an_entry_for_each_alert_and_for_nothing_else() -> None:
    alerts = [query.where for query in of_rules() if not query.where.startswith("crewsync:")]
    entries = re.findall(r"^### (Crewsync\w+)$", RUNBOOK, re.MULTILINE)
    assert sorted(entries) == sorted(alerts)


@pytest.mark.parametrize(
    "part", re.split(r"^### ", RUNBOOK, flags=re.MULTILINE)[1:], ids=lambda part: part.split()[0]
)
def test_an_entry_of_the_runbook_has_all_its_parts(part: str) -> None:
    assert re.findall(r"^\*\*([A-Z][\w ]+)\.\*\*", part, re.MULTILINE) == list(ENTRY)


def test_a_metric_that_the_runbook_names_exists() -> None:
    names = set(re.findall(r"`(crewsync[_:][a-z0-9_:]+)", RUNBOOK))
    assert names
    assert names <= METRICS.keys()


def test_shortening_changes_every_time_and_nothing_else() -> None:
    text = """
groups:
  - name: g
    rules:
      - {alert: A, expr: "x[10m] > 1800 and y > 0.5 and z > 9 and rate(q{a=\\"15m\\"}[1h]) < 0", for: 5m}
"""
    (rule,) = yaml.safe_load(shortened(text))["groups"][0]["rules"]
    assert rule["for"] == "5000ms"
    assert rule["expr"] == 'x[10000ms] > 30 and y > 0.5 and z > 9 and rate(q{a="15m"}[60000ms]) < 0'
