"""The upstream's process, as the driver starts and asks it."""

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.benchmarks.check import Call
from tests.benchmarks.client import Plain


_END_S = 10.0


@dataclass(frozen=True, slots=True)
class Calls:
    """What the upstream has seen since it was told to forget.

    ``came`` are the moments at which the calls came, by the monotonic clock; ``most`` is how many ran at the
    same time at most.
    """

    calls: list[Call]
    came: list[float]
    most: int

    def running_at(self, moment: float, work_s: float) -> int:
        """How many calls had come by then and were not answered yet."""
        return sum(moment - work_s < came <= moment for came in self.came)


class Upstream:
    """The upstream, at its port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._plain = Plain(port)

    def forget(self, refused: Collection[int] = ()) -> None:
        """Forget all calls, and refuse these companies from now on."""
        self._get("/forget?" + ",".join(map(str, refused)))

    def calls(self) -> Calls:
        """All calls since then."""
        told = json.loads(self._get("/calls"))
        calls = [(company, user, number) for company, user, number in told["calls"]]
        return Calls(calls, told["came"], told["most"])

    def count(self) -> int:
        """How many those are."""
        return int(self._get("/count"))

    def _get(self, path: str) -> bytes:
        answer = self._plain.ask(f"GET {path} HTTP/1.1\r\nHost: upstream\r\n\r\n".encode())
        return answer.partition(b"\r\n\r\n")[2]


@contextmanager
def an_upstream() -> Iterator[Upstream]:
    """Start the upstream's process, and end it afterwards."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.upstream"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Upstream(int(process.stdout.readline()))
        finally:
            process.stdin.close()
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
