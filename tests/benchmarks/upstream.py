"""The upstream: an HTTP/1.1 server that takes a given time for each call, and notes who called.

Run as a program: it prints its port, and serves until its standard input is closed. It answers

- ``POST /COMPANY/USER/NUMBER/MS``: after MS milliseconds, 200; at once, 401 for a company that is refused;
- ``GET /probe/COMPANY``: 200 or 401 at once;
- ``GET /forget?COMPANY,COMPANY``: forget all calls, and refuse these companies from now on;
- ``GET /count``: how many calls were accepted since then;
- ``GET /calls``: these calls in order of arrival, when each came by the machine's monotonic clock, and the
  most that ran at the same time.

It understands no more of HTTP than that, to stay far cheaper than those that are measured.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field


_OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"id":"worker"}'
_REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_END = b"\r\n\r\n"
_LENGTH = b"content-length: "


@dataclass(slots=True)
class Site:
    """What all connections share."""

    refused: frozenset[bytes] = frozenset()
    calls: list[tuple[int, int, int]] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    running: int = 0
    most: int = 0

    def told(self) -> bytes:
        """The calls as JSON: ``[company, user, number]`` each."""
        return json.dumps({"calls": self.calls, "came": self.came, "most": self.most}).encode()


class Connection(asyncio.Protocol):
    """One connection; its calls follow one another, as HTTP without pipelining has it."""

    def __init__(self, site: Site, loop: asyncio.AbstractEventLoop) -> None:
        self._site = site
        self._loop = loop
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember how to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._received += data
        while (end := self._received.find(_END)) >= 0:
            head = self._received[:end]
            at = head.lower().find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            whole = end + len(_END) + length
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            method, path, _ = head.split(b" ", 2)
            if method == b"POST":
                self._call(path)
            else:
                self._ask(path)

    def _call(self, path: bytes) -> None:
        _, company, user, number, ms = path.split(b"/")
        site = self._site
        if company in site.refused:
            self._write(_REFUSED)
            return
        site.calls.append((int(company), int(user), int(number)))
        site.came.append(self._loop.time())
        site.running += 1
        site.most = max(site.most, site.running)
        self._loop.call_later(int(ms) / 1000, self._answer)

    def _answer(self) -> None:
        self._site.running -= 1
        self._write(_OK)

    def _ask(self, path: bytes) -> None:
        site = self._site
        if path.startswith(b"/probe/"):
            self._write(_REFUSED if path.removeprefix(b"/probe/") in site.refused else _OK)
            return
        if path.startswith(b"/forget"):
            site.refused = frozenset(path.partition(b"?")[2].split(b",")) - {b""}
            site.calls.clear()
            site.came.clear()
            site.most = 0
        body = b"%d" % len(site.calls) if path == b"/count" else site.told()
        self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def serve() -> None:
    """Serve on a free port until the standard input is closed."""
    loop = asyncio.get_running_loop()
    site = Site()
    server = await loop.create_server(lambda: Connection(site, loop), "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
