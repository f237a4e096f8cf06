"""How a rebalance gets from the library's network thread to the thread that polls.

kafka-python 3 calls rebalance listeners on its network thread, where nothing may block, while the thread that
polls waits for them. So a thread of this adapter, the pump, makes the library's blocking calls, one at a
time. The thread that polls waits meanwhile, and is handed each rebalance to deal with; the network thread
goes on sending heartbeats until that is done.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Literal

from consumer.broker.kafka_client import CooperativeStickyAssignor, Future, kafka
from consumer.broker.port import TopicPartition


@dataclass(eq=False)
class Call:
    """A blocking call, and how it ended."""

    make: Callable[[], Any]
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Rebalance:
    """Partitions that came or went; the group goes on when it is ``answered``.

    ``at`` is when that was told, by the monotonic clock.
    """

    what: Literal["assigned", "revoked", "lost"]
    partitions: frozenset[TopicPartition]
    answered: Any = None
    at: float = field(default_factory=time.monotonic)


Events = SimpleQueue[Call | Rebalance]


def pump(calls: SimpleQueue[Call | None], events: Events) -> None:
    """Make one call after the other until there is None."""
    while (call := calls.get()) is not None:
        try:
            call.result = call.make()
        except BaseException as error:  # noqa: BLE001 - raised again on the thread that polls
            call.error = error
        events.put(call)


class Messenger(kafka.AsyncConsumerRebalanceListener):  # type: ignore[misc] # kafka-python has no types
    """Hands each rebalance over and holds up the group, not the network thread, until it is answered."""

    def __init__(self, events: Events) -> None:
        self._events = events

    async def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """These are owned now."""
        await self._hand_over("assigned", assigned)

    async def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """These are given up once this returns."""
        await self._hand_over("revoked", revoked)

    async def on_partitions_lost(self, lost: Collection[Any]) -> None:
        """These are owned by others already."""
        await self._hand_over("lost", lost)

    async def _hand_over(
        self, what: Literal["assigned", "revoked", "lost"], partitions: Collection[Any]
    ) -> None:
        answered = Future()
        self._events.put(Rebalance(what, ported(partitions), answered))
        await answered


class HonestAssignor(CooperativeStickyAssignor):  # type: ignore[misc] # kafka-python has no types
    """Claims no partitions of a membership that has ended.

    kafka-python 3.0.12 goes on claiming them when it joins anew, without a word of the generation, so that
    a partition can be given back to it while another member is still at work on it.
    """

    def __init__(self, still_a_member: Callable[[], bool]) -> None:
        super().__init__()
        self._still_a_member = still_a_member

    def metadata(self, topics: Collection[str]) -> Any:
        """What the member tells the group when it joins."""
        if not self._still_a_member():
            self.member_assignment = None
        return super().metadata(topics)


def ported(partitions: Collection[Any]) -> frozenset[TopicPartition]:
    """The library's partitions as the port's."""
    return frozenset(TopicPartition(*partition) for partition in partitions)
