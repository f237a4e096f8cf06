"""A state file of an older version becomes one of this version, in place and with nothing lost."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consumer.sink.catalog import Catalog
from consumer.sink.listing import Wanted
from consumer.sink.state import STATE_FILE
from tests.sink.scene import Scene, drain, texts
from tests.sink.version_2 import STATE, records


FROM_2_TO_1 = (
    *(f"ALTER TABLE markers DROP COLUMN {name}" for name in ("phase", "joined", "reason", "scope")),
    "DROP INDEX results_of_subject",
    "PRAGMA user_version = 1",
)


@pytest.fixture
def fresh(scene: Scene, tmp_path: Path) -> Path:
    """The log directory of a sink that reads the topic of the version-2 file from its beginning."""
    for partition, record in records():
        scene.write(record, partition=partition)
    scene.follow(log_dir=tmp_path / "fresh")
    return tmp_path / "fresh"


def place(scene: Scene, *statements: str) -> None:
    """Put the version-2 file where the scene's sink looks for it."""
    scene.log_dir.mkdir()
    shutil.copy(STATE, scene.log_dir / STATE_FILE)
    with closing(sqlite3.connect(scene.log_dir / STATE_FILE)) as db:
        for statement in statements:
            db.execute(statement)


def derived(log_dir: Path) -> list[tuple[object, ...]]:
    """All that the file says of each log and result, but for ids and what is about files."""
    with closing(sqlite3.connect(log_dir / STATE_FILE)) as db:
        logs = db.execute(
            "SELECT key, company_id, kind, run_id, at, last_at, events, open FROM logs ORDER BY key"
        )
        counts = db.execute("SELECT key, outcome, count FROM counts JOIN logs ON id = log WHERE count")
        results = db.execute(
            "SELECT part, offset, key, superseded, synced, name_key FROM results JOIN logs ON id = log"
        )
        return [*logs, *sorted(counts), *sorted(results)]


def schema(log_dir: Path) -> Iterator[str]:
    """Every table and index, as SQL."""
    with closing(sqlite3.connect(log_dir / STATE_FILE)) as db:
        for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"):
            yield " ".join(sql.split())


def test_a_file_of_version_2_is_as_if_this_version_had_always_written_it(scene: Scene, fresh: Path) -> None:
    place(scene)
    scene.follow()

    assert derived(scene.log_dir) == derived(fresh)
    assert list(schema(scene.log_dir)) == list(schema(fresh))
    assert scene.files() == texts(fresh)


def test_after_an_upgrade_every_file_is_written_anew(scene: Scene, fresh: Path) -> None:
    place(scene)
    sink = scene.open()
    assert len(sink._state.dirty()) == 7

    drain(sink)

    assert sink._state.dirty() == []
    assert scene.files() == texts(fresh)


def test_a_file_of_version_1_goes_the_same_way_by_way_of_version_2(scene: Scene, fresh: Path) -> None:
    place(scene, *FROM_2_TO_1)
    scene.follow()

    with Catalog(scene.log_dir) as old, Catalog(fresh) as new:
        assert old.count() == new.count() == 7
        for entry in new.newest():
            same = old.find(entry.key)
            assert same is not None
            assert (same.outcomes, same.events) == (entry.outcomes, entry.events)
            assert old.page(same, Wanted()) == new.page(entry, Wanted())


def test_an_upgraded_file_takes_what_comes_next(scene: Scene, fresh: Path, tmp_path: Path) -> None:
    place(scene)
    scene.follow()
    for partition, record in records():
        scene.write(record, partition=partition)
    scene.follow()
    scene.follow(log_dir=fresh)
    scene.follow(log_dir=tmp_path / "rebuilt")

    assert derived(scene.log_dir) == derived(fresh) == derived(tmp_path / "rebuilt")
    assert scene.files() == texts(fresh) == texts(tmp_path / "rebuilt")
