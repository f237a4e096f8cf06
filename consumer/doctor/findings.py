"""What a check found, and how that is told to people and to programs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


_MARGIN = 6


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, but something will go wrong with it one day."""
    FAIL = "FAIL"
    """It does not work, or loses something."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of an examination. ``remedy`` is what to do about it; empty if nothing is to be done."""

    level: Level
    what: str
    remedy: str = ""


def ok(what: str) -> Finding:
    """All is well with it."""
    return Finding(Level.OK, what)


def warn(what: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(Level.WARN, what, remedy)


def fail(what: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(Level.FAIL, what, remedy)


def is_failed(findings: Iterable[Finding]) -> bool:
    """Whether anything does not work."""
    return any(finding.level is Level.FAIL for finding in findings)


def finding_text(finding: Finding) -> str:
    """The finding as a line for people, with a second one if something is to be done."""
    lines = [f"{finding.level:<{_MARGIN}}{finding.what}"]
    if finding.remedy:
        lines.append(f"{'':<{_MARGIN}}to do: {finding.remedy}")
    return "\n".join(lines)


def summary_text(findings: Sequence[Finding]) -> str:
    """How many findings there are of each level."""
    counts = {level: sum(finding.level is level for finding in findings) for level in Level}
    return ", ".join(f"{count} {level}" for level, count in counts.items() if count or level is Level.OK)


def findings_document(findings: Sequence[Finding]) -> Sequence[Mapping[str, str]]:
    """The findings for programs."""
    return [
        {"level": finding.level.value, "what": finding.what, "remedy": finding.remedy} for finding in findings
    ]
