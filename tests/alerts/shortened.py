"""The rules with all times shortened, so that what takes minutes can be seen in seconds.

Only times are changed: ranges, ``for``, and the numbers of 60 and more, which are seconds as the rules' file
says. The expressions are those that are shipped.
"""

import re

import yaml


FACTOR = 60
"""A second stands for a minute."""

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+)([smhd])")
_RANGE = re.compile(r"(?<=\[)\d+[smhd](?=\])")
_SECONDS = re.compile(r"(?<=[><=] )\d+(?![\w.])")
_LEAST_SECONDS = 60


def shortened(rules: str) -> str:
    """The rules' file with times shortened."""
    document = yaml.safe_load(rules)
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _expression(rule["expr"])
            if "for" in rule:
                rule["for"] = _duration(rule["for"])
    return yaml.safe_dump(document, sort_keys=False)


def _expression(text: str) -> str:
    text = _RANGE.sub(lambda found: _duration(found[0]), text)
    return _SECONDS.sub(lambda found: _number(int(found[0])), text)


def _number(number: int) -> str:
    return f"{number / FACTOR:g}" if number >= _LEAST_SECONDS else str(number)


def _duration(text: str) -> str:
    found = _DURATION.fullmatch(text)
    assert found is not None, text
    return f"{int(found[1]) * _UNITS_S[found[2]] * 1000 // FACTOR}ms"
