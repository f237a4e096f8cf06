"""The records that all arms are given."""

from collections import Counter, defaultdict

from consumer.model.codec import Codec
from consumer.model.events import UserEvent
from consumer.model.links import Link, LinkKind
from tests.benchmarks.events import PARTITIONS, links_of, many_links, places, sizes, user_event, user_records
from tests.benchmarks.keys import Keys, users


CODEC = Codec()


def test_an_event_has_about_300_bytes() -> None:
    assert 250 <= len(CODEC.encode(user_event(12_345, 678))) <= 350


def test_all_events_of_a_user_are_in_one_partition_in_order() -> None:
    partitions = defaultdict(set)
    numbers = defaultdict(list)
    for partition, key, value in user_records(users(Keys.ZIPF, 500, seed=1), CODEC, companies=10):
        partitions[key].add(partition)
        numbers[key].append(CODEC.decode(value, UserEvent).asked_at)
    assert all(len(of_one) == 1 for of_one in partitions.values())
    assert all(of_one == sorted(of_one) for of_one in numbers.values())


def test_the_sizes_of_partitions_are_known_beforehand() -> None:
    drawn = users(Keys.HUNDRED, 1000, seed=1)
    counted = Counter(partition for partition, _, _ in user_records(drawn, CODEC))
    assert sizes(drawn) == tuple(counted[number] for number in range(PARTITIONS))


def test_the_place_of_each_event_is_known_beforehand() -> None:
    drawn = users(Keys.ZIPF, 300, seed=1)
    offsets: Counter[int] = Counter()
    expected = []
    for partition, _, _ in user_records(drawn, CODEC):
        expected.append((partition, offsets[partition]))
        offsets[partition] += 1
    assert places(drawn) == expected


def test_companies_are_spread_over_all_partitions() -> None:
    found = {
        (CODEC.decode(value, UserEvent).company_id, partition)
        for partition, _, value in user_records(range(800), CODEC, companies=10)
    }
    assert len(found) == 10 * PARTITIONS


def test_links_say_that_an_event_was_synced_before() -> None:
    ((_, key, value),) = links_of([3], CODEC, 4)
    link = CODEC.decode(value, Link)
    assert (key.decode(), link.source_id) == (str(link.key), str(user_event(0, 3).user_id))


def test_one_link_in_twenty_is_a_users() -> None:
    kinds = Counter(CODEC.decode(value, Link).kind for _, _, value in many_links(1000, CODEC, 4))
    assert (kinds[LinkKind.USER], kinds[LinkKind.TIMESHEET]) == (50, 950)
