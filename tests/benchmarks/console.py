"""What it takes to open the console's pages with ten thousand runs, one of which has 20,000 lines.

Run as ``python -m tests.benchmarks.console``; it asserts nothing. Each page is asked for over HTTP, eleven
times; the median is shown, and how large the serving process is before and after all of it.
"""

import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import httpx

from consumer.console import guard
from consumer.health_server import listen, serving, url_of
from consumer.sink.state import STATE_FILE
from tests.benchmarks.listing import COMPANY, LARGE_EVERY, LARGEST, RUNS, fill
from tests.console.scene import Scene


TIMES = 11


def pages() -> Mapping[str, str]:
    """The pages, by what they are."""
    users = f"/companies/{COMPANY}/users"
    large = f"{users}/runs/{LARGE_EVERY - 1:032x}"
    api = f"/api/v1/companies/{COMPANY}/logs"
    return {
        "list of 10,000 runs, page 1": users,
        "list of 10,000 runs, page 400": f"{users}?page=400",
        "API, 500 runs": f"{api}?limit=500",
        "20,000 lines, page 1": large,
        "20,000 lines, page 200": f"{large}?page=200",
        "20,000 lines, search": f"{large}?search=emile",
        "20,000 lines, not synced": f"{large}?show=not_synced",
        "one person in all runs": f"{users}/person?name=Ana%20%C3%96berg%200",
        "API, 500 results": f"{api}/users/runs/{LARGE_EVERY - 1:032x}/results?limit=500",
    }


def main() -> None:
    """Make the logs, ask for the pages, and print a table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "logs").mkdir()
        fill(folder / "logs")
        with closing(sqlite3.connect(folder / "logs" / STATE_FILE)) as state:
            # As if all of that were long gone from the topic, which is empty here.
            state.execute("DELETE FROM positions")
            state.commit()
        # Not as many a second as here.
        guard.Rates.allows = lambda *_: True  # type: ignore[method-assign]
        listener = listen("127.0.0.1", 0)
        with (
            Scene(folder) as scene,
            serving(listener, scene.app, "console", 600),
            httpx.Client(base_url=url_of(listener), timeout=60) as client,
        ):
            _measure(client)


def _measure(client: httpx.Client) -> None:
    for path in pages().values():
        client.get(path).raise_for_status()
    before = _resident_mb()
    sys.stdout.write(f"{RUNS} runs, the largest of {LARGEST} lines\n\n| page | ms | kB |\n|---|---:|---:|\n")
    for name, path in pages().items():
        took = []
        for _ in range(TIMES):
            began = time.perf_counter()
            answer = client.get(path)
            took.append(time.perf_counter() - began)
            answer.raise_for_status()
        median = statistics.median(took) * 1000
        sys.stdout.write(f"| {name} | {median:.0f} | {len(answer.content) / 1000:.0f} |\n")
    for _ in range(10):
        for path in pages().values():
            client.get(path)
    sys.stdout.write(f"\nresident: {before:.0f} MB before, {_resident_mb():.0f} MB after\n")


def _resident_mb() -> float:
    text = Path("/proc/self/status").read_text("ascii")
    return int(text.split("VmRSS:")[1].split()[0]) / 1000


if __name__ == "__main__":
    main()
