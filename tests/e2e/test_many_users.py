"""A company with many users whose sync is killed again and again: each user is in its log exactly once.

``MANY_USERS=20000`` in the environment tries it with a large company; it takes some minutes.
"""

import os
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consumer.sandbox.server import RunningSandbox
from consumer.sandbox.server import start as start_sandbox
from tests.e2e.observed import read_log_file, read_sync_log
from tests.e2e.program import Place, Process, real_upstreams
from tests.upstream.site import Json, company_data, user


USERS = int(os.environ.get("MANY_USERS", "4000"))
LONG_S = 60 + USERS / 20
SLOW_PAGES = """
[[rules]]
operation = "listCompanyUsers"
fault = "latency=0.4"
"""
_PUBLISHED = """SELECT count(*) FROM records JOIN partitions ON partition_id = id
    WHERE topic = 'procore.user-events'"""


def invented(number: int) -> Json:
    phone = f"+1512{2000000 + number}"
    return user(number, "Ada", f"Number{number}", mobile_phone=phone, employee_id=f"E{number}")


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    """Both upstreams, whose pages of users take a moment."""
    faults = tmp_path / "faults.toml"
    faults.write_text(SLOW_PAGES)
    users = [
        user(
            number,
            "Ada",
            f"Number{number}",
            mobile_phone=f"+1512{2000000 + number}",
            employee_id=f"E{number}",
        )
        for number in range(1, USERS + 1)
    ]
    with start_sandbox(tmp_path / "var" / "sandbox.db", company_data(users=users), faults=faults) as running:
        yield running


def published(place: Place) -> int:
    try:
        with closing(sqlite3.connect(f"file:{place.broker}?mode=ro", uri=True, timeout=5)) as db:
            return int(db.execute(_PUBLISHED).fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def killed_at(place: Place, process: Process, *, events: int = 0, writes: int = 0) -> None:
    process.until(
        lambda: published(place) >= events and place.writes("smartbarrel") >= writes, limit_s=LONG_S
    )
    process.kill()


@pytest.mark.timeout(2 * LONG_S)
@pytest.mark.parametrize("seed", [20261125])
def test_a_sync_that_is_killed_three_times_has_each_user_in_its_log_exactly_once(
    place: Place, sandbox: RunningSandbox, seed: int
) -> None:
    """Once while the users are read, and twice while they are synced."""
    place.settings |= real_upstreams(sandbox.address)
    chance = random.Random(seed)
    killed_at(place, place.start("sync", "users"), events=chance.randint(1, USERS // 2))
    for share in sorted(chance.uniform(0.1, 0.8) for _ in range(2)):
        killed_at(place, place.start("run"), writes=int(share * USERS))
    last = place.start("run")
    last.until(lambda: place.is_complete("users"), limit_s=LONG_S)
    last.popen.terminate()
    assert last.end() == 0

    (path,) = place.logs("users")
    subjects = Counter(entry.subject_id for entry in read_log_file(path).subjects)
    assert subjects == Counter({str(one["id"]): 1 for one in sandbox.state.users()})
    log = read_sync_log(f"embedded:{place.broker}")
    assert [marker.expected for marker in log.markers] == [USERS]
    assert len(log.results) == len(log.events) == USERS
    external_ids = Counter(worker["external_id"] for worker in sandbox.state.workers())
    assert set(external_ids.values()) == {1}
    assert len(external_ids) == USERS
    assert all("Traceback" not in process.stdout + process.stderr for process in place.started)
