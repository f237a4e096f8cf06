"""Who reads what in a group of the embedded broker: a balanced share for each, handed over in turn."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumer.broker.port import TopicPartition


Partitions = frozenset[TopicPartition]


@dataclass(eq=False, slots=True)
class Member:
    """A member: what it wants, its due (``share``), and what it has until it gives it up (``owned``)."""

    wanted: Partitions
    instance_id: str | None = None
    share: Partitions = frozenset()
    owned: Partitions = frozenset()
    fenced: bool = False


@dataclass(slots=True)
class Group:
    """The members of one group, in the order in which they came.

    A partition moves in two steps, so that it never has two owners: its owner gives it up (``give_up``)
    when it is ready to, and only then can the new owner take it (``take``).
    """

    members: list[Member] = field(default_factory=list)

    def join(self, member: Member) -> None:
        """Let a member in, in the place of the one with its instance id, if there is one."""
        for other in self.members:
            if member.instance_id is not None and other.instance_id == member.instance_id:
                member.share, other.share = other.share, frozenset()
                other.fenced = True
        self.members = [*(other for other in self.members if not other.fenced), member]
        self._rebalance()

    def leave(self, member: Member) -> None:
        """Let a member go; what it had is free at once."""
        if member in self.members:
            self.members.remove(member)
            self._rebalance()
        member.owned = member.share = frozenset()

    def surplus(self, member: Member) -> Partitions:
        """What the member must give up."""
        return member.owned - member.share

    def give_up(self, member: Member, partitions: Partitions) -> None:
        """Set partitions free for their next owner."""
        member.owned -= partitions

    def vacant(self, member: Member) -> Partitions:
        """What is the member's due and nobody's any more."""
        return member.share.difference(*(other.owned for other in self.members))

    def take(self, member: Member, partitions: Partitions) -> None:
        """Make the member the owner."""
        member.owned |= partitions

    def _rebalance(self) -> None:
        shares = shared_out([each.wanted for each in self.members], [each.share for each in self.members])
        for member, share in zip(self.members, shares, strict=True):
            member.share = share


def shared_out(wanted: Sequence[Partitions], held: Sequence[Partitions]) -> list[Partitions]:
    """Give every wanted partition to one member, evenly, moving as little as possible of what is held.

    ``wanted`` and ``held`` have one entry per member; the result too. Where all want the same, shares
    differ by one partition at most.
    """
    shares = [set(holds & wants) for wants, holds in zip(wanted, held, strict=True)]

    def load(member: int, topic: str) -> tuple[int, int, int]:
        return len(shares[member]), sum(each.topic == topic for each in shares[member]), member

    for partition in sorted(frozenset().union(*wanted).difference(*shares)):
        takers = [member for member, wants in enumerate(wanted) if partition in wants]
        shares[min(takers, key=lambda member: load(member, partition.topic))].add(partition)
    while move := _levelling_move(wanted, shares):
        giver, partition, taker = move
        shares[giver].remove(partition)
        shares[taker].add(partition)
    return [frozenset(share) for share in shares]


def _levelling_move(
    wanted: Sequence[Partitions], shares: Sequence[set[TopicPartition]]
) -> tuple[int, TopicPartition, int] | None:
    """A move from a member to one that has at least two less, of the topic that is most unevenly spread."""
    order = sorted(range(len(shares)), key=lambda member: (len(shares[member]), member))
    for giver in reversed(order):
        for taker in order:
            movable = shares[giver] & wanted[taker]
            if movable and len(shares[giver]) - len(shares[taker]) >= 2:  # noqa: PLR2004 - less would only swap them
                gives, takes = (Counter(each.topic for each in shares[who]) for who in (giver, taker))
                _, partition = max((gives[each.topic] - takes[each.topic], each) for each in movable)
                return giver, partition, taker
    return None
