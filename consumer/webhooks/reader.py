"""Reads users whom notices are about, and publishes them as live user events.

A member of a group in a thread of its own; users are read on the handlers' loop. What was read is published
in one transaction with the group's positions, so a notice that is done with does not come again. Until then
it waits on its topic, however long Procore does not answer: a notice is only a word that somebody is to be
read, so to read them twice does no harm, and order matters only in that a later reading is published later.
"""

import asyncio
import queue
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from consumer.broker.port import Broker, Message, Position, Record, TopicPartition
from consumer.engine.breaker import BreakerPolicy
from consumer.engine.clock import Clock
from consumer.engine.ledger import Ledger
from consumer.engine.outage import close, ride_out
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import BrokerError, BrokerUnavailable, NotFound, Rejected, SchemaError, UpstreamError
from consumer.model.codec import Codec
from consumer.model.events import UserEvent
from consumer.model.notices import WebhookNotice
from consumer.model.topics import notice_key
from consumer.runs.messages import event_message
from consumer.sync.company import Companies
from consumer.topics import TopicNames
from consumer.webhooks.payload import is_own
from consumer.webhooks.waiting import Spot, User, Waiting
from consumer.webhooks.webhook_metrics import ENDINGS, MOVED, WAITING, Ending


log = structlog.get_logger(__name__)

_IDLE_S, _BUSY_S = 0.3, 0.02
_MOST_WAITING = 100_000
_MOST_MOVED = 1000
_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """Names, the ids as which crewsync itself changes Procore, and how long and how often is tried."""

    group: str
    transactional_id: str
    topics: TopicNames
    instance_id: str | None = None
    own_ids: Collection[str] = ()
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    clock: Clock = field(default_factory=Clock)
    outage_s: float = 300.0


@dataclass(frozen=True, slots=True)
class ReaderState:
    """What waits: users, and records in flight; and seconds for which each company has been held."""

    users_waiting: int
    users_reading: int
    records_waiting: int
    held_s: tuple[tuple[int, float], ...] = ()


class _Answered(NamedTuple):
    """How the reading of a user has ended; with None they are not there."""

    user: User
    what: UserEvent | Exception | None


class WebhookReader:
    """One member of the group."""

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        broker: Broker,
        codec: Codec,
        config: ReaderConfig,
        companies: Companies,
        loop: asyncio.AbstractEventLoop,
        on_turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._broker = broker
        self._codec = codec
        self._config = config
        self._topic = config.topics.webhooks
        self._companies = companies
        self._loop = loop
        self._on_turn = on_turn
        self._rng = random.Random()  # noqa: S311 - jitter is no secret
        self._done: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._reset()
        self.shown: ReaderState | None = None
        """What it shows of itself. Any thread may look."""

    def _reset(self) -> None:
        config = self._config
        self._ledger = Ledger()
        self._waiting = Waiting(self._rng, config.retry, config.breaker)
        # What was asked for before a new beginning comes to nothing.
        self._answers: queue.SimpleQueue[_Answered] = queue.SimpleQueue()
        self._dirty: set[TopicPartition] = set()
        self._ended: list[tuple[Ending, int]] = []
        self._is_paused = False

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. Raises BrokerError if it cannot go on."""
        ride_out(self.work, stop, self._config.outage_s, self._on_turn)

    def work(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set, or the broker fails."""
        self._open()
        try:
            while not stop.is_set():
                self.turn(_BUSY_S if self._waiting.reading else _IDLE_S)
        finally:
            self.lost(frozenset(self._ledger.partitions()))
            close(self._consumer)
            close(self._producer)

    def _open(self) -> None:
        config = self._config
        self._reset()
        self._producer = self._broker.transactional_producer(config.transactional_id)
        try:
            self._consumer = self._broker.consumer(config.group, [self._topic], self, config.instance_id)
        except BrokerError:
            close(self._producer)
            raise

    def turn(self, timeout_s: float) -> None:
        """Take what came, publish what was read, and begin to read what is due."""
        self._on_turn()
        for record in self._consumer.poll(timeout_s):
            self._take(record)
        messages = self._collect()
        self._transact(messages)
        for partition in self._ledger.partitions():
            if self._ledger.horizon(partition) is not None:
                self._move(partition)
        for user in self._waiting.due(self._config.clock.now()):
            self._begin(user)
        self._limit()
        self._show()

    # ------------------------------------------------------------ notices

    def _take(self, record: Record) -> None:
        partition = record.source
        epoch = self._ledger.epoch(partition)
        if epoch is None:
            return
        if record.offset < self._ledger.position(partition):
            log.error("offsets.went_back", topic=record.topic, partition=record.partition)
            self.lost(frozenset({partition}))
            epoch = self._ledger.assign(partition, Position(record.offset))
        if not self._ledger.track(partition, record.offset):
            return
        try:
            notice = self._codec.decode(record.value or b"", WebhookNotice)
        except SchemaError as error:
            log.warning(
                "notice.undecodable", partition=record.partition, offset=record.offset, error=str(error)
            )
            self._end(Ending.UNDECODABLE, partition, epoch, record.offset)
            return
        ending = self._at_once(notice)
        if ending is None:
            self._waiting.add(Spot(partition, epoch, record.offset, notice))
        else:
            self._end(ending, partition, epoch, record.offset)

    def _at_once(self, notice: WebhookNotice) -> Ending | None:
        """How a notice ends without a look at Procore, None if it does not."""
        if notice.company_id not in self._companies:
            return Ending.UNKNOWN_COMPANY
        if is_own(notice, self._config.own_ids):
            return Ending.OWN
        if (notice.company_id, notice.notice_id) in self._done:
            return Ending.DUPLICATE
        return None

    def _end(self, ending: Ending, partition: TopicPartition, epoch: int, offset: int) -> None:
        self._ledger.complete(partition, epoch, offset)
        self._dirty.add(partition)
        self._ended.append((ending, 1))

    # ------------------------------------------------------------ reading, on the handlers' loop

    def _begin(self, user: User) -> None:
        answers = self._answers

        async def read() -> None:
            try:
                what: UserEvent | Exception | None = await self._look(user)
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the reader's thread
                what = error
            answers.put(_Answered(user, what))

        asyncio.run_coroutine_threadsafe(read(), self._loop)

    async def _look(self, user: User) -> UserEvent | None:
        procore = self._companies[user.company_id].procore
        try:
            return await procore.user(user.user_id)
        except NotFound:
            # Procore hides like this also from whom it refuses access; then this raises Misconfigured.
            await procore.probe()
            return None

    def _collect(self) -> Sequence[Message]:
        """What was read, as messages; what was not, waits on."""
        messages: list[Message] = []
        while True:
            try:
                user, what = self._answers.get_nowait()
            except queue.Empty:
                return messages
            if isinstance(what, Exception) and not isinstance(what, Rejected):
                self._failed(user, what)
                continue
            spots = self._waiting.read(user)
            if not spots:
                continue
            for partition, epoch, offset, notice in spots:
                self._ledger.complete(partition, epoch, offset)
                self._dirty.add(partition)
                self._remember(notice)
            if isinstance(what, UserEvent):
                messages.append(event_message(what, self._config.topics, self._codec))
                self._ended.append((Ending.PUBLISHED, len(spots)))
            elif what is None:
                self._ended.append((Ending.GONE, len(spots)))
            else:
                log.warning("user.rejected", company=user.company_id, error=str(what))
                self._ended.append((Ending.REJECTED, len(spots)))

    def _failed(self, user: User, error: Exception) -> None:
        is_held = self._waiting.failed(user, error, self._config.clock.now())
        if isinstance(error, UpstreamError):
            log.info("user.not_read", company=user.company_id, failures=user.failures, error=str(error))
        else:
            log.error("user.fault", company=user.company_id, kind=type(error).__name__)
        if is_held:
            log.warning("webhooks.held", company=user.company_id, kind=type(error).__name__)

    def _remember(self, notice: WebhookNotice) -> None:
        self._done[notice.company_id, notice.notice_id] = None
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    # ------------------------------------------------------------ writing

    def _transact(self, messages: Sequence[Message]) -> None:
        """Write the messages, and that the notices that have ended are done with."""
        if not self._dirty:
            return
        positions = {partition: self._position(partition) for partition in self._dirty}
        try:
            self._producer.begin()
            for message in messages:
                self._producer.send(message)
            self._producer.send_offsets(self._consumer, positions)
            self._producer.commit()
        except BrokerError as error:
            # Whether it was written shows after a new beginning.
            raise BrokerUnavailable(str(error)) from error
        for ending, number in self._ended:
            ENDINGS.labels(ending).inc(number)
        self._ended.clear()
        self._dirty.clear()

    def _position(self, partition: TopicPartition) -> Position:
        committable = self._ledger.committable(partition)
        # What does not fit beside the position is read once more after a restart.
        return committable.position if committable else Position(self._ledger.frontier(partition))

    def _move(self, partition: TopicPartition) -> None:
        """Write again, at the end, the notices that hold back the group's position for too long."""
        users = self._waiting.moved(partition, _MOST_MOVED)
        if not users:
            return
        messages = [self._again(user.waiting[-1].notice) for user in users]
        for spot in (spot for user in users for spot in user.waiting):
            self._ledger.complete(partition, spot.epoch, spot.offset)
        self._dirty.add(partition)
        self._transact(messages)
        MOVED.inc(len(messages))
        log.info("notices.moved", partition=partition.partition, count=len(messages))

    def _again(self, notice: WebhookNotice) -> Message:
        return Message(self._topic, notice_key(notice), self._codec.encode(notice))

    def _limit(self) -> None:
        """Take no more while too many wait."""
        waiting = self._ledger.in_flight()
        if not self._is_paused and waiting > _MOST_WAITING:
            self._is_paused = True
        elif self._is_paused and waiting < _MOST_WAITING // 2:
            self._is_paused = False
            self._consumer.resume(self._consumer.assignment())
        if self._is_paused:
            # Also what was assigned since.
            self._consumer.pause(self._consumer.assignment())

    def _show(self) -> None:
        now, waiting = self._config.clock.now(), self._waiting
        in_flight = self._ledger.in_flight()
        WAITING.set(in_flight)
        held = tuple((company, round(now - since, 1)) for company, since in sorted(waiting.held().items()))
        self.shown = ReaderState(len(waiting), waiting.reading, in_flight, held)

    # ------------------------------------------------------------ changes of ownership

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Go on where the last owner left off."""
        for partition in sorted(partitions):
            self._ledger.assign(partition, self._consumer.committed(partition))

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Let go: what was published is committed already, the rest is the next owner's."""
        self.lost(partitions)

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Let go."""
        self._waiting.lose(partitions)
        self._dirty -= partitions
        for partition in partitions:
            self._ledger.revoke(partition)
