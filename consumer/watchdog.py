"""Notices a loop that does not turn any more, and shows where every thread is.

Only files, functions and lines are shown: values may be somebody's data.
"""

import asyncio
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Self

import structlog

from consumer.metrics import show_stuck


log = structlog.get_logger(__name__)

_DEEPEST = 60
"""Frames that are shown of one stack, the innermost ones."""
_LOOK_EVERY_S = 1.0
_JOIN_S = 5.0


class Heartbeat:
    """The pulse of one loop, which calls ``beat`` each turn; any thread may ask how long ago that was.

    A loop that has not begun yet, or has ended, has no pulse and is not stuck.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._clock = clock
        self._beaten_at: float | None = None

    def beat(self) -> None:
        """The loop turns."""
        self._beaten_at = self._clock()

    def end(self) -> None:
        """The loop is over, and will not turn again."""
        self._beaten_at = None

    def age_s(self) -> float | None:
        """Seconds since the last turn, None while it has no pulse."""
        beaten_at = self._beaten_at
        return None if beaten_at is None else self._clock() - beaten_at


class Watchdog:
    """Looks at heartbeats from a thread of its own, and dumps all stacks once for each stall."""

    def __init__(
        self,
        heartbeats: Sequence[Heartbeat],
        stuck_s: float,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """``stuck_s`` is how old a heartbeat may become; of ``loop`` the tasks' stacks are dumped too."""
        self.heartbeats = heartbeats
        self._stuck_s = stuck_s
        self._loop = loop
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(_JOIN_S)

    def stuck(self) -> dict[str, float]:
        """The loops that do not turn, with the seconds since they last did. Any thread may ask."""
        ages = ((heartbeat.name, heartbeat.age_s()) for heartbeat in self.heartbeats)
        return {name: age for name, age in ages if age is not None and age > self._stuck_s}

    def look(self) -> None:
        """Tell of the loops that are newly stuck, and of those that turn again."""
        stuck = self.stuck()
        for heartbeat in self.heartbeats:
            show_stuck(heartbeat.name, is_stuck=heartbeat.name in stuck)
        for name in sorted(self._told - stuck.keys()):
            log.warning("loop.turns_again", loop=name)
        new = stuck.keys() - self._told
        self._told = set(stuck)
        for name in sorted(new):
            log.error("loop.stuck", loop=name, age_s=round(stuck[name], 1))
        if new:
            for thread, frames in stacks_of_threads():
                log.error("loop.stack", thread=thread, frames=frames)
            for count, frames in [] if self._loop is None else stacks_of_tasks(self._loop):
                log.error("loop.stack", tasks=count, frames=frames)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_S):
            self.look()


def stacks_of_threads() -> Sequence[tuple[str, Sequence[str]]]:
    """Where each thread but this one is, innermost frame last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    own = threading.get_ident()
    return [
        (
            names.get(ident, f"thread {ident}"),
            _shown([frame for frame, _ in traceback.walk_stack(frame)][::-1]),
        )
        for ident, frame in sys._current_frames().items()  # noqa: SLF001 - the documented way to other threads
        if ident != own
    ]


def stacks_of_tasks(loop: asyncio.AbstractEventLoop) -> Sequence[tuple[int, Sequence[str]]]:
    """Where the tasks of a loop wait, and how many at each place, the most first.

    The loop may go on meanwhile, so this is nearly of one moment.
    """
    try:
        tasks = asyncio.all_tasks(loop)
    except RuntimeError:
        # So many begin and end that no list of them can be made.
        return []
    places = Counter(tuple(_shown(list(_awaiting(task.get_coro())))) for task in tasks)
    return [(count, frames) for frames, count in places.most_common()]


def _awaiting(coroutine: object) -> Iterator[FrameType]:
    """The frames of a coroutine and of what it awaits, down to where it waits.

    A task's own ``get_stack`` has only the first of them.
    """
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)


def _shown(frames: Sequence[FrameType]) -> Sequence[str]:
    return [
        f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}" for frame in frames[-_DEEPEST:]
    ]
