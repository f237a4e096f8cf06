"""How lines end, and how long logs are kept."""

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.model.topics import SYNC_LOG
from consumer.sink import keeping as module
from consumer.sink.files import remove_file
from consumer.sink.keeping import DAY_S, Keeping
from consumer.sink.rebuild import Source, rebuild
from consumer.sink.sink import Sink
from consumer.sink.state import STATE_FILE, State
from tests.sink.scene import START, Scene, drain, marker, result


OLD = START - timedelta(days=40)
NOW = START.timestamp()


def sink(scene: Scene, days: int = 30, wall: Callable[[], float] = lambda: NOW) -> Sink:
    kept = Keeping(days=days)
    return Sink(
        scene.broker,
        SYNC_LOG,
        scene.codec,
        scene.log_dir,
        keeping=kept,
        clock=lambda: scene.now,
        wall=wall,
    )


def write_old_and_young(scene: Scene) -> None:
    """An old run, an old day, an old run with a result of today, and a young run."""
    scene.write(
        marker(1, run_id="old", started_at=OLD),
        result(1, run_id="old", handled_at=OLD),
        result(1, run_id=None, handled_at=OLD),
        marker(9, run_id="empty", started_at=OLD),
    )
    scene.write(
        marker(2, run_id="long", started_at=OLD),
        result(1, run_id="long", handled_at=OLD),
        result(2, run_id="long"),
        marker(1),
        result(1),
        partition=1,
    )


def rows(scene: Scene) -> dict[str, int]:
    with closing(sqlite3.connect(scene.log_dir / STATE_FILE)) as db:
        tables = ("logs", "results", "markers", "files")
        return {
            name: db.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]  # noqa: S608 - constants
            for name in tables
        }


YOUNG = ["4100/users-20261014T071500Z-manual-long.txt", "4100/users-20261123T071500Z-manual-r1.txt"]


def test_logs_whose_last_result_is_too_old_go_with_file_and_rows(scene: Scene) -> None:
    write_old_and_young(scene)
    scene.follow()
    assert len(scene.files()) == 5

    with sink(scene) as opened:
        drain(opened)

    assert list(scene.files()) == YOUNG
    assert rows(scene) == {"logs": 2, "results": 3, "markers": 2, "files": 2}


def test_what_is_read_anew_does_not_rise_again(scene: Scene, tmp_path: Path) -> None:
    """A fresh sink never writes what is too old, and keeps all of what is not."""
    write_old_and_young(scene)
    with sink(scene) as opened:
        opened._batch = 1
        while opened.step(0):
            scene.now += 4000
    scene.follow(log_dir=tmp_path / "all")

    assert list(scene.files()) == YOUNG
    assert all(scene.files()[name] == (tmp_path / "all" / name).read_text("utf-8") for name in YOUNG)


def test_a_rebuild_keeps_to_it_too(scene: Scene) -> None:
    write_old_and_young(scene)
    scene.follow()
    source = Source(scene.broker, SYNC_LOG, scene.codec)
    found = rebuild(source, scene.log_dir, Keeping(days=30), lambda *_: None, dry_run=False, wall=lambda: NOW)
    assert (found.identical, found.extra) == (2, 3)
    assert list(scene.files()) == YOUNG
    assert rows(scene)["logs"] == 2


def test_it_is_looked_for_about_hourly(scene: Scene) -> None:
    write_old_and_young(scene)
    now = NOW
    with sink(scene, days=50, wall=lambda: now) as opened:
        drain(opened)
        assert len(scene.files()) == 5
        now += 20 * DAY_S
        scene.now += 3000
        drain(opened)
        assert len(scene.files()) == 5
        scene.now += 3600
        drain(opened)
        assert list(scene.files()) == YOUNG


def test_many_are_removed_a_few_at_a_step(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    write_old_and_young(scene)
    scene.follow()
    monkeypatch.setattr(module, "_MOST", 2)
    with sink(scene) as opened:
        opened.step(0)
        assert len(scene.files()) == 3
        opened.step(0)
        assert list(scene.files()) == YOUNG


@pytest.mark.parametrize("calls", range(1, 10))
def test_a_kill_while_logs_are_removed_leaves_what_the_next_start_finishes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, calls: int
) -> None:
    """Killed before any of its changes, to the files or to the state: no log is half gone in the end."""
    write_old_and_young(scene)
    scene.follow()
    child = os.fork()
    if not child:
        left = calls

        def dying(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                nonlocal left
                left -= 1
                if not left:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments)

            return call

        monkeypatch.setattr(State, "forget", dying(State.forget))
        monkeypatch.setattr(State, "forget_file", dying(State.forget_file))
        monkeypatch.setattr(module, "remove_file", dying(remove_file))
        drain(sink(scene))
        os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])

    with sink(scene) as opened:
        drain(opened)

    assert list(scene.files()) == YOUNG
    assert rows(scene) == {"logs": 2, "results": 3, "markers": 2, "files": 2}


def test_with_windows_line_ends_every_line_of_every_file_has_them(scene: Scene) -> None:
    """Files are written anew when the setting changes, either way, and only then."""
    scene.write(marker(1), result(1), result(2, run_id=None))
    scene.follow()
    before = scene.files()

    def follow(keeping: Keeping) -> int:
        with Sink(scene.broker, SYNC_LOG, scene.codec, scene.log_dir, keeping=keeping) as opened:
            behind = len(opened._state.dirty())
            drain(opened)
        return behind

    assert follow(Keeping("crlf")) == 2
    windows = {name: text.replace("\n", "\r\n") for name, text in before.items()}
    assert scene.files() == windows
    assert follow(Keeping("crlf")) == 0
    scene.write(result(3, run_id=None))
    assert follow(Keeping("crlf")) == 0
    assert all(text.count("\r\n") == text.count("\n") for text in scene.files().values())
    assert follow(Keeping("lf")) == 2
    assert "\r" not in "".join(scene.files().values())
