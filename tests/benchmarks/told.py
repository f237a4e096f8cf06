"""A run's figures as tables."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.cells import NAIVE, Cell, Figure
from tests.benchmarks.goals import Goal, goals, medians
from tests.benchmarks.outcome import Extra, Killed, Outcome
from tests.benchmarks.table import Table, rate, ratio, seconds, yes


FIGURES = (
    "arm",
    "keys",
    "in flight",
    "events",
    "events/s",
    "law/s",
    "of law",
    "x naive",
    "CPU s/1000",
    "peak MB",
    "ordered",
    "one result each",
)


def tables(outcome: Outcome) -> list[Table]:
    """One table for each work time, then the other measurements and the goals."""
    figures = medians(outcome.figures)
    by_work: dict[int, list[Figure]] = {}
    for figure in figures:
        by_work.setdefault(figure.cell.work_ms, []).append(figure)
    return [
        *(_of_work(work_ms, some) for work_ms, some in by_work.items()),
        *([_lengths(outcome.lengths)] if outcome.lengths else []),
        *([_extras(outcome.extras)] if outcome.extras else []),
        *([_killed(outcome.killed)] if outcome.killed else []),
        _goals(goals(outcome)),
    ]


def line(figure: Figure) -> str:
    """A figure in one line, while the run goes on."""
    told = f"{rate(figure.per_s)}/s" if figure.report else f"DNF: {figure.why}"
    law = f", {ratio(figure.of_law)} of the law" if figure.of_law is not None else ""
    found = figure.verdict
    disorder = f", not in order ({found.disorder})" if found and found.disorder else ""
    return f"{named(figure.cell)}: {told}{law}{disorder}"


def named(cell: Cell) -> str:
    """A cell in words."""
    return f"{cell.arm.name}, {cell.work_ms} ms, {cell.keys}, {cell.in_flight} in flight"


def _of_work(work_ms: int, figures: Sequence[Figure]) -> Table:
    naive = next((figure.per_s for figure in figures if figure.cell.arm is NAIVE), None)
    title = f"Work time {work_ms} ms" if work_ms else "Work time 0: nothing has changed, no call is made"
    return Table(title, FIGURES, [_row(figure, naive) for figure in figures], left=2)


def _row(figure: Figure, naive: float | None) -> Sequence[str]:
    cell, report, found = figure.cell, figure.report, figure.verdict
    return (
        cell.arm.name,
        str(cell.keys),
        str(cell.in_flight if cell.arm.concurrent else 1),
        f"{cell.events:,}",
        rate(figure.per_s) if report else f"DNF ({figure.why})",
        "-" if figure.law_per_s is None else rate(figure.law_per_s),
        ratio(figure.of_law),
        ratio(figure.per_s / naive if figure.per_s and naive else None),
        seconds(figure.cpu_per_1000),
        f"{report.peak_mb:.0f}" if report else "-",
        yes(found.ordered) if found else "-",
        yes(found.once) if found else "-",
    )


def _lengths(lengths: Sequence[Figure]) -> Table:
    return Table(
        "Length of the topic, without work", FIGURES, [_row(figure, None) for figure in lengths], left=2
    )


def _extras(extras: Sequence[Extra]) -> Table:
    names = ("measurement", "handled", "events/s", "CPU s/1000", "peak MB", "grown by MB")
    rows = []
    for extra in extras:
        report = extra.report
        if report is None:
            rows.append((extra.name, "-", f"DNF ({extra.why})", "-", "-", "-"))
            continue
        rows.append(
            (
                extra.name,
                f"{report.handled:,}",
                rate(report.per_s),
                seconds(report.cpu_s / report.handled * 1000),
                f"{report.peak_mb:.0f}",
                f"{report.peak_mb - report.base_mb:.0f}",
            )
        )
    return Table("Other measurements of ours", names, rows)


def _killed(killed: Sequence[Killed]) -> Table:
    names = ("arm", "limit", "begun", "in flight", "calling", "handled again", "doubled results", "lost")
    rows = [
        (one.arm.name, str(one.limit), f"DNF ({one.why})", *["-"] * 5)
        if one.why
        else (
            one.arm.name,
            *(
                f"{n:,}"
                for n in (one.limit, one.begun, one.in_flight, one.calling, one.again, one.doubled, one.lost)
            ),
        )
        for one in killed
    ]
    return Table("SIGKILL at 50 ms, half-way through, and another process goes on", names, rows)


def _goals(found: Sequence[Goal]) -> Table:
    rows = [(goal.wanted, goal.measured, yes(goal.met)) for goal in found]
    return Table("Goals", ("goal", "measured", "reached"), rows, left=3)


def heading(facts: Mapping[str, str]) -> str:
    """The facts in one paragraph."""
    return "; ".join(f"{name} {value}" for name, value in facts.items())
