"""The rules by themselves: Prometheus takes them, and each fires when it should and not before."""

import subprocess

import pytest
import yaml

from tests.alerts.prometheus import DEPLOY, program
from tests.alerts.queries import of_rules


pytestmark = pytest.mark.prometheus

HERE = DEPLOY / "prometheus"


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "--syntax-only", "prometheus.yml"],
        ["check", "rules", "--lint=all", "--lint-fatal", "crewsync.rules.yml"],
        ["test", "rules", "crewsync.rules.test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(arguments: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - found on the path
        [program("promtool"), *arguments], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_has_a_unit_test_in_which_it_gives_something_and_one_in_which_it_gives_nothing() -> None:
    tests = yaml.safe_load((HERE / "crewsync.rules.test.yml").read_text("utf-8"))["tests"]
    samples = [
        str(one) for test in tests for case in test.get("promql_expr_test", []) for one in case["exp_samples"]
    ]
    empty = [
        case["expr"] for test in tests for case in test.get("promql_expr_test", []) if not case["exp_samples"]
    ]
    for name in [query.where for query in of_rules()]:
        assert any(name in sample for sample in samples), name
        if not name.startswith("crewsync:"):
            assert any(name in expr or "DeadLetter(s.*|Ratio)" in expr for expr in empty), name
