"""What goes wrong, and how: each scene has a process of its own, and provokes the alerts that it names."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.alerts.prometheus import Prometheus
from tests.e2e.program import Process


ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
GENERAL = ("CrewsyncDeadMan", "CrewsyncNoMembers")
REFUSED = (
    "CrewsyncHeadOfLineBlocked",
    "CrewsyncUpstreamAuthFailing",
    "CrewsyncBreakerOpen",
    "CrewsyncParkedTooLong",
    "CrewsyncDeadLettersGrowing",
    "CrewsyncDeadLetterRatio",
)
LIMITED = ("CrewsyncRateLimited", "CrewsyncConsumerStalled", "CrewsyncLagGrowing", "CrewsyncLagOverObjective")
BROKEN = (
    "CrewsyncRebalanceStorm",
    "CrewsyncTransactionAborts",
    "CrewsyncDeadLetterSendFailing",
    "CrewsyncSinkFailing",
    "CrewsyncRunFailed",
    "CrewsyncLoopStuck",
    "CrewsyncNotPolling",
    "CrewsyncRewind",
    "CrewsyncProcessDown",
)
PROVOKED = {
    alert: job
    for job, alerts in (
        ("", GENERAL),
        ("crewsync-refused", REFUSED),
        ("crewsync-limited", LIMITED),
        ("crewsync-broken", BROKEN),
    )
    for alert in alerts
}
"""The job in which each alert is seen to fire and to resolve."""


class Actor:
    """A crewsync process with a hand inside, in a folder and at a port of its own."""

    def __init__(self, folder: Path, port: int, prometheus: Prometheus, **settings: str) -> None:
        folder.mkdir()
        self.folder, self.job, self.prometheus = folder, f"crewsync-{folder.name}", prometheus
        self._settings = {
            "CREWSYNC_METRICS_PORT": str(port),
            "CREWSYNC_CONSOLE_PORT": "0",
            "CREWSYNC_SANDBOX_FAULTS": str(folder / "faults.toml"),
            "CREWSYNC_INSTANCE_ID": folder.name,
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        self._processes: list[Process] = []
        self._asked = 0
        self.fault()

    def fault(self, *rules: str) -> None:
        """From now on this goes wrong in the sandbox; nothing, if nothing is named."""
        new = self.folder / "faults.new"
        new.write_text("\n".join(f"[[rules]]\n{rule}" for rule in rules), "utf-8")
        new.replace(self.folder / "faults.toml")

    def start(self) -> None:
        """Start it, and wait until the demo data are synced."""
        number = len(self._processes)
        out, err = (self.folder / f"{name}-{number}.txt" for name in ("stdout", "stderr"))
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with out.open("wb") as to_out, err.open("wb") as to_err:
            popen = subprocess.Popen(
                [sys.executable, "-m", "tests.alerts.hand"],
                cwd=self.folder,
                env={**environment, **self._settings},
                stdin=subprocess.PIPE,
                stdout=to_out,
                stderr=to_err,
            )
        self._processes.append(Process(popen, out, err))
        self._asked = 0
        self.tell("users 1")

    def tell(self, *commands: str) -> None:
        """Have commands carried out, and wait for that."""
        process = self._processes[-1]
        assert process.popen.stdin is not None
        process.popen.stdin.write("".join(f"{command}\n" for command in commands).encode())
        process.popen.stdin.flush()
        self._asked += len(commands)
        process.until(lambda: f"carried out: {self._asked}." in process.stdout, PATIENCE_S)

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C does, and wait for that."""
        process = self._processes[-1]
        process.popen.send_signal(signal.SIGINT)
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        assert process.end(20) == 0, process.stderr

    def close(self) -> None:
        """Kill whatever is still running."""
        for process in self._processes:
            process.popen.kill()
            process.popen.wait()
            if process.popen.stdin is not None:
                process.popen.stdin.close()


def refused(actor: Actor) -> None:
    """SmartBarrel refuses access until the records are parked; then it lets us in again."""
    prometheus, since = actor.prometheus, time.time()
    actor.fault('system = "smartbarrel"\nfault = "status=403"')
    actor.tell("letter 420", "users 30")
    prometheus.until_fired(actor.job, *REFUSED, since=since)
    actor.fault()
    prometheus.until_resolved(actor.job, *REFUSED)


def limited(actor: Actor) -> None:
    """SmartBarrel asks for pauses only, while more and more arrives."""
    actor.fault('system = "smartbarrel"\nfault = "status=429; retry-after=2"')
    _again_and_again(actor, ["users 4"], *LIMITED)
    actor.fault()
    actor.prometheus.until_resolved(actor.job, *LIMITED)


def broken(actor: Actor) -> None:
    """One thing after the other breaks in the group, the log directory, the broker and the process."""
    prometheus, job = actor.prometheus, actor.job
    _again_and_again(actor, ["member"], "CrewsyncRebalanceStorm")
    # Another process works under our name.
    failing = ["CrewsyncTransactionAborts", "CrewsyncDeadLetterSendFailing"]
    _again_and_again(actor, ["fence", "garbage 1"], *failing)
    _log_directory_is_gone(actor)

    since = time.time()
    actor.fault('operation = "listCompanyUsers"\nfault = "status=403"')
    actor.tell("sync users")
    prometheus.until_fired(job, "CrewsyncRunFailed", since=since)
    actor.fault()

    since = time.time()
    actor.tell("block 9")
    prometheus.until_fired(job, "CrewsyncLoopStuck", "CrewsyncNotPolling", since=since)
    prometheus.until_resolved(job, "CrewsyncLoopStuck", "CrewsyncNotPolling")

    since = time.time()
    actor.stop()
    _lose_the_tail(actor.folder / "var" / "broker.db")
    actor.start()
    prometheus.until_fired(job, "CrewsyncRewind", since=since)

    since = time.time()
    actor.stop()
    prometheus.until_fired(job, "CrewsyncProcessDown", since=since)
    actor.start()
    prometheus.until_resolved(job, *BROKEN)


def _again_and_again(actor: Actor, commands: Sequence[str], *alerts: str) -> None:
    """Have the commands carried out until each of these alerts has fired."""
    wanted, deadline = set(alerts), time.monotonic() + 90
    while wanted:
        assert time.monotonic() < deadline, f"never fired: {wanted}"
        actor.tell(*commands)
        time.sleep(0.6)
        wanted -= {alert for alert, job in actor.prometheus.firing() if job == actor.job}


def _log_directory_is_gone(actor: Actor) -> None:
    """A file stands where the company's folder was."""
    (folder,) = (path for path in (actor.folder / "var" / "sync-logs").iterdir() if path.is_dir())
    aside, since = folder.with_name("aside"), time.time()
    folder.rename(aside)
    folder.write_text("not a folder", "utf-8")
    actor.tell("garbage 1")
    actor.prometheus.until_fired(actor.job, "CrewsyncSinkFailing", since=since)
    folder.unlink()
    aside.rename(folder)


def _lose_the_tail(broker: Path) -> None:
    """The longest partition of users was made anew: it has two records left, and its group's offset fits."""
    with closing(sqlite3.connect(broker)) as sql, sql:
        ((number, _),) = sql.execute(
            "SELECT id, next_offset FROM partitions WHERE topic = 'procore.user-events'"
            " ORDER BY next_offset DESC LIMIT 1"
        )
        sql.execute('DELETE FROM records WHERE partition_id = ? AND "offset" >= 2', (number,))
        sql.execute("UPDATE partitions SET next_offset = 2 WHERE id = ?", (number,))
        sql.execute("UPDATE positions SET \"offset\" = 2, metadata = '' WHERE partition_id = ?", (number,))
