"""The program that is both upstreams of a chaos run: ``python -m tests.chaos.upstream FOLDER SEED``.

It says where it listens in ``upstream.json``, takes its mode from ``mode``, and leaves its counts in
``faults.json`` of the folder, until it is asked to stop.
"""

import json
import logging
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

from starlette.middleware import Middleware

from consumer.sandbox.server import start
from tests.chaos import world
from tests.chaos.faults import Faults, FaultyUpstream


def main(folder: Path, seed: int) -> None:
    """Serve until SIGTERM."""
    # uvicorn tells of each connection that is cut on purpose.
    logging.getLogger("uvicorn.error").disabled = True
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faults = Faults(seed, folder / "mode")
    around = [Middleware(FaultyUpstream, faults=faults)]
    with start(folder / "sandbox.db", world.data(), middleware=around) as sandbox:
        new = folder / "upstream.json.new"
        new.write_text(json.dumps(asdict(sandbox.address)), "utf-8")
        new.replace(folder / "upstream.json")
        while not stop.wait(0.5):
            faults.write(folder / "faults.json")
    faults.write(folder / "faults.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
