"""The ledger keeps its promises against a naive model that remembers everything."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from consumer.broker.port import Position, TopicPartition
from consumer.engine.ledger import TIGHT_RUNS, WINDOW, Arrival, Ledger
from consumer.engine.runs import METADATA_LIMIT, decode_runs, encode_runs


TP = TopicPartition("events", 0)
OTHER = TopicPartition("events", 1)


def test_the_frontier_stays_below_the_first_record_without_a_completion() -> None:
    ledger = Ledger()
    epoch = ledger.assign(TP, None)
    for offset in range(4):
        ledger.track(TP, offset)
    for offset in (0, 2, 3):
        ledger.complete(TP, epoch, offset)
    assert ledger.frontier(TP) == 1
    ledger.complete(TP, epoch, 1)
    assert ledger.frontier(TP) == 4


def test_gaps_in_the_offsets_do_not_hold_the_frontier() -> None:
    ledger = Ledger()
    epoch = ledger.assign(TP, Position(10))
    for offset in (12, 20, 31):
        ledger.track(TP, offset)
        ledger.complete(TP, epoch, offset)
    assert ledger.frontier(TP) == 32


def test_a_new_owner_skips_what_was_completed_above_the_frontier() -> None:
    first = Ledger()
    epoch = first.assign(TP, None)
    for offset in range(10):
        first.track(TP, offset)
    for offset in (0, 1, 3, 4, 8):
        first.complete(TP, epoch, offset)
    committable = first.committable(TP)
    assert committable is not None
    second = Ledger()
    second.assign(TP, committable.position)
    assert [offset for offset in range(2, 10) if second.track(TP, offset)] == [2, 5, 6, 7, 9]


def test_a_completion_of_an_earlier_epoch_changes_nothing() -> None:
    ledger = Ledger()
    old = ledger.assign(TP, None)
    ledger.track(TP, 0)
    ledger.revoke(TP)
    assert not ledger.complete(TP, old, 0)
    ledger.assign(TP, None)
    ledger.track(TP, 0)
    assert not ledger.complete(TP, old, 0)
    assert ledger.frontier(TP) == 0


def test_partitions_do_not_know_of_each_other() -> None:
    ledger = Ledger()
    ledger.assign(TP, None)
    epoch = ledger.assign(OTHER, None)
    ledger.track(TP, 0)
    ledger.track(OTHER, 0)
    ledger.complete(OTHER, epoch, 0)
    assert (ledger.frontier(TP), ledger.frontier(OTHER), ledger.in_flight()) == (0, 1, 1)


def test_results_that_do_not_fit_into_the_metadata_wait() -> None:
    ledger = Ledger()
    epoch = ledger.assign(TP, None)
    for offset in range(10_000):
        ledger.track(TP, offset)
    for offset in range(1, 10_000, 2):
        ledger.complete(TP, epoch, offset)
    committable = ledger.committable(TP)
    assert committable is not None
    assert len(committable.position.metadata.encode()) <= METADATA_LIMIT
    kept = Ledger()
    kept.assign(TP, committable.position)
    handled_again = {offset for offset in range(10_000) if kept.track(TP, offset)}
    written = {offset for offset in range(1, 10_000, 2) if offset < committable.limit}
    assert written
    assert not handled_again & written


def test_a_commit_waits_rather_than_forget_what_the_last_owner_completed() -> None:
    last = Ledger()
    epoch = last.assign(TP, None)
    for offset in range(3_000):
        last.track(TP, offset)
    for offset in range(2_001, 3_000, 2):
        last.complete(TP, epoch, offset)
    left = last.committable(TP)
    assert left is not None
    ledger = Ledger()
    epoch = ledger.assign(TP, left.position)
    for offset in range(2_000):
        ledger.track(TP, offset)
    # Two bytes for each run of ours and two for each of the last owner's: more than there is room for.
    for offset in range(1, 2_000, 2):
        ledger.complete(TP, epoch, offset)
    committable = ledger.committable(TP)
    after = Ledger()
    after.assign(TP, committable.position if committable else left.position)
    repeated = [
        offset for offset in range(3_000) if after.track(TP, offset) and offset in range(2_001, 3_000, 2)
    ]
    assert repeated == []


def test_gaps_part_no_run_in_two() -> None:
    """As on a topic that is written with one record a transaction, where every second offset is a marker."""
    ledger = Ledger()
    epoch = ledger.assign(TP, None)
    for offset in range(0, 20_000, 2):
        ledger.track(TP, offset)
    for offset in range(2, 20_000, 2):
        ledger.complete(TP, epoch, offset)
    committable = ledger.committable(TP)
    assert committable is not None
    assert decode_runs(0, committable.position.metadata) == [(2, 19_999)]
    assert ledger.gap(TP) == 19_999
    assert ledger.complete(TP, epoch, 0)
    assert (ledger.frontier(TP), ledger.gap(TP), ledger.in_flight(TP)) == (19_999, 0, 0)


def test_the_record_at_the_frontier_and_the_bytes_in_flight_are_known() -> None:
    ledger = Ledger()
    epoch = ledger.assign(TP, None)
    for offset in range(3):
        ledger.track(TP, offset, Arrival(size=100 + offset, at=float(offset), timestamp_ms=offset))
    assert ledger.bytes() == 303
    ledger.complete(TP, epoch, 0)
    ledger.complete(TP, epoch, 2)
    assert ledger.oldest(TP) == Arrival(101, 1.0, 1)
    assert ledger.bytes() == 101
    ledger.complete(TP, epoch, 1)
    assert ledger.oldest(TP) is None
    ledger.revoke(TP)
    assert ledger.bytes() == 0


@given(st.integers(), st.integers(1, 300), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_whoever_stays_below_the_horizon_never_has_results_that_do_not_fit(
    seed: int, in_flight: int, step: int
) -> None:
    """The worst order there is, every second or third record first, and restarts in between."""
    rng = Random(seed)
    ledger = Ledger()
    epoch = ledger.assign(TP, None)
    waiting: list[int] = []
    running: set[int] = set()
    for turn in range(60):
        if turn % 20 == 19:
            left, ledger = ledger.committable(TP), Ledger()
            assert left is not None
            epoch = ledger.assign(TP, left.position)
            waiting, running = [], set()
        end = ledger.position(TP) + 300
        waiting += [offset for offset in range(ledger.position(TP), end) if ledger.track(TP, offset)]
        horizon = ledger.horizon(TP)
        near = [offset for offset in waiting if horizon is None or offset < horizon]
        # The record at the frontier is always among those that may start.
        begun = {*near[:1], *near[1::step]} if len(running) < in_flight else set()
        running |= set(sorted(begun)[: in_flight - len(running)])
        waiting = [offset for offset in waiting if offset not in running]
        for offset in rng.sample(sorted(running), rng.randint(0, len(running))):
            running.discard(offset)
            assert ledger.complete(TP, epoch, offset)
        committable = ledger.committable(TP)
        assert committable is not None
        assert committable.limit == ledger.position(TP), "everything fits"


def test_with_few_runs_there_is_no_horizon_and_with_many_it_is_near_the_frontier() -> None:
    ledger = Ledger()
    epoch = ledger.assign(TP, None)
    for offset in range(10_000):
        ledger.track(TP, offset)
    for number in range(TIGHT_RUNS):
        ledger.complete(TP, epoch, 2 * number + 1)
    assert ledger.horizon(TP) is None
    ledger.complete(TP, epoch, 2 * TIGHT_RUNS + 1)
    assert ledger.horizon(TP) == WINDOW
    for number in range(5):
        ledger.complete(TP, epoch, 2 * number)
    assert ledger.horizon(TP) is None


@given(st.integers(0, 2**62), st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 5000)), max_size=50))
def test_runs_survive_being_written(frontier: int, gaps: list[tuple[int, int]]) -> None:
    runs, cursor = [], frontier
    for distance, length in gaps:
        runs.append((cursor + distance, cursor + distance + length))
        cursor += distance + length
    metadata, cut = encode_runs(frontier, runs)
    assert cut is None
    assert decode_runs(frontier, metadata) == runs


@given(st.text(max_size=60) | st.text("abcABC019+/=", max_size=40).map("r1:".__add__))
def test_foreign_metadata_counts_as_none_or_as_runs_above_the_frontier(metadata: str) -> None:
    cursor = 7
    for start, end in decode_runs(7, metadata):
        assert cursor <= start <= end
        cursor = end


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_partition_that_is_not_owned_tracks_nothing(length: int) -> None:
    ledger = Ledger()
    assert [ledger.track(TP, offset) for offset in range(length)] == [False] * length
    assert ledger.epoch(TP) is None


class LedgerMachine(RuleBasedStateMachine):
    """One partition through deliveries, completions, commits, kills and rebalances.

    ``written`` is what a read-committed reader of the results would see. Promises 1, 3, 4 and 5 of the
    engine are invariants here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.log_end = 0
        self.gaps: set[int] = set()
        self.committed: Position | None = None
        self.written: list[int] = []
        self.finished: list[int] = []
        self.owned = False
        self.epoch = 0
        self.delivered = 0
        self.running: set[int] = set()
        self.late: list[tuple[int, int]] = []

    @initialize()
    def begin(self) -> None:
        self._assign()

    def _assign(self) -> None:
        self.epoch = self.ledger.assign(TP, self.committed)
        self.delivered = self.committed.offset if self.committed else 0
        self.owned = True

    @rule(records=st.integers(1, 6), gap=st.booleans())
    def produce(self, records: int, gap: bool) -> None:
        self.log_end += records
        if gap:
            self.gaps.add(self.log_end - 1)

    @precondition(lambda self: self.owned)
    @rule(records=st.integers(1, 8))
    def deliver(self, records: int) -> None:
        for _ in range(records):
            if self.delivered >= self.log_end:
                return
            offset = self.delivered
            self.delivered += 1
            if offset not in self.gaps and self.ledger.track(TP, offset):
                self.running.add(offset)

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(offset)
        assert self.ledger.complete(TP, self.epoch, offset)
        assert not self.ledger.complete(TP, self.epoch, offset), "a record is complete once"
        self.finished.append(offset)

    @precondition(lambda self: self.owned)
    @rule()
    def commit(self) -> None:
        committable = self.ledger.committable(TP)
        if committable is None:
            return
        self.committed = committable.position
        self.written += [offset for offset in self.finished if offset < committable.limit]
        self.finished = [offset for offset in self.finished if offset >= committable.limit]

    @precondition(lambda self: self.owned)
    @rule(orderly=st.booleans())
    def lose(self, orderly: bool) -> None:
        """A revoke after a commit, or a kill: what is not committed is gone."""
        if orderly:
            self.commit()
        self.late += [(self.epoch, offset) for offset in self.running]
        self.running.clear()
        self.finished.clear()
        self.ledger.revoke(TP)
        if not orderly:
            self.ledger = Ledger()
            self.late.clear()
        self.owned = False

    @precondition(lambda self: not self.owned)
    @rule()
    def assign(self) -> None:
        self._assign()

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def complete_late(self, data: st.DataObject) -> None:
        epoch, offset = data.draw(st.sampled_from(self.late))
        before = self.ledger.committable(TP) if self.owned else None
        assert not self.ledger.complete(TP, epoch, offset), "promise 5"
        assert (self.ledger.committable(TP) if self.owned else None) == before

    @invariant()
    def the_frontier_passes_no_record_without_a_result(self) -> None:
        if self.committed is not None:
            passed = set(range(self.committed.offset)) - self.gaps
            assert passed <= set(self.written), "promise 1"

    @invariant()
    def no_result_is_written_twice(self) -> None:
        assert len(self.written) == len(set(self.written)), "promise 4"

    def teardown(self) -> None:
        """Promise 3: an owner who works undisturbed brings every record to its result."""
        if not self.owned:
            self._assign()
        for _ in range(self.log_end + 1):
            self.deliver(records=self.log_end + 1)
            for offset in sorted(self.running):
                self.ledger.complete(TP, self.epoch, offset)
                self.finished.append(offset)
            self.running.clear()
            self.commit()
        assert sorted(self.written) == sorted(set(range(self.log_end)) - self.gaps)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
