"""Who is read when: once for all that waits, again for what comes meanwhile, and never a held company."""

import random
from datetime import UTC, datetime

import pytest

from consumer.broker.port import TopicPartition
from consumer.engine.breaker import BreakerPolicy
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import Misconfigured, RateLimited, Transient
from consumer.model.notices import WebhookNotice
from consumer.webhooks.waiting import AT_ONCE, Spot, User, Waiting


FIRST, SECOND = TopicPartition("w", 0), TopicPartition("w", 1)
FINE, AWAY = 1, 2
REFUSED = Misconfigured("procore", "showCompanyUser", 403)
SILENT = Transient("procore", "showCompanyUser", None)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting(
        random.Random(5), RetryPolicy(first_wait_s=1.0), BreakerPolicy(failures=3, first_wait_s=10.0)
    )


def spot(offset: int, user_id: int = 7, company_id: int = FINE, partition: TopicPartition = FIRST) -> Spot:
    notice = WebhookNotice(
        company_id, user_id, f"n{offset}", "Company Users", "update", "v4.0", datetime.now(UTC)
    )
    return Spot(partition, 1, offset, notice)


def offsets(spots: object) -> list[int]:
    assert isinstance(spots, list | tuple)
    return [one.offset for one in spots]


def only(users: object) -> User:
    assert isinstance(users, list)
    (user,) = users
    assert isinstance(user, User)
    return user


def test_all_notices_of_a_user_that_wait_are_answered_by_one_reading(waiting: Waiting) -> None:
    for offset in range(500):
        waiting.add(spot(offset))
    user = only(waiting.due(0.0))
    assert offsets(waiting.read(user)) == list(range(500))
    assert len(waiting) == 0


def test_what_comes_while_a_user_is_read_needs_another_reading(waiting: Waiting) -> None:
    waiting.add(spot(0))
    user = only(waiting.due(0.0))
    waiting.add(spot(1))
    assert waiting.due(0.0) == [], "nobody is read twice at once"
    assert offsets(waiting.read(user)) == [0]
    assert offsets(waiting.read(only(waiting.due(0.0)))) == [1]


def test_so_many_of_a_company_are_read_at_once_and_others_beside_them(waiting: Waiting) -> None:
    for number in range(20):
        waiting.add(spot(number, user_id=number))
    waiting.add(spot(20, company_id=AWAY))
    due = waiting.due(0.0)
    assert [user.company_id for user in due] == [FINE] * AT_ONCE + [AWAY]
    waiting.read(due[0])
    assert len(waiting.due(0.0)) == 1


def test_a_company_that_refuses_access_is_held_probed_and_gone_on_with(waiting: Waiting) -> None:
    for number in range(3):
        waiting.add(spot(number, user_id=number, company_id=AWAY))
    waiting.add(spot(3, company_id=FINE))
    *away, fine = waiting.due(0.0)
    assert waiting.failed(away[0], REFUSED, 0.0)
    waiting.failed(away[1], REFUSED, 0.0)
    waiting.failed(away[2], REFUSED, 0.0)
    waiting.read(fine)
    assert waiting.held() == {AWAY: 0.0}
    assert waiting.due(1.0) == []
    waiting.add(spot(4, company_id=FINE))
    waiting.read(only(waiting.due(1.0)))
    probe = only(waiting.due(60.0))
    assert waiting.due(60.0) == [], "one probe at a time"
    waiting.failed(probe, REFUSED, 60.0)
    probe = only(waiting.due(200.0))
    waiting.read(probe)
    assert waiting.held() == {}
    assert len(waiting.due(300.0)) == 2


def test_one_user_on_whom_procore_fails_waits_behind_the_others(waiting: Waiting) -> None:
    waiting.add(spot(0, user_id=1))
    now = 0.0
    for number in range(1, 30):
        users = {user.user_id: user for user in waiting.due(now)}
        if 1 in users:
            waiting.failed(users.pop(1), SILENT, now)
        for user in users.values():
            waiting.read(user)
        waiting.add(spot(number, user_id=number + 1))
        now += 5
    for user in waiting.due(now):
        if user.user_id != 1:
            waiting.read(user)
    assert len(waiting) <= 2
    assert waiting.held() == {}


def test_a_pause_that_is_asked_for_is_kept_by_the_whole_company_and_holds_nobody(waiting: Waiting) -> None:
    for number in range(AT_ONCE + 1):
        waiting.add(spot(number, user_id=number))
    limited = RateLimited("procore", "showCompanyUser", 429)
    limited.retry_after_s = 30.0
    for user in waiting.due(0.0):
        waiting.failed(user, limited, 0.0)
    assert waiting.due(29.0) == []
    assert waiting.held() == {}
    assert len(waiting.due(30.0)) == AT_ONCE


def test_what_was_lost_to_another_ends_in_nothing(waiting: Waiting) -> None:
    waiting.add(spot(0))
    waiting.add(spot(1, user_id=8, partition=SECOND))
    first, second = waiting.due(0.0)
    waiting.lose({FIRST})
    waiting.add(spot(0))
    assert waiting.read(first) == ()
    assert offsets(waiting.read(second)) == [1]
    assert offsets(waiting.read(only(waiting.due(0.0)))) == [0], "if it comes back it is read anew"
