"""A plan in words for a person, and as a document for a script."""

from collections.abc import Mapping
from typing import Any

from consumer.model.results import Outcome, Reason
from consumer.runs.planning import Shown


def plan_text(shown: Shown) -> str:
    """The plan, in lines that say who it is about, how it would end, why, and what would be sent."""
    lines = [f"{shown.subject.name} ({shown.subject.id})", f"Would be: {_ending(shown)}"]
    lines += [f"  Reason: {_said(reason)}" for reason in shown.reasons]
    lines += [f"  Warning: {_said(warning)}" for warning in shown.warnings]
    if shown.why:
        lines += ["Why:", *(f"  {sentence}" for sentence in shown.why)]
    if shown.steps:
        lines.append("Calls that would change something:")
    for number, step in enumerate(shown.steps, start=1):
        lines.append(f"  {number}. {step.words}")
        lines += [f"       {name}: {value}" for name, value in step.fields.items()]
    lines.append("Nothing was changed.")
    return "\n".join(lines)


def plan_line(shown: Shown) -> str:
    """The same in one line: who, how it would end and what would be done, or why nothing is."""
    said = "; ".join([*(step.words for step in shown.steps), *map(_said, shown.reasons)])
    return f"{shown.subject.name} ({shown.subject.id}): {shown.outcome}{f': {said}' if said else ''}"


def plan_document(shown: Shown) -> Mapping[str, Any]:
    """The same for a script."""
    return {
        "id": shown.subject.id,
        "name": shown.subject.name,
        "outcome": shown.outcome,
        "reasons": [_document(reason) for reason in shown.reasons],
        "warnings": [_document(warning) for warning in shown.warnings],
        "why": list(shown.why),
        "steps": [{"words": step.words, "fields": dict(step.fields)} for step in shown.steps],
    }


def _ending(shown: Shown) -> str:
    return f"{shown.outcome}, with nothing to send" if shown.outcome is Outcome.UNCHANGED else shown.outcome


def _said(reason: Reason) -> str:
    return reason.message if reason.upstream is None else f"{reason.message} ({reason.upstream})"


def _document(reason: Reason) -> Mapping[str, Any]:
    return {"code": reason.code, "message": reason.message, "upstream": reason.upstream}
