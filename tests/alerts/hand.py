"""``crewsync run`` with a hand inside: ``python -m tests.alerts.hand``.

The embedded broker has room for one process, so whoever publishes, or joins a group, has to be in it. All
roles run as they do in ``crewsync run``, with the same health server. Each line of standard input is a
command, which is answered with a line that says how many have been carried out:

================  ===================================================================================
``users N``       N users whom nobody has seen yet are published
``garbage N``     so are N records that cannot be read
``letter S``      a dead letter of S seconds ago, which is to be redriven by itself
``member``        another member joins the users' group, gets its share and leaves
``fence``         another process takes the users' transactional id
``block S``       the broker does not answer for S seconds
``sync KIND``     a sync is asked for
================  ===================================================================================
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Message, Record, TopicPartition
from consumer.config import load
from consumer.engine.deadletters import dead_letter
from consumer.model import reasons
from consumer.model.events import Kind, UserEvent
from consumer.model.settings import CompanySettings
from consumer.model.topics import user_key
from consumer.runs.commands import manual_sync
from consumer.session import Session, open_session, usual_roles
from consumer.sync.choices import write_settings
from tests.sync.people import MARIA


COMPANY = MARIA.company_id
_NUMBERS = count(1)
_JOIN_S = 10.0


class _Nothing:
    """Heeds no change of what it owns."""

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """Nothing."""

    def revoked(self, partitions: frozenset[TopicPartition]) -> None:
        """Nothing."""

    def lost(self, partitions: frozenset[TopicPartition]) -> None:
        """Nothing."""


def _new_user() -> UserEvent:
    # Unlike those of an earlier start, too.
    number = next(_NUMBERS) + int(time.time()) % 10_000 * 100
    return replace(
        MARIA,
        user_id=990_000_000 + number,
        asked_at=datetime.now(UTC),
        last_name=f"Number{number}",
        email=f"number.{number}@example.com",
        mobile_phone=f"+1512{7_000_000 + number}",
        employee_id=f"9{number}",
        run_id=None,
    )


def _users(session: Session, number: int) -> None:
    place = session.place
    producer = place.broker.producer()
    for _ in range(number):
        event = _new_user()
        producer.send(Message(place.topics.user_events, user_key(event), place.codec.encode(event)))
    producer.close()


def _garbage(session: Session, number: int) -> None:
    producer = session.place.broker.producer()
    for _ in range(number):
        producer.send(Message(session.place.topics.user_events, user_key(_new_user()), b"no event"))
    producer.close()


def _letter(session: Session, age_s: int) -> None:
    place, event = session.place, _new_user()
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    record = Record(
        topic=place.topics.user_events,
        partition=0,
        offset=0,
        timestamp_ms=int(at.timestamp() * 1000),
        key=user_key(event),
        value=place.codec.encode(event),
        headers=(),
    )
    letter = dead_letter(
        record,
        COMPANY,
        topic=place.topics.dead_letters,
        stage="handle",
        reason=reasons.access_refused("SmartBarrel"),
        at=at,
        run_id=None,
        codec=place.codec,
    )
    producer = place.broker.producer()
    producer.send(letter)
    producer.close()


def _member(session: Session, _: int) -> None:
    member = session.place.broker.consumer(
        "crewsync-users", [session.place.topics.user_events], _Nothing(), None
    )
    deadline = time.monotonic() + _JOIN_S
    while not member.assignment() and time.monotonic() < deadline:
        member.poll(0.05)
    member.close()


def _fence(session: Session, _: int) -> None:
    session.place.broker.transactional_producer(f"crewsync-users-{session.config.instance_id}")


def _block(session: Session, seconds: int) -> None:
    broker = session.place.broker
    assert isinstance(broker, EmbeddedBroker)
    with broker._store.changed:
        time.sleep(seconds)


def _sync(session: Session, kind: Kind) -> None:
    session.syncs(None).start(manual_sync(COMPANY, kind, "Dana"))


_COMMANDS: Mapping[str, Callable[[Session, int], None]] = {
    "users": _users,
    "garbage": _garbage,
    "letter": _letter,
    "member": _member,
    "fence": _fence,
    "block": _block,
}


def main() -> None:
    """Work until standard input ends."""
    config = load()
    with open_session(config, usual_roles(config), serves=True) as session:
        place = session.place
        # What comes by itself is to be handled.
        on = CompanySettings(COMPANY, autosync_users=True)
        write_settings(place.broker, place.codec, place.topics.company_settings, on)
        session.syncs(None).finish_or_start(again=False)
        for done, line in enumerate(sys.stdin, 1):
            name, _, argument = line.strip().partition(" ")
            if name == "sync":
                _sync(session, Kind(argument))
            else:
                _COMMANDS[name](session, int(argument or "0"))
            sys.stdout.write(f"carried out: {done}.\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
