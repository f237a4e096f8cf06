"""Settings: the last record of a company holds, in every process, from the next event on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumer.broker.embedded import EmbeddedBroker
from consumer.broker.port import Broker, Message
from consumer.model.codec import Codec
from consumer.model.settings import CompanySettings
from consumer.model.topics import company_key
from consumer.sync.settings import Settings, follow_settings, read_settings
from consumer.topics import TopicNames
from tests.runs.conftest import until


COMPANY, OTHER = 4281001, 4281002
TOPIC = TopicNames().company_settings
CODEC = Codec()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with EmbeddedBroker(tmp_path / "broker.db") as opened:
        opened.ensure_topics(TopicNames().specs())
        yield opened


def choose(broker: Broker, company_id: int, value: bytes | None) -> None:
    producer = broker.producer()
    producer.send(Message(TOPIC, company_key(company_id), value))
    producer.close()


def chosen(**choices: bool) -> bytes:
    return CODEC.encode(CompanySettings(COMPANY, **choices))  # type: ignore[arg-type]


@contextmanager
def following(broker: Broker, settings: Settings) -> Iterator[None]:
    stop, known = threading.Event(), threading.Event()

    def follow() -> None:
        follow_settings(broker, TOPIC, settings, stop=stop, caught_up=known, on_turn=lambda: None)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    assert known.wait(20)
    yield
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_a_company_that_chose_nothing_has_what_it_was_set_up_with(broker: Broker) -> None:
    settings = Settings(CODEC, [CompanySettings(COMPANY, include_sub_workers=True)])
    read_settings(broker, TOPIC, settings)
    assert settings.of(COMPANY).include_sub_workers
    assert not settings.is_chosen(COMPANY)


def test_a_company_that_nobody_set_up_has_the_safe_defaults(broker: Broker) -> None:
    settings = Settings(CODEC, [CompanySettings(COMPANY)])
    read_settings(broker, TOPIC, settings)
    assert settings.of(OTHER) == CompanySettings(OTHER)
    assert not settings.of(OTHER).autosync_users


def test_what_was_chosen_last_holds_as_a_whole(broker: Broker) -> None:
    settings = Settings(CODEC, [CompanySettings(COMPANY, include_sub_workers=True)])
    choose(broker, COMPANY, chosen(autosync_users=True))
    choose(broker, COMPANY, chosen(auto_sync_time_card=True))
    read_settings(broker, TOPIC, settings)
    assert settings.of(COMPANY) == CompanySettings(COMPANY, auto_sync_time_card=True)
    assert settings.is_chosen(COMPANY)


def test_a_change_reaches_a_process_at_work(broker: Broker) -> None:
    settings = Settings(CODEC)
    with following(broker, settings):
        choose(broker, COMPANY, chosen(autosync_users=True))
        until(lambda: settings.of(COMPANY).autosync_users)


def test_a_choice_that_is_taken_back_leaves_what_the_company_was_set_up_with(broker: Broker) -> None:
    settings = Settings(CODEC, [CompanySettings(COMPANY, include_sub_workers=True)])
    choose(broker, COMPANY, chosen(autosync_users=True))
    choose(broker, COMPANY, None)
    read_settings(broker, TOPIC, settings)
    assert settings.of(COMPANY) == CompanySettings(COMPANY, include_sub_workers=True)


def test_a_record_that_cannot_be_read_changes_nothing(broker: Broker) -> None:
    settings = Settings(CODEC)
    choose(broker, COMPANY, chosen(autosync_users=True))
    choose(broker, COMPANY, b"no settings")
    read_settings(broker, TOPIC, settings)
    assert settings.of(COMPANY).autosync_users


def test_a_deletion_of_no_companys_settings_changes_nothing(broker: Broker) -> None:
    producer = broker.producer()
    for key in (b"9" * 5000, b"nobody"):
        producer.send(Message(TOPIC, key, None))
    producer.close()
    settings = Settings(CODEC, [CompanySettings(COMPANY, include_sub_workers=True)])
    read_settings(broker, TOPIC, settings)
    assert settings.of(COMPANY).include_sub_workers
