"""Work runs in order per key, concurrently across keys, within limits, fairly between companies."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.broker.port import Record, TopicPartition
from consumer.engine.clock import Clock
from consumer.engine.dispatcher import Dispatcher
from consumer.engine.limits import Limits
from consumer.engine.work import Again, Work


def work(offset: int, key: str, company: int = 1, partition: int = 0) -> Work:
    record = Record("events", partition, offset, 0, key.encode(), b"")
    return Work(record, record.source, 1, company, None)


def dispatcher_of(
    run: Callable[[Work], Coroutine[None, None, Again | None]],
    limits: Limits | None = None,
    settle: Callable[[Work], bool] = lambda _: False,
) -> Dispatcher:
    return Dispatcher(settle, run, limits or Limits(), Clock())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing tells of what is waited for
            await asyncio.sleep(0.001)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


class Gate:
    """A handler whose pieces of work end when the test says so."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.finished: list[int] = []
        self.most = 0
        self._gates: dict[int, asyncio.Event] = {}

    async def run(self, piece: Work) -> None:
        offset = piece.record.offset
        self.started.append(offset)
        self.most = max(self.most, len(self.started) - len(self.finished))
        gate = self._gates.setdefault(offset, asyncio.Event())
        await gate.wait()
        self.finished.append(offset)

    async def end(self, offset: int) -> None:
        self._gates.setdefault(offset, asyncio.Event()).set()
        await settle()


def on_a_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await test()

    asyncio.run(body())


def test_a_key_has_one_piece_of_work_running_and_the_next_starts_when_it_ends() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run)
        for offset, key in enumerate(["a", "a", "b"]):
            dispatcher.submit(work(offset, key))
        await settle()
        assert gate.started == [0, 2]
        await gate.end(0)
        assert gate.started == [0, 2, 1]
        await gate.end(1)
        await gate.end(2)
        assert dispatcher.running() == 0

    on_a_loop(test)


def test_no_more_runs_than_the_limits_allow_in_all_and_per_company() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run, Limits(in_flight=3, per_company=2))
        for offset in range(6):
            dispatcher.submit(work(offset, f"k{offset}", company=1 if offset < 4 else 2))
        await settle()
        assert gate.started == [0, 1, 4]
        await gate.end(0)
        assert sorted(gate.started) in ([0, 1, 2, 4], [0, 1, 4, 5])
        for offset in range(6):
            await gate.end(offset)
        assert sorted(gate.finished) == list(range(6))

    on_a_loop(test)


def test_companies_whose_calls_all_wait_leave_a_place_for_one_that_comes_later() -> None:
    """As of small request budgets: each call waits for seconds, and each company has a long queue."""

    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run, Limits(in_flight=8, per_company=4))
        for offset in range(20):
            dispatcher.submit(work(offset, f"k{offset}", company=1 if offset < 10 else 2))
        await settle()
        assert gate.started == [0, 1, 2, 3, 10, 11], "the first was alone, and nothing is taken from it"
        dispatcher.submit(work(20, "other", company=3))
        await settle()
        assert gate.started[6:] == [20]
        for offset in (0, 1, 2):
            await gate.end(offset)
        assert dispatcher.running() == 6, "two places are free again for whoever comes next"
        for offset in range(21):
            await gate.end(offset)
        assert sorted(gate.finished) == list(range(21))

    on_a_loop(test)


@given(companies=st.integers(1, 30), in_flight=st.integers(1, 300), most=st.integers(1, 300))
def test_limits_leave_nobody_without_a_place_while_one_is_free_and_give_one_alone_all_of_its_own(
    companies: int, in_flight: int, most: int
) -> None:
    limits = Limits(in_flight, most)
    running = [0] * companies
    while sum(running) < in_flight:
        able = [number for number, one in enumerate(running) if limits.allow(one, sum(running))]
        if not able:
            break
        running[min(able, key=running.__getitem__)] += 1
    assert sum(running) <= in_flight
    assert max(running) - min(running) <= 1, "all that wait have equal shares"
    assert max(running) <= most
    if companies == 1:
        assert running == [min(most, in_flight)]
    if sum(running) < in_flight:
        assert limits.allow(0, sum(running))
    if 2 * most <= in_flight:
        assert in_flight - sum(running) >= min(running) - 1


def test_a_single_record_of_one_company_does_not_wait_behind_a_long_queue_of_another() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run, Limits(in_flight=1, per_company=1))
        for offset in range(100):
            dispatcher.submit(work(offset, f"k{offset}", company=1))
        dispatcher.submit(work(1000, "other", company=2))
        await gate.end(0)
        await gate.end(1)
        assert gate.started == [0, 1, 1000], "the other company has its turn after one piece of the first"
        await gate.end(1000)
        for offset in range(100):
            await gate.end(offset)

    on_a_loop(test)


def test_what_waits_is_dropped_with_its_partition_and_what_runs_goes_on() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run)
        for offset, (key, partition) in enumerate([("a", 0), ("a", 0), ("a", 0), ("b", 1), ("b", 1)]):
            dispatcher.submit(work(offset, key, partition=partition))
        await settle()
        dispatcher.drop(frozenset({TopicPartition("events", 0)}))
        for offset in range(5):
            await gate.end(offset)
        assert gate.finished == [0, 3, 4]

    on_a_loop(test)


def test_cancelled_work_stops_and_its_key_is_free_again() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run, Limits(in_flight=1, per_company=1))
        dispatcher.submit(work(0, "a"))
        await settle()
        dispatcher.cancel(frozenset({TopicPartition("events", 0)}))
        await settle()
        assert dispatcher.running() == 0
        dispatcher.submit(work(1, "a"))
        await gate.end(1)
        assert gate.finished == [1]

    on_a_loop(test)


def again_once(gate: Gate, wait_s: float) -> Callable[[Work], Coroutine[None, None, Again | None]]:
    """Each first attempt fails, and the next one comes after the wait."""

    async def run(piece: Work) -> Again | None:
        await gate.run(piece)
        return Again(piece._replace(failures=1), wait_s) if piece.failures == 0 else None

    return run


def test_work_that_waits_for_another_attempt_keeps_its_key_but_no_place_among_those_that_run() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(again_once(gate, 0.05), Limits(in_flight=1, per_company=1))
        dispatcher.submit(work(0, "a"))
        dispatcher.submit(work(1, "a"))
        dispatcher.submit(work(2, "b"))
        for offset in range(3):
            await gate.end(offset)
        assert gate.started == [0, 2], "b had its place while the first of a waited"
        await until(lambda: dispatcher.keys() == 0)
        assert [offset for offset in gate.finished if offset != 2] == [0, 0, 1, 1]

    on_a_loop(test)


def test_work_that_waits_for_another_attempt_is_dropped_with_its_partition() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(again_once(gate, 3600.0))
        partitions = frozenset({TopicPartition("events", 0)})
        dispatcher.submit(work(0, "waits"))
        dispatcher.submit(work(1, "runs"))
        await gate.end(0)
        dispatcher.drop(partitions)
        assert dispatcher.running_of(partitions) == 1
        await gate.end(1)
        assert dispatcher.running_of(partitions) == 0
        assert dispatcher.keys() == 0, "what failed while its partition goes is not taken up again"
        dispatcher.submit(work(2, "waits"))
        await settle()
        assert gate.started == [0, 1, 2], "the partition has come back, and its keys are free"
        dispatcher.cancel(partitions)
        await settle()

    on_a_loop(test)


def test_nothing_of_a_held_company_starts_until_its_release_and_others_go_on() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run, Limits(in_flight=2, per_company=2))
        dispatcher.hold(1)
        for offset in range(4):
            dispatcher.submit(work(offset, f"k{offset}", company=1 if offset < 3 else 2))
        await settle()
        assert gate.started == [3]
        assert dispatcher.companies() == {1: (3, 0), 2: (0, 1)}
        dispatcher.release(1)
        for offset in (0, 1, 2, 3):
            await gate.end(offset)
        assert sorted(gate.finished) == [0, 1, 2, 3]
        assert dispatcher.companies() == {}, "what has no work is forgotten"

    on_a_loop(test)


def test_what_waits_of_a_company_can_be_taken_and_comes_in_order_per_key() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run)
        dispatcher.submit(work(0, "a", company=1))
        await settle()
        dispatcher.hold(1)
        for offset, key, company in ((1, "a", 1), (2, "b", 1), (3, "a", 1), (4, "b", 1), (5, "c", 2)):
            dispatcher.submit(work(offset, key, company))
        taken = [piece.record.offset for piece in dispatcher.take_waiting(1)]
        assert sorted(taken) == [1, 2, 3, 4]
        assert [offset for offset in taken if offset in {1, 3}] == [1, 3]
        assert [offset for offset in taken if offset in {2, 4}] == [2, 4]
        dispatcher.release(1)
        dispatcher.submit(work(6, "a", company=1))
        await settle()
        assert gate.started == [0, 5], "the key is still at work"
        for offset in (0, 5, 6):
            await gate.end(offset)
        assert gate.finished == [0, 5, 6]

    on_a_loop(test)


def test_a_key_that_was_emptied_and_filled_again_while_held_still_runs_one_at_a_time() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = dispatcher_of(gate.run)
        dispatcher.hold(1)
        dispatcher.submit(work(0, "a"))
        assert [piece.record.offset for piece in dispatcher.take_waiting(1)] == [0]
        dispatcher.submit(work(1, "a"))
        dispatcher.submit(work(2, "a"))
        dispatcher.release(1)
        await settle()
        assert gate.started == [1]
        await gate.end(1)
        await gate.end(2)
        assert gate.finished == [1, 2]

    on_a_loop(test)


def test_beyond_the_horizon_nothing_starts_until_it_moves() -> None:
    async def test() -> None:
        gate = Gate()
        asked: list[int] = []

        def settle_nothing(piece: Work) -> bool:
            asked.append(piece.record.offset)
            return False

        dispatcher = dispatcher_of(gate.run, settle=settle_nothing)
        dispatcher.confine({0: 2})
        for offset in range(5):
            dispatcher.submit(work(offset, f"k{offset}"))
        dispatcher.submit(work(9, "k9", partition=1))
        await settle()
        assert gate.started == [0, 1, 9]
        assert not {2, 3, 4} & set(asked), "nor is it settled"
        dispatcher.confine({0: 4})
        await settle()
        assert gate.started == [0, 1, 9, 2, 3]
        dispatcher.confine({})
        for offset in (0, 1, 2, 3, 4, 9):
            await gate.end(offset)
        assert sorted(gate.finished) == [0, 1, 2, 3, 4, 9]

    on_a_loop(test)


def test_what_can_be_settled_at_once_takes_no_place_and_still_waits_for_its_key() -> None:
    async def test() -> None:
        gate = Gate()
        settled: list[int] = []

        def settle_odd(piece: Work) -> bool:
            if piece.record.offset % 2:
                settled.append(piece.record.offset)
            return bool(piece.record.offset % 2)

        dispatcher = dispatcher_of(gate.run, Limits(in_flight=1, per_company=1), settle_odd)
        dispatcher.hold(2)
        dispatcher.submit(work(0, "a"))
        dispatcher.submit(work(1, "a"))
        dispatcher.submit(work(3, "b"))
        dispatcher.submit(work(5, "c", company=2))
        await settle()
        assert settled == [3, 5], "also of a held company, since no call is made"
        await gate.end(0)
        assert settled == [3, 5, 1]
        assert dispatcher.keys() == 0

    on_a_loop(test)


def obey(dispatcher: Dispatcher, order: str, number: int) -> None:
    match order:
        case "hold":
            dispatcher.hold(number % 3 + 1)
        case "release":
            dispatcher.release(number % 3 + 1)
        case "confine":
            dispatcher.confine({0: number})
        case _:
            dispatcher.confine({})


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2), st.booleans()
        ),
        max_size=60,
    ),
    st.lists(st.tuples(st.sampled_from(["hold", "release", "confine", "free"]), st.integers(0, 70))),
    st.integers(1, 5),
)
def test_whatever_is_held_back_and_tried_again_every_piece_ends_once_in_the_order_of_its_key(  # noqa: C901 - one story
    pieces: list[tuple[str, int, int, int, bool]], orders: list[tuple[str, int]], in_flight: int
) -> None:
    """Attempts that fail, companies that are held and released, horizons that come and go, at random."""
    ended: list[Work] = []
    running: set[bytes | None] = set()

    async def run(piece: Work) -> Again | None:
        assert piece.record.key not in running, "one at a time"
        running.add(piece.record.key)
        _, _, turns, failures, _ = pieces[piece.record.offset]
        for _ in range(turns):
            await asyncio.sleep(0)
        running.discard(piece.record.key)
        if piece.failures < failures:
            return Again(piece._replace(failures=piece.failures + 1), 0.0001 * turns)
        ended.append(piece)
        return None

    def settle_some(piece: Work) -> bool:
        can = pieces[piece.record.offset][4]
        if can:
            ended.append(piece)
        return can

    async def test() -> None:
        dispatcher = dispatcher_of(run, Limits(in_flight, in_flight), settle_some)
        todo = list(orders)
        for offset, (key, company, *_) in enumerate(pieces):
            dispatcher.submit(work(offset, f"{company}:{key}", company))
            if todo and offset % 2:
                obey(dispatcher, *todo.pop())
            await asyncio.sleep(0)
            assert dispatcher.running() <= in_flight
        dispatcher.confine({})
        for company in (1, 2, 3):
            dispatcher.release(company)
        await until(lambda: len(ended) >= len(pieces) and dispatcher.keys() == 0)
        assert dispatcher.companies() == {}

    on_a_loop(test)
    assert sorted(piece.record.offset for piece in ended) == list(range(len(pieces)))
    for key in {piece.key for piece in ended}:
        offsets = [piece.record.offset for piece in ended if piece.key == key]
        assert offsets == sorted(offsets)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 3), st.integers(0, 3)), max_size=60),
    st.integers(1, 5),
    st.integers(1, 5),
)
def test_whatever_the_limits_every_piece_runs_once_in_the_order_of_its_key(
    pieces: list[tuple[str, int, int]], in_flight: int, per_company: int
) -> None:
    ran: list[Work] = []
    all_ran = asyncio.Event()

    async def run(piece: Work) -> None:
        for _ in range(pieces[piece.record.offset][2]):
            await asyncio.sleep(0)
        ran.append(piece)
        if len(ran) == len(pieces):
            all_ran.set()

    async def test() -> None:
        dispatcher = dispatcher_of(run, Limits(in_flight, per_company))
        for offset, (key, company, _) in enumerate(pieces):
            dispatcher.submit(work(offset, f"{company}:{key}", company))
            assert dispatcher.running() <= in_flight
        if pieces:
            await asyncio.wait_for(all_ran.wait(), 10)

    on_a_loop(test)
    assert sorted(piece.record.offset for piece in ran) == list(range(len(pieces)))
    for key in {piece.key for piece in ran}:
        offsets = [piece.record.offset for piece in ran if piece.key == key]
        assert offsets == sorted(offsets)
