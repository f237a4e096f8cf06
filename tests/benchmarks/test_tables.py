"""How figures are shown."""

from dataclasses import replace

import pytest

from tests.benchmarks.cells import NAIVE, OURS, QUIX_ONCE, Cell, Figure
from tests.benchmarks.check import Verdict
from tests.benchmarks.goals import goals, medians
from tests.benchmarks.keys import Keys
from tests.benchmarks.outcome import Killed, Outcome
from tests.benchmarks.plan import FULL, QUICK, Size, cells
from tests.benchmarks.table import Table, rate, ratio, seconds, yes
from tests.benchmarks.task import Report, Task
from tests.benchmarks.told import tables


def figure(seconds: float, **changes: object) -> Figure:
    cell = replace(Cell(OURS, 50, Keys.DISTINCT, 200, 8000), **changes)  # type: ignore[arg-type]
    report = Report(8000, began=10.0, ended=10.0 + seconds, cpu_s=1.0, peak_mb=60.0, base_mb=50.0)
    return Figure(cell, 4000.0, report, Verdict("", doubled=0, lost=0))


TABLE = Table(
    "Title", ("arm", "keys", "rate"), [("ours", "1 key", "3,900"), ("naive", "Zipf", "19.5")], left=2
)


def test_words_are_to_the_left_and_numbers_to_the_right() -> None:
    assert TABLE.as_text().splitlines()[2:] == [
        "arm    keys    rate",
        "ours   1 key  3,900",
        "naive  Zipf    19.5",
    ]


def test_markdown_says_the_same() -> None:
    assert TABLE.as_markdown().splitlines()[2:] == [
        "| arm | keys | rate |",
        "| --- | --- | ---: |",
        "| ours | 1 key | 3,900 |",
        "| naive | Zipf | 19.5 |",
    ]


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (rate(12345.6), "12,346"),
        (rate(19.51), "19.5"),
        (rate(None), "DNF"),
        (ratio(0.954), "0.95"),
        (ratio(12.34), "12.3"),
        (ratio(204.9), "205"),
        (ratio(None), "-"),
        (seconds(0.0654), "0.065"),
        (yes(value=None), "-"),
        (yes(value=False), "NO"),
    ],
)
def test_numbers_have_as_many_digits_as_help(shown: str, text: str) -> None:
    assert shown == text


def test_of_several_runs_the_median_is_shown() -> None:
    (chosen,) = medians([figure(2.0), figure(4.0), figure(2.5)])
    assert chosen.per_s == 3200


def test_a_run_that_did_not_finish_does_not_hide_those_that_did() -> None:
    (chosen,) = medians([replace(figure(2.0), report=None, why="not done"), figure(4.0)])
    assert chosen.per_s == 2000


@pytest.mark.parametrize(
    ("seconds", "disorder", "met"), [(2.0, "", True), (3.0, "", False), (2.0, "call 7", False)]
)
def test_the_law_is_reached_only_in_order(*, seconds: float, disorder: str, met: bool) -> None:
    one = replace(figure(seconds), verdict=Verdict(disorder, doubled=0, lost=0))
    assert goals(Outcome([one], [], [], []))[0].met is met


def test_what_did_not_finish_is_neither_reached_nor_missed() -> None:
    assert all(goal.met is None for goal in goals(Outcome([], [], [], [])))


@pytest.mark.parametrize(("again", "met"), [(475, True), (476, False)])
def test_no_more_may_be_handled_again_than_was_in_flight(*, again: int, met: bool) -> None:
    killed = Killed(OURS, 200, begun=4000, in_flight=475, calling=200, again=again)
    (goal,) = (goal for goal in goals(Outcome([], [], [killed], [])) if "SIGKILL" in goal.wanted)
    assert goal.met is met


def test_a_whole_run_can_be_told() -> None:
    lost = Killed(NAIVE, 1, why="not done within 9 s")
    slow = replace(figure(1.0, arm=QUIX_ONCE), report=None, verdict=None, why="not done within 9 s")
    text = "\n".join(table.as_text() for table in tables(Outcome([figure(2.0), slow], [], [lost], [])))
    assert "DNF (not done within 9 s)" in text


@pytest.mark.parametrize("size", [FULL, QUICK], ids=["full", "quick"])
def test_no_cell_takes_much_longer_than_it_should(size: Size) -> None:
    assert all(cell.events / 4000 <= size.seconds + 1 for cell in cells(size) if cell.work_ms)


def test_a_task_and_a_report_survive_their_way() -> None:
    task = Task("ours", "b:1", 1, "e", "r", "l", "d", "g", "i", 5, unawaited=(7,), sizes=(1, 2), share=4)
    report = figure(2.0).report
    assert report is not None
    assert (Task.from_json(task.to_json()), Report.from_json(report.to_json())) == (task, report)
