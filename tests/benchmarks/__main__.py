"""``make bench``: measures ours and its peers, all in one run against one broker and one upstream."""

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path


PEERS = ("faststream", "quixstreams", "confluent_kafka")
NOTES = """\
Rates are of the time from the first record to the last committed result; the start of a process and joining
the group do not count. CPU is that of the arm's process, user and system. The law is what work time, keys
and the limit in flight allow; without work there is none. Without work, repeated cells show their median.
"""


def main() -> int:
    """Run what the command line asks for. The exit code is 0, or 3 if something that is needed is missing."""
    options = _options(sys.argv[1:])
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if missing:
        return _missing(f"not installed: {', '.join(missing)}. `make bench` sets up what it needs.")
    bootstrap = os.environ.get("CREWSYNC_BROKER_URL", "").removeprefix("kafka://")
    if not bootstrap or ":" not in bootstrap:
        return _missing("CREWSYNC_BROKER_URL names no Kafka broker. `make bench` starts one.")
    # Only now, since it needs the peers.
    from tests.benchmarks.cluster import Cluster  # noqa: PLC0415
    from tests.benchmarks.lab import Lab  # noqa: PLC0415
    from tests.benchmarks.machine import facts  # noqa: PLC0415
    from tests.benchmarks.run import run  # noqa: PLC0415
    from tests.benchmarks.site import an_upstream  # noqa: PLC0415
    from tests.benchmarks.told import heading, tables  # noqa: PLC0415

    known, began = facts(options.seed), time.monotonic()
    with an_upstream() as upstream, tempfile.TemporaryDirectory(prefix="crewsync-bench.") as folder:
        lab = Lab(Cluster(bootstrap), upstream, options.seed, Path(folder))
        outcome = run(lab, quick=options.quick, only=options.only, say=_say)
    told = tables(outcome)
    if options.json is not None:
        options.json.write_text(json.dumps({"facts": known, **asdict(outcome)}, indent=1))
    shown = [table.as_markdown() if options.markdown else table.as_text() for table in told]
    sys.stdout.write("\n".join((heading(known), "", NOTES, *shown)))
    _say(f"done in {time.monotonic() - began:.0f} s")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two minutes instead of twelve: fewer cells and events"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="ARM", help="only arms whose name has this"
    )
    parser.add_argument("--markdown", action="store_true", help="tables as Markdown")
    parser.add_argument("--json", type=Path, metavar="FILE", help="store the raw figures too")
    parser.add_argument("--seed", type=int, default=20261123, help="draws the keys (default: %(default)s)")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _missing(text: str) -> int:
    _say(text)
    return 3


if __name__ == "__main__":
    sys.exit(main())
