"""Writes ``deploy/LICENCES.md``: ``python -m tests.deploy.licences``."""

import re
from collections.abc import Mapping
from importlib.metadata import distribution
from pathlib import Path


ROOT = Path(__file__).parents[2]
PAGE = ROOT / "deploy" / "LICENCES.md"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ \\]+)", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST = 70
_HEAD = """# Licences

What crewsync needs to run, and what each package says of its licence. crewsync itself: Apache-2.0. Renewed
by `python -m tests.deploy.licences`. A test holds it to the lock, and to licences that allow use and sale
without conditions on the program that uses them. The LGPL of crc32c is for that library alone, which stands
beside crewsync, is not part of it, and may be replaced.
"""


def pinned() -> Mapping[str, str]:
    """Version by name of everything that runs, as it is locked."""
    return dict(_PINNED.findall((ROOT / "requirements-run.lock").read_text("utf-8")))


def licence_of(name: str) -> str:
    """What a package says of its own licence."""
    told = distribution(name).metadata
    classified = [
        value.removeprefix(_CLASSIFIER)
        for value in told.get_all("Classifier", [])
        if value.startswith(_CLASSIFIER)
    ]
    expressions = told.get_all("License-Expression", []) or ["; ".join(classified)]
    said = expressions[0] or next(iter(told.get_all("License", [])), "")
    return said if 0 < len(said) <= _LONGEST else "not told"


def page() -> str:
    """The whole page."""
    rows = "".join(
        f"| {name} | {version} | {licence_of(name)} |\n" for name, version in sorted(pinned().items())
    )
    return f"{_HEAD}\n| package | version | licence |\n|---|---|---|\n{rows}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
