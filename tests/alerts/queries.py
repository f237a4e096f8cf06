"""Every query that is shipped: of the dashboard, and of the rules."""

import json
from dataclasses import dataclass

import yaml

from tests.alerts.prometheus import DEPLOY, RULES


@dataclass(frozen=True)
class Query:
    """An expression, where it stands, and the text in which its labels are shown."""

    where: str
    expr: str
    text: str


def of_dashboard() -> list[Query]:
    """The queries of panels and annotations."""
    dashboard = json.loads((DEPLOY / "grafana" / "crewsync.json").read_text("utf-8"))
    panels = [
        Query(f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"])
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]
    marks = [
        Query(f"mark {one['name']}", one["expr"], one["textFormat"])
        for one in dashboard["annotations"]["list"]
    ]
    return panels + marks


def of_rules() -> list[Query]:
    """The expressions of records and alerts."""
    groups = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return [
        Query(
            rule.get("alert") or rule["record"], rule["expr"], " ".join(rule.get("annotations", {}).values())
        )
        for group in groups
        for rule in group["rules"]
    ]
