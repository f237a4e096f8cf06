"""The programs of a chaos run, as processes of their own that are killed, stopped and started again."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.faults import rules


DRAIN_S = 60.0
START_S = 30.0
RESTART_S = 0.5
"""How long after its end a member is started again."""


@dataclass
class Member:
    """A process of crewsync that is started again whenever it has ended, as a supervisor does."""

    name: str
    roles: Sequence[str]
    folder: Path
    settings: Mapping[str, str]
    starts: int = 0
    own_ends: list[int] = field(default_factory=list)
    _popen: subprocess.Popen[bytes] | None = None
    _ended_at: float = 0.0
    _frozen_until: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._popen is not None and self._popen.poll() is None

    def tend(self) -> None:
        """Start it if it has ended, and let it go on if it was stopped for long enough."""
        now = time.monotonic()
        if self._popen is not None and (code := self._popen.poll()) is not None:
            if code != -signal.SIGKILL:
                self.own_ends.append(code)
            self._popen, self._ended_at, self._frozen_until = None, now, None
        if self._popen is None and now > self._ended_at + RESTART_S:
            self.start()
        if self._popen is not None and self._frozen_until is not None and now > self._frozen_until:
            self._frozen_until = None
            self._popen.send_signal(signal.SIGCONT)

    def start(self) -> None:
        """Start it; what it says is added to its file."""
        roles = [word for role in self.roles for word in ("--role", role)]
        with (self.folder / f"{self.name}.log").open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "consumer", "run", *roles],
                cwd=self.folder,
                env={**plain_environment(), **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.starts += 1

    def kill(self) -> bool:
        """End it at once. False if it was not running."""
        if self._popen is None or self._popen.poll() is not None:
            return False
        self._popen.kill()
        self._popen.wait()
        return True

    def freeze(self, seconds: float) -> bool:
        """Stop it for some time. False if it was not running."""
        if self._popen is None or self._popen.poll() is not None or self._frozen_until is not None:
            return False
        self._popen.send_signal(signal.SIGSTOP)
        self._frozen_until = time.monotonic() + seconds
        return True

    def ask_to_end(self) -> None:
        """Let it drain."""
        if self._popen is not None and self._popen.poll() is None:
            self._popen.send_signal(signal.SIGCONT)
            self._popen.send_signal(signal.SIGTERM)

    def end(self) -> int | None:
        """Wait until it has drained; its exit code, None if it was not running or had to be killed."""
        if self._popen is None:
            return None
        try:
            return self._popen.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


@dataclass
class Upstream:
    """The process that is both upstreams."""

    folder: Path
    seed: int
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Mapping[str, str]:
        """Start it; the settings that lead to it."""
        self.set_mode("mixed")
        with (self.folder / "upstream.log").open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "tests.chaos.upstream", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        told = self.folder / "upstream.json"
        while not told.exists():
            if self._popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the upstreams did not start; see {self.folder / 'upstream.log'}")
            time.sleep(0.05)
        at = json.loads(told.read_text("utf-8"))
        return {
            "CREWSYNC_PROCORE_URL": at["procore_url"],
            "CREWSYNC_PROCORE_LOGIN_URL": at["procore_login_url"],
            "CREWSYNC_PROCORE_CLIENT_ID": at["client_id"],
            "CREWSYNC_PROCORE_CLIENT_SECRET": at["client_secret"],
            "CREWSYNC_SMARTBARREL_URL": at["smartbarrel_url"],
            "CREWSYNC_SMARTBARREL_API_KEY": at["api_key"],
        }

    def set_mode(self, mode: str) -> None:
        """Say how it fails from now on."""
        new = self.folder / "faults.new"
        new.write_text(rules(mode, self.seed), "utf-8")
        new.replace(self.folder / "faults.toml")

    def counts(self) -> dict[str, int]:
        """How many calls there were, and how many faults of each kind."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.folder / "faults.json").read_text("utf-8")))
        return {}

    def end(self) -> None:
        """Stop it."""
        if self._popen is not None:
            self._popen.terminate()
            try:
                self._popen.wait(10)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()


class Kafka:
    """A local Apache Kafka that is killed and started again."""

    def __init__(self, folder: Path, script: Path) -> None:
        self._folder = folder
        self._script = script

    def start(self) -> str:
        """Start it and return its URL."""
        said = self._run("start")
        return said.splitlines()[-1].strip()

    def bounce(self) -> None:
        """End it as a crash does, and start it again."""
        self._run("kill")
        self._run("start")

    def end(self) -> None:
        """Stop it."""
        with suppress(subprocess.SubprocessError):
            self._run("kill")

    def _run(self, command: str) -> str:
        self._folder.mkdir(exist_ok=True)
        done = subprocess.run(  # noqa: S603 - our own script
            [str(self._script), command, str(self._folder)],
            check=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout


def plain_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "PYTHONPATH")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONDONTWRITEBYTECODE": "1",
    }
