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
    said = told.get("License-Expression") or "; ".join(classified) or told.get("License") or ""
    return said if 0 < len(said) <= _LONGEST else "not told"


def page() -> str:
    """The whole page."""
    rows = "".join(
        f"| {name} | {version} | {licence_of(name)} |\n" for name, version in sorted(pinned().items())
    )
    return (
        "# Licences\n\n"
        "What crewsync needs to run, and what each package says of its licence. crewsync itself: Apache-2.0.\n"
        "Renewed by `python -m tests.deploy.licences`; a test holds it to the lock, and to licences that allow\n"
        "use and distribution without conditions on the program that uses them. The LGPL of crc32c is for that library\n"
        "alone, which stands beside crewsync, is not part of it, and may be replaced.\n\n"
        f"| package | version | licence |\n|---|---|---|\n{rows}"
    )


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
