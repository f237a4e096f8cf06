"""The sink follows the topic and keeps the files level with it."""

import itertools
import threading
import time
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from consumer.model.events import Kind
from consumer.model.results import Outcome, Result, RunMarker
from consumer.model.topics import SYNC_LOG
from consumer.sink.sink import Sink
from tests.sink.scene import RUN_FILE, Scene, drain, marker, result, texts


def test_a_run_is_written_to_its_file(scene: Scene) -> None:
    """One step takes what is there, says how much, and writes the run's file in its company's folder."""
    scene.write(marker(2), result(1), result(2, outcome=Outcome.FAILED))

    assert scene.open().step(0) == 3

    assert list(scene.files()) == [RUN_FILE]
    assert scene.status() == "complete"
    assert "Total              2 people\n" in scene.files()[RUN_FILE]


def test_results_outside_a_run_go_to_their_day(scene: Scene) -> None:
    """Results without a run are parted by company, kind and UTC day."""
    first = result(1, run_id=None)
    scene.write(
        first,
        result(2, run_id=None, handled_at=first.handled_at + timedelta(days=1)),
        result(3, run_id=None, kind=Kind.TIMESHEETS),
        result(4, run_id=None, company_id=None),
    )

    scene.follow()

    assert list(scene.files()) == [
        "4100/timesheets-20261123.txt",
        "4100/users-20261123.txt",
        "4100/users-20261124.txt",
        "unknown/users-20261123.txt",
    ]


def test_a_growing_file_is_rewritten_once_a_second_and_a_finished_one_at_once(scene: Scene) -> None:
    """While a run is running its file changes at most once a second; when it completes, at once."""
    sink = scene.open()
    shown = []
    steps: list[tuple[float, Result | RunMarker | None]] = [
        (0.0, marker(3)),
        (0.4, result(1)),
        (0.9, result(2)),
        (1.1, None),
        (1.2, result(3)),
    ]
    for moment, record in steps:
        scene.now = 1000 + moment
        if record:
            scene.write(record)
        sink.step(0)
        shown.append(scene.status())

    assert shown == [
        "running (0 of 3 results)",
        "running (0 of 3 results)",
        "running (0 of 3 results)",
        "running (2 of 3 results)",
        "complete",
    ]


def test_what_comes_after_completion_is_added(scene: Scene) -> None:
    """A parked event redriven after the run was complete gets its latest result and moves the end."""
    sink = scene.open()
    scene.write(marker(1), result(1, outcome=Outcome.PARKED))
    drain(sink)
    scene.write(result(30, subject_id="501"))
    scene.now += 1
    drain(sink)

    text = scene.files()[RUN_FILE]
    assert "parked   " not in text
    assert "  created          1\n" in text
    assert "    before that: parked at 2026-11-23 07:15:01 UTC: Set aside, to be tried again later\n" in text
    assert "Ended:        2026-11-23 07:15:30 UTC\n" in text


def test_where_many_files_are_behind_a_step_writes_for_about_a_second(scene: Scene) -> None:
    """However many there are, the loop turns; the next steps write the others without waiting for records."""
    scene.write(*(marker(0, run_id=f"r{number}") for number in range(12)))
    ticks = itertools.count(step=0.1)
    sink = Sink(scene.broker, SYNC_LOG, scene.codec, scene.log_dir, clock=ticks.__next__)
    counts = [0]
    with sink:
        began = time.monotonic()
        while counts[-1] < 12:
            sink.step(20 if counts[-1] else 0)
            counts.append(len(scene.files()))
    assert time.monotonic() - began < 10
    assert 3 <= len(counts) <= 9
    assert all(0 < after - before < 8 for before, after in pairwise(counts))


def test_close_writes_what_is_behind(scene: Scene) -> None:
    """What was taken within the last second is in the file once the sink is closed, be it once or twice."""
    sink = scene.open()
    for record in (marker(9), result(1), result(2)):
        scene.write(record)
        sink.step(0)
    assert scene.status() == "running (0 of 9 results)"

    sink.close()
    sink.close()

    assert scene.status() == "running (2 of 9 results)"


def test_results_may_come_before_their_runs_marker(scene: Scene) -> None:
    """A run without a marker has a file for the time being, which gives way when the marker comes."""
    sink = scene.open()
    scene.write(result(1))
    drain(sink)
    assert list(scene.files()) == ["4100/users-run-r1.txt"]

    scene.write(marker(2), partition=1)
    scene.now += 1
    drain(sink)

    assert list(scene.files()) == [RUN_FILE]
    assert scene.status() == "running (1 of 2 results)"


def test_a_later_marker_of_a_run_wins(scene: Scene) -> None:
    """A run that is announced again, with another count, goes by the later announcement."""
    scene.write(marker(1), result(1), marker(2))

    scene.follow()

    assert scene.status() == "running (1 of 2 results)"


def test_an_event_counts_once_towards_completion(scene: Scene) -> None:
    """Two results of one event are one, and a run of two events is not complete with them."""
    scene.write(marker(2), result(1, outcome=Outcome.PARKED), result(1))

    scene.follow()

    assert scene.status() == "running (1 of 2 results)"
    assert "Total              1 person\n" in scene.files()[RUN_FILE]


def test_a_rebuild_is_byte_identical(scene: Scene, tmp_path: Path) -> None:
    """Following live, with a restart after every record, and starting anew give the same bytes."""
    records: list[tuple[int, Result | RunMarker]] = [(0, marker(20)), (1, marker(99, run_id="r2"))]
    records += [(n % 2, result(n, f"Person {n % 7}", run_id=("r1", "r2")[n % 2])) for n in range(40)]
    records += [(2, result(n, "Émile", Outcome.SKIPPED, run_id=None)) for n in range(5)]
    for partition, record in records:
        scene.write(record, partition=partition)
        scene.follow()

    scene.follow(log_dir=tmp_path / "rebuilt")

    assert len(scene.files()) == 3
    assert texts(tmp_path / "rebuilt") == scene.files()


@pytest.mark.parametrize("run_id", ["../../../out", "/out", "..", ".", "", "a/b", "a\\b", "a\0b", "x" * 5000])
def test_no_run_id_leads_out_of_the_directory(scene: Scene, tmp_path: Path, run_id: str) -> None:
    """Whatever a run is called, its file stands in its company's folder, before and after its marker came."""
    scene.write(result(1, run_id=run_id))
    scene.follow()
    (before,) = scene.files()
    scene.write(marker(1, run_id=run_id))
    scene.follow()
    (after,) = scene.files()

    assert before != after
    assert Path(before).parent == Path(after).parent == Path("4100")
    assert {path.name for path in tmp_path.iterdir()} == {"broker", "logs"}
    assert [path.name for path in scene.log_dir.iterdir() if not path.name.startswith(".sink.")] == ["4100"]


def test_run_follows_the_topic_until_it_is_told_to_stop(scene: Scene) -> None:
    """``run`` takes what is written while it runs, and returns when asked to."""
    sink, stop = scene.open(), threading.Event()
    thread = threading.Thread(target=sink.run, args=(stop,))
    thread.start()
    try:
        scene.write(marker(1), result(1))
        deadline = time.monotonic() + 20
        while RUN_FILE not in scene.files() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        stop.set()
        thread.join(20)

    assert not thread.is_alive()
    assert scene.status() == "complete"


def test_a_run_is_not_complete_while_somebody_has_no_result_though_another_has_two(scene: Scene) -> None:
    """Who was parked and redriven has two, of two records."""
    scene.write(marker(2), result(1, outcome=Outcome.PARKED))
    again = replace(result(1), source_offset=99)
    scene.write(again)
    drain(scene.open())
    assert scene.status() == "running (1 of 2 results)"
