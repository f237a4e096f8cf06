"""Parked records go back once their company can be worked for: each once, and whatever else waits."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from consumer.broker.port import Message, Position, Record, TopicPartition
from consumer.engine.deadletters import ENDING_HEADER, Ending, dead_letter, settled, settled_offset
from consumer.engine.redrive import RedriveConfig, Redriver
from consumer.metrics import EngineMetrics
from consumer.model import reasons
from consumer.model.events import UserEvent
from consumer.model.topics import user_key
from tests.engine.test_engine_stage import TOPICS, Stage, a_stage, at_work, until, user


GROUP = "redrive"
AWAY, FINE, LATER = 1, 2, 3


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with a_stage(tmp_path, 4) as made:
        yield made


@dataclass
class Scene:
    """A redriver at work; ``clear`` has the companies that can be worked for."""

    clear: set[int] = field(default_factory=set)
    stale: set[bytes | None] = field(default_factory=set)
    turns: int = 0
    redriver: Redriver | None = None

    def turn(self) -> None:
        """Count."""
        self.turns += 1


@contextmanager
def redriving(stage: Stage, scene: Scene, *, broker: Any = None, **options: Any) -> Iterator[Redriver]:
    config = RedriveConfig(
        group=GROUP,
        dead_letters=TOPICS.dead_letters,
        events=TOPICS.events,
        transactional_id=GROUP,
        **{"first_wait_s": 0.0, **options},
    )
    redriver = Redriver(
        broker or stage.broker,
        stage.codec,
        config,
        lambda company_id: company_id in scene.clear,
        lambda record: record.key in scene.stale,
        EngineMetrics.of("users", TOPICS.events),
        on_turn=scene.turn,
    )
    with at_work(redriver.run):
        yield redriver


def letter(stage: Stage, event: UserEvent, number: int, key: bytes | None = None) -> Message:
    record = Record(TOPICS.events, 0, number, 0, key or user_key(event), stage.codec.encode(event))
    return dead_letter(
        record,
        event.company_id,
        topic=TOPICS.dead_letters,
        stage="held",
        reason=reasons.upstream_unavailable("SmartBarrel"),
        at=datetime(2026, 3, 2, tzinfo=UTC),
        run_id=None,
        codec=stage.codec,
    )


def back(stage: Stage) -> Counter[int]:
    """How many records of each company are on the events' topic."""
    return Counter(int((record.key or b"0").split(b":")[0]) for record in stage.read(TOPICS.events))


def test_one_company_that_stays_away_does_not_keep_the_others_waiting(stage: Stage) -> None:
    """Letters of two companies by turns: more stretches than the commit's metadata have room for."""
    count = 1600
    stage.write(*(letter(stage, user(n, company_id=AWAY + n % 2), n) for n in range(2 * count)))
    scene = Scene({FINE})
    with redriving(stage, scene):
        until(lambda: back(stage)[FINE] == count)
    stage.write(*(letter(stage, user(90_000 + n, company_id=LATER), n) for n in range(50)))
    scene.clear = {FINE, LATER}
    with redriving(stage, scene):
        until(lambda: back(stage)[LATER] == 50)
        scene.clear = {AWAY}
        until(lambda: back(stage)[AWAY] == count, "for those who waited, wherever they were put meanwhile")
    assert back(stage) == {AWAY: count, FINE: count, LATER: 50}, "each once"


def test_while_nobody_can_be_worked_for_it_rests_however_many_wait(stage: Stage) -> None:
    stage.write(*(letter(stage, user(n, company_id=AWAY), n) for n in range(60)))
    scene = Scene()
    with redriving(stage, scene, batch=50) as redriver:
        until(lambda: sum(map(len, redriver._waiting.values())) == 60)
        before, began = scene.turns, time.monotonic()
        until(lambda: scene.turns > before + 3)
        assert time.monotonic() - began > 0.4, "a turn waits for what may come"


class ForgetfulBroker:
    """The real broker; its groups have committed offsets that the topic has not reached again."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def consumer(self, *args: Any, **options: Any) -> Any:
        """A consumer that reads from the beginning, and was further already."""
        real = self._real.consumer(*args, **options)
        asked: set[TopicPartition] = set()

        def committed(partition: TopicPartition) -> Position | None:
            # The consumer itself asks first, to know where to begin.
            is_first = partition not in asked
            asked.add(partition)
            return None if is_first else Position(500)

        real.committed = committed
        return real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def test_letters_of_a_topic_that_was_made_anew_go_back_too(stage: Stage) -> None:
    stage.write(*(letter(stage, user(n, company_id=FINE), n) for n in range(3)))
    with redriving(stage, Scene({FINE}), broker=ForgetfulBroker(stage.broker)):
        until(lambda: back(stage)[FINE] == 3)


def test_a_letter_knows_its_company_whatever_its_key(stage: Stage) -> None:
    stage.write(letter(stage, user(1, company_id=FINE), 0, key=b"77:whatever"))
    with redriving(stage, Scene({FINE})):
        until(lambda: back(stage)[77] == 1)


def test_a_transaction_holds_no_more_than_a_batch(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def noting(transact: Callable[..., None]) -> Callable[..., None]:
        def noted(self: Any, producer: Any, consumer: Any, offers: Any) -> None:
            sizes.append(sum(bool(done.messages) for offer in offers.values() for done in offer.included))
            transact(self, producer, consumer, offers)

        return noted

    from consumer.engine.commit import Committer  # noqa: PLC0415 - to be watched here only

    monkeypatch.setattr(Committer, "_transact", noting(Committer._transact))
    stage.write(*(letter(stage, user(n, company_id=1 + n % 10), n) for n in range(400)))
    with redriving(stage, Scene(set(range(1, 11))), batch=25):
        until(lambda: sum(back(stage).values()) == 400)
    assert max(sizes) <= 25


def test_a_record_that_a_newer_one_has_overtaken_is_not_published_over_it(stage: Stage) -> None:
    """The topic of users is compacted: the older event would be the one that stays."""
    stage.write(*(letter(stage, user(n, company_id=FINE), n) for n in range(4)))
    with redriving(stage, Scene({FINE}, {user_key(user(2, company_id=FINE))})):
        until(lambda: back(stage)[FINE] == 3)
        # Four letters, and what became of each.
        until(lambda: stage_position(stage) == 8)
    assert {record.key for record in stage.read(TOPICS.events)} == {
        user_key(user(n, company_id=FINE)) for n in (0, 1, 3)
    }


def stage_position(stage: Stage) -> int:
    position = stage.broker.consumer(GROUP, [TOPICS.dead_letters]).committed(
        TopicPartition(TOPICS.dead_letters, 0)
    )
    return position.offset if position else 0


def settle(stage: Stage, offset: int) -> None:
    record = stage.read(TOPICS.dead_letters)[offset]
    stage.write(settled(record, Ending.DROPPED, "Dana"))


def test_a_letter_that_a_person_has_settled_does_not_come_back(stage: Stage) -> None:
    stage.write(*(letter(stage, user(n, company_id=AWAY), n) for n in range(3)))
    scene = Scene()
    with redriving(stage, scene) as redriver:
        until(lambda: sum(map(len, redriver._waiting.values())) == 3)
        settle(stage, 1)
        until(lambda: sum(map(len, redriver._waiting.values())) == 2)
        scene.clear = {AWAY}
        until(lambda: back(stage)[AWAY] == 2)
    assert [record.key for record in stage.read(TOPICS.events)] == [
        user_key(user(n, company_id=AWAY)) for n in (0, 2)
    ]


def test_whoever_takes_over_knows_what_was_settled_before_anything_is_redriven(stage: Stage) -> None:
    """The settlement stands far behind the letter, and is read later than it."""
    count = 1200
    stage.write(*(letter(stage, user(n, company_id=FINE), n) for n in range(count)))
    settle(stage, 0)
    with redriving(stage, Scene({FINE})):
        until(lambda: back(stage)[FINE] == count - 1)
    assert user_key(user(0, company_id=FINE)) not in {record.key for record in stage.read(TOPICS.events)}


def test_what_became_of_each_letter_stands_beside_it(stage: Stage) -> None:
    stage.write(*(letter(stage, user(n, company_id=FINE), n) for n in range(2)))
    with redriving(stage, Scene({FINE}, {user_key(user(1, company_id=FINE))})):
        until(lambda: stage_position(stage) == 4)
    endings = {
        settled_offset(record): dict(record.headers)[ENDING_HEADER]
        for record in stage.read(TOPICS.dead_letters)
        if settled_offset(record) is not None
    }
    assert endings == {0: b"redriven", 1: b"stale"}
