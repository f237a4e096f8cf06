"""Dependencies point one way."""

import ast
from pathlib import Path

import pytest

import consumer


ROOT = Path(consumer.__file__).parent

LAYERS = [
    {"exceptions", "secret", "sqlite", "version"},
    {"model", "tracing"},
    {"metric_families"},
    {"metrics"},
    {"broker", "upstream"},
    {"engine"},
    {"sync"},
    {"config_kafka"},
    {"topics", "config", "logs", "watchdog"},
    {"runs", "sink", "sandbox", "upstreams"},
    {"webhooks"},
    {"display", "health", "health_server", "plan_text", "whereabouts"},
    {"console"},
    {"service"},
    {"doctor"},
    {"session"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
"""From the bottom up: a part may import from the layers below its own, and from itself."""

RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" for alias in node.names} if module == "consumer" else {module}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("consumer.")}


SOURCES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_part_imports_only_from_the_layers_below_it(path: Path) -> None:
    own = part_of(path)
    wrong = {name for name in imported(path) if name != own and RANK[name] >= RANK[own]}
    assert not wrong, f"{own} must not import {sorted(wrong)}"


def test_every_part_has_its_layer() -> None:
    assert {part_of(path) for path in SOURCES} == set(RANK)
