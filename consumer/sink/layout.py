"""How a log reads: text from results, for people who have a plain editor or a phone. Pure.

No line is wrapped, so that a name or a reason can be searched for; lines are short because each holds one
thing. Text from outside (names, reasons, ids) has its control characters shown escaped and stands behind
an indentation or a label, so that it cannot pass for a line of its own.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime

from consumer.model.events import Kind
from consumer.model.results import SYNCED, Outcome, Phase, Reason, Result, RunMarker


TITLES = {Kind.USERS: "crewsync user sync log", Kind.TIMESHEETS: "crewsync timesheet sync log"}

WITHOUT_REASON = {
    Outcome.SKIPPED: "Skipped; no reason was recorded",
    Outcome.STALE: "A newer version had been synced already",
    Outcome.HELD: "Waiting: Autosync is off",
    Outcome.FAILED: "Failed; no reason was recorded",
    Outcome.PARKED: "Set aside, to be tried again later",
}
"""What stands in the place of reasons if a result that is not synced has none."""

UNKNOWN_YET = "not known yet"
JOINERS = "\u200c\u200d"
"""Invisible, but part of how names are written in Persian, Hindi and others."""


def render_run(marker: RunMarker | None, results: Sequence[Result], complete: bool) -> str:
    """The log of one run. Without its marker (the start is not known yet) there must be a result.

    People of one name are in the order of their ids, one person's results in that of their handling; what
    is equal in all that keeps the order in which it is given.
    """
    subject = marker or results[0]
    arrived = len({r.subject_id for r in results})
    last = max((r.handled_at for r in results), default=marker.started_at if marker else None)
    return _page(
        subject.kind,
        [
            ("Company", _company(subject.company_id)),
            ("Run", visible(subject.run_id or "")),
            ("Kind", subject.kind),
            *([("Only", visible(marker.scope))] if marker and marker.scope else []),
            ("Trigger", marker.trigger if marker else UNKNOWN_YET),
            ("Requested by", visible(marker.requested_by) if marker else UNKNOWN_YET),
            ("Started", moment(marker.started_at) if marker else UNKNOWN_YET),
            ("Ended", moment(last) if complete and last else "not yet"),
            ("Status", _status(marker, arrived, complete)),
        ],
        results,
    )


def _status(marker: RunMarker | None, arrived: int, complete: bool) -> str:
    if marker is None:
        return f"running ({arrived} results, the total is {UNKNOWN_YET})"
    if marker.phase is Phase.FAILED:
        rest = "" if complete else f"; {arrived} of {marker.expected} results are there"
        before = f"; {marker.expected} were read and synced before{rest}"
        return f"could not go on: {visible(marker.reason or UNKNOWN_YET)}{before}"
    if complete:
        return "complete"
    more = ", and more are being read" if marker.phase is Phase.READING else ""
    return f"running ({arrived} of {marker.expected} results{more})"


def render_day(company_id: int | None, kind: Kind, day: date, results: Sequence[Result]) -> str:
    """The log of a UTC day's results outside any run, of which there must be one at least."""
    last = max(r.handled_at for r in results)
    return _page(
        kind,
        [
            ("Company", _company(company_id)),
            ("Kind", kind),
            ("Day", f"{day} (UTC), events outside a run"),
            ("Status", f"as of {moment(last)}"),
        ],
        results,
    )


def moment(at: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def visible(text: str) -> str:
    """The text with everything escaped that would break a line, hide, or turn the direction of writing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(character) if _disturbs(character) else character for character in text)


def name_order(name: str) -> str:
    """Sort key of a name, without regard to case and accents."""
    if name.isascii():
        return name.lower()
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return bare.casefold()


def _disturbs(character: str) -> bool:
    category = unicodedata.category(character)
    return category in {"Cc", "Cs", "Zl", "Zp"} or (category == "Cf" and character not in JOINERS)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _company(company_id: int | None) -> str:
    return "unknown" if company_id is None else str(company_id)


def _page(kind: Kind, head: Iterable[tuple[str, str]], results: Sequence[Result]) -> str:
    in_order = sorted(
        results, key=lambda r: (name_order(r.subject_name), r.subject_id, r.subject_name, r.handled_at)
    )
    synced = [r for r in in_order if r.outcome in SYNCED]
    not_synced = [r for r in in_order if r.outcome not in SYNCED]
    warned = [r for r in in_order if r.warnings]
    lines = [
        *_heading(TITLES[kind], "="),
        *(f"{label + ':':<14}{value}" for label, value in head),
        "",
        *_heading("Results", "-"),
        *_counts(results),
        "",
        *_section("Synced", synced, _synced),
        "",
        *_section("Not synced", not_synced, _not_synced),
        "",
        *_section("Warnings", warned, _warned),
    ]
    return "\n".join(lines) + "\n"


def _heading(title: str, rule: str) -> tuple[str, str]:
    return title, rule * len(title)


def _counts(results: Sequence[Result]) -> Iterator[str]:
    counts = Counter(r.outcome for r in results)
    for outcome in Outcome:
        if counts[outcome]:
            yield f"{outcome:<10}{counts[outcome]:>8}"
    yield f"{'Total':<10}{len(results):>8}"


def _section(
    title: str, results: Sequence[Result], entry: Callable[[Result], Iterator[str]]
) -> Iterator[str]:
    yield from _heading(f"{title} ({len(results)})", "-")
    if not results:
        yield "None."
    for result in results:
        yield from entry(result)


def _synced(result: Result) -> Iterator[str]:
    yield f"- {_subject(result)}: {result.outcome}"
    yield from _detail(result)
    yield from _reasons(result.reasons)


def _not_synced(result: Result) -> Iterator[str]:
    yield f"- {_subject(result)}: {result.outcome}"
    yield from _detail(result)
    yield from _reasons(result.reasons)
    if not result.reasons:
        yield f"    {WITHOUT_REASON[result.outcome]}"


def _warned(result: Result) -> Iterator[str]:
    yield f"- {_subject(result)}"
    yield from _detail(result)
    yield from _reasons(result.warnings)


def _subject(result: Result) -> str:
    return f"{visible(result.subject_name).strip() or '(no name)'} (id {visible(result.subject_id)})"


def _detail(result: Result) -> Iterator[str]:
    if result.detail:
        yield f"    {visible(result.detail)}"


def _reasons(reasons: Iterable[Reason]) -> Iterator[str]:
    for reason in reasons:
        yield f"    {visible(reason.message) or visible(reason.code)}"
        if reason.upstream:
            yield f'      "{visible(reason.upstream)}"'
