"""The logs can be listed, found and followed beside the sink, whatever it is doing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.model.events import Kind, Trigger
from consumer.model.results import Outcome
from consumer.sink.catalog import Catalog, Cursor
from consumer.sink.errors import SinkError
from consumer.sink.log_entry import LogEntry
from consumer.sink.state import STATE_FILE
from tests.sink.scene import RUN_FILE, START, Scene, drain, marker, result


@pytest.fixture
def catalog(scene: Scene) -> Iterator[Catalog]:
    """The catalog of an empty log directory, whose sink was open once."""
    scene.follow()
    with Catalog(scene.log_dir) as made:
        yield made


def run_ids(catalog: Catalog, **which: object) -> list[str | None]:
    return [entry.key.run_id for entry in catalog.newest(**which)]  # type: ignore[arg-type]


def names(catalog: Catalog, entry: LogEntry, cursor: Cursor | None = None, limit: int = 500) -> list[str]:
    return [one.subject_name for one in catalog.results(entry, cursor, limit)[0]]


def test_without_a_state_file_it_is_said_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"no logs in .* yet: the first sync writes them"):
        Catalog(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_state_file_of_another_version_is_refused(scene: Scene) -> None:
    scene.follow()
    with closing(sqlite3.connect(scene.log_dir / STATE_FILE)) as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(SinkError, match="has version 999"):
        Catalog(scene.log_dir)


def test_a_file_that_is_no_state_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / STATE_FILE).write_text("no database, but long enough to look like something\n" * 9)
    with pytest.raises(SinkError, match="cannot be read: file is not a database"):
        Catalog(tmp_path)


def test_an_entry_has_the_start_the_counts_and_the_file(scene: Scene, catalog: Catalog) -> None:
    scene.write(marker(3), result(1), result(2), result(3, outcome=Outcome.SKIPPED))
    scene.follow()

    (entry,) = catalog.newest()

    assert entry.marker == marker(3)
    assert entry.outcomes == {Outcome.CREATED: 2, Outcome.SKIPPED: 1}
    assert (entry.synced, entry.not_synced, entry.events) == (2, 1, 3)
    assert (entry.is_complete, entry.status) == (True, "complete")
    assert entry.last_handled_at == START + timedelta(seconds=3)
    assert str(entry.path) == RUN_FILE
    assert catalog.text(entry) == scene.files()[RUN_FILE]


def test_an_open_sink_does_not_disturb_and_is_seen_at_once(scene: Scene, catalog: Catalog) -> None:
    sink = scene.open()
    assert catalog.newest() == []

    scene.write(marker(2), result(1))
    drain(sink)
    entry = catalog.newest()[0]
    assert (entry.events, entry.status) == (1, "running")

    scene.write(result(2))
    drain(sink)
    again = catalog.entry(entry.id)
    assert again is not None
    assert (again.events, again.status) == (2, "complete")


def test_a_result_that_came_twice_is_one_event(scene: Scene, catalog: Catalog) -> None:
    scene.write(marker(2), result(1), result(1, outcome=Outcome.UNCHANGED))
    scene.follow()
    (entry,) = catalog.newest()
    assert (entry.events, entry.synced, entry.is_complete) == (1, 1, False)


def test_the_newest_come_first_and_no_more_than_were_asked_for(scene: Scene, catalog: Catalog) -> None:
    for number in (2, 0, 3, 1):
        scene.write(marker(1, run_id=f"r{number}", started_at=START + timedelta(minutes=number)))
    scene.follow()

    assert run_ids(catalog, limit=3) == ["r3", "r2", "r1"]
    assert run_ids(catalog, limit=3, offset=3) == ["r0"]
    newest = catalog.newest_run()
    assert newest is not None
    assert newest.key.run_id == "r3"


def test_logs_are_chosen_by_company_and_kind(scene: Scene, catalog: Catalog) -> None:
    scene.write(
        marker(1),
        marker(1, run_id="r2", kind=Kind.TIMESHEETS),
        marker(1, run_id="r3", company_id=41),
        result(1, run_id="4100/users/", company_id=None),
    )
    scene.follow()

    assert run_ids(catalog, company_id=4100, kind=Kind.USERS) == ["r1"]
    assert run_ids(catalog, kind=Kind.TIMESHEETS) == ["r2"]
    assert run_ids(catalog, company_id=41) == ["r3"]


def test_a_day_stands_among_the_runs_by_its_date_and_is_no_run(scene: Scene, catalog: Catalog) -> None:
    scene.write(
        marker(1),
        result(1, run_id=None),
        result(2, run_id=None, handled_at=START + timedelta(days=1)),
        partition=1,
    )
    scene.follow()

    entries = catalog.newest()

    assert [str(entry.key.day or entry.key.run_id) for entry in entries] == ["2026-11-24", "r1", "2026-11-23"]
    assert entries[0].status == "day"
    newest = catalog.newest_run()
    assert newest is not None
    assert newest.key.run_id == "r1"


def test_a_run_whose_start_is_not_known_is_running(scene: Scene, catalog: Catalog) -> None:
    scene.write(result(1))
    scene.follow()
    (entry,) = catalog.newest()
    assert (entry.marker, entry.started_at, entry.status, entry.is_over) == (None, None, "running", False)
    assert str(entry.path) == "4100/users-run-r1.txt"


def test_a_run_is_found_by_the_beginning_of_its_id(scene: Scene, catalog: Catalog) -> None:
    for run_id in ("ab1", "ab12", "b"):
        scene.write(marker(1, run_id=run_id))
    scene.write(result(1, run_id="ab1", company_id=None))
    scene.follow()

    def found(prefix: str) -> set[str | None]:
        return {entry.key.run_id for entry in catalog.runs(prefix)}

    assert found("ab") == {"ab1", "ab12"}
    assert found("ab12") == {"ab12"}
    assert [entry.key.company_id for entry in catalog.runs("ab1")] == [4100]
    assert found("1") == found("%") == found("*") == set()


def test_a_log_is_found_by_its_file_s_name_and_never_by_another_path(scene: Scene, catalog: Catalog) -> None:
    scene.write(marker(1), result(1, run_id=None), result(1, run_id=None, company_id=41))
    scene.follow()
    name = RUN_FILE.rpartition("/")[2]

    for text in (name, RUN_FILE, f"var/sync-logs/{RUN_FILE}"):
        assert [entry.key.run_id for entry in catalog.with_file(text)] == ["r1"]
    assert {entry.key.company_id for entry in catalog.with_file("users-20261123.txt")} == {4100, 41}
    for text in ("", "/", "../.sink.sqlite3", ".sink.sqlite3", f"41/{name}", "%", "4100"):
        assert list(catalog.with_file(text)) == []


def test_a_file_that_somebody_removed_is_one_sentence(scene: Scene, catalog: Catalog) -> None:
    scene.write(marker(0))
    scene.follow()
    (scene.log_dir / RUN_FILE).unlink()
    with pytest.raises(SinkError, match="cannot be read: No such file"):
        catalog.text(catalog.newest()[0])


def test_results_are_read_on_from_where_one_stopped(scene: Scene, catalog: Catalog) -> None:
    sink = scene.open()
    scene.write(marker(6), result(1, "Ana"), result(9, run_id="other"), result(2, "Ben"))
    drain(sink)
    (entry,) = (one for one in catalog.newest() if one.key.run_id == "r1")

    first, cursor = catalog.results(entry, limit=1)
    second, cursor = catalog.results(entry, cursor)
    assert [one.subject_name for one in (*first, *second)] == ["Ana", "Ben"]
    assert names(catalog, entry, cursor) == []

    scene.write(result(3, "Cal"), result(8, run_id="other"))
    # Not as the topic's key has it, but it must not be lost either.
    scene.write(result(4, "Dot"), partition=2)
    drain(sink)
    later, cursor = catalog.results(entry, cursor)
    assert sorted(one.subject_name for one in later) == ["Cal", "Dot"]
    assert names(catalog, entry, cursor) == []


def test_a_long_log_is_read_page_by_page_and_whole(scene: Scene, catalog: Catalog) -> None:
    scene.write(marker(50), *(result(number, f"No. {number}") for number in range(50)))
    scene.follow()
    entry = catalog.newest()[0]
    cursor, found = None, []
    while page := catalog.results(entry, cursor, limit=7):
        results, cursor = page
        if not results:
            break
        assert len(results) <= 7
        found += [one.subject_name for one in results]
    assert found == [f"No. {number}" for number in range(50)]


def test_ten_thousand_runs_are_not_loaded_to_show_twenty(scene: Scene, catalog: Catalog) -> None:
    """Whoever asks for twenty gets twenty, in about the time that twenty take."""
    with closing(sqlite3.connect(scene.log_dir / STATE_FILE, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.executemany(
            "INSERT INTO logs (id, key, company_id, kind, run_id, at, dirty) "
            "VALUES (?1, '4100/users/run/r' || ?1, 4100, 'users', 'r' || ?1, ?1, 0)",
            [(number,) for number in range(1, 10_001)],
        )
        db.executemany(
            "INSERT INTO markers (part, offset, log, trigger, requested_by, started_at, expected) "
            "VALUES (0, ?1, ?1, ?2, 'Dana', ?1, 1)",
            [(number, Trigger.MANUAL) for number in range(1, 10_001)],
        )
        db.execute("COMMIT")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    catalog._db.set_progress_handler(count, 100)
    for which in ({}, {"company_id": 4100}, {"kind": Kind.USERS}, {"company_id": 4100, "kind": Kind.USERS}):
        assert run_ids(catalog, limit=20, **which) == [f"r{number}" for number in range(10_000, 9980, -1)]
        assert run_ids(catalog, limit=20, runs_only=True, **which)[0] == "r10000"
    assert steps < 200, "hundreds of SQLite's instructions"
