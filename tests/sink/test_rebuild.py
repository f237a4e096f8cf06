"""Every log file can be written anew from the topic, whatever became of the directory meanwhile."""

import os
import random
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from consumer.broker.connect import connect
from consumer.model.codec import Codec
from consumer.model.topics import SYNC_LOG
from consumer.sink.catalog import Catalog
from consumer.sink.errors import SinkError
from consumer.sink.files import REBUILD_FOLDER
from consumer.sink.keeping import Keeping
from consumer.sink.rebuild import Rebuilt, Source, rebuild
from consumer.sink.sink import Sink
from consumer.sink.state import STATE_FILE
from tests.sink.process import KillAt
from tests.sink.scene import RUN_FILE, Scene, drain, marker, result, texts
from tests.sink.version_2 import STATE, records


DAY_FILE = "4100/users-20261123.txt"
BEFORE, AFTER = (1, 17_000), (16_800, 22_500)
"""In calls of functions: about when a rebuild still compares, and when it writes."""
NO_LOG = "4100/users-20260101T000000Z-manual-nobody.txt"


@pytest.fixture
def expected(scene: Scene) -> dict[str, str]:
    """Fill the topic and the directory; the files as a sink writes them."""
    for partition, record in records():
        scene.write(record, partition=partition)
    scene.follow()
    return scene.files()


def rebuilt(scene: Scene, *, dry_run: bool = False) -> Rebuilt:
    source = Source(scene.broker, SYNC_LOG, scene.codec)
    return rebuild(source, scene.log_dir, Keeping(), lambda *_: None, dry_run=dry_run)


def tamper(scene: Scene) -> None:
    """Delete a file, damage another, and add two: one that is called like a log, and one that is not."""
    (scene.log_dir / RUN_FILE).unlink()
    (scene.log_dir / DAY_FILE).write_text("half of")
    (scene.log_dir / NO_LOG).write_text("never was")
    (scene.log_dir / "4100" / "notes.txt").write_text("the office's own")


def everything(folder: Path) -> dict[str, bytes]:
    """All files, hidden ones too, but for what SQLite makes beside its own when it is only read."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def visible(files: dict[str, bytes]) -> list[str]:
    """Those that people see."""
    return [name for name in files if not name.startswith(".")]


def forget_beginning(scene: Scene, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    """From now on the topic's first partition begins later."""
    reader = scene.broker.reader(scene.broker.partitions(SYNC_LOG))
    reader.close()
    kind = type(reader)
    real_poll = kind.poll

    def begins(_: object, wanted: object) -> dict[object, int]:
        return {each: first if each.partition == 0 else 0 for each in wanted}  # type: ignore[attr-defined]

    def poll(self: object, timeout_s: float, max_records: int = 500) -> list[object]:
        found = real_poll(self, timeout_s, max_records)  # type: ignore[arg-type]
        return [each for each in found if each.partition or each.offset >= first]

    monkeypatch.setattr(kind, "beginning_offsets", begins)
    monkeypatch.setattr(kind, "poll", poll)


def test_a_directory_in_order_stays_as_it_is_byte_by_byte(scene: Scene, expected: dict[str, str]) -> None:
    found = rebuilt(scene)

    assert (found.identical, found.is_as_it_should_be) == (len(expected), True)
    assert scene.files() == expected
    assert not (scene.log_dir / REBUILD_FOLDER).exists()


def test_what_was_deleted_damaged_or_added_by_hand_is_put_right(
    scene: Scene, expected: dict[str, str]
) -> None:
    tamper(scene)

    found = rebuilt(scene)

    assert (found.identical, found.differing, found.missing, found.extra) == (len(expected) - 2, 1, 1, 1)
    assert scene.files() == {**expected, "4100/notes.txt": "the office's own"}
    with Catalog(scene.log_dir) as catalog:
        assert {str(one.path): catalog.text(one) for one in catalog.newest()} == expected
    assert rebuilt(scene).is_as_it_should_be


def test_a_dry_run_says_the_same_and_changes_nothing(scene: Scene, expected: dict[str, str]) -> None:
    tamper(scene)
    before = everything(scene.log_dir)

    found = rebuilt(scene, dry_run=True)

    assert (found.identical, found.differing, found.missing, found.extra) == (len(expected) - 2, 1, 1, 1)
    assert everything(scene.log_dir) == before


def test_a_state_that_lost_rows_is_made_whole_and_a_sink_goes_on_from_it(
    scene: Scene, expected: dict[str, str], tmp_path: Path
) -> None:
    with closing(sqlite3.connect(scene.log_dir / STATE_FILE, isolation_level=None)) as db:
        db.execute("DELETE FROM results WHERE offset % 3 = 0")
        db.execute("DELETE FROM logs WHERE run_id = 'r2'")
    rebuilt(scene)
    assert scene.files() == expected

    scene.write(result(200))
    scene.follow()
    scene.follow(log_dir=tmp_path / "fresh")
    assert scene.files() == texts(tmp_path / "fresh")


def test_what_the_topic_has_no_more_is_taken_over_from_the_state(
    scene: Scene, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_beginning(scene, monkeypatch, 12)
    tamper(scene)

    assert rebuilt(scene).taken_over == 12

    assert scene.files() == {**expected, "4100/notes.txt": "the office's own"}


def test_a_damaged_state_is_told_of_and_gone_without_and_no_file_is_removed(
    scene: Scene, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that the topic cannot account for may be all that is left of older logs."""
    forget_beginning(scene, monkeypatch, 12)
    (scene.log_dir / NO_LOG).write_text("older than the topic")
    (scene.log_dir / STATE_FILE).write_bytes(b"no database" * 1000)

    found = rebuilt(scene)

    assert found.damaged is not None
    assert "file is not a database" in found.damaged
    assert (found.taken_over, found.extra > 0) == (0, True)
    files = scene.files()
    assert files[NO_LOG] == "older than the topic"
    assert files[DAY_FILE] == expected[DAY_FILE]
    with scene.open() as sink:
        assert sink.step(0) == 0


def test_an_older_version_s_state_is_taken_over_too(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for partition, record in records():
        scene.write(record, partition=partition)
    scene.follow()
    expected = scene.files()
    (scene.log_dir / STATE_FILE).unlink()
    shutil.copy(STATE, scene.log_dir / STATE_FILE)
    forget_beginning(scene, monkeypatch, 12)

    assert rebuilt(scene).taken_over == 12

    assert scene.files() == expected


def test_another_topic_s_directory_is_refused_and_left_alone(scene: Scene, tmp_path: Path) -> None:
    scene.write(marker(1), result(1))
    scene.follow()
    before = everything(scene.log_dir)
    anew = Scene(tmp_path / "anew")
    with anew.broker, pytest.raises(SinkError, match="ahead of partition 0 of sync-log"):
        rebuild(
            Source(anew.broker, SYNC_LOG, Codec()),
            scene.log_dir,
            Keeping(),
            lambda *_: None,
            dry_run=False,
        )
    assert {k: v for k, v in everything(scene.log_dir).items() if REBUILD_FOLDER not in k} == before


def test_a_left_over_folder_is_removed_by_a_sink_and_by_a_rebuild(
    scene: Scene, expected: dict[str, str]
) -> None:
    for start in (scene.follow, lambda: rebuilt(scene)):
        (scene.log_dir / REBUILD_FOLDER).mkdir()
        (scene.log_dir / REBUILD_FOLDER / STATE_FILE).write_text("half of a state")
        start()
        assert scene.files() == expected
        assert not (scene.log_dir / REBUILD_FOLDER).exists()


def test_an_open_catalog_sees_the_rebuilt_state(scene: Scene, expected: dict[str, str]) -> None:
    with closing(sqlite3.connect(scene.log_dir / STATE_FILE, isolation_level=None)) as db:
        db.execute("DELETE FROM logs WHERE run_id = 'r1'")
    with Catalog(scene.log_dir) as catalog:
        assert catalog.runs("r1") == []
        rebuilt(scene)
        (entry,) = catalog.runs("r1")
        assert catalog.text(entry) == expected[RUN_FILE]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("again", ["rebuild", "sink"])
def test_kills_at_any_moment_leave_what_a_rebuild_or_a_sink_ends_right(
    scene: Scene, expected: dict[str, str], seed: int, again: str
) -> None:
    """Before the state took its place nothing has changed; after it, any start finishes the files."""
    scene.broker.close()
    chance, killed, swapped = random.Random(seed), 0, 0
    for span in [*[BEFORE] * 5, *[AFTER] * 7]:
        shutil.rmtree(scene.log_dir)
        with connect(f"embedded:{scene.broker_path}") as broker:
            with Sink(broker, SYNC_LOG, Codec(), scene.log_dir) as sink:
                drain(sink)
            tamper(scene)
            before = everything(scene.log_dir)
        child = os.fork()
        if not child:
            with connect(f"embedded:{scene.broker_path}") as broker:
                sys.setprofile(KillAt(chance.randint(*span)))
                rebuild(
                    Source(broker, SYNC_LOG, scene.codec),
                    scene.log_dir,
                    Keeping(),
                    lambda *_: None,
                    dry_run=False,
                )
            os._exit(0)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        chance.random()
        with closing(sqlite3.connect(scene.log_dir / STATE_FILE)) as db:
            (noted,) = db.execute("SELECT COUNT(*) FROM files WHERE log = 0").fetchone()
        changed = noted or any(
            everything(scene.log_dir).get(name) != before[name] for name in visible(before)
        )
        swapped += bool(changed)
        with connect(f"embedded:{scene.broker_path}") as broker:
            if again == "rebuild":
                source = Source(broker, SYNC_LOG, Codec())
                rebuild(source, scene.log_dir, Keeping(), lambda *_: None, dry_run=False)
            with Sink(broker, SYNC_LOG, Codec(), scene.log_dir) as sink:
                drain(sink)
        files = scene.files()
        assert files.pop("4100/notes.txt") == "the office's own"
        if again == "rebuild" or changed:
            assert files == expected
        else:
            # Killed before the state took its place: a sink does not look for what was done by hand.
            assert files[NO_LOG] == "never was"
    assert killed >= 8
    assert swapped >= 3
