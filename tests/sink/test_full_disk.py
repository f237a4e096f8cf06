"""A sink whose file system is really full says so, loses nothing, and goes on once there is room."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.sink.errors import SinkError
from tests.sink.scene import START, Scene, drain, marker, result, texts


SIZE = 2_000_000


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if not run("mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)):
        pytest.skip("only root may mount; test_crashes.py fills a disk that is none")
    try:
        yield place
    finally:
        # Also if a test that failed has left a sink open on it.
        assert run("umount", "--lazy", str(place))


def run(*command: str) -> bool:
    """Whether a command of the system did what it should."""
    done = subprocess.run(command, check=False, capture_output=True, timeout=20)  # noqa: S603 - the test's own
    return done.returncode == 0


def fill(place: Path) -> Path:
    """Leave no room at all."""
    with (place / "filler").open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return place / "filler"


def write(scene: Scene, start: int) -> None:
    for number in range(start, start + 100):
        at = START + timedelta(seconds=number)
        scene.write(result(number, f"Person {number}", run_id=f"r{number % 5}", handled_at=at))


def test_a_full_disk_is_told_of_and_loses_nothing(scene: Scene, disk: Path, tmp_path: Path) -> None:
    for number in range(5):
        scene.write(marker(60, run_id=f"r{number}"))
    write(scene, 0)
    sink = scene.open(log_dir=disk / "logs")
    drain(sink)
    assert sink.shown.problem is None
    before = texts(disk / "logs")

    filler = fill(disk)
    write(scene, 100)
    for _ in range(3):
        scene.now += 5
        with pytest.raises(SinkError):
            sink.step(0)
    assert sink.shown.is_failing
    assert sink.shown.problem is not None
    assert "disk is full" in sink.shown.problem or "No space left on device" in sink.shown.problem
    assert texts(disk / "logs") == before

    filler.unlink()
    write(scene, 200)
    scene.now += 5
    drain(sink)
    sink.close()
    scene.follow(log_dir=tmp_path / "undisturbed")

    assert sink.shown == replace(sink.shown, is_failing=False, problem=None)
    assert texts(disk / "logs") == texts(tmp_path / "undisturbed")
