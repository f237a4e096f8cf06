"""A member of a Kafka consumer group whose listener runs on the thread that polls."""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from consumer.broker.kafka_client import (
    KafkaTimes,
    committable,
    kafka,
    native,
    opened,
    translated,
)
from consumer.broker.kafka_reader import READER_SETTINGS, KafkaReader, close_consumer, flattened
from consumer.broker.kafka_rebalance import Call, Events, HonestAssignor, Messenger, Rebalance, ported, pump
from consumer.broker.port import Position, RebalanceListener, Record, TopicPartition
from consumer.exceptions import BrokerError, Fenced


STUCK_S = 60.0
"""How much longer than it was allowed to a call of the library may take before it is reported as stuck."""


class KafkaGroupConsumer(KafkaReader):
    """A member of a consumer group; see ``consumer.broker.port.GroupConsumer``.

    ``poll`` may take longer than its time-out by what the listener takes.
    """

    def __init__(  # noqa: PLR0917 - called in one place
        self,
        settings: Mapping[str, Any],
        times: KafkaTimes,
        group: str,
        topics: Collection[str],
        listener: RebalanceListener | None,
        instance_id: str | None,
    ) -> None:
        self._listener = listener
        self._instance_id = instance_id
        self._owned: frozenset[TopicPartition] = frozenset()
        self._fenced = False
        self._assigned_at = float("-inf")
        self._listener_error: BaseException | None = None
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._events: Events = SimpleQueue()
        self._outstanding = False
        group_settings = {
            "group_id": group,
            "group_instance_id": instance_id,
            "partition_assignment_strategy": [HonestAssignor(self._still_a_member)],
            "session_timeout_ms": int(times.session_s * 1000),
            "heartbeat_interval_ms": int(times.heartbeat_s * 1000),
            "max_poll_interval_ms": int(times.max_poll_interval_s * 1000),
        }
        self._attach(opened(kafka.KafkaConsumer, {**settings, **READER_SETTINGS, **group_settings}), times)
        self._kafka.subscribe(sorted(set(topics)), listener=Messenger(self._events))
        self._thread = threading.Thread(
            target=pump, args=(self._calls, self._events), name=f"kafka-pump-{group}", daemon=True
        )
        self._thread.start()
        self._know_partitions(topics)

    def poll(self, timeout_s: float, max_records: int = 500) -> Sequence[Record]:
        """Return records as soon as there are any, or none after ``timeout_s`` seconds.

        The listener's errors come out here; the records that were found meanwhile are delivered next time.
        """
        self._check_open()
        self._check_place()
        found: Mapping[Any, Sequence[Any]] = {}
        try:
            with translated("poll"):
                found = self._made(
                    lambda: self._kafka.poll(timeout_ms=timeout_s * 1000, max_records=max_records), timeout_s
                )
        except Fenced:
            self._lose_place()
            raise
        finally:
            self._raise_listener_error(found)
        self._check_place()
        return flattened(found)

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions that this member owns."""
        return self._owned

    def committed(self, partition: TopicPartition) -> Position | None:
        """What the group has committed. Waits for a transaction that is about to change it."""
        self._check_open()
        with translated(f"committed position of {partition}"):
            found = self._kafka.committed(native(partition), metadata=True, timeout_ms=self._patience_ms)
        return None if found is None else Position(found.offset, found.metadata or "")

    def heard_at(self) -> float:
        """When the last answer to a heartbeat came, or the last assignment."""
        heartbeat = self._kafka._coordinator.heartbeat  # noqa: SLF001 - there is no other way
        return max(float(heartbeat.last_receive), self._assigned_at)

    def commit(self, positions: Mapping[TopicPartition, Position]) -> None:
        """Commit outside a transaction. Raises Fenced if this member is no longer the owner."""
        offsets, _ = self.fenced_offsets(positions)
        try:
            with translated("commit"):
                self._kafka.commit(offsets, timeout_ms=self._patience_ms)
        except Fenced:
            self.doubt_membership()
            raise

    def fenced_offsets(self, positions: Mapping[TopicPartition, Position]) -> tuple[dict[Any, Any], Any]:
        """The positions as the library commits them, and the membership by which Kafka fences them.

        Kafka checks the membership but not the ownership of each partition, so that is checked here. Raises
        Fenced if one of the partitions is not this member's.
        """
        if foreign := sorted(set(positions) - self._owned):
            raise Fenced(f"not owned by this member: {', '.join(map(str, foreign))}")
        membership = self._kafka.group_metadata()
        if self._closed or self._fenced or membership.generation_id < 0:
            raise Fenced("the membership of the group has ended")
        return committable(positions), membership

    def doubt_membership(self) -> None:
        """Send a heartbeat now, whose answer makes the library join anew at the next poll."""
        if self._closed:
            return
        coordinator = self._kafka._coordinator  # noqa: SLF001 - there is no other way

        def heartbeat() -> None:
            coordinator.heartbeat.fail_heartbeat()
            coordinator._heartbeat_wakeup.notify()  # noqa: SLF001 - as above

        with translated("heartbeat"):
            self._opened.net.on_network_thread(heartbeat)

    def close(self) -> None:
        """Give up the partitions (the listener's ``revoked`` is called first) and leave the group."""
        if self._closed:
            return
        with suppress(Fenced):
            # Whose place is taken hears of a loss here, and has nothing to be revoked.
            self._check_place()
        try:
            self._made(lambda: close_consumer(self._opened, self._patience_ms), self._patience_ms / 1000)
        finally:
            self._closed = True
            self._calls.put(None)
            self._raise_listener_error({})
        self._thread.join(STUCK_S)

    def _know_partitions(self, topics: Collection[str]) -> None:
        """Fetch the topics' metadata: a leader without them assigns nothing, and the group joins twice."""

        def fetch() -> None:
            for topic in topics:
                self._kafka.partitions_for_topic(topic)

        try:
            with translated("metadata of the topics"):
                self._made(fetch, self._patience_ms / 1000)
        except BrokerError:
            self.close()
            raise

    def _check_open(self) -> None:
        if self._closed:
            raise BrokerError("the consumer is closed")

    def _made(self, make: Callable[[], Any], expected_s: float) -> Any:
        """Have the pump make a call; deal with the rebalances until it returns."""
        if self._outstanding:
            # An earlier poll was given up, or interrupted, before it returned: nobody has seen its records.
            given_up = self._returned(expected_s + STUCK_S)
            if isinstance(given_up.result, dict):
                self._rewind(given_up.result)
        self._outstanding = True
        self._calls.put(Call(make))
        call = self._returned(expected_s + STUCK_S)
        if call.error is not None:
            raise call.error
        return call.result

    def _returned(self, patience_s: float) -> Call:
        while True:
            try:
                event = self._events.get(timeout=patience_s)
            except Empty:
                raise BrokerError(f"the Kafka client has not returned for {patience_s:.0f} seconds") from None
            if isinstance(event, Call):
                self._outstanding = False
                return event
            try:
                self._tell(event)
            except BaseException as error:  # noqa: BLE001 - raised by poll or close, once the library is done
                self._listener_error = self._listener_error or error
            finally:
                if event.answered is not None:
                    self._opened.net.on_network_thread(_answering(event.answered))

    def _tell(self, rebalance: Rebalance) -> None:
        partitions = rebalance.partitions
        if rebalance.what == "assigned":
            self._owned |= partitions
            self._assigned_at = rebalance.at
            if self._listener is not None:
                self._listener.assigned(partitions)
        elif rebalance.what == "revoked" and not self._fenced:
            try:
                if self._listener is not None:
                    self._listener.revoked(partitions)
            finally:
                self._owned -= partitions
        elif lost := partitions & self._owned:
            self._owned -= lost
            if self._listener is not None:
                self._listener.lost(lost)

    def _raise_listener_error(self, found: Mapping[Any, Sequence[Any]]) -> None:
        error, self._listener_error = self._listener_error, None
        if error is not None:
            self._rewind(found)
            raise error

    def _rewind(self, found: Mapping[Any, Sequence[Any]]) -> None:
        """Let records that were read but not delivered come again."""
        for partition in self._kafka.assignment() & found.keys():
            self._kafka.seek(partition, found[partition][0].offset)

    def _check_place(self) -> None:
        """Raise Fenced once another member has come with this one's instance id."""
        if self._instance_id is not None and not self._fenced and _heartbeat_was_refused(self._kafka):
            self._lose_place()
        if self._fenced:
            raise Fenced("another member has taken this one's place in the group")

    def _lose_place(self) -> None:
        self._fenced = True
        self._tell(Rebalance("lost", self._owned))

    def _still_a_member(self) -> bool:
        """Whether the member that joins now is the one that joined last; called on the network thread.

        When the group expels a member while it joins, kafka-python 3.0.12 joins as a new one without calling
        ``on_partitions_lost``: it would go on at its old position in whatever it is assigned again, though
        others may have been there in between. So the assignment is dropped here, and the loss told.
        """
        if self._kafka.group_metadata().generation_id >= 0:
            return True
        if lost := self._kafka.assignment():
            self._events.put(Rebalance("lost", ported(lost)))
            self._kafka._subscription.assign_from_subscribed([])  # noqa: SLF001 - there is no other way
        return False


def _heartbeat_was_refused(consumer: Any) -> bool:
    """Whether Kafka has fenced the member, of which kafka-python 3.0.12 says nothing.

    It only stops the heartbeats, and goes on fetching. They rest in a joined member at no other time.
    """
    coordinator = consumer._coordinator  # noqa: SLF001 - there is no other way
    with coordinator._lock:  # noqa: SLF001 - under it, all of this changes at once
        resting = not coordinator._heartbeat_enabled  # noqa: SLF001 - as above
        return resting and coordinator.stable() and not (coordinator.rejoining or coordinator.rejoin_needed)


def _answering(answered: Any) -> Callable[[], None]:
    def answer() -> None:
        answered.success(None)

    return answer
