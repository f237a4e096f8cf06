"""Every guarantee names tests that are there."""

import re
from pathlib import Path

import consumer.engine


TESTS = Path(__file__).parents[1]
GUARANTEES = Path(consumer.engine.__file__).with_name("GUARANTEES.md")


def test_each_row_of_the_failure_matrix_names_tests_that_exist() -> None:
    matrix = GUARANTEES.read_text(encoding="utf-8").split("## Failure matrix")[1].split("\n## ")[0]
    rows = [line for line in matrix.splitlines() if line.startswith("| ")][1:]
    existing = {
        name
        for path in TESTS.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert rows
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= existing, row
