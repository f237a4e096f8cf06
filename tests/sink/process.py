"""Sinks in processes of their own, for tests that kill them or take their disk away.

Run as a program: ``process.py killed BROKER LOG_DIR SEED KILLS`` or ``process.py full BROKER LOG_DIR``.
"""

import os
import random
import resource
import signal
import sys
from pathlib import Path
from types import FrameType

from consumer.broker.connect import connect
from consumer.model.codec import Codec
from consumer.model.topics import SYNC_LOG
from consumer.sink.errors import SinkError
from consumer.sink.sink import Sink


LONGEST_LIFE = 12_000
"""In calls of functions. To open a sink takes a thousand, a step with its files some thousand."""


class KillAt:
    """Counts the calls of Python and C functions, and kills the process at the given one."""

    def __init__(self, last: int) -> None:
        self.left = last

    def __call__(self, _frame: FrameType, _event: str, _argument: object) -> None:
        """As ``sys.setprofile`` wants it."""
        self.left -= 1
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def follow(broker: str, log_dir: Path, life: int | None = None) -> None:
    """Follow the topic to its end in small batches, as if seconds went by between them, and close."""
    now, codec = 0.0, Codec()
    with connect(f"embedded:{broker}") as opened:
        if life is not None:
            sys.setprofile(KillAt(life))
        with Sink(opened, SYNC_LOG, codec, log_dir, batch=10, clock=lambda: now) as sink:
            while sink.step(0):
                now += 5


def check(log_dir: Path) -> None:
    """Every file that can be seen is whole: it ends with its last section, and its entries make its total."""
    for path in log_dir.glob("*/*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        (total,) = (int(line.split()[1]) for line in lines if line.startswith("Total"))
        entries = sum(line.startswith("- ") for line in lines[: lines.index("Warnings (0)")])
        if entries != total:
            raise AssertionError(f"{path} has {entries} entries, its total is {total}")


def killed(broker: str, log_dir: Path, seed: int, kills: int) -> None:
    """Follow the topic in one process after the other, each killed at a random call; then once to the end.

    Writes in how many different states of the files the kills have left the directory.
    """
    chance = random.Random(seed)
    states = set()
    for _ in range(kills):
        life = chance.randint(1, LONGEST_LIFE)
        child = os.fork()
        if not child:
            follow(broker, log_dir, life)
            os._exit(0)
        if os.WIFSIGNALED(os.waitpid(child, 0)[1]):
            check(log_dir)
            states.add(tuple((path, path.read_bytes()) for path in sorted(log_dir.glob("*/*"))))
    follow(broker, log_dir)
    sys.stdout.write(str(len(states)))


def full(broker: str, log_dir: Path) -> None:
    """Follow the topic where no file may grow beyond a size, which is raised slowly; count the errors."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    failed = 0
    with connect(f"embedded:{broker}") as opened, Sink(opened, SYNC_LOG, Codec(), log_dir, batch=10) as sink:
        for limit in range(4_000, 120_000, 4_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                sink.step(0)
            except SinkError:
                failed += 1
                if not (sink.shown.is_failing and sink.shown.problem):
                    raise AssertionError("the sink does not tell of its problem") from None
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            check(log_dir)
        while sink.step(0):
            pass
    sys.stdout.write(str(failed))


if __name__ == "__main__":
    mode, broker_path, directory, *numbers = sys.argv[1:]
    if mode == "killed":
        killed(broker_path, Path(directory), *map(int, numbers))
    else:
        full(broker_path, Path(directory))
