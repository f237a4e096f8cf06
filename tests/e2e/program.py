"""The program as people start it: processes of their own, in a folder of their own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from consumer.sandbox.server import SandboxAddress
from tests.e2e.expected import PROCORE, SMARTBARREL


PATIENCE_S = 60.0
"""How long is waited for what must happen; only a failing test waits that long."""

DRAIN_S = 20.0
"""How long a process may take to end after it was asked to."""

_WRITES = """SELECT count(*) FROM requests
    WHERE method <> 'GET' AND path <> '/oauth/token' AND path NOT LIKE '%/initial_setup' AND system LIKE ?"""
_LOGGED = "SELECT count(*) FROM records JOIN partitions ON partition_id = id WHERE topic = 'sync-log'"


@dataclass(frozen=True)
class Process:
    """A started program; what it writes goes to two files."""

    popen: subprocess.Popen[bytes]
    out: Path
    err: Path

    @property
    def stdout(self) -> str:
        """What it has written for people or programs."""
        return self.out.read_text("utf-8")

    @property
    def stderr(self) -> str:
        """What it has written for its operators."""
        return self.err.read_text("utf-8")

    def end(self, limit_s: float = PATIENCE_S) -> int:
        """Wait until it has ended by itself, and return its exit code."""
        try:
            return self.popen.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"it did not end within {limit_s:.0f} s\n{self.stdout}{self.stderr}"
            ) from None

    def stop(self, number: signal.Signals) -> int:
        """Ask it to end, and return its exit code."""
        self.popen.send_signal(number)
        return self.end(DRAIN_S)

    def kill(self) -> None:
        """End it without asking; it must have been at work until now."""
        assert self.popen.poll() is None, f"it ended before it was killed\n{self.stdout}{self.stderr}"
        self.popen.kill()
        assert self.popen.wait(DRAIN_S) == -signal.SIGKILL

    def until(self, condition: Callable[[], bool], limit_s: float = PATIENCE_S) -> None:
        """Wait until a condition holds; fail if the process ends before, or the time is over."""
        deadline = time.monotonic() + limit_s
        while not condition():
            code = self.popen.poll()
            assert code is None, f"it ended with {code}\n{self.stdout}{self.stderr}"
            assert time.monotonic() < deadline, f"it never happened\n{self.stdout}{self.stderr}"
            time.sleep(0.005)


def real_upstreams(at: SandboxAddress) -> Mapping[str, str]:
    """The settings with which the program takes a sandbox of the test's for the real upstreams."""
    company = {
        "company_id": PROCORE["company"]["id"],
        "name": PROCORE["company"]["name"],
        "smartbarrel_company_id": SMARTBARREL["company"]["id"],
    }
    return {
        "CREWSYNC_PROCORE_URL": at.procore_url,
        "CREWSYNC_PROCORE_LOGIN_URL": at.procore_login_url,
        "CREWSYNC_PROCORE_CLIENT_ID": at.client_id,
        "CREWSYNC_PROCORE_CLIENT_SECRET": at.client_secret,
        "CREWSYNC_SMARTBARREL_URL": at.smartbarrel_url,
        "CREWSYNC_SMARTBARREL_API_KEY": at.api_key,
        "CREWSYNC_COMPANIES": json.dumps([company]),
    }


class Place:
    """A folder in which the program is started, with nothing in its environment but what is given here."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        # Any free port, since many are started at the same time.
        self.settings = {"CREWSYNC_METRICS_PORT": "0", "CREWSYNC_CONSOLE_PORT": "0", **(settings or {})}
        self.started: list[Process] = []

    @property
    def broker(self) -> Path:
        """The embedded broker's file."""
        return self.folder / "var" / "broker.db"

    @property
    def sandbox(self) -> Path:
        """The sandbox's file."""
        return self.folder / "var" / "sandbox.db"

    def start(self, *arguments: str, **settings: str) -> Process:
        """Start ``crewsync`` with these arguments and, for this once, these settings."""
        number = len(self.started)
        out, err = (self.folder / f"{name}-{number}.txt" for name in ("stdout", "stderr"))
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with out.open("wb") as to_out, err.open("wb") as to_err:
            popen = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "consumer", *arguments],
                cwd=self.folder,
                env={**environment, **self.settings, **settings},
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_err,
            )
        self.started.append(Process(popen, out, err))
        return self.started[-1]

    def run(self, *arguments: str, **settings: str) -> Process:
        """Start ``crewsync``, and wait until it has ended well."""
        process = self.start(*arguments, **settings)
        assert process.end() == 0, process.stdout + process.stderr
        return process

    def close(self) -> None:
        """Kill whatever is still running."""
        for process in self.started:
            process.popen.kill()
            process.popen.wait()

    def writes(self, system: str = "%") -> int:
        """How many changes the sandbox was asked for so far.

        Imports of classifications are not counted: how many it takes depends on who comes first.
        """
        return _count(self.sandbox, _WRITES, system)

    def written(self, system: str, count: int) -> Callable[[], bool]:
        """The condition that a system was asked for so many changes."""
        return lambda: self.writes(system) >= count

    def logged(self) -> int:
        """How many records there are on the embedded broker's ``sync-log`` so far."""
        return _count(self.broker, _LOGGED)

    def logs(self, kind: str) -> list[Path]:
        """The log files of a kind."""
        return sorted((self.folder / "var" / "sync-logs").glob(f"*/{kind}-*.txt"))

    def is_complete(self, kind: str) -> bool:
        """Whether there are logs of the kind, and all are complete."""
        texts = [path.read_text("utf-8") for path in self.logs(kind)]
        return bool(texts) and all("\nStatus:       complete\n" in text for text in texts)

    def finished(self) -> bool:
        """Whether users and timesheets were synced and both logs are complete."""
        return self.is_complete("users") and self.is_complete("timesheets")


def _count(path: Path, statement: str, *values: str) -> int:
    """A number out of the file of a process that may be at work, or may not have made the file yet."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as db:
            return int(db.execute(statement, values).fetchone()[0])
    except sqlite3.OperationalError:
        return 0
