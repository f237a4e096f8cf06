"""An upstream that fails: middleware around the sandbox, seeded, with a count of each fault."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from starlette.types import ASGIApp, Message, Receive, Scope, Send


FAILING_SHARE = 0.3
SLOW_S = (0.05, 1.0)
KINDS = (
    "500 before the effect",
    "503 after the effect",
    "429",
    "reset before the effect",
    "reset after the effect",
    "slow answer",
)
"""A reset after the effect is what a time-out is to the caller: the effect is there, the answer is not."""


@dataclass
class Faults:
    """Which fault comes next. ``mode`` is ``mixed``, ``none``, or ``denied`` and ``down`` for an outage."""

    seed: int
    control: Path
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        """Seed the choice."""
        self._rng = Random(self.seed)

    def mode(self) -> str:
        """What the driver has written into the control file."""
        try:
            return self.control.read_text("utf-8").strip()
        except OSError:
            return "mixed"

    def choose(self) -> str | None:
        """The fault for the next call, if it is to have one."""
        mode = self.mode()
        if mode in {"denied", "down"}:
            kind: str | None = "401" if mode == "denied" else "503 before the effect"
        elif mode == "mixed" and self._rng.random() < FAILING_SHARE:
            kind = self._rng.choice(KINDS)
        else:
            kind = None
        self.counts["calls"] += 1
        if kind is not None:
            self.counts[kind] += 1
        return kind

    def pause_s(self) -> float:
        """How long a slow answer takes."""
        return self._rng.uniform(*SLOW_S)

    def write(self, path: Path) -> None:
        """Leave the counts for the driver."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(self.counts), "utf-8")
        new.replace(path)


class Reset(Exception):
    """The connection is to be cut without an answer."""


class FaultyUpstream:
    """Stands around an app and lets calls fail."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or let it fail before or after its effect."""
        kind = self._faults.choose() if scope["type"] == "http" else None
        if kind is None:
            await self._app(scope, receive, send)
        elif kind == "slow answer":
            await self._app(scope, receive, _slowly(send, self._faults.pause_s()))
        elif kind.endswith("after the effect"):
            await self._app(scope, receive, _nothing)
            await _fail(kind, send)
        else:
            await _fail(kind, send)


async def _fail(kind: str, send: Send) -> None:
    if kind.startswith("reset"):
        raise Reset
    status = int(kind[:3])
    headers: Mapping[str, str] = {"Retry-After": "1"} if status == 429 else {}
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )
    await send({"type": "http.response.body", "body": b""})


async def _nothing(_: Message) -> None:
    """The answer is lost."""


def _slowly(send: Send, seconds: float) -> Send:
    async def later(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(seconds)
        await send(message)

    return later
