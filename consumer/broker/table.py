"""A topic as a table: read to its end, then followed."""

from collections.abc import Callable

from consumer.broker.port import Broker, Record
from consumer.exceptions import BrokerUnavailable


_MOST = 5000
"""Records of one poll: there may be millions to be read before work can begin."""


class Table:
    """Feeds every record of a topic to ``apply``, in order per partition.

    Only one thread may use it. ``apply`` gets records with a null value too: they delete their key. With
    ``since_ms``, in Unix milliseconds, what was written before is left out.
    """

    def __init__(
        self,
        broker: Broker,
        topic: str,
        apply: Callable[[Record], None],
        since_ms: int | None = None,
    ) -> None:
        self._broker = broker
        self._topic = topic
        self._partitions = broker.partitions(topic)
        self._reader = broker.reader(self._partitions)
        self._apply = apply
        if since_ms is not None:
            self._begin_at(since_ms)

    def catch_up(
        self,
        clock: Callable[[], float],
        limit_s: float = 300.0,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        """Read all that is written now, waiting for transactions that are open to end.

        The end for committed reads would not do: what a killed writer left open hides everything that
        others have committed behind it. Raises BrokerUnavailable after ``limit_s`` seconds.
        """
        deadline = clock() + limit_s
        ends = self._broker.written_offsets(self._partitions)
        while any(self._reader.position(partition) < end for partition, end in ends.items()):
            if clock() > deadline:
                raise BrokerUnavailable(f"reading {self._topic} to its end took longer than {limit_s:.0f} s")
            on_turn()
            self.follow(0.2)

    def follow(self, timeout_s: float = 0.0) -> int:
        """Apply what has arrived; return how many records that were."""
        records = self._reader.poll(timeout_s, _MOST)
        for record in records:
            self._apply(record)
        return len(records)

    def _begin_at(self, since_ms: int) -> None:
        # Asked for before: what is written in between is not passed over.
        ends = self._broker.written_offsets(self._partitions)
        starts = self._reader.offsets_for_times(dict.fromkeys(self._partitions, since_ms))
        for partition in self._partitions:
            start = starts[partition]
            self._reader.seek(partition, ends[partition] if start is None else start)

    def close(self) -> None:
        """Stop following."""
        self._reader.close()
