"""Dead letters at the hands of a person: each goes back once, whoever else looks at it."""

from datetime import UTC, datetime

from consumer.broker.port import Headers, Message, Record
from consumer.engine.deadletters import SETTLED_HEADER, Ending, dead_letter, settled
from consumer.engine.links import Links
from consumer.model import reasons
from consumer.model.links import Link, LinkKind
from consumer.model.topics import user_key
from consumer.runs.dead_letters import Settlement, unsettled
from consumer.runs.replay import revision_number
from tests.runs.conftest import COMPANY, TOPICS, Stage
from tests.sync.people import another_user


def put(stage: Stage, *messages: Message) -> None:
    producer = stage.broker.producer()
    for message in messages:
        producer.send(message)
    producer.close()


def letter(stage: Stage, number: int, headers: Headers = ()) -> Message:
    event = another_user(number)
    record = Record(TOPICS.user_events, 0, number, 0, user_key(event), stage.codec.encode(event), headers)
    return dead_letter(
        record,
        COMPANY,
        topic=TOPICS.dead_letters,
        stage="held",
        reason=reasons.upstream_unavailable("SmartBarrel"),
        at=datetime(2026, 3, 2, tzinfo=UTC),
        run_id=None,
        codec=stage.codec,
    )


def settlement(stage: Stage, *links: Link) -> Settlement:
    known = Links(stage.codec)
    known.add_pending(links)
    return Settlement(stage.broker, stage.codec, TOPICS, known, "Dana")


def test_what_is_settled_while_a_person_is_asked_goes_back_no_second_time(stage: Stage) -> None:
    put(stage, letter(stage, 1), letter(stage, 2))
    letters = unsettled(stage.broker, TOPICS, stage.codec)
    first = min(stage.records(TOPICS.dead_letters), key=lambda record: record.key or b"")
    put(stage, settled(first, Ending.REDRIVEN, "crewsync"))
    endings = settlement(stage).settle(letters, lambda _: None, lambda: True)
    assert endings == {Ending.REDRIVEN: 1}
    assert len(stage.events()) == 1
    assert unsettled(stage.broker, TOPICS, stage.codec) == []


def test_what_a_newer_event_has_overtaken_is_settled_and_not_published(stage: Stage) -> None:
    put(stage, letter(stage, 1))
    newer = Link(COMPANY, LinkKind.USER, "8800101", "w", revision_number(another_user(1)) + 1, "")
    letters = unsettled(stage.broker, TOPICS, stage.codec)
    assert settlement(stage, newer).settle(letters, lambda _: None, lambda: True) == {Ending.STALE: 1}
    assert stage.events() == []


def test_a_letter_whose_event_has_our_header_is_a_letter_all_the_same(stage: Stage) -> None:
    put(stage, letter(stage, 1, headers=((SETTLED_HEADER, b"0"),)))
    assert len(unsettled(stage.broker, TOPICS, stage.codec)) == 1
