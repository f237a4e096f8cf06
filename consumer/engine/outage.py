"""A broker or schema registry that cannot be reached for a while is no reason to end."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from consumer.exceptions import BrokerError, BrokerUnavailable
from consumer.model.registry import SchemaRegistryError


log = structlog.get_logger(__name__)

_PAUSE_S = 1.0


class Closable(Protocol):
    """A part that holds something of the broker."""

    def close(self) -> None:
        """Let go of it."""


def close(part: Closable) -> None:
    """Close a part, also while the broker fails: what is not committed is handled again."""
    try:
        part.close()
    except BrokerError as error:
        log.warning("close.failed", error=str(error))


def ride_out(
    work: Callable[[threading.Event], None],
    stop: threading.Event,
    patience_s: float,
    on_turn: Callable[[], None],
) -> None:
    """Do the work until ``stop`` is set, and from the start again after each BrokerUnavailable.

    A schema registry that does not answer is as good as a broker that does not. Raises either after
    ``patience_s`` seconds in which the work never lasted for a third of them, so that a supervisor hears of
    one that does not come back; and whatever else the work raises.
    """
    give_up = time.monotonic() + patience_s
    while True:
        began = time.monotonic()
        try:
            work(stop)
        except (BrokerUnavailable, SchemaRegistryError) as error:
            if isinstance(error, SchemaRegistryError) and not error.retriable:
                raise
            now = time.monotonic()
            if now - began > patience_s / 3:
                give_up = now + patience_s
            if stop.is_set() or now > give_up:
                raise
            log.warning("broker.unavailable", kind=type(error).__name__, error=str(error))
        else:
            return
        on_turn()
        if stop.wait(_PAUSE_S):
            return
