"""The program that is both upstreams of a chaos run: ``python -m tests.chaos.upstream FOLDER``.

It says where it listens in ``upstream.json``, takes its faults from ``faults.toml``, and leaves its counts in
``faults.json`` of the folder, until it is asked to stop.
"""

import json
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from consumer.sandbox.server import RunningSandbox, start
from tests.chaos import world


def main(folder: Path) -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    state = folder / "sandbox.db"
    # Procore takes an origin id twice here, so nothing but our own looks keeps contacts and entries single.
    with start(state, world.data(), faults=folder / "faults.toml", unique_origin_ids=False) as sandbox:
        _write(folder / "upstream.json", asdict(sandbox.address))
        while not stop.wait(0.5):
            _write(folder / "faults.json", _counts(sandbox))
    _write(folder / "faults.json", _counts(sandbox))


def _counts(sandbox: RunningSandbox) -> Mapping[str, int]:
    assert sandbox.faults is not None
    return {"calls": sandbox.faults.asked, **sandbox.faults.counts}


def _write(path: Path, document: Mapping[str, object]) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(document), "utf-8")
    new.replace(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
