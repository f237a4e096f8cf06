"""Compares what was written with what came of it. Pure: sets in, findings out."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.world import Expected


Place = tuple[str, int, int]
"""Topic, partition and offset of an event."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong, by kind; empty lists if nothing is."""

    lost_results: Sequence[Place] = ()
    duplicate_results: Sequence[Place] = ()
    results_of_nothing: Sequence[Place] = ()
    lost_effects: Sequence[str] = ()
    duplicate_effects: Sequence[str] = ()
    wrong_effects: Sequence[str] = ()
    log_differs: Sequence[str] = field(default=())

    @property
    def lost(self) -> int:
        """Events without a result, and effects that are not there or not those of the newest revision."""
        return len(self.lost_results) + len(self.lost_effects) + len(self.wrong_effects)

    @property
    def is_clean(self) -> bool:
        """Whether all is as it should be."""
        return not (
            self.lost
            or self.duplicate_results
            or self.results_of_nothing
            or self.duplicate_effects
            or self.log_differs
        )


@dataclass(frozen=True, slots=True)
class Effects:
    """What both systems hold, as the sandbox has it."""

    workers: Sequence[Mapping[str, Any]]
    people: Sequence[Mapping[str, Any]]
    entries: Sequence[Mapping[str, Any]]

    @property
    def count(self) -> int:
        """How many creations that took."""
        return len(self.workers) + len(self.people) + len(self.entries)


def judge(
    events: Iterable[Place],
    results: Iterable[Place],
    expected: Expected,
    effects: Effects,
    *,
    log_differs: Sequence[str] = (),
) -> Findings:
    """Compare. ``log_differs`` has who stands in the txt files more or less often than in results."""
    written, found = set(events), Counter(results)
    compared = [
        *_compare("worker", expected.workers, _workers(effects.workers)),
        *_compare("contact", expected.contacts, _contacts(effects.people)),
        *_compare("entry", expected.entries, _entries(effects.entries, effects.people)),
    ]
    return Findings(
        lost_results=sorted(written - found.keys()),
        duplicate_results=sorted(place for place, count in found.items() if count > 1),
        results_of_nothing=sorted(found.keys() - written),
        lost_effects=[name for kind, name in compared if kind == "lost"],
        duplicate_effects=[name for kind, name in compared if kind == "duplicate"],
        wrong_effects=[name for kind, name in compared if kind == "wrong"],
        log_differs=log_differs,
    )


Made = Sequence[tuple[str, tuple[str, ...]]]


def _workers(bodies: Sequence[Mapping[str, Any]]) -> Made:
    fields = ("first_name", "last_name", "email", "phone_number", "payroll_id")
    return [(str(one["external_id"]), tuple(str(one[name]) for name in fields)) for one in bodies]


def _contacts(bodies: Sequence[Mapping[str, Any]]) -> Made:
    fields = ("first_name", "last_name", "employee_id")
    return [(str(one["origin_id"]), tuple(str(one[name]) for name in fields)) for one in bodies]


def _entries(bodies: Sequence[Mapping[str, Any]], people: Sequence[Mapping[str, Any]]) -> Made:
    origins = {one["id"]: str(one["origin_id"]) for one in people}
    return [
        (
            str(one["origin_id"]),
            (origins.get(one["party_id"], "nobody"), str(one["date"]), _plain_hours(str(one["hours"]))),
        )
        for one in bodies
    ]


def _plain_hours(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _compare(kind: str, wanted: Mapping[str, tuple[str, ...]], made: Made) -> Iterable[tuple[str, str]]:
    counts = Counter(name for name, _ in made)
    fields = dict(made)
    for name, values in wanted.items():
        if name not in counts:
            yield "lost", f"{kind} {name}"
        elif fields[name] != values:
            yield "wrong", f"{kind} {name}: {fields[name]} instead of {values}"
    for name, count in counts.items():
        if name not in wanted:
            yield "wrong", f"{kind} {name} should not be there"
        elif count > 1:
            yield "duplicate", f"{kind} {name}: {count} times"
