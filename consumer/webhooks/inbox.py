"""Writes notices durably, many with one flush, from a thread of its own: the server's loop never waits."""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import NamedTuple

import structlog

from consumer.broker.port import Broker, Message, Producer
from consumer.engine.outage import close
from consumer.exceptions import BrokerError, BrokerUnavailable


log = structlog.get_logger(__name__)

MOST_WAITING = 1000
"""Deliveries that wait to be written at once; whoever comes beyond is to come again."""
_LOOK_S = 0.2
_MOST_AT_ONCE = 500


class _Letter(NamedTuple):
    message: Message
    written: "Future[None]"


class Inbox:
    """``put`` from any asyncio loop, ``run`` in one thread."""

    def __init__(self, broker: Broker, *, most: int = MOST_WAITING) -> None:
        self._broker = broker
        self._letters: queue.Queue[_Letter] = queue.Queue(most)
        self._producer: Producer | None = None
        self._lock = threading.Lock()
        self._is_open = False

    async def put(self, message: Message) -> None:
        """Return once the message is durable. Raises BrokerError: then it may be written or not.

        Whoever is cancelled meanwhile gives it up; it is not written if nobody has begun to.
        """
        written: Future[None] = Future()
        with self._lock:
            if not self._is_open:
                raise BrokerUnavailable("nothing is written now")
            try:
                self._letters.put_nowait(_Letter(message, written))
            except queue.Full:
                raise BrokerUnavailable("too much waits to be written") from None
        await asyncio.wrap_future(written)

    def run(self, stop: threading.Event, on_turn: Callable[[], None] = lambda: None) -> None:
        """Write what is put until ``stop`` is set; what was put before that is written too."""
        with self._lock:
            self._is_open = True
        try:
            while not stop.is_set():
                on_turn()
                self.step(_LOOK_S)
        finally:
            with self._lock:
                self._is_open = False
            while self.step(0.0):
                pass
            if self._producer is not None:
                close(self._producer)
                self._producer = None

    def step(self, timeout_s: float) -> bool:
        """Write what waits, and tell those who put it. False if nothing came."""
        letters = self._taken(timeout_s)
        # Whoever has given up is to send it again, so there is nobody to write it for.
        wanted = [one for one in letters if not one.written.cancelled()]
        if not wanted:
            return bool(letters)
        try:
            self._write([one.message for one in wanted])
        except BrokerError as error:
            log.warning("webhooks.not_written", count=len(wanted), error=str(error))
            for letter in wanted:
                with suppress(InvalidStateError):
                    letter.written.set_exception(error)
        else:
            for letter in wanted:
                with suppress(InvalidStateError):
                    letter.written.set_result(None)
        return True

    def _taken(self, timeout_s: float) -> Sequence[_Letter]:
        letters = list[_Letter]()
        with suppress(queue.Empty):
            letters.append(self._letters.get(timeout=timeout_s) if timeout_s else self._letters.get_nowait())
            while len(letters) < _MOST_AT_ONCE:
                letters.append(self._letters.get_nowait())
        return letters

    def _write(self, messages: Sequence[Message]) -> None:
        if self._producer is None:
            self._producer = self._broker.producer()
        try:
            for message in messages:
                self._producer.send(message)
            self._producer.flush()
        except BrokerError:
            # What was handed over before a failure must not be taken for written later.
            close(self._producer)
            self._producer = None
            raise
