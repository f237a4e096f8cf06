"""``crewsync logs`` on the command line of the whole program, beside one that is at work, too."""

import json
import shutil

import pytest

from tests.e2e.conftest import Demo
from tests.e2e.program import Place


KINDS = ("users", "timesheets")


def answer(place: Place, *arguments: str) -> str:
    return place.run("logs", *arguments).stdout


def refusal(place: Place, *arguments: str) -> str:
    process = place.start("logs", *arguments)
    assert process.end() == 1
    assert "Traceback" not in process.stderr
    assert process.stderr.startswith("crewsync: ")
    return process.stderr


def runs(demo: Demo, kind: str) -> list[str]:
    """The ids of the kind's runs, newest first."""
    markers = [marker for marker in demo.log.markers if marker.kind == kind]
    return [marker.run_id for marker in sorted(markers, key=lambda one: one.started_at, reverse=True)]


def test_without_a_log_it_is_said_where_logs_come_from(place: Place) -> None:
    for arguments in (["list"], ["show", "latest"], ["follow"]):
        assert "the first sync writes them" in refusal(place, *arguments)
    assert not place.broker.exists()


def test_runs_are_listed_newest_first_in_aligned_lines(demo: Demo) -> None:
    head, *rows = answer(demo.place, "list", "--kind", "users").splitlines()
    assert head.split()[:5] == ["run", "kind", "trigger", "who", "started"]
    assert [row.split()[0] for row in rows] == runs(demo, "users")
    assert {row.index("complete") for row in rows} == {head.index("status")}
    assert len(answer(demo.place, "list", "--limit", "3").splitlines()) == 4


def test_a_list_for_scripts_has_counts_by_outcome_and_the_file(demo: Demo) -> None:
    newest = json.loads(answer(demo.place, "list", "--json"))[0]
    assert newest["run"] == runs(demo, "timesheets")[0]
    assert newest["events"] == newest["expected"] == sum(newest["outcomes"].values())
    assert newest["synced"] + newest["not_synced"] == newest["expected"]
    assert (demo.place.folder / "var" / "sync-logs" / newest["file"]).is_file()


def test_a_log_is_shown_by_the_beginning_of_its_run_by_its_file_and_as_the_latest(demo: Demo) -> None:
    _, file = demo.log_files("users")
    text = file.read_text("utf-8")
    newest = runs(demo, "users")[0]
    for which in (newest, newest[:7], file.name, str(file)):
        assert answer(demo.place, "show", which) == text
    assert answer(demo.place, "show", "latest", "--kind", "users") == text


@pytest.mark.parametrize("which", ["no-such-run", "../../broker.db", "/etc/hostname", "\x1b[31m"])
def test_what_is_no_log_is_refused_with_the_newest_ones_named(demo: Demo, which: str) -> None:
    words = refusal(demo.place, "show", which)
    assert "there is no run or log file" in words
    assert runs(demo, "timesheets")[0] in words
    assert "\x1b" not in words


def test_a_run_that_is_over_is_followed_to_its_end_at_once(demo: Demo) -> None:
    lines = answer(demo.place, "follow", "--kind", "users", "--json").splitlines()
    results = [json.loads(line) for line in lines]
    assert {one["run"] for one in results} == {runs(demo, "users")[0]}
    assert len({one["id"] for one in results}) == len(results) == 250
    in_words = answer(demo.place, "follow", runs(demo, "users")[-1]).splitlines()
    assert len(in_words) == 251
    assert in_words[-1].startswith("users complete: ")
    assert any("Missing phone number" in line for line in in_words)


def test_a_running_process_is_followed_to_the_run_s_end_without_its_broker(place: Place) -> None:
    running = place.start("run")
    running.until(lambda: bool(place.logs("users")))
    done = place.run("logs", "follow", "--kind", "users")
    assert len(done.stdout.splitlines()) == 251
    assert place.run("logs", "list").stdout.count("users") >= 1
    assert running.popen.poll() is None


def test_a_rebuild_tells_what_differs_and_puts_it_right(demo: Demo, place: Place) -> None:
    """Of a copy of the demo's folder, one log of which is deleted and one damaged."""
    shutil.copytree(demo.place.folder / "var", place.folder / "var")
    first, second, *others = (path.relative_to(place.folder) for kind in KINDS for path in place.logs(kind))
    (place.folder / first).unlink()
    (place.folder / second).write_text("damaged")

    dry = place.start("logs", "rebuild", "--dry-run", "--json")
    assert dry.end() == 1
    told = json.loads(dry.stdout)
    assert (told["identical"], told["differing"], told["missing"]) == (len(others), 1, 1)
    assert answer(place, "rebuild") == f"{len(others)} identical, 1 differing, 1 missing, 0 extra before\n"
    assert json.loads(answer(place, "rebuild", "--dry-run", "--json"))["identical"] == len(others) + 2
    for path in (first, second, *others):
        assert (place.folder / path).read_bytes() == (demo.place.folder / path).read_bytes()


def test_beside_a_sink_a_rebuild_is_refused_in_one_sentence(place: Place) -> None:
    running = place.start("run")
    running.until(lambda: bool(place.logs("users")))
    assert "another sink is writing to var/sync-logs; only one may" in refusal(place, "rebuild")


def test_windows_line_ends_are_a_setting(demo: Demo, place: Place) -> None:
    shutil.copytree(demo.place.folder / "var", place.folder / "var")
    (path, *_) = place.logs("users")
    before = path.read_bytes()
    place.run("demo", CREWSYNC_LOG_LINE_ENDS="crlf")
    assert path.read_bytes() == before.replace(b"\n", b"\r\n")
    assert place.start("logs", "list", CREWSYNC_LOG_LINE_ENDS="mac").end() == 2
