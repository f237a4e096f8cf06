"""Work runs in order per key, concurrently across keys, within limits, fairly between companies."""

import asyncio
from collections.abc import Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.broker.port import Record, TopicPartition
from consumer.engine.dispatcher import Dispatcher, Limits, Work


def work(offset: int, key: str, company: int = 1, partition: int = 0) -> Work:
    return Work(Record("events", partition, offset, 0, key.encode(), b""), 1, company, None)


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
        dispatcher = Dispatcher(gate.run, Limits())
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
        dispatcher = Dispatcher(gate.run, Limits(in_flight=3, per_company=2))
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


def test_a_single_record_of_one_company_does_not_wait_behind_a_long_queue_of_another() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = Dispatcher(gate.run, Limits(in_flight=1, per_company=1))
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
        dispatcher = Dispatcher(gate.run, Limits())
        for offset, (key, partition) in enumerate([("a", 0), ("a", 0), ("a", 0), ("b", 1), ("b", 1)]):
            dispatcher.submit(work(offset, key, partition=partition))
        await settle()
        assert dispatcher.drop(frozenset({TopicPartition("events", 0)})) == 2
        for offset in range(5):
            await gate.end(offset)
        assert gate.finished == [0, 3, 4]

    on_a_loop(test)


def test_cancelled_work_stops_and_its_key_is_free_again() -> None:
    async def test() -> None:
        gate = Gate()
        dispatcher = Dispatcher(gate.run, Limits(in_flight=1, per_company=1))
        dispatcher.submit(work(0, "a"))
        await settle()
        dispatcher.cancel(frozenset({TopicPartition("events", 0)}))
        await settle()
        assert dispatcher.running() == 0
        dispatcher.submit(work(1, "a"))
        await gate.end(1)
        assert gate.finished == [1]

    on_a_loop(test)


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
        dispatcher = Dispatcher(run, Limits(in_flight, per_company))
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
