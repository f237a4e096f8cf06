"""Replays of whole topics that are written to and consumed meanwhile; some are killed and gone on with."""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from consumer.model.events import Kind
from tests.chaos.processes import plain_environment


RATE = 150
KILLED_SHARE = 0.4
LIFE_S = (1.5, 6.0)


@dataclass
class Replays:
    """Processes of ``crewsync replay`` in one folder; at most one runs at a time."""

    folder: Path
    settings: Mapping[str, str]
    rng: Random
    starts: int = 0
    kills: int = 0
    _popen: subprocess.Popen[bytes] | None = None
    _dies_at: float = field(default=float("inf"))

    @property
    def is_running(self) -> bool:
        """Whether one is at work."""
        return self._popen is not None and self._popen.poll() is None

    def start(self) -> None:
        """Go on with one that was killed, else begin one of users or timesheets, perhaps by force."""
        broken_off = sorted((self.folder / "var" / "replay").glob("*.replay"))
        if broken_off:
            arguments = ["--resume", broken_off[0].stem]
        else:
            arguments = ["--topic", self.rng.choice([*Kind])]
            arguments += ["--force"] if self.rng.random() < 0.3 else []
        with (self.folder / "replay.log").open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "consumer", "replay", *arguments, "--rate", str(RATE)],
                cwd=self.folder,
                env={**plain_environment(), **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1
        is_killed = self.rng.random() < KILLED_SHARE
        self._dies_at = time.monotonic() + self.rng.uniform(*LIFE_S) if is_killed else float("inf")

    def tend(self) -> None:
        """Kill the one whose time has come."""
        if time.monotonic() > self._dies_at:
            self.kill()

    def kill(self) -> None:
        """End it at once, if one is at work."""
        self._dies_at = float("inf")
        if self._popen is not None and self._popen.poll() is None:
            self._popen.kill()
            self._popen.wait()
            self.kills += 1
