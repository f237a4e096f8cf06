"""Whom a log counts: in a run's each subject once, by its latest result; in a day's every result. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consumer.model.reason_groups import common_sentence
from consumer.model.results import Outcome, Reason, Result


WITHOUT_REASON: Mapping[Outcome, str] = {
    Outcome.SKIPPED: "Skipped; no reason was recorded",
    Outcome.STALE: "A newer version had been synced already",
    Outcome.HELD: "Waiting: Autosync is off",
    Outcome.FAILED: "Failed; no reason was recorded",
    Outcome.PARKED: "Set aside, to be tried again later",
}
"""What stands in the place of reasons if a result that is not synced has none."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A result that counts, and the subject's earlier ones in the same run, latest first."""

    result: Result
    before: Sequence[Result] = ()


def counted(results: Iterable[Result], *, once: bool) -> Sequence[Counted]:
    """What counts of the results; ``once`` is for a run. Of equal moments, the one that is given later."""
    if not once:
        return [Counted(result) for result in results]
    by_subject: dict[str, list[Result]] = {}
    for result in results:
        by_subject.setdefault(result.subject_id, []).append(result)
    found = []
    for all_of_one in by_subject.values():
        # The sort is stable, so what came later stays later.
        *before, latest = sorted(all_of_one, key=lambda each: each.handled_at)
        found.append(Counted(latest, before[::-1]))
    return found


def why_not(not_synced: Iterable[Result]) -> Sequence[tuple[int, str]]:
    """How many for each reason, most frequent first. Who has several reasons counts for each of them."""
    messages: dict[str, Counter[str]] = {}
    counts = Counter[str]()
    for result in not_synced:
        for code, message in sorted(set(_said(result))):
            messages.setdefault(code, Counter())[message] += 1
        counts.update({code for code, _ in _said(result)})
    found = [(count, common_sentence(code, messages[code])) for code, count in counts.items()]
    return sorted(found, key=lambda each: (-each[0], each[1]))


def _said(result: Result) -> Sequence[tuple[str, str]]:
    reasons: Sequence[Reason] = result.reasons or [Reason("", WITHOUT_REASON[result.outcome])]
    return [(reason.code or reason.message, reason.message) for reason in reasons]
