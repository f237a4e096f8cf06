"""A schedule does what the plan asks for, the same for the same seed."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from consumer.sandbox.fault_rules import Asked, FaultFile
from tests.chaos.faults import KINDS, rules
from tests.chaos.kafka_run import bursts
from tests.chaos.schedule import Plan, schedule
from tests.chaos.world import events


PLAN = Plan(100.0, kills=30, bounces=5, stops=4, visits=3, outages=2, replays=6, members=4)


@given(st.integers())
def test_everything_that_is_planned_happens_within_the_time_and_in_order(seed: int) -> None:
    actions = schedule(PLAN, seed)
    assert actions == schedule(PLAN, seed)
    counts = Counter("outage" if one.what in {"denied", "down"} else one.what for one in actions)
    assert counts == {"kill": 30, "bounce": 5, "stop": 4, "visit": 3, "outage": 2, "replay": 6}
    assert [one.at for one in actions] == sorted(one.at for one in actions)
    assert all(0 <= one.at <= PLAN.duration_s and 0 <= one.who < PLAN.members for one in actions)
    bounces = [one.at for one in actions if one.what == "bounce"]
    assert all(later - earlier >= 0.4 * 20 for earlier, later in pairwise(bounces))


def test_every_event_is_in_one_burst_and_the_last_one_is_before_the_end() -> None:
    made = events(1234, 1)
    parts = bursts(made, 90.0)
    assert [event for _, part in parts for event in part] == made
    assert parts[-1][0] < 90.0


def test_some_thirty_percent_of_calls_fail_in_every_way_and_none_when_told(tmp_path: Path) -> None:
    file = tmp_path / "faults.toml"
    asked = Asked("procore", None, "GET", "/")

    def faults_of(mode: str, count: int) -> Counter[str | None]:
        file.write_text(rules(mode, 7), "utf-8")
        faults = FaultFile(file, ())
        found = (faults.fault_for(asked) for _ in range(count))
        return Counter(None if fault is None else fault.text for fault in found)

    chosen = faults_of("mixed", 4000)
    assert set(chosen) == {None, *KINDS}
    assert 0.27 < 1 - chosen[None] / 4000 < 0.33
    assert set(faults_of("none", 100)) == {None}
    assert set(faults_of("denied", 100)) == {"status=401"}
    assert set(faults_of("down", 100)) == {"status=503"}
