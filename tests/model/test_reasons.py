"""The reasons: a closed list of codes with sentences for people, each of which is reached by a test."""

import ast
import inspect
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from consumer.model import reason_groups, reasons
from consumer.model.results import Reason


TESTS = Path(__file__).parents[1]
PRODUCT = Path(reasons.__file__).parents[1]
MADE_UP: dict[str, Any] = {"list[str]": ["Ada Lovelace", "Maria Delgado"]}


def sample(function: Callable[..., Reason]) -> Reason:
    """The reason that a function makes of made-up words."""
    parameters = inspect.signature(function).parameters.values()
    return function(*(MADE_UP.get(str(each.annotation), "Maria Delgado") for each in parameters))


_PROGRAMMERS_WORDS = r"\b(null|http|json|api|id:|exception|[45][0-9]{2})\b"
REASONS = {
    name: value if isinstance(value, Reason) else sample(value)
    for name, value in vars(reasons).items()
    if isinstance(value, Reason)
    or (inspect.isfunction(value) and value.__module__ == reasons.__name__ and not name.startswith("_"))
}
"""By the name in the module, constants and functions alike."""


@cache
def words_of(root: Path, *without: Path) -> frozenset[str]:
    """Every string and every attribute's name in the sources."""
    words = set()
    for path in root.rglob("*.py"):
        if path in without:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
            elif isinstance(node, ast.Attribute):
                words.add(node.attr)
    return frozenset(words)


def test_no_two_reasons_have_one_code() -> None:
    codes = [reason.code for reason in REASONS.values()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("name", sorted(REASONS))
def test_every_reason_is_given_by_the_product_and_reached_by_a_test(name: str) -> None:
    sources = words_of(PRODUCT, Path(reasons.__file__), Path(reason_groups.__file__))
    assert name in sources, "no code of the product gives it"
    reached = words_of(TESTS, Path(__file__))
    assert REASONS[name].code in reached or name in reached, "no test looks for it"


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_a_sentence_is_for_people(reason: Reason) -> None:
    """It begins as a sentence does, and has no word that only a programmer knows."""
    assert reason.message[0].isupper()
    assert not reason.message.endswith(".")
    assert not re.search(
        r"\b(null|none|http|json|api|id:|exception|error [0-9]|[45][0-9]{2})\b", reason.message, re.IGNORECASE
    )


@pytest.mark.parametrize("reason", REASONS.values(), ids=REASONS)
def test_a_code_is_plain_and_stable_to_look_at(reason: Reason) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", reason.code)


@pytest.mark.parametrize("name", sorted(REASONS))
def test_reasons_that_name_somebody_have_a_sentence_in_common_that_names_nobody(name: str) -> None:
    code, is_made = REASONS[name].code, not isinstance(vars(reasons)[name], Reason)
    assert (code in reason_groups.COMMON) == is_made
    if is_made:
        said = reason_groups.common_sentence(code, ["of Maria Delgado", "of Ada Lovelace"])
        assert said[0].isupper()
        assert not said.endswith(".")
        assert not re.search(rf"{_PROGRAMMERS_WORDS}|Maria|Ada", said, re.IGNORECASE)


def test_where_all_say_the_same_it_stands_as_it_is() -> None:
    assert reason_groups.common_sentence("phone_in_use", ["In use by Ada"]) == "In use by Ada"
    assert reason_groups.common_sentence("from_the_future", ["One", "Two"]) == "From the future"
