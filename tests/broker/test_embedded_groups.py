"""How the embedded broker shares partitions out, and how they change hands."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.embedded_groups import Group, Member, Partitions, shared_out
from consumer.broker.port import Position, TopicPartition, TopicSpec
from consumer.exceptions import Fenced


def partitions(topic: str, count: int) -> Partitions:
    return frozenset(TopicPartition(topic, number) for number in range(count))


EVERYTHING = partitions("a", 4) | partitions("b", 3) | partitions("c", 1)
WANTED = st.lists(
    st.sets(st.sampled_from("abc"), min_size=1).map(
        lambda topics: frozenset(each for each in EVERYTHING if each.topic in topics)
    ),
    min_size=1,
    max_size=5,
)


@given(WANTED, st.data())
def test_every_wanted_partition_has_one_owner_who_wants_it(
    wanted: list[Partitions], data: st.DataObject
) -> None:
    held = _held(len(wanted), data)
    shares = shared_out(wanted, held)
    assert sum(len(share) for share in shares) == len(frozenset().union(*shares))
    assert frozenset().union(*shares) == frozenset().union(*wanted)
    assert all(share <= wants for share, wants in zip(shares, wanted, strict=True))


@given(st.integers(1, 6), st.data())
def test_equal_members_get_equal_shares_and_keep_what_they_can(members: int, data: st.DataObject) -> None:
    """Nobody loses anything unless they hold more than an even share."""
    held = _held(members, data)
    shares = shared_out([EVERYTHING] * members, held)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
    for share, holds in zip(shares, held, strict=True):
        assert len(share & holds) >= min(len(holds), len(EVERYTHING) // members)


@given(WANTED, st.data())
def test_sharing_out_again_changes_nothing(wanted: list[Partitions], data: st.DataObject) -> None:
    shares = shared_out(wanted, _held(len(wanted), data))
    assert shared_out(wanted, shares) == shares


def _held(members: int, data: st.DataObject) -> list[Partitions]:
    """What each member holds; no partition has two holders."""
    holders = data.draw(st.lists(st.integers(0, members), min_size=len(EVERYTHING), max_size=len(EVERYTHING)))
    return [
        frozenset(each for each, holder in zip(sorted(EVERYTHING), holders, strict=True) if holder == member)
        for member in range(members)
    ]


def test_two_members_get_a_half_of_each_topic() -> None:
    first, second = shared_out([partitions("a", 4) | partitions("b", 4)] * 2, [frozenset()] * 2)
    for share in (first, second):
        assert sorted(each.topic for each in share) == ["a", "a", "b", "b"]


def test_a_partition_is_vacant_only_when_its_owner_has_given_it_up() -> None:
    group, one, two = Group(), Member(partitions("a", 2)), Member(partitions("a", 2))
    group.join(one)
    group.take(one, group.vacant(one))
    group.join(two)
    moving = group.surplus(one)
    assert len(moving) == 1
    assert group.vacant(two) == frozenset()
    group.give_up(one, moving)
    assert group.vacant(two) == moving


def test_who_leaves_frees_everything_at_once() -> None:
    group, one, two = Group(), Member(partitions("a", 2)), Member(partitions("a", 2))
    for member in (one, two):
        group.join(member)
    for member in (one, two):
        group.take(member, group.vacant(member))
    group.leave(two)
    assert one.owned | group.vacant(one) == partitions("a", 2)
    assert two.owned == frozenset()


def test_an_instance_id_takes_over_its_place_with_what_belongs_to_it() -> None:
    """Nobody else's share changes, and the one before is fenced and gets nothing more."""
    group = Group()
    one, other = Member(partitions("a", 4), "one"), Member(partitions("a", 4))
    group.join(one)
    group.join(other)
    before = one.share
    again = Member(partitions("a", 4), "one")
    group.join(again)
    assert (again.share, again.fenced) == (before, False)
    assert (one.share, one.fenced) == (frozenset(), True)
    assert group.surplus(other) == frozenset()


class Ear:
    """A listener that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Partitions]] = []

    def assigned(self, partitions: Partitions) -> None:
        self.heard.append(("assigned", partitions))

    def revoked(self, partitions: Partitions) -> None:
        self.heard.append(("revoked", partitions))

    def lost(self, partitions: Partitions) -> None:
        self.heard.append(("lost", partitions))


def test_a_member_whose_place_was_taken_commits_nothing_even_before_it_polls_again(tmp_path: Path) -> None:
    """Nor a transaction that it had filled by then; and its partitions are lost, not revoked."""
    topic, ear = partitions("a", 1), Ear()
    (partition,) = topic
    with EmbeddedBroker(tmp_path / "broker.db") as broker:
        broker.ensure_topics([TopicSpec("a", 1)])
        first = broker.consumer("group", ["a"], ear, instance_id="place")
        first.poll(0)
        with (
            closing(broker.transactional_producer("id")) as producer,
            closing(broker.consumer("group", ["a"], instance_id="place")) as second,
        ):
            producer.begin()
            producer.send_offsets(first, {partition: Position(1)})
            second.poll(0)
            assert second.assignment() == topic
            with pytest.raises(Fenced):
                producer.commit()
            producer.abort()
            with pytest.raises(Fenced):
                first.commit({partition: Position(1)})
            assert second.committed(partition) is None
            first.close()
            assert second.assignment() == topic
    assert ear.heard == [("assigned", topic), ("lost", topic)]


def test_a_listener_that_fails_is_asked_again(tmp_path: Path) -> None:
    """No record is delivered of a partition that its owner could not take over."""
    topic = partitions("a", 1)

    class Fails(Ear):
        def assigned(self, partitions: Partitions) -> None:
            super().assigned(partitions)
            if len(self.heard) == 1:
                raise RuntimeError("not ready")

    ear = Fails()
    with EmbeddedBroker(tmp_path / "broker.db") as broker:
        broker.ensure_topics([TopicSpec("a", 1)])
        with closing(broker.consumer("group", ["a"], ear)) as consumer:
            with pytest.raises(RuntimeError, match="not ready"):
                consumer.poll(0)
            assert consumer.assignment() == frozenset()
            consumer.poll(0)
            assert consumer.assignment() == topic
    assert ear.heard == [("assigned", topic), ("assigned", topic), ("revoked", topic)]
