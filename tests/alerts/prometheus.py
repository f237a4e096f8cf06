"""A real Prometheus with the shipped rules, whose times are shortened, and what it knows."""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.alerts.shortened import shortened


DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "crewsync.rules.yml"
EVERY = "500ms"
MISSING = "{} is missing: install Debian's package `prometheus`, which has prometheus and promtool"

Series = Mapping[str, str]


def program(name: str) -> str:
    """The path of a program of Prometheus. Raises AssertionError that says what to install."""
    path = shutil.which(name)
    assert path is not None, MISSING.format(name)
    return path


@dataclass(frozen=True)
class Sample:
    """A series with its samples: Unix seconds and values."""

    labels: Series
    values: list[tuple[float, float]]


class Prometheus:
    """A server in a folder of its own, which scrapes each target as a job of its own."""

    def __init__(self, folder: Path, port: int, targets: Mapping[str, int]) -> None:
        folder.mkdir()
        self.began = time.time()
        (folder / "rules.yml").write_text(shortened(RULES.read_text("utf-8")), "utf-8")
        document = {
            "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
                for job, target in targets.items()
            ],
        }
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(document), "utf-8")
        self._log = folder / "log.txt"
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=20)
        with self._log.open("wb") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - found on the path
                [
                    program("prometheus"),
                    f"--config.file={config}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def get(self, path: str, **parameters: str | float) -> Any:
        """What the API answers."""
        answer = self._client.get(path, params=parameters)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    def firing(self) -> set[tuple[str, str]]:
        """The alerts that fire now, each with its job; the job of what is absent is empty."""
        return {
            (one["labels"]["alertname"], one["labels"].get("job", ""))
            for one in self.get("alerts")["alerts"]
            if one["state"] == "firing"
        }

    def history(self, query: str, since: float | None = None) -> list[Sample]:
        """What a query gave every half second, from a moment (or the start) until now."""
        found = self.get("query_range", query=query, start=since or self.began, end=time.time(), step=0.5)
        return [
            Sample(one["metric"], [(at, float(value)) for at, value in one["values"]])
            for one in found["result"]
        ]

    def value(self, query: str) -> float:
        """What a query gives now; 0 for nothing."""
        result = self.get("query", query=query)["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def until(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        """Wait until a condition holds; what cannot be asked yet does not hold."""
        deadline = time.monotonic() + limit_s
        while True:
            with suppress(httpx.TransportError):
                if condition():
                    return
            assert self._popen.poll() is None, self._log.read_text("utf-8")
            assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
            time.sleep(0.25)

    def until_fired(self, job: str, *alerts: str, since: float, limit_s: float = 45.0) -> None:
        """Wait until each of these alerts has fired since a moment, be it one after the other."""

        def seen() -> bool:
            fired = self.history(f'ALERTS{{alertstate="firing", job="{job}"}}', since)
            return set(alerts) <= {one.labels["alertname"] for one in fired}

        self.until(seen, limit_s, f"{job}: of {alerts} all fire")

    def until_resolved(self, job: str, *alerts: str, limit_s: float = 60.0) -> None:
        """Wait until none of these alerts fires any more."""
        self.until(
            lambda: not {(alert, job) for alert in alerts} & self.firing(),
            limit_s,
            f"{job}: none of {alerts} fires",
        )

    def close(self) -> None:
        """Kill it."""
        self._client.close()
        self._popen.kill()
        self._popen.wait()
