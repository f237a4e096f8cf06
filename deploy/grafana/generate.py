"""Writes the dashboard, and the alerts as Grafana takes them: ``python deploy/grafana/generate.py``.

The alerts come from the rules of Prometheus, which stay the one place where they are written. Whoever lets
Prometheus alert leaves ``provisioning/alerting`` out.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


HERE = Path(__file__).parent
PANELS = HERE / "dashboard.yml"
RULES = HERE.parent / "prometheus" / "crewsync.rules.yml"
DASHBOARD = HERE / "crewsync.json"
ALERTS = HERE / "provisioning" / "alerting" / "crewsync.yml"

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 24, 8
_NEVER = 1e6
_JOBS, _HANDLERS = 'job=~"$job"', 'job=~"$job", handler=~"$handler"'

Panel = dict[str, Any]


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "crewsync",
        "title": "crewsync",
        "tags": ["crewsync"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
                _variable("job", "label_values(crewsync_build_info, job)"),
                _variable("handler", 'label_values(crewsync_assigned_partitions{job=~"$job"}, handler)'),
            ]
        },
        "annotations": {
            "list": [
                _annotation(
                    "Rebalances",
                    "sum by (handler, kind) (changes(crewsync_rebalances_total{H}[1m])) > 0",
                    "{{handler}}: {{kind}}",
                    "blue",
                ),
                _annotation("Alerts", 'ALERTS{alertstate="firing", J}', "{{alertname}} {{company}}", "red"),
            ]
        },
        "panels": _placed(yaml.safe_load(PANELS.read_text("utf-8"))),
    }


def alerts() -> dict[str, Any]:
    """The alerts as Grafana provisions them. What they take from records, Prometheus still has to record."""
    made = [
        {
            "orgId": 1,
            "name": group["name"],
            "folder": "crewsync",
            "interval": "30s",
            "rules": [_alert(rule) for rule in group["rules"] if "alert" in rule],
        }
        for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    ]
    return {"apiVersion": 1, "groups": [group for group in made if group["rules"]]}


def main() -> None:
    """Write both files."""
    DASHBOARD.write_text(json.dumps(dashboard(), indent=1) + "\n", "utf-8")
    head = "# Made by deploy/grafana/generate.py from deploy/prometheus/crewsync.rules.yml: do not edit.\n"
    ALERTS.write_text(head + yaml.safe_dump(alerts(), sort_keys=False, width=110), "utf-8")
    sys.stdout.write(f"{DASHBOARD}\n{ALERTS}\n")


def _placed(rows: Sequence[Mapping[str, Any]]) -> list[Panel]:
    """Rows with three panels beside each other, or two of four."""
    placed: list[Panel] = []
    y = 0
    for row in rows:
        at = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
        placed.append({"type": "row", "title": row["row"], "collapsed": False, "gridPos": at, "panels": []})
        y += 1
        across = 2 if len(row["panels"]) == 4 else 3  # noqa: PLR2004 - two by two
        width = _WIDTH // across
        for number, panel in enumerate(row["panels"]):
            at = {"x": number % across * width, "y": y + number // across * _HEIGHT, "w": width, "h": _HEIGHT}
            placed.append({**_panel(panel), "gridPos": at})
        y += -(-len(row["panels"]) // across) * _HEIGHT
    return [{"id": number, **panel} for number, panel in enumerate(placed, 1)]


def _panel(panel: Mapping[str, Any]) -> Panel:
    kind = panel.get("kind", "lines")
    made: Panel = {
        "title": panel["title"],
        "description": panel.get("about", ""),
        "datasource": _SOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": _expression(f"sum by (le) (rate({expr}[R]))" if kind == "heatmap" else expr),
                "legendFormat": legend,
                **({"format": "heatmap"} if kind == "heatmap" else {}),
            }
            for number, (legend, expr) in enumerate(panel["queries"].items())
        ],
    }
    if kind == "heatmap":
        return {**made, "type": "heatmap", "options": {"calculate": False, "yAxis": {"unit": "s"}}}
    defaults: dict[str, Any] = {"unit": panel["unit"]}
    field = {"defaults": defaults, "overrides": []}
    if kind == "number":
        steps = [
            {"color": "green", "value": None},
            {"color": "orange", "value": panel.get("orange", _NEVER)},
            {"color": "red", "value": panel.get("red", _NEVER)},
        ]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"}
        return {**made, "type": "stat", "fieldConfig": field, "options": options}
    stacking = "normal" if panel.get("stacked") else "none"
    defaults |= {"min": 0, "custom": {"fillOpacity": 10, "stacking": {"mode": stacking}}}
    return {**made, "type": "timeseries", "fieldConfig": field}


def _expression(text: str) -> str:
    text = re.sub(r"\bJ(?=\})", _JOBS, text)
    return re.sub(r"(?<=\{)H(?=\})", _HANDLERS, text).replace("[R]", "[$__rate_interval]")


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _annotation(name: str, expr: str, text: str, colour: str) -> dict[str, Any]:
    return {
        "name": name,
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": colour,
        "expr": _expression(expr),
        "step": "60s",
        "titleFormat": name,
        "textFormat": text,
    }


def _alert(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "uid": rule["alert"].lower(),
        "title": rule["alert"],
        "condition": "B",
        "data": [
            {
                "refId": "A",
                "datasourceUid": "crewsync-prometheus",
                "relativeTimeRange": {"from": 600, "to": 0},
                "model": {"refId": "A", "expr": rule["expr"], "instant": True},
            },
            {
                "refId": "B",
                "datasourceUid": "__expr__",
                # A rule gives a series where it fires and none elsewhere, whatever its value.
                "model": {"refId": "B", "type": "math", "expression": "is_number($A)"},
            },
        ],
        "noDataState": "OK",
        "execErrState": "Error",
        "for": rule.get("for", "0s"),
        "labels": rule["labels"],
        "annotations": {name: _template(text) for name, text in rule["annotations"].items()},
    }


def _template(text: str) -> str:
    """An annotation in Grafana's words; without bare dollar signs, which some versions take for variables."""
    text = text.replace("{{ $externalLabels.runbook_base }}", "${CREWSYNC_RUNBOOK_BASE}")
    return re.sub(r"\$value\b", ".Values.A.Value", text.replace("$labels.", ".Labels."))


if __name__ == "__main__":
    main()
