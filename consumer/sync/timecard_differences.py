"""What of a time card in Procore is not as its shift says, in Procore's names and in words for people."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from consumer.model import reasons
from consumer.model.results import Reason
from consumer.sync.mapping import hours_text, moment_text
from consumer.upstream.procore_answers import Timecard


LOCKED = frozenset({"approved", "completed"})
CLASSIFICATION = "classification"
_CODES = {"sub_job_id": "sub job", "cost_code_id": "cost code", "location_id": "location"}
_WORDS = {
    "hours": "hours",
    "time_in": "times",
    "time_out": "times",
    "lunch_time": "break",
    "date": "date",
    "project_id": "project",
    "party_id": "worker",
    **_CODES,
}
_NO_MATTER = frozenset({"description", "origin_id"})
"""What nobody is paid by: a locked entry that differs in these is as it should be."""


def differing(entry: Timecard, project_id: int, fields: Mapping[str, object]) -> Sequence[str]:
    """The fields that are not as they should be, in the API's names. Only what is sent is compared."""
    ignored = _NO_MATTER if entry.approval_status in LOCKED else frozenset()
    held = _held(entry)
    wanted = {"project_id": project_id, **fields}
    if "hours" in wanted:
        wanted["hours"] = Decimal(str(wanted["hours"]))
    return [
        name for name, value in wanted.items() if name in held and name not in ignored and held[name] != value
    ]


def kept_codes(entry: Timecard, fields: Mapping[str, object]) -> list[str]:
    """The codes of the entry that the shift no longer has: Procore's API documents no way to take one off."""
    return [
        words for name, words in _CODES.items() if getattr(entry, name) is not None and name not in fields
    ]


def locked(
    entry: Timecard, project_id: int, fields: Mapping[str, object], *, is_to_be_classified: bool
) -> Reason | None:
    """Why the entry stays as it is, and what differs; None if it is open, or is as it should be."""
    if entry.approval_status not in LOCKED:
        return None
    names = differing(entry, project_id, fields)
    if not names and not is_to_be_classified:
        return None
    words = list(dict.fromkeys(_WORDS[name] for name in names if name in _WORDS))
    words += kept_codes(entry, fields) + ([CLASSIFICATION] if is_to_be_classified else [])
    return reasons.locked(entry.approval_status, [f"{word}{_values(word, entry, fields)}" for word in words])


def _held(entry: Timecard) -> dict[str, object]:
    return {
        "project_id": entry.project_id,
        "date": entry.date.isoformat(),
        "hours": entry.hours,
        "time_in": moment_text(entry.time_in),
        "time_out": moment_text(entry.time_out),
        "lunch_time": str(entry.lunch_minutes or 0),
        "party_id": entry.party_id,
        "description": entry.description,
        "origin_id": entry.origin_id,
        **{name: getattr(entry, name) for name in _CODES},
    }


def _values(word: str, entry: Timecard, fields: Mapping[str, object]) -> str:
    """Both systems' values, where they are something that people know."""
    if word == "hours":
        in_procore = "no hours" if entry.hours is None else hours_text(entry.hours)
        return f" ({in_procore} in Procore, {fields['hours']} in SmartBarrel)"
    if word == "break":
        return f" ({entry.lunch_minutes or 0} minutes in Procore, {fields['lunch_time']} in SmartBarrel)"
    if word == "date":
        return f" ({entry.date.isoformat()} in Procore, {fields['date']} in SmartBarrel)"
    if word == "times":
        in_procore = f"{_clock(moment_text(entry.time_in))} to {_clock(moment_text(entry.time_out))}"
        ours = f"{_clock(fields['time_in'])} to {_clock(fields['time_out'])}"
        return f" ({in_procore} in Procore, {ours} in SmartBarrel, in UTC)"
    return ""


def _clock(moment: object) -> str:
    return "nothing" if moment is None else f"{datetime.fromisoformat(str(moment)):%H:%M}"
