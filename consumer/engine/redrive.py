"""Publishes parked records again once their company can be worked for.

A member of a group that reads the dead letters, in a thread of its own. What was parked only because an
upstream or a company's set-up was not in order goes back to the topic it came from, in order per key, in one
transaction with the group's positions: each letter goes back once. What must be looked at by a person stays.
The contents of letters that wait are not kept in memory, only where they are.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import structlog

from consumer.broker.port import Broker, Message, Position, Record, TopicPartition
from consumer.engine.commit import Committer
from consumer.engine.deadletters import Ending, letter_of, redriven, settled, settled_offset
from consumer.engine.ledger import Ledger
from consumer.engine.outage import close, ride_out
from consumer.engine.outbox import Finished
from consumer.exceptions import BrokerError, CrewsyncError, SchemaError
from consumer.metrics import EngineMetrics
from consumer.model import reasons
from consumer.model.codec import Codec
from consumer.model.deadletters import DeadLetter
from consumer.model.registry import SchemaRegistryError


log = structlog.get_logger(__name__)

_PASSING = frozenset(
    {
        reasons.upstream_unavailable("").code,
        reasons.access_refused("").code,
        reasons.COMPANY_UNKNOWN.code,
    }
)
"""Reasons that may have passed."""
_BY = "crewsync"
_POLL_S = 0.5
_READ_S = 10.0
_TURN_S = 20.0
_REGISTRY_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class RedriveConfig:
    """Names and limits, and times in seconds.

    ``first_wait_s`` doubles with each time that a record was set aside again, up to ``longest_wait_s``. A
    broker that cannot be reached is waited for, for ``outage_s``.

    After ``most_times`` a record is left for a person. With ``most_waiting`` letters that wait, no further
    ones are read. A transaction has ``batch`` letters at most.
    """

    group: str
    dead_letters: str
    events: str
    transactional_id: str
    instance_id: str | None = None
    first_wait_s: float = 30.0
    longest_wait_s: float = 600.0
    outage_s: float = 300.0
    most_times: int = 10
    most_waiting: int = 200_000
    batch: int = 1000


@dataclass(frozen=True, slots=True)
class _Waiting:
    partition: TopicPartition
    epoch: int
    offset: int
    due: float
    failed_at: float = 0.0


class Redriver:
    """Redrives the dead letters of one events topic.

    ``is_clear`` tells whether a company's records can be handled now; it may make a call. ``is_stale`` tells
    of a record whether a newer one of its subject was applied.
    """

    def __init__(  # noqa: PLR0917 - made in two places
        self,
        broker: Broker,
        codec: Codec,
        config: RedriveConfig,
        is_clear: Callable[[int], bool],
        is_stale: Callable[[Record], bool],
        metrics: EngineMetrics,
        on_turn: Callable[[], None] = lambda: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._broker = broker
        self._codec = codec
        self._config = config
        self._is_clear = is_clear
        self._is_stale = is_stale
        self._metrics = metrics
        self._on_turn = on_turn
        self._wall = wall
        self._ledger = Ledger()
        self._waiting: dict[int, list[_Waiting]] = {}
        self._places: set[tuple[TopicPartition, int]] = set()
        self._paused = False
        self._has_more = False
        self._assigned: set[TopicPartition] = set()
        self._ends: dict[TopicPartition, int] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. Raises BrokerError if it cannot go on."""
        ride_out(self._work, stop, self._config.outage_s, self._on_turn)

    def _work(self, stop: threading.Event) -> None:
        config = self._config
        self._paused = False
        self._committer = Committer(
            self._broker, self._ledger, config.transactional_id, lambda _: None, self._metrics
        )
        try:
            self._consumer = self._broker.consumer(
                config.group, [config.dead_letters], self, config.instance_id
            )
            try:
                while not stop.is_set():
                    self._turn(stop)
            finally:
                close(self._consumer)
                self.lost(frozenset(self._ledger.partitions()))
        finally:
            close(self._committer)

    def _turn(self, stop: threading.Event) -> None:
        self._on_turn()
        for record in self._consumer.poll(0.0 if self._has_more else _POLL_S):
            self._take(record, stop)
        self._has_more = False
        self._purge()
        self._commit()
        self._move_on()
        if self._is_behind():
            self._show()
            return
        enough = time.monotonic() + _TURN_S
        for company_id in list(self._waiting):
            if stop.is_set() or time.monotonic() > enough:
                break
            if company_id not in self._waiting:
                continue
            self._on_turn()
            # Whoever was asked goes to the back: a company that takes long must not always be the first.
            self._waiting[company_id] = self._waiting.pop(company_id)
            self._redrive(company_id)
            self._commit()
        self._show()

    def _is_behind(self) -> bool:
        """Whether letters may wait here that were settled further on, which was not read yet."""
        if self._assigned:
            self._ends |= self._consumer.end_offsets(self._assigned)
            self._assigned.clear()
        self._ends = {one: end for one, end in self._ends.items() if self._consumer.position(one) < end}
        return bool(self._ends) and not self._paused

    def _show(self) -> None:
        waiting = sum(map(len, self._waiting.values()))
        self._metrics.parked_waiting.set(waiting)
        oldest = min((one.failed_at for queue in self._waiting.values() for one in queue), default=None)
        self._metrics.parked_oldest_age.set(0.0 if oldest is None else max(0.0, self._wall() - oldest))
        self._hold_back(waiting)

    def _commit(self) -> None:
        if self._committer.waiting():
            self._committer.commit(self._consumer)

    def _take(self, record: Record, stop: threading.Event) -> None:
        """Note a letter that is to be redriven; the others are somebody else's."""
        partition = record.source
        epoch = self._ledger.epoch(partition)
        if epoch is None:
            return
        if record.offset < self._ledger.position(partition):
            log.error(
                "offsets.went_back", topic=record.topic, partition=record.partition, offset=record.offset
            )
            self._forget({partition})
            epoch = self._ledger.assign(partition, Position(record.offset))
        if not self._ledger.track(partition, record.offset):
            return
        offset = settled_offset(record)
        if offset is not None:
            self._settle(partition, epoch, offset)
            self._end(_Waiting(partition, epoch, record.offset, 0.0))
            return
        try:
            letter = self._letter(record, stop)
        except SchemaRegistryError:
            # Stopped while nobody can tell what it is: the next owner reads it again.
            return
        if letter is None or letter.company_id is None:
            self._end(_Waiting(partition, epoch, record.offset, 0.0))
            return
        wait = min(
            self._config.longest_wait_s, self._config.first_wait_s * 2.0 ** min(letter.redrive_count, 30)
        )
        failed_at = letter.failed_at.timestamp()
        waiting = _Waiting(partition, epoch, record.offset, failed_at + wait, failed_at)
        self._waiting.setdefault(letter.company_id, []).append(waiting)
        self._places.add((partition, record.offset))

    def _settle(self, partition: TopicPartition, epoch: int, offset: int) -> None:
        """Somebody has redriven or dropped a letter: it waits no more."""
        if (partition, offset) not in self._places:
            return
        self._places.discard((partition, offset))
        self._end(_Waiting(partition, epoch, offset, 0.0))

    def _purge(self) -> None:
        """Take off the queues what was settled; at once for all that was, since that may be many."""
        if sum(map(len, self._waiting.values())) == len(self._places):
            return
        self._waiting = {
            company_id: left
            for company_id, queue in self._waiting.items()
            if (left := [one for one in queue if (one.partition, one.offset) in self._places])
        }

    def _letter(self, record: Record, stop: threading.Event) -> DeadLetter | None:
        """The letter's story, if it is one to be redriven here."""
        try:
            letter = self._told(record, stop)
        except (SchemaError, SchemaRegistryError) as error:
            if isinstance(error, SchemaRegistryError) and error.retriable:
                raise
            log.warning(
                "dead_letter.unreadable", partition=record.partition, offset=record.offset, error=str(error)
            )
            return None
        if letter.source_topic != self._config.events or letter.reason_code not in _PASSING:
            return None
        if letter.redrive_count >= self._config.most_times:
            log.error(
                "dead_letter.left",
                company=letter.company_id,
                partition=record.partition,
                offset=record.offset,
                times=letter.redrive_count,
            )
            return None
        return letter

    def _told(self, record: Record, stop: threading.Event) -> DeadLetter:
        """The letter's story, once the schema registry tells how to read it."""
        while True:
            try:
                return letter_of(record, self._codec)
            except SchemaRegistryError as error:
                if not error.retriable or stop.wait(_REGISTRY_PAUSE_S):
                    raise
                self._on_turn()

    def _redrive(self, company_id: int) -> None:
        """Publish what is due of a company again, as much as fits into one transaction."""
        now = self._wall()
        due = [waiting for waiting in self._waiting[company_id] if waiting.due <= now]
        if not due or not self._clear(company_id):
            return
        ended = self._publish(due[: self._config.batch], self._redriven)
        self._has_more = self._has_more or 0 < ended < len(due)
        log.info("dead_letters.redriven", company=company_id, records=ended)

    def _move_on(self) -> None:
        """Put letters that wait at the frontier to the end of the topic, where there is little room else.

        Which letters have gone back above those that wait has to fit into the commit's metadata. So that one
        company that stays away does not keep all others waiting, the frontier is moved past its letters.
        """
        for partition in self._ledger.partitions():
            horizon = self._ledger.horizon(partition)
            if horizon is None:
                continue
            near = sorted(
                (
                    waiting
                    for queue in self._waiting.values()
                    for waiting in queue
                    if waiting.partition == partition and waiting.offset < horizon
                ),
                key=lambda waiting: waiting.offset,
            )
            moved = self._publish(near, self._again)
            self._has_more = self._has_more or moved > 0
            self._commit()
            log.info("dead_letters.moved_on", partition=partition.partition, records=moved)

    def _publish(
        self, letters: Sequence[_Waiting], messages_of: Callable[[Record], tuple[Message, ...]]
    ) -> int:
        """End these letters, each with its messages; return how many could be read."""
        if not letters:
            return 0
        try:
            records, reached = self._read(letters)
        except BrokerError as error:
            log.warning("redrive.unread", error=str(error))
            return 0
        ended: set[_Waiting] = set()
        for waiting in letters:
            record = records.get((waiting.partition, waiting.offset))
            if record is None and waiting.offset >= reached[waiting.partition]:
                continue
            ended.add(waiting)
            self._places.discard((waiting.partition, waiting.offset))
            if record is None:
                log.error("dead_letter.gone", partition=waiting.partition.partition, offset=waiting.offset)
                self._end(waiting)
                continue
            self._end(waiting, messages_of(record))
        self._waiting = {
            company_id: left
            for company_id, queue in self._waiting.items()
            if (left := [waiting for waiting in queue if waiting not in ended])
        }
        return len(ended)

    def _redriven(self, record: Record) -> tuple[Message, ...]:
        """The record as it goes back, unless a newer one was applied, which it must not hide there."""
        if self._is_stale(record):
            return (settled(record, Ending.STALE, _BY),)
        self._metrics.redriven.inc()
        again = redriven(record, letter_of(record, self._codec))
        return again, settled(record, Ending.REDRIVEN, _BY)

    def _again(self, record: Record) -> tuple[Message, ...]:
        again = Message(record.topic, record.key, record.value, record.headers, record.partition)
        return again, settled(record, Ending.MOVED, _BY)

    def _clear(self, company_id: int) -> bool:
        try:
            return self._is_clear(company_id)
        except (CrewsyncError, RuntimeError, TimeoutError) as error:
            log.warning("redrive.unclear", company=company_id, kind=type(error).__name__)
            return False

    def _end(self, waiting: _Waiting, messages: tuple[Message, ...] = ()) -> None:
        if self._ledger.complete(waiting.partition, waiting.epoch, waiting.offset):
            self._committer.add(waiting.partition, Finished(waiting.offset, messages))

    def _read(
        self, letters: Sequence[_Waiting]
    ) -> tuple[dict[tuple[TopicPartition, int], Record], dict[TopicPartition, int]]:
        """The letters themselves, read again, and up to which offsets that was done."""
        wanted: dict[TopicPartition, set[int]] = {}
        for waiting in letters:
            wanted.setdefault(waiting.partition, set()).add(waiting.offset)
        found: dict[tuple[TopicPartition, int], Record] = {}
        reader = self._broker.reader(list(wanted))
        try:
            for partition, offsets in wanted.items():
                reader.seek(partition, min(offsets))
            deadline = time.monotonic() + _READ_S
            while (
                any(reader.position(partition) <= max(offsets) for partition, offsets in wanted.items())
                and time.monotonic() < deadline
            ):
                self._on_turn()
                for record in reader.poll(_POLL_S):
                    if record.offset in wanted[record.source]:
                        found[record.source, record.offset] = record
            return found, {partition: reader.position(partition) for partition in wanted}
        finally:
            reader.close()

    def _hold_back(self, waiting: int) -> None:
        is_full = waiting >= self._config.most_waiting
        if is_full != self._paused:
            self._paused = is_full
            (self._consumer.pause if is_full else self._consumer.resume)(self._consumer.assignment())

    # Changes of ownership: called from inside poll and close.

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Go on where the last owner left off."""
        for partition in sorted(partitions):
            self._ledger.assign(partition, self._consumer.committed(partition))
        self._assigned |= partitions
        if self._paused:
            self._consumer.pause(partitions)

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Commit what was published again, and forget the rest."""
        if self._committer.waiting():
            self._committer.commit(self._consumer)
        self.lost(partitions)

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Forget it all."""
        for partition in partitions:
            self._ledger.revoke(partition)
        self._forget(partitions)

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        for partition in partitions:
            self._committer.forget(partition)
            self._assigned.discard(partition)
            self._ends.pop(partition, None)
        self._places = {place for place in self._places if place[0] not in partitions}
        self._waiting = {
            company_id: left
            for company_id, queue in self._waiting.items()
            if (left := [waiting for waiting in queue if waiting.partition not in partitions])
        }
