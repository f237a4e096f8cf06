"""``python -m tests.chaos``: see ``--help``. Exit status 1 if something was lost or doubled."""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from random import SystemRandom

from tests.chaos import world
from tests.chaos.embedded_run import on_embedded
from tests.chaos.kafka_run import on_kafka
from tests.chaos.processes import Upstream
from tests.chaos.report import as_text
from tests.chaos.run import Run, Tally
from tests.chaos.schedule import Plan


SHORT = {
    "kafka": (
        1500,
        Plan(45.0, kills=10, bounces=3, stops=3, visits=3, outages=2, replays=4, members=3),
    ),
    "embedded": (
        1000,
        Plan(30.0, kills=10, bounces=0, stops=3, visits=0, outages=2, replays=4, members=1),
    ),
}
LONG = {
    "kafka": (
        22_000,
        Plan(1300.0, kills=210, bounces=52, stops=40, visits=30, outages=20, replays=30, members=4),
    ),
    "embedded": (
        6000,
        Plan(240.0, kills=60, bounces=0, stops=15, visits=0, outages=8, replays=15, members=1),
    ),
}


def main() -> int:
    """Run on the chosen brokers, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--broker", choices=["kafka", "embedded", "both"], default="both")
    parser.add_argument("--long", action="store_true", help="some 25 minutes instead of two")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run; default: chance")
    parser.add_argument("--json", type=Path, default=None, help="write the figures to this file, too")
    chosen = parser.parse_args()
    seed = SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    tallies = [
        _run(broker, seed, (LONG if chosen.long else SHORT)[broker])
        for broker in ("embedded", "kafka")
        if chosen.broker in {broker, "both"}
    ]
    sys.stdout.write(as_text(tallies))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([asdict(tally) for tally in tallies], indent=2), "utf-8")
    return 0 if all(tally.is_clean for tally in tallies) else 1


def _run(broker: str, seed: int, what: tuple[int, Plan]) -> Tally:
    count, plan = what
    folder = Path(tempfile.mkdtemp(prefix=f"crewsync-chaos-{broker}-"))
    tally = Tally(broker, seed)
    say(f"Chaos on {broker}, seed {seed}, in {folder} ...")
    run = Run(folder, world.events(count, seed), tally, Upstream(folder, seed), say)
    (on_kafka if broker == "kafka" else on_embedded)(run, plan, seed)
    if tally.is_clean:
        shutil.rmtree(folder)
    else:
        say(f"Something is wrong; everything is kept in {folder}")
    return tally


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
