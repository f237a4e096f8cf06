"""Runs one arm in a process of its own: ``python -m tests.benchmarks.arm TASK``, the task being JSON.

The arm's report goes to the standard output, one line of JSON.
"""

import importlib
import signal
import sys

from consumer import logs
from tests.benchmarks.gauge import Gauge
from tests.benchmarks.task import Task


LONGEST_S = 600
"""After this many seconds the system ends an arm, even one whose driver is gone."""


def main() -> None:
    """Run the arm that the task names."""
    signal.alarm(LONGEST_S)
    task = Task.from_json(sys.argv[1])
    # As in production, to standard error; the report has standard output for itself.
    logs.configure("warning")
    arm = importlib.import_module(f"tests.benchmarks.arms.{task.arm}")
    gauge = Gauge()
    handled = arm.run(task, gauge)
    if task.share is None:
        sys.stdout.write(gauge.report(handled).to_json() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
