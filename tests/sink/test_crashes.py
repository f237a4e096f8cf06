"""What the log directory looks like after kills and with a full disk."""

import random
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from consumer.model.results import Outcome
from tests.sink.scene import START, Scene, marker, result, texts


ROOT = Path(__file__).parents[2]
PROCESS = Path(__file__).with_name("process.py")


@pytest.fixture
def expected(scene: Scene, tmp_path: Path) -> dict[str, str]:
    """Fill the topic with 600 results, and give the files that a sink makes of them without any trouble.

    Twenty runs overlap; some are announced before their results and some after, some are never complete.
    """
    chance = random.Random(20261123)
    for number in range(600):
        run = number // 30 + chance.randint(0, 2)
        if number % 30 == chance.choice((0, 25)):
            started = START + timedelta(hours=number)
            announced = marker(chance.choice((10, 25, 90)), run_id=f"r{run}", started_at=started)
            scene.write(announced, partition=run % 3)
        handled = START + timedelta(minutes=20 * number)
        run_id = None if chance.random() < 0.1 else f"r{run}"
        outcome = chance.choice(list(Outcome))
        scene.write(
            result(number, f"Person {number % 60}", outcome, run_id=run_id, handled_at=handled),
            partition=run % 3,
        )
    scene.follow(log_dir=tmp_path / "undisturbed")
    scene.broker.close()
    return texts(tmp_path / "undisturbed")


def run_process(mode: str, scene: Scene, *numbers: int) -> int:
    """Run ``process.py`` to its end; return the number that it writes."""
    done = subprocess.run(  # noqa: S603 - the test's own program
        [sys.executable, str(PROCESS), mode, str(scene.broker_path), str(scene.log_dir), *map(str, numbers)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_kills_at_any_moment_change_no_byte(scene: Scene, expected: dict[str, str], seed: int) -> None:
    """However often the sink is killed, no file is ever half, and in the end each result is in once."""
    states = run_process("killed", scene, seed, 40)

    assert states >= 10
    assert scene.files() == expected
    totals = [line.split()[1] for text in expected.values() for line in text.splitlines() if "Total" in line]
    assert sum(map(int, totals)) == 600


def test_a_full_disk_loses_nothing(scene: Scene, expected: dict[str, str]) -> None:
    """While no file may grow the steps raise SinkError; once there is room, all is as without any trouble."""
    failures = run_process("full", scene)

    assert failures >= 5
    assert scene.files() == expected
