"""What a person sees while it runs: bars on a terminal, a line now and then elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from consumer.model.events import Kind
from consumer.model.results import Outcome, Phase, Result
from consumer.runs.progress import RunState


_EVERY_S = 2.0
_PATIENCE_S = 10.0


class Display:
    """Shows pages being read and results coming in."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, tuple[float, int]] = {}
        self._waiting: dict[Kind, float] = {}
        self._arrived: dict[Kind, Counter[Outcome]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description:<24}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_bars()

    def stop_bars(self) -> None:
        """Leave the bars as they are; what comes later is said in lines."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()

    def arrived(self, result: Result) -> None:
        """A result was committed. Called from any thread."""
        with self._lock:
            self._arrived.setdefault(result.kind, Counter())[result.outcome] += 1

    def forget_arrived(self) -> None:
        """Drop what was shown as a run already."""
        with self._lock:
            self._arrived = {}

    def say_arrived(self) -> None:
        """Say what has come since the last time, if anything has."""
        with self._lock:
            arrived, self._arrived = self._arrived, {}
        for kind, outcomes in sorted(arrived.items()):
            self.say(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {kind}: {outcome_words(outcomes)}")

    def say(self, text: str) -> None:
        """Print a line, above the bars if there are any."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def waiting(self, kind: Kind) -> None:
        """Nobody has taken up a command yet."""
        since = self._waiting.setdefault(kind, time.monotonic())
        if time.monotonic() - since > _PATIENCE_S:
            self._waiting[kind] = float("inf")
            self.say(f"{kind}: nobody has taken up the sync yet; is a process with the role runner at work?")

    def counting(self, state: RunState) -> None:
        """How far a run is."""
        if state.marker.phase is Phase.READING:
            self._reading(state.marker.kind, state.marker.expected)
        else:
            self._syncing(state)

    def _reading(self, kind: Kind, count: int) -> None:
        name = f"reading {kind}"
        if self._bars is None:
            self._say_sometimes(name, f"{name}: {count}", count, last=False)
            return
        self._bars.update(self._task(name, None), completed=count, note="")

    def _syncing(self, state: RunState) -> None:
        name = f"syncing {state.marker.kind}"
        if self._bars is None:
            text = f"{name}: {state.done} of {state.marker.expected} ({outcome_words(state.outcomes)})"
            self._say_sometimes(state.marker.run_id, text, state.done, last=state.is_over)
            return
        self._end_reading(state.marker.kind)
        task = self._task(state.marker.run_id, state.marker.expected, name)
        self._bars.update(task, completed=state.done, note=outcome_words(state.outcomes))

    def step(self, name: str, done: int, total: int) -> None:
        """Something that is named for people is so far; ``total`` is how far it will be."""
        if self._bars is None:
            if total > 1:
                self._say_sometimes(name, f"{name}: {done} of {total}", done, last=done >= total)
            elif not done:
                self.say(f"{name} ...")
            return
        self._bars.update(self._task(name, total), completed=done, note="")

    def _task(self, key: str, total: int | None, description: str | None = None) -> TaskID:
        if self._bars is None:
            raise AssertionError("bars are shown on a terminal only")
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(description or key, total=total, note="")
        return self._tasks[key]

    def _end_reading(self, kind: Kind) -> None:
        task = self._tasks.get(f"reading {kind}")
        if self._bars is not None and task is not None:
            self._bars.update(task, total=self._bars.tasks[task].completed)

    def _say_sometimes(self, key: str, text: str, count: int, *, last: bool) -> None:
        at, before = self._said.get(key, (0.0, -1))
        if count != before and (last or time.monotonic() - at >= _EVERY_S):
            self._said[key] = (time.monotonic(), count)
            self.say(text)


def outcome_words(outcomes: Mapping[Outcome, int]) -> str:
    """Counts by outcome, in the outcomes' own order."""
    return (
        ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in Outcome if outcomes.get(outcome))
        or "none yet"
    )
