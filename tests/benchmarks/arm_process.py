"""The process of one arm, as the driver starts it and waits for it."""

import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.benchmarks.task import Report, Task


_END_S = 15.0
_WORDS = 160


class DidNotFinish(Exception):
    """An arm failed, or was not done in time. The message is for the table."""


class ArmProcess:
    """A started arm; whatever happens, its process is gone when the context is left."""

    def __init__(self, task: Task, errors: Path) -> None:
        self._errors = errors
        with errors.open("a") as file:
            self._popen = subprocess.Popen(  # noqa: S603 - the benchmark's own program
                [sys.executable, "-m", "tests.benchmarks.arm", task.to_json()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def report(self, limit_s: float) -> Report:
        """Wait for its report. Raises DidNotFinish."""
        out = self._popen.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], limit_s)
        if not ready:
            raise DidNotFinish(f"not done within {limit_s:.0f} s")
        line = out.readline()
        if not line:
            raise DidNotFinish(self._last_words())
        return Report.from_json(line)

    def end(self, limit_s: float) -> Report:
        """Wait for its report and its end. Raises DidNotFinish."""
        report = self.report(limit_s)
        self.let_go()
        return report

    def let_go(self) -> None:
        """Let it leave its group and end. Raises DidNotFinish if it does not."""
        assert self._popen.stdin is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise DidNotFinish(f"did not end within {_END_S:.0f} s after its last result") from None

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._popen.kill()
        self._popen.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.is_alive():
            self.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            assert pipe is not None
            pipe.close()

    def _last_words(self) -> str:
        self._popen.wait(_END_S)
        lines = [line for line in self._errors.read_text("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1].strip()[:_WORDS] if lines else f"ended with {self._popen.returncode}"
