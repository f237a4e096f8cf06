"""What is read from upstream is kept: one read per key at a time, for a time, and only if it worked."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from consumer.sync.readthrough import ReadThrough


class Source:
    """Counts the reads of each key; a read ends when the test lets it, and fails if told to."""

    def __init__(self) -> None:
        self.reads: list[str] = []
        self.now = 1000.0
        self.gate: asyncio.Event | None = None
        self.failures = 0

    async def read(self, key: str) -> str:
        self.reads.append(key)
        number = len(self.reads)
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise OSError(key)
        return f"{key}{number}"

    def kept(self, *, keep_s: float = 100.0, most: int = 10) -> ReadThrough[str, str]:
        return ReadThrough(self.read, keep_s=keep_s, most=most, clock=lambda: self.now)


@pytest.fixture
def source() -> Source:
    return Source()


def on_a_loop(test: Callable[[], Awaitable[None]]) -> None:
    async def body() -> None:
        await asyncio.wait_for(test(), 10)

    asyncio.run(body())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_a_value_is_read_once_and_kept_for_its_time(source: Source) -> None:
    async def test() -> None:
        kept = source.kept(keep_s=100)
        assert [await kept.get("a"), await kept.get("b"), await kept.get("a")] == ["a1", "b2", "a1"]
        source.now += 100
        assert await kept.get("a") == "a1"
        source.now += 0.1
        assert await kept.get("a") == "a3"

    on_a_loop(test)


def test_a_hundred_who_ask_at_the_same_time_share_one_read(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        source.gate = asyncio.Event()
        asked = [asyncio.ensure_future(kept.get("a")) for _ in range(100)]
        await settle()
        source.gate.set()
        assert await asyncio.gather(*asked) == ["a1"] * 100
        assert source.reads == ["a"]

    on_a_loop(test)


def test_other_keys_are_read_meanwhile(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        source.gate = asyncio.Event()
        asked = [asyncio.ensure_future(kept.get(key)) for key in "ab"]
        await settle()
        assert source.reads == ["a", "b"]
        source.gate.set()
        await asyncio.gather(*asked)

    on_a_loop(test)


def test_after_renew_everything_is_read_anew_once(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        await kept.get("a")
        await kept.get("b")
        source.now += 1
        kept.renew()
        assert [await kept.get("a"), await kept.get("b"), await kept.get("a")] == ["a3", "b4", "a3"]

    on_a_loop(test)


def test_what_was_being_read_when_renew_was_called_is_not_taken_for_new(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        source.gate = asyncio.Event()
        asked = asyncio.ensure_future(kept.get("a"))
        await settle()
        source.now += 1
        kept.renew()
        source.gate.set()
        await asked
        assert await kept.get("a") == "a2"

    on_a_loop(test)


def test_a_caller_who_waits_for_a_read_from_before_renew_gets_a_new_one(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        source.gate = asyncio.Event()
        before = asyncio.ensure_future(kept.get("a"))
        await settle()
        source.now += 1
        kept.renew()
        after = asyncio.ensure_future(kept.get("a"))
        await settle()
        source.gate.set()
        await before
        assert await after == "a2"

    on_a_loop(test)


def test_a_caller_may_ask_for_something_younger(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        await kept.get("a")
        source.now += 10
        assert await kept.get("a", younger_than_s=10) == "a1"
        assert await kept.get("a", younger_than_s=9) == "a2"
        assert await kept.get("a") == "a2"

    on_a_loop(test)


def test_a_read_that_fails_is_not_kept_and_the_next_caller_tries_again(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        source.failures = 1
        with pytest.raises(OSError, match="a"):
            await kept.get("a")
        assert await kept.get("a") == "a2"

    on_a_loop(test)


def test_a_read_that_fails_leaves_the_old_value_for_those_whom_it_is_new_enough_for(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        await kept.get("a")
        source.now += 10
        source.failures = 1
        with pytest.raises(OSError, match="a"):
            await kept.get("a", younger_than_s=1)
        assert await kept.get("a") == "a1"

    on_a_loop(test)


def test_no_more_keys_are_kept_than_allowed_and_the_oldest_goes_first(source: Source) -> None:
    async def test() -> None:
        kept = source.kept(most=3)
        for key in "abcd":
            await kept.get(key)
        assert [await kept.get(key) for key in "bcd"] == ["b2", "c3", "d4"]
        assert (len(kept._kept), kept._turns) == (3, {})
        assert await kept.get("a") == "a5"

    on_a_loop(test)


def test_a_value_that_was_read_anew_is_not_the_oldest(source: Source) -> None:
    async def test() -> None:
        kept = source.kept(most=2)
        for key in "ab":
            await kept.get(key)
        source.now += 1
        await kept.get("a", younger_than_s=0.5)
        await kept.get("c")
        assert await kept.get("a") == "a3"

    on_a_loop(test)


def test_nothing_is_remembered_of_keys_whose_reads_fail(source: Source) -> None:
    """Keys come from events: a stream of wrong ones must not fill the memory."""

    async def test() -> None:
        kept = source.kept(most=3)
        source.failures = 1000
        for number in range(1000):
            with pytest.raises(OSError, match="key"):
                await kept.get(f"key{number}")
        assert (kept._kept, kept._turns, kept._broken_off) == ({}, {}, {})

    on_a_loop(test)


def test_a_hundred_who_miss_somebody_share_one_new_read(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        await kept.get("a")
        source.now += 61
        source.gate = asyncio.Event()
        asked = [asyncio.ensure_future(kept.get("a", younger_than_s=60)) for _ in range(100)]
        await settle()
        source.gate.set()
        assert await asyncio.gather(*asked) == ["a2"] * 100
        assert source.reads == ["a", "a"]

    on_a_loop(test)


def test_those_who_wait_for_a_read_that_fails_are_told_the_same_and_make_no_other(source: Source) -> None:
    """A limit that is reached would otherwise be asked a hundred times more."""

    async def test() -> None:
        kept = source.kept()
        source.gate, source.failures = asyncio.Event(), 1
        asked = [asyncio.ensure_future(kept.get("a")) for _ in range(100)]
        await settle()
        source.gate.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [OSError] * 100
        assert source.reads == ["a"]
        assert await kept.get("a") == "a2", "but who comes later tries again"

    on_a_loop(test)


def test_who_comes_after_a_read_failed_tries_again_even_if_others_are_not_told_yet(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        source.gate, source.failures = asyncio.Event(), 1
        asked = [asyncio.ensure_future(kept.get("a")) for _ in range(100)]
        await settle()
        source.gate.set()
        await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert not all(one.done() for one in asked)
        assert await kept.get("a") == "a2"
        await asyncio.wait(asked)
        assert {type(one.exception()) for one in asked} == {OSError}

    on_a_loop(test)


def test_a_reader_who_is_cancelled_hands_over_to_the_next(source: Source) -> None:
    async def test() -> None:
        kept = source.kept()
        source.gate = asyncio.Event()
        reader, other = (asyncio.ensure_future(kept.get("a")) for _ in range(2))
        await settle()
        reader.cancel()
        source.gate.set()
        assert await other == "a2"

    on_a_loop(test)


def test_of_one_key_there_is_never_more_than_one_reader(source: Source) -> None:
    """Whoever comes while those who waited for a failed read are told so must not be a second reader."""
    reading, most = 0, 0

    async def read(_: str) -> str:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await settle()
        reading -= 1
        raise OSError

    async def test() -> None:
        kept = ReadThrough(read, clock=lambda: source.now)
        asked = []
        for _ in range(50):
            asked.append(asyncio.ensure_future(kept.get("a")))
            await asyncio.sleep(0)
        await asyncio.gather(*asked, return_exceptions=True)
        assert most == 1

    on_a_loop(test)


def test_what_is_kept_is_shown_without_reading_however_old(source: Source) -> None:
    async def test() -> None:
        kept = source.kept(keep_s=1)
        assert kept.kept("a") is None
        await kept.get("a")
        source.now += 100
        assert (kept.kept("a"), source.reads) == ("a1", ["a"])

    on_a_loop(test)


# ------------------------------------------------------------------ readings that are gone on with


class Steps:
    """A reading of three steps; the source fails between them as often as it is told."""

    def __init__(self, source: Source, key: str) -> None:
        self.source = source
        self.key = key
        self.done = 0

    async def go_on(self) -> str:
        while self.done < 3:
            await self.source.read(self.key)
            self.done += 1
        return f"{self.key} of {self.source.now:.0f}"


def going_on(source: Source, most: int = 10) -> ReadThrough[str, str]:
    return ReadThrough.going_on(
        lambda key: Steps(source, key).go_on, go_on_s=300, keep_s=3600, most=most, clock=lambda: source.now
    )


async def break_off(source: Source, kept: ReadThrough[str, str], after: int = 2) -> None:
    source.reads.clear()
    source.gate = asyncio.Event()
    reader = asyncio.ensure_future(kept.get("a"))
    await settle()
    for _ in range(after):
        source.gate.set()
        source.gate = asyncio.Event()
        await settle()
    reader.cancel()
    await asyncio.wait([reader])
    source.gate = None


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_a_reading_that_broke_off_is_gone_on_with(source: Source, is_cancelled: bool) -> None:
    async def test() -> None:
        kept = going_on(source)
        if is_cancelled:
            await break_off(source, kept)
        else:
            source.failures = 1
            with pytest.raises(OSError, match="a"):
                await kept.get("a")
        begun = len(source.reads)
        source.now += 299
        await kept.get("a")
        assert len(source.reads) - begun == (1 if is_cancelled else 3)

    on_a_loop(test)


@pytest.mark.parametrize("is_renewed", [True, False])
def test_a_reading_that_broke_off_too_long_ago_or_before_renew_is_begun_anew(
    source: Source, is_renewed: bool
) -> None:
    async def test() -> None:
        kept = going_on(source)
        await break_off(source, kept)
        source.now += 1 if is_renewed else 301
        if is_renewed:
            kept.renew()
        begun = len(source.reads)
        await kept.get("a")
        assert len(source.reads) - begun == 3

    on_a_loop(test)


def test_a_reading_that_was_gone_on_with_is_as_old_as_its_beginning(source: Source) -> None:
    async def test() -> None:
        kept = going_on(source)
        await break_off(source, kept)
        source.now += 200
        await kept.get("a")
        begun = len(source.reads)
        await kept.get("a", younger_than_s=201)
        assert len(source.reads) == begun
        await kept.get("a", younger_than_s=199)
        assert len(source.reads) == begun + 3

    on_a_loop(test)


def test_no_more_broken_readings_are_kept_than_allowed(source: Source) -> None:
    async def test() -> None:
        kept = going_on(source, most=3)
        source.failures = 100
        for number in range(100):
            with pytest.raises(OSError, match="key"):
                await kept.get(f"key{number}")
        assert len(kept._broken_off) == 3

    on_a_loop(test)
