"""The events that all arms handle: about 300 bytes of Avro each."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from consumer.model.codec import Codec
from consumer.model.events import UserEvent
from consumer.model.links import Link, LinkKind
from consumer.model.settings import CompanySettings
from consumer.model.topics import link_key, user_key
from consumer.sync.mapping import revision_of, user_fingerprint


PARTITIONS = 8
COMPANY = 4281001
_ASKED_AT = datetime(2026, 3, 2, 6, tzinfo=UTC)
_CLASSIFICATION = (
    "Journeyman electrician, high voltage, night shift, certified for confined spaces and lifts, "
    "first aid and fire watch, crane signals"
)

Keyed = tuple[int, bytes, bytes]
"""Partition, key and value of a record."""


def user_event(number: int, user: int, company_id: int = COMPANY) -> UserEvent:
    """The event with this number in its topic. ``employee_id`` carries the number to the upstream."""
    return UserEvent(
        company_id=company_id,
        user_id=10_000_000 + user,
        asked_at=_ASKED_AT + timedelta(milliseconds=number),
        first_name="Maria Guadalupe",
        last_name=f"Hernandez Rodriguez {user}",
        email=f"maria.hernandez.{user}@granite-ridge.example.com",
        mobile_phone="+1 (415) 555-0132",
        country_code="US",
        employee_id=str(number),
        is_employee=True,
        work_classification_id=77_120_391,
        work_classification_name=_CLASSIFICATION,
    )


def user_records(users: Sequence[int], codec: Codec, companies: int = 1) -> Iterator[Keyed]:
    """One event for each, all of a user in one partition, spread evenly. Companies take turns by user."""
    for number, user in enumerate(users):
        event = user_event(number, user, COMPANY + user % companies)
        yield _partition(user, companies), user_key(event), codec.encode(event)


def sizes(users: Sequence[int], companies: int = 1) -> tuple[int, ...]:
    """How many events each partition holds."""
    counts = [0] * PARTITIONS
    for user in users:
        counts[_partition(user, companies)] += 1
    return tuple(counts)


def places(users: Sequence[int]) -> list[tuple[int, int]]:
    """Partition and offset of each event."""
    offsets = [0] * PARTITIONS
    found = []
    for user in users:
        partition = _partition(user)
        found.append((partition, offsets[partition]))
        offsets[partition] += 1
    return found


def links_of(users: Iterable[int], codec: Codec, partitions: int) -> Iterator[Keyed]:
    """Links that say of each user's event, the only one, that it was synced already."""
    settings = CompanySettings(COMPANY)
    for number, user in enumerate(users):
        event = user_event(number, user)
        made = Link(
            COMPANY,
            LinkKind.USER,
            str(event.user_id),
            f"w-{user:08d}",
            revision_of(event.asked_at) - 1,
            user_fingerprint(event, settings),
        )
        yield number % partitions, link_key(made.key), codec.encode(made)


def many_links(count: int, codec: Codec, partitions: int) -> Iterator[Keyed]:
    """Links of a large customer: one in twenty of a user, the others of timesheets."""
    for number in range(count):
        kind = LinkKind.USER if number % 20 == 0 else LinkKind.TIMESHEET
        source = str(10_000_000 + number) if kind is LinkKind.USER else f"ts-{number:010d}"
        made = Link(
            COMPANY,
            kind,
            source,
            f"{900_000_000 + number}",
            1_772_000_000_000_000 + number,
            f"{number:032x}",
        )
        yield number % partitions, link_key(made.key), codec.encode(made)


def _partition(user: int, companies: int = 1) -> int:
    # Not by the key's hash, so that the partitions are equally full and one arm's luck is no other's.
    return user // companies % PARTITIONS
