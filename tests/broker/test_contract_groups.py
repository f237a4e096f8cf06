"""The port's promises about consumer groups, on every adapter.

Members that share a group are polled by a thread each, as they are in earnest.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import pytest

from consumer.broker.port import (
    Broker,
    GroupConsumer,
    Message,
    Position,
    Reader,
    Record,
    TopicPartition,
    TransactionalProducer,
)
from consumer.exceptions import BrokerError, Fenced


Take = Callable[[Reader, int], list[Record]]
PollUntil = Callable[[Reader, Callable[[], bool]], list[Record]]
MakeTopic = Callable[..., str]

PATIENCE_S = 30.0


def write(broker: Broker, topic: str, count: int, partitions: int = 1) -> None:
    """Write ``count`` records, spread evenly over the partitions."""
    with closing(broker.producer()) as producer:
        for number in range(count):
            producer.send(Message(topic, b"key", str(number).encode(), partition=number % partitions))
        producer.flush()


class Diary:
    """What happened to all members, in order; a test waits on it."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, frozenset[TopicPartition]]] = []
        self.changed = threading.Condition()

    def note(self, member: str, what: str, partitions: frozenset[TopicPartition]) -> None:
        with self.changed:
            self.entries.append((member, what, partitions))
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S), f"never came; so far {self.entries}"

    def owned(self, member: str) -> frozenset[TopicPartition]:
        owned: frozenset[TopicPartition] = frozenset()
        for name, what, partitions in self.entries:
            if name == member and what in {"assigned", "revoked", "lost"}:
                owned = owned | partitions if what == "assigned" else owned - partitions
        return owned

    def partitions(self, member: str, what: str) -> frozenset[TopicPartition]:
        """All partitions for which this was noted of the member."""
        return frozenset(
            each
            for name, found, found_in in self.entries
            if (name, found) == (member, what)
            for each in found_in
        )

    def index(self, member: str, what: str, partition: TopicPartition) -> int:
        """Where this was last noted."""
        return max(
            index
            for index, (name, found, partitions) in enumerate(self.entries)
            if (name, found) == (member, what) and partition in partitions
        )


@dataclass
class Member:
    """A group member and its listener; with a producer it commits what it has read on giving it up."""

    name: str
    diary: Diary
    producer: TransactionalProducer | None = None
    delivered: list[Record] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    consumer: GroupConsumer = field(init=False)

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        self.threads.add(threading.get_ident())
        self.diary.note(self.name, "assigned", partitions)

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        self.threads.add(threading.get_ident())
        if self.producer is not None:
            positions = {
                record.source: Position(record.offset + 1, self.name)
                for record in self.delivered
                if record.source in partitions
            }
            self.producer.begin()
            self.producer.send_offsets(self.consumer, positions)
            self.producer.commit()
        self.diary.note(self.name, "revoked", partitions)

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        self.diary.note(self.name, "lost", partitions)

    def take_in(self, records: list[Record]) -> None:
        strays = frozenset(record.source for record in records) - self.diary.owned(self.name)
        with self.diary.changed:
            self.delivered += records
            self.diary.changed.notify_all()
        if strays:
            self.diary.note(self.name, "stray", strays)


@contextmanager
def polling(member: Member, broker: Broker, group: str, *topics: str) -> Iterator[None]:
    """Join the group and poll on a thread of its own until the block ends; then close."""
    stop = threading.Event()
    errors: list[BaseException] = []
    member.consumer = broker.consumer(group, topics, member)

    def run() -> None:
        member.threads.add(threading.get_ident())
        try:
            while not stop.is_set():
                member.take_in(list(member.consumer.poll(0.1)))
        except BaseException as error:  # noqa: BLE001 - raised again on the test's thread
            errors.append(error)
        finally:
            member.consumer.close()

    thread = threading.Thread(target=run, name=member.name)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_a_new_group_starts_at_the_earliest_record(
    broker: Broker, topic: str, group: str, take: Take
) -> None:
    write(broker, topic, 3)
    with closing(broker.consumer(group, [topic])) as consumer:
        assert [record.offset for record in take(consumer, 3)] == [0, 1, 2]
        assert consumer.assignment() == {TopicPartition(topic, 0)}
        assert consumer.position(TopicPartition(topic, 0)) == 3
        assert consumer.committed(TopicPartition(topic, 0)) is None


def test_nothing_is_committed_by_itself(broker: Broker, topic: str, group: str, take: Take) -> None:
    """Neither polling nor closing commits, so the next member gets the same records."""
    write(broker, topic, 3)
    for _ in range(2):
        with closing(broker.consumer(group, [topic])) as consumer:
            assert [record.offset for record in take(consumer, 3)] == [0, 1, 2]


def test_the_next_member_starts_at_the_committed_position(
    broker: Broker, topic: str, group: str, take: Take
) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, topic, 5)
    with closing(broker.consumer(group, [topic])) as consumer:
        take(consumer, 5)
        consumer.commit({partition: Position(2, "frontier")})
        assert consumer.committed(partition) == Position(2, "frontier")
        consumer.commit({partition: Position(3)})
        assert consumer.committed(partition) == Position(3, "")
    with closing(broker.consumer(group, [topic])) as consumer:
        assert [record.offset for record in take(consumer, 2)] == [3, 4]


def test_groups_do_not_see_each_other(broker: Broker, topic: str, group: str, take: Take) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, topic, 3)
    with (
        closing(broker.consumer(group, [topic])) as one,
        closing(broker.consumer(group + "-other", [topic])) as other,
    ):
        take(one, 3)
        one.commit({partition: Position(3)})
        assert [record.offset for record in take(other, 3)] == [0, 1, 2]
        assert other.committed(partition) is None


def test_a_position_may_carry_a_note_of_4096_bytes_and_no_more(
    broker: Broker, topic: str, group: str, take: Take, transactional_id: str
) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, topic, 3)
    with (
        closing(broker.consumer(group, [topic])) as consumer,
        closing(broker.transactional_producer(transactional_id)) as producer,
    ):
        take(consumer, 3)
        consumer.commit({partition: Position(1, "x" * 4096)})
        assert consumer.committed(partition) == Position(1, "x" * 4096)
        producer.begin()
        producer.send_offsets(consumer, {partition: Position(2, "y" * 4096)})
        producer.commit()
        assert consumer.committed(partition) == Position(2, "y" * 4096)
        with pytest.raises(BrokerError):
            consumer.commit({partition: Position(3, "z" * 4097)})
        assert consumer.committed(partition) == Position(2, "y" * 4096)


def test_committed_positions_outlive_a_restart(
    broker: Broker, topic: str, group: str, take: Take, reopen: Callable[[], Broker]
) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, topic, 3)
    with closing(broker.consumer(group, [topic])) as consumer:
        take(consumer, 3)
        consumer.commit({partition: Position(1, "note")})
    again = reopen()
    with closing(again.consumer(group, [topic])) as consumer:
        assert [record.offset for record in take(consumer, 2)] == [1, 2]
        assert consumer.committed(partition) == Position(1, "note")


def test_a_member_may_pause_resume_and_seek(broker: Broker, topic: str, group: str, take: Take) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, topic, 10)
    with closing(broker.consumer(group, [topic])) as consumer:
        take(consumer, 10)
        consumer.seek(partition, 6)
        assert [record.offset for record in take(consumer, 4)] == [6, 7, 8, 9]
        consumer.pause([partition])
        write(broker, topic, 1)
        assert list(consumer.poll(0.3)) == []
        consumer.resume([partition])
        assert [record.offset for record in take(consumer, 1)] == [10]


def test_a_new_owner_may_look_pause_and_seek_inside_assigned(
    broker: Broker, topic: str, group: str, take: Take, poll_until: PollUntil
) -> None:
    """The engine reads its note and chooses its position before any record is delivered."""
    partition = TopicPartition(topic, 0)
    write(broker, topic, 10)
    with closing(broker.consumer(group, [topic])) as consumer:
        take(consumer, 10)
        consumer.commit({partition: Position(2, "note")})

    class Chooser(Member):
        def assigned(self, partitions: frozenset[TopicPartition]) -> None:
            if partitions:
                found.append((self.consumer.committed(partition), self.consumer.position(partition)))
                self.consumer.seek(partition, 5)
                self.consumer.pause([partition])
            super().assigned(partitions)

    found: list[tuple[Position | None, int]] = []
    chooser = Chooser("chooser", Diary())
    chooser.consumer = broker.consumer(group, [topic], chooser)
    with closing(chooser.consumer):
        assert poll_until(chooser.consumer, lambda: bool(found)) == []
        assert found == [(Position(2, "note"), 2)]
        assert list(chooser.consumer.poll(0.3)) == []
        chooser.consumer.resume([partition])
        assert [record.offset for record in take(chooser.consumer, 5)] == [5, 6, 7, 8, 9]


def test_one_member_may_read_several_topics(
    broker: Broker, make_topic: MakeTopic, group: str, take: Take
) -> None:
    first, second = make_topic(2), make_topic(3)
    write(broker, first, 4, partitions=2)
    write(broker, second, 6, partitions=3)
    with closing(broker.consumer(group, [first, second])) as consumer:
        records = take(consumer, 10)
        assert consumer.assignment() == {*broker.partitions(first), *broker.partitions(second)}
    assert {record.source for record in records} == {*broker.partitions(first), *broker.partitions(second)}


def test_nobody_commits_a_partition_that_is_not_theirs(
    broker: Broker, make_topic: MakeTopic, group: str, take: Take, transactional_id: str
) -> None:
    mine, other = make_topic(), make_topic()
    write(broker, mine, 1)
    foreign = {TopicPartition(other, 0): Position(1)}
    with (
        closing(broker.consumer(group, [mine])) as consumer,
        closing(broker.transactional_producer(transactional_id)) as producer,
    ):
        take(consumer, 1)
        with pytest.raises(Fenced):
            consumer.commit(foreign)
        producer.begin()
        with pytest.raises(Fenced):
            producer.send_offsets(consumer, foreign)
        producer.abort()


def test_a_member_that_has_left_commits_nothing(
    broker: Broker, topic: str, group: str, take: Take, transactional_id: str
) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, topic, 1)
    consumer = broker.consumer(group, [topic])
    take(consumer, 1)
    consumer.close()
    consumer.close()
    with closing(broker.transactional_producer(transactional_id)) as producer:
        producer.begin()
        with pytest.raises(Fenced):
            producer.send_offsets(consumer, {partition: Position(1)})
        producer.abort()
    with closing(broker.consumer(group, [topic])) as successor:
        take(successor, 1)
        assert successor.committed(partition) is None


def test_a_member_hears_of_its_partitions_before_their_records_and_gives_them_up_when_it_closes(
    broker: Broker, make_topic: MakeTopic, group: str
) -> None:
    """All on the thread that polls."""
    topic = make_topic(2)
    write(broker, topic, 10, partitions=2)
    diary = Diary()
    member = Member("member", diary)
    with polling(member, broker, group, topic):
        diary.wait(lambda: len(member.delivered) == 10)
        assert diary.owned("member") == set(broker.partitions(topic))
    assert diary.partitions("member", "stray") == frozenset()
    assert diary.partitions("member", "revoked") == set(broker.partitions(topic))
    assert diary.owned("member") == frozenset()
    assert len(member.threads) == 1


def test_two_members_share_the_partitions_and_hand_over_cooperatively(
    broker: Broker, make_topic: MakeTopic, group: str
) -> None:
    """Who stays keeps its half without interruption; nothing has two owners at any moment."""
    topic = make_topic(4)
    everything = frozenset(broker.partitions(topic))
    diary = Diary()
    one, two = Member("one", diary), Member("two", diary)
    with polling(one, broker, group, topic):
        diary.wait(lambda: diary.owned("one") == everything)
        with polling(two, broker, group, topic):
            diary.wait(lambda: len(diary.owned("one")) == len(diary.owned("two")) == 2)
            assert diary.owned("one") | diary.owned("two") == everything
            moved = diary.owned("two")
            assert diary.partitions("one", "revoked") == moved, "only what moves is revoked"
            for partition in moved:
                assert diary.index("one", "revoked", partition) < diary.index("two", "assigned", partition)
        diary.wait(lambda: diary.owned("one") == everything)
    assert diary.partitions("two", "revoked") == moved
    for partition in moved:
        assert diary.index("two", "revoked", partition) < diary.index("one", "assigned", partition)
    assert {what for _, what, partitions in diary.entries if partitions} == {"assigned", "revoked"}


def test_what_is_committed_inside_revoked_is_not_delivered_again(
    broker: Broker, make_topic: MakeTopic, group: str, transactional_id: str
) -> None:
    """Records come exactly once over a join and a leave if every member commits in its callback."""
    topic = make_topic(4)
    write(broker, topic, 100, partitions=4)
    diary = Diary()
    with (
        closing(broker.transactional_producer(transactional_id + "-one")) as producer_one,
        closing(broker.transactional_producer(transactional_id + "-two")) as producer_two,
    ):
        one, two = Member("one", diary, producer_one), Member("two", diary, producer_two)
        with polling(one, broker, group, topic):
            diary.wait(lambda: len(one.delivered) == 100)
            with polling(two, broker, group, topic):
                diary.wait(lambda: len(diary.owned("two")) == 2)
                write(broker, topic, 20, partitions=4)
                diary.wait(lambda: len(one.delivered) + len(two.delivered) == 120)
                assert len(two.delivered) == 10
            diary.wait(lambda: len(diary.owned("one")) == 4)
            write(broker, topic, 8, partitions=4)
            diary.wait(lambda: len(one.delivered) + len(two.delivered) >= 128)
        identities = [(record.source, record.offset) for record in one.delivered + two.delivered]
        assert len(identities) == len(set(identities)) == 128
        with closing(broker.consumer(group, [topic])) as successor:
            deadline = time.monotonic() + PATIENCE_S
            while len(successor.assignment()) < 4:
                assert time.monotonic() < deadline
                assert list(successor.poll(0.1)) == []
            for partition in broker.partitions(topic):
                assert successor.committed(partition) == Position(32, "one")


def test_a_second_member_with_an_instance_id_fences_the_first(
    broker: Broker, topic: str, group: str, take: Take, poll_until: PollUntil
) -> None:
    partition = TopicPartition(topic, 0)
    write(broker, topic, 3)
    diary = Diary()
    with (
        closing(broker.consumer(group, [topic], Member("first", diary), "place")) as first,
        closing(broker.transactional_producer(group)) as producer,
    ):
        take(first, 3)
        with closing(broker.consumer(group, [topic], Member("second", diary), "place")) as second:
            assert [record.offset for record in take(second, 3)] == [0, 1, 2]
            with pytest.raises(Fenced):
                poll_until(first, lambda: False)
            producer.begin()
            with pytest.raises(Fenced):
                producer.send_offsets(first, {partition: Position(3, "first")})
            producer.abort()
            first.close()
            assert diary.partitions("first", "revoked") == frozenset(), "it is too late to commit"
            second.commit({partition: Position(3, "second")})
            assert second.committed(partition) == Position(3, "second")


def test_a_place_with_an_instance_id_is_taken_up_again_after_a_restart(
    broker: Broker, topic: str, group: str, take: Take
) -> None:
    write(broker, topic, 3)
    for _ in range(2):
        with closing(broker.consumer(group, [topic], instance_id="place")) as consumer:
            assert [record.offset for record in take(consumer, 3)] == [0, 1, 2]
