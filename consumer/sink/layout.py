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
from consumer.sink.naming import LogKey
from consumer.sink.subjects import WITHOUT_REASON, Counted, counted, why_not


TITLES = {Kind.USERS: "crewsync user sync log", Kind.TIMESHEETS: "crewsync timesheet sync log"}

UNITS = {Kind.USERS: ("person", "people"), Kind.TIMESHEETS: ("shift", "shifts")}
"""Of what a run's log counts one, or several."""
_RESULTS = ("result", "results")
UNKNOWN_YET = "not known yet"
JOINERS = "\u200c\u200d"
"""Invisible, but part of how names are written in Persian, Hindi and others."""


def render_log(key: LogKey, marker: RunMarker | None, results: Sequence[Result], *, complete: bool) -> str:
    """The log of a run or a day, whichever the key is of."""
    if key.day is not None:
        return render_day(key.company_id, key.kind, key.day, results)
    return render_run(marker, results, complete)


def render_run(marker: RunMarker | None, results: Sequence[Result], complete: bool) -> str:
    """The log of one run. Without its marker (the start is not known yet) there must be a result.

    Each person, or shift, counts once, with the latest result; earlier ones are told below it. People of one
    name are in the order of their ids; of results of one moment the one that is given later is the latest.
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
        counted(results, once=True),
        UNITS[subject.kind],
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
        counted(results, once=False),
        _RESULTS,
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


def _page(
    kind: Kind, head: Iterable[tuple[str, str]], all_counted: Sequence[Counted], unit: tuple[str, str]
) -> str:
    in_order = sorted(all_counted, key=_order)
    synced = [each for each in in_order if each.result.outcome in SYNCED]
    not_synced = [each for each in in_order if each.result.outcome not in SYNCED]
    warned = [each for each in in_order if each.result.warnings]
    lines = [
        *_heading(TITLES[kind], "="),
        *(f"{label + ':':<14}{value}" for label, value in head),
        "",
        *_heading("Results", "-"),
        *_counts(in_order, unit),
        "",
        *_why_not(not_synced),
        *_section("Synced", synced, _synced),
        "",
        *_section("Not synced", not_synced, _not_synced),
        "",
        *_section("Warnings", warned, _warned),
    ]
    return "\n".join(lines) + "\n"


def _order(each: Counted) -> tuple[str, str, str, datetime]:
    result = each.result
    return name_order(result.subject_name), result.subject_id, result.subject_name, result.handled_at


def _heading(title: str, rule: str) -> tuple[str, str]:
    return title, rule * len(title)


def _counts(all_counted: Sequence[Counted], unit: tuple[str, str]) -> Iterator[str]:
    counts = Counter(each.result.outcome for each in all_counted)
    for title, is_synced in (("Synced", True), ("Not synced", False)):
        outcomes = [one for one in Outcome if counts[one] and (one in SYNCED) == is_synced]
        yield _count(title, sum(counts[one] for one in outcomes))
        for outcome in outcomes:
            yield _count(f"  {outcome}", counts[outcome])
    total = len(all_counted)
    yield f"{_count('Total', total)} {unit[total != 1]}"


def _count(label: str, count: int) -> str:
    return f"{label:<12}{count:>8}"


def _why_not(not_synced: Sequence[Counted]) -> Iterator[str]:
    if not_synced:
        yield from _heading("Why not", "-")
        for count, sentence in why_not(each.result for each in not_synced):
            yield f"{count:>6}  {visible(sentence)}"
        yield ""


def _section(title: str, some: Sequence[Counted], entry: Callable[[Counted], Iterator[str]]) -> Iterator[str]:
    yield from _heading(f"{title} ({len(some)})", "-")
    if not some:
        yield "None."
    for each in some:
        yield from entry(each)


def _synced(each: Counted) -> Iterator[str]:
    yield f"- {_subject(each.result)}: {each.result.outcome}"
    yield from _detail(each.result)
    yield from _reasons(each.result.reasons)
    yield from _before(each.before)


def _not_synced(each: Counted) -> Iterator[str]:
    yield f"- {_subject(each.result)}: {each.result.outcome}"
    yield from _detail(each.result)
    yield from _reasons(each.result.reasons)
    if not each.result.reasons:
        yield f"    {WITHOUT_REASON[each.result.outcome]}"
    yield from _before(each.before)


def _warned(each: Counted) -> Iterator[str]:
    yield f"- {_subject(each.result)}"
    yield from _detail(each.result)
    yield from _reasons(each.result.warnings)


def _before(results: Iterable[Result]) -> Iterator[str]:
    for result in results:
        said = [_words(reason) for reason in result.reasons]
        if not said and result.outcome in WITHOUT_REASON:
            said = [WITHOUT_REASON[result.outcome]]
        why = f": {'; '.join(said)}" if said else ""
        yield f"    before that: {result.outcome} at {moment(result.handled_at)}{why}"


def _words(reason: Reason) -> str:
    words = visible(reason.message) or visible(reason.code)
    return f'{words} "{visible(reason.upstream)}"' if reason.upstream else words


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
