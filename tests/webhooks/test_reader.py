"""From a notice on the topic to a user event: once, in one transaction, however long Procore is away."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Broker, Message, TopicPartition
from consumer.engine.breaker import BreakerPolicy
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import BrokerError, BrokerUnavailable, Misconfigured, NotFound, Rejected, Transient
from consumer.model.codec import Codec
from consumer.model.events import UserEvent
from consumer.model.notices import WebhookNotice
from consumer.model.topics import notice_key
from consumer.service import HandlerLoop
from consumer.sync.company import Company
from consumer.topics import TopicNames
from consumer.webhooks.reader import ReaderConfig, WebhookReader
from consumer.webhooks.webhook_metrics import ENDINGS


TOPICS = TopicNames()
GROUP = "crewsync-webhooks"
HERE, AWAY = 4281001, 4281002
PATIENCE_S = 15.0
OWN = "5001"


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.003)


@dataclass
class Office:
    """A company's Procore: what it answers for a user, or raises; readings wait for ``goes_on``."""

    company_id: int = HERE
    error: Exception | None = None
    errors: dict[int, Exception] = field(default_factory=dict)
    access: Exception | None = None
    asked: list[int] = field(default_factory=list)
    goes_on: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.goes_on.set()

    @property
    def procore(self) -> "Office":
        return self

    async def user(self, user_id: int) -> UserEvent:
        asked_at = datetime.now(UTC)
        self.asked.append(user_id)
        await asyncio.to_thread(self.goes_on.wait, PATIENCE_S)
        error = self.errors.get(user_id, self.error)
        if error is not None:
            raise error
        return UserEvent(self.company_id, user_id, asked_at)

    async def probe(self) -> None:
        if self.access is not None:
            raise self.access


@dataclass
class Stage:
    """A broker, and readers that can be started beside it."""

    broker: Broker
    loop: asyncio.AbstractEventLoop
    codec: Codec = field(default_factory=Codec, repr=False)
    count: int = 0

    def tell(self, user_id: int, company_id: int = HERE, notice_id: str = "", **fields: str) -> None:
        """Write a notice."""
        self.count += 1
        name = notice_id or f"n{self.count}"
        notice = WebhookNotice(
            company_id, user_id, name, "Company Users", "update", "v4.0", datetime.now(UTC)
        )
        notice = replace(notice, **fields)  # type: ignore[arg-type] # only texts are given
        self.send(Message(TOPICS.webhooks, notice_key(notice), self.codec.encode(notice)))

    def send(self, message: Message) -> None:
        producer = self.broker.producer()
        producer.send(message)
        producer.close()

    def reader(self, *offices: Office) -> WebhookReader:
        """A reader that nobody has started."""
        self.count += 1
        config = ReaderConfig(
            GROUP,
            f"{GROUP}-{self.count}",
            TOPICS,
            own_ids=frozenset({OWN}),
            retry=RetryPolicy(first_wait_s=0.01, longest_wait_s=0.05),
            breaker=BreakerPolicy(first_wait_s=0.05, longest_wait_s=0.1),
        )
        companies = {office.company_id: cast("Company", office) for office in offices}
        return WebhookReader(self.broker, self.codec, config, companies, self.loop)

    @contextmanager
    def reading(self, *offices: Office) -> Iterator[WebhookReader]:
        """A reader at work; leaving ends it as a kill would: with what it has committed."""
        reader = self.reader(*offices)
        stop, errors = threading.Event(), list[BaseException]()

        def work() -> None:
            try:
                reader.work(stop)
            except BaseException as error:  # noqa: BLE001 - it belongs to the test's thread
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield reader
        finally:
            stop.set()
            thread.join(PATIENCE_S)
            for office in offices:
                office.goes_on.set()
        assert not thread.is_alive()
        if errors:
            raise errors[0]

    def published(self) -> list[UserEvent]:
        partitions = self.broker.partitions(TOPICS.user_events)
        reader = self.broker.reader(partitions)
        ends = reader.end_offsets(partitions)
        found = []
        while any(reader.position(one) < ends[one] for one in partitions):
            found += [self.codec.decode(one.value or b"", UserEvent) for one in reader.poll(1.0)]
        reader.close()
        return found

    def users(self) -> Counter[int]:
        return Counter(event.user_id for event in self.published())

    def left(self) -> int:
        """How many notices the group's positions have not passed yet; nobody else may be in the group."""
        partitions = self.broker.partitions(TOPICS.webhooks)
        ends = self.broker.written_offsets(partitions)
        consumer = self.broker.consumer(GROUP, [TOPICS.webhooks])
        consumer.poll(0.0)
        committed: dict[TopicPartition, int] = {}
        for one in partitions:
            position = consumer.committed(one)
            committed[one] = position.offset if position else 0
        consumer.close()
        return sum(ends[one] - committed[one] for one in partitions)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    handlers = HandlerLoop()
    with EmbeddedBroker(tmp_path / "broker.db") as broker:
        broker.ensure_topics(TOPICS.specs())
        yield Stage(broker, handlers.loop)
    handlers.close()


def ended(result: str) -> float:
    return ENDINGS.labels(result)._value.get()  # type: ignore[no-any-return] # the library has no type for it


def test_a_user_is_read_and_published_as_a_live_event_of_that_moment(stage: Stage) -> None:
    before = datetime.now(UTC)
    with stage.reading(Office()):
        stage.tell(7)
        until(stage.published)
    (event,) = stage.published()
    assert (event.company_id, event.user_id, event.run_id, event.force) == (HERE, 7, None, False)
    assert before <= event.asked_at <= datetime.now(UTC)
    assert stage.left() == 0


def test_many_notices_of_one_user_that_wait_are_read_once(stage: Stage) -> None:
    for _ in range(300):
        stage.tell(7)
    office, before = Office(), ended("published")
    with stage.reading(office):
        until(lambda: ended("published") == before + 300)
    assert stage.users() == {7: 1}
    assert office.asked == [7]


def test_a_notice_that_comes_while_its_user_is_read_leads_to_a_later_reading(stage: Stage) -> None:
    office, before = Office(), ended("published")
    office.goes_on.clear()
    with stage.reading(office) as reader:
        stage.tell(7)
        until(lambda: office.asked)
        stage.tell(7)
        until(lambda: reader.shown is not None and reader.shown.records_waiting == 2)
        office.goes_on.set()
        until(lambda: ended("published") == before + 2)
    first, second = stage.published()
    assert first.asked_at < second.asked_at


def test_a_delivery_that_comes_again_after_it_was_read_is_dropped(stage: Stage) -> None:
    office, before = Office(), ended("duplicate")
    with stage.reading(office):
        stage.tell(7, notice_id="01JMYX")
        until(stage.published)
        stage.tell(7, notice_id="01JMYX")
        until(lambda: ended("duplicate") == before + 1)
    assert office.asked == [7]
    assert stage.left() == 0


@pytest.mark.parametrize("field_name", ["changed_by", "application"])
def test_what_crewsync_itself_has_changed_is_dropped(stage: Stage, field_name: str) -> None:
    office, before = Office(), ended("own")
    with stage.reading(office):
        stage.tell(7, HERE, "", **{field_name: OWN})
        until(lambda: ended("own") == before + 1)
    assert not office.asked
    assert stage.left() == 0


def test_a_user_who_is_gone_is_published_as_nothing_and_counted(stage: Stage) -> None:
    before = ended("gone")
    with stage.reading(Office(error=NotFound("procore", "showCompanyUser", 404))):
        stage.tell(7)
        until(lambda: ended("gone") == before + 1)
    assert not stage.published()
    assert stage.left() == 0


def test_a_user_who_is_only_hidden_since_access_is_refused_waits(stage: Stage) -> None:
    """Procore answers 404 both ways."""
    office = Office(error=NotFound("procore", "showCompanyUser", 404))
    office.access = Misconfigured("procore", "listCompanyPeople", 404)
    with stage.reading(office):
        stage.tell(7)
        until(lambda: len(office.asked) > 2)
        office.error = office.access = None
        until(stage.published)
    assert stage.users() == {7: 1}


def test_what_procore_will_never_answer_for_is_counted_and_does_not_come_again(stage: Stage) -> None:
    before = ended("rejected")
    with stage.reading(Office(error=Rejected("procore", "showCompanyUser", 422))):
        stage.tell(7)
        until(lambda: ended("rejected") == before + 1)
    assert stage.left() == 0


@pytest.mark.parametrize(
    "error",
    [
        Transient("procore", "showCompanyUser", None),
        Misconfigured("procore", "showCompanyUser", 403),
        ZeroDivisionError("a fault of this program"),
    ],
    ids=["no answer", "refused", "fault"],
)
def test_while_procore_does_not_answer_a_notice_waits_also_over_a_restart(
    stage: Stage, error: Exception
) -> None:
    office = Office(error=error)
    with stage.reading(office):
        stage.tell(7)
        until(lambda: len(office.asked) > 3)
    assert stage.left() == 1
    office.error = None
    with stage.reading(office):
        until(stage.published)
    assert stage.users() == {7: 1}
    assert stage.left() == 0


def test_one_company_that_is_refused_access_does_not_hold_the_others(stage: Stage) -> None:
    away = Office(AWAY, error=Misconfigured("procore", "showCompanyUser", 403))
    with stage.reading(Office(), away) as reader:
        for number in range(40):
            stage.tell(number + 1, AWAY)
            stage.tell(number + 1)
        until(lambda: sum(stage.users().values()) == 40)
        until(lambda: reader.shown is not None and [one for one, _ in reader.shown.held_s] == [AWAY])
    assert {event.company_id for event in stage.published()} == {HERE}
    assert stage.left() > 0
    away.error = None
    with stage.reading(Office(), away):
        until(lambda: sum(stage.users().values()) == 80)
    assert set(stage.users().values()) == {2}, "what was done before the restart is not done again"
    assert stage.left() == 0


def test_what_waits_for_long_is_moved_out_of_the_way_and_read_in_the_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The positions of a group have room for so many gaps only."""
    monkeypatch.setattr("consumer.engine.ledger.TIGHT_RUNS", 3)
    away = Office(AWAY, error=Misconfigured("procore", "showCompanyUser", 403))
    with stage.reading(Office(), away) as reader:
        for number in range(120):
            stage.tell(number + 1, AWAY)
            stage.tell(number + 1)
        until(lambda: sum(stage.users().values()) == 120)
        until(lambda: _written(stage) > 240)
        until(lambda: reader.shown is not None and reader.shown.records_waiting == 120)
        away.error = None
        until(lambda: sum(stage.users().values()) == 240)
    assert set(stage.users().values()) == {2}
    assert stage.left() == 0


def _written(stage: Stage) -> int:
    return sum(stage.broker.written_offsets(stage.broker.partitions(TOPICS.webhooks)).values())


def test_what_was_read_and_not_published_when_the_process_died_is_published_once_by_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise BrokerError("killed here")

    stage.tell(7)
    with monkeypatch.context() as patched:
        patched.setattr("consumer.broker.embedded.EmbeddedTransactionalProducer.commit", dies)
        office = Office()
        with pytest.raises(BrokerUnavailable):
            stage.reader(office).work(threading.Event())
    assert office.asked == [7]
    assert not stage.published()
    with stage.reading(Office()):
        until(stage.published)
    assert stage.users() == {7: 1}


def test_a_notice_that_cannot_be_read_and_one_of_a_company_that_is_gone_hold_up_nobody(stage: Stage) -> None:
    undecodable, unknown = ended("undecodable"), ended("unknown_company")
    with stage.reading(Office()):
        stage.send(Message(TOPICS.webhooks, b"4281001:7", b"rubbish"))
        stage.send(Message(TOPICS.webhooks, b"4281001:7", None))
        stage.tell(7, company_id=1)
        stage.tell(7)
        until(stage.published)
        until(lambda: ended("undecodable") == undecodable + 2)
        until(lambda: ended("unknown_company") == unknown + 1)
    assert stage.left() == 0
