"""The goals, each beside what was measured. Nothing fails where one is missed: a machine may be busy."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_low

from tests.benchmarks.cells import (
    BARE,
    BARE_LINKS,
    BARE_UNDECODED,
    FASTSTREAM,
    LOAD_LINKS,
    OURS,
    QUIX_ONCE,
    TRANSACTIONAL,
    TRANSACTIONAL_TUNED,
    Arm,
    Figure,
)
from tests.benchmarks.keys import Keys
from tests.benchmarks.outcome import NINE, NINE_OF_TEN, PROCESSES, Extra, Killed, Outcome


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted, what was measured, and whether it is reached; None if it could not be measured."""

    wanted: str
    measured: str
    met: bool | None


def medians(figures: Iterable[Figure]) -> list[Figure]:
    """One figure for each cell: where it was run several times, the one with the median rate."""
    by_cell: dict[object, list[Figure]] = {}
    for figure in figures:
        by_cell.setdefault(figure.cell, []).append(figure)
    chosen = []
    for same in by_cell.values():
        finished = {figure.per_s: figure for figure in same if figure.per_s is not None}
        chosen.append(finished[median_low(finished)] if finished else same[0])
    return chosen


def goals(outcome: Outcome) -> list[Goal]:
    """All goals."""
    extras = {extra.name: extra for extra in outcome.extras}
    figures = medians(outcome.figures)
    return [
        *_law(figures),
        *_no_work(figures),
        _ratio(
            "2 processes to 1, without work", _rate(extras, PROCESSES[2]), _rate(extras, PROCESSES[1]), 1.9
        ),
        *_length(outcome.lengths),
        *_links(extras),
        *_killed(outcome.killed),
        _one_refused(extras),
    ]


def _law(figures: Sequence[Figure]) -> list[Goal]:
    return [
        Goal(
            f"at {figure.cell.work_ms} ms, {figure.cell.keys}, 200 in flight: 0.9 of the law, in order",
            "did not finish" if figure.of_law is None else f"{figure.of_law:.2f}, {_said(figure)}",
            None if figure.of_law is None else figure.of_law >= 0.9 and _clean(figure),
        )
        for figure in figures
        if figure.cell.arm is OURS and figure.cell.in_flight == 200 and figure.cell.work_ms in {50, 100}
    ]


def _clean(figure: Figure) -> bool:
    return figure.verdict is not None and figure.verdict.ordered and figure.verdict.once


def _said(figure: Figure) -> str:
    return "in order, one result each" if _clean(figure) else "NOT in order or not one result each"


def _no_work(figures: Sequence[Figure]) -> list[Goal]:
    at_once = {
        figure.cell.arm: figure
        for figure in figures
        if not figure.cell.work_ms and figure.cell.keys is Keys.DISTINCT
    }
    wanted: tuple[tuple[Arm, float], ...] = (
        (BARE, 0.35),
        (TRANSACTIONAL, 3.0),
        (TRANSACTIONAL_TUNED, 3.0),
        (FASTSTREAM, 2.0),
        (QUIX_ONCE, 1.0),
    )
    return [
        _compared(f"without work, to {arm.name}", at_once.get(OURS), at_once.get(arm), least)
        for arm, least in wanted
    ]


def _compared(name: str, ours: Figure | None, other: Figure | None, least: float) -> Goal:
    """A ratio of rates, with the ratio by processor time, which suffers less where a machine is busy."""
    goal = _ratio(name, ours.per_s if ours else None, other.per_s if other else None, least)
    if ours is None or other is None or not ours.cpu_per_1000 or not other.cpu_per_1000:
        return goal
    return replace(goal, measured=f"{goal.measured}; by CPU {other.cpu_per_1000 / ours.cpu_per_1000:.2f}")


def _length(lengths: Sequence[Figure]) -> list[Goal]:
    done = [figure for figure in lengths if figure.report is not None]
    if len(done) < 2:
        return [Goal("CPU per event and memory do not grow with the topic", "did not finish", None)]
    short, long = done
    assert short.report is not None
    assert long.report is not None
    cpu = (long.cpu_per_1000 or 0) / (short.cpu_per_1000 or 1)
    memory = long.report.peak_mb - short.report.peak_mb
    sizes = f"{short.cell.events:,} to {long.cell.events:,} events"
    return [
        Goal(f"CPU per event, {sizes}: does not grow (1.1 at most)", f"{cpu:.2f}", cpu <= 1.1),
        Goal(f"peak memory, {sizes}: does not grow (20 MB at most)", f"{memory:+.0f} MB", memory <= 20),
    ]


def _links(extras: Mapping[str, Extra]) -> list[Goal]:
    loaded = extras.get(LOAD_LINKS.name)
    if loaded is None or loaded.report is None:
        return [Goal("links: memory and rate", loaded.why if loaded else "not run", None)]
    report = loaded.report
    cost = report.peak_mb - report.base_mb
    allowed = 300 * report.handled / 1_000_000
    return [
        Goal(
            f"{report.handled:,} links cost {allowed:.0f} MB at most",
            f"{cost:.0f} MB ({cost * 1e6 / report.handled:.0f} bytes each)",
            cost <= allowed,
        ),
        _ratio("links, to bare poll and decode", report.per_s, _rate(extras, BARE_LINKS.name), 0.8),
        _ratio("links, to bare poll without decoding", report.per_s, _rate(extras, BARE_UNDECODED.name), 0.8),
    ]


def _killed(killed: Sequence[Killed]) -> list[Goal]:
    return [
        Goal(
            "after a SIGKILL: handled again at most what was in flight, one result each",
            one.why or _told(one),
            None if one.why else one.again <= one.in_flight and not one.doubled and not one.lost,
        )
        for one in killed
        if one.arm is OURS
    ]


def _told(one: Killed) -> str:
    calling = f"({one.calling} of them calling)"
    return f"{one.again} of {one.in_flight} {calling}, {one.doubled} doubled, {one.lost} lost"


def _one_refused(extras: Mapping[str, Extra]) -> Goal:
    refused = _rate(extras, NINE)
    return _ratio(
        "nine companies while the tenth is answered 401",
        refused,
        _rate(extras, NINE_OF_TEN),
        0.95,
    )


def _ratio(name: str, rate: float | None, base: float | None, least: float) -> Goal:
    wanted = f"{name}: {least:g}"
    if rate is None or base is None:
        return Goal(wanted, "did not finish", None)
    return Goal(wanted, f"{rate / base:.2f} ({rate:,.0f}/s to {base:,.0f}/s)", rate / base >= least)


def _rate(extras: Mapping[str, Extra], name: str) -> float | None:
    extra = extras.get(name)
    return extra.report.per_s if extra and extra.report else None
