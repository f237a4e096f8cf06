"""What each company has chosen: its last record on ``company-settings``, else what it was set up with."""

import threading
import time
from collections.abc import Callable, Iterable

import structlog

from consumer.broker.port import Broker, Record
from consumer.broker.table import Table
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.settings import CompanySettings
from consumer.model.topics import company_of_key


log = structlog.get_logger(__name__)

_FOLLOW_S = 0.5


class Settings:
    """The settings of all companies. One thread follows the topic, any thread may ask."""

    def __init__(self, codec: Codec, initial: Iterable[CompanySettings] = ()) -> None:
        self._codec = codec
        self._initial = {one.company_id: one for one in initial}
        self._chosen: dict[int, CompanySettings] = {}

    def of(self, company_id: int) -> CompanySettings:
        """The company's settings as they are now; safe defaults for one that nobody has set up."""
        chosen = self._chosen.get(company_id) or self._initial.get(company_id)
        return chosen or CompanySettings(company_id)

    def is_chosen(self, company_id: int) -> bool:
        """Whether the settings are on the topic, rather than what the company was set up with."""
        return company_id in self._chosen

    def apply(self, record: Record) -> None:
        """Take over a record of the topic; one that cannot be read changes nothing."""
        key = (record.key or b"").decode(errors="replace")
        if record.value is None:
            self._drop(company_of_key(record.key))
            return
        try:
            settings = self._codec.decode(record.value, CompanySettings)
        except SchemaError as error:
            log.warning("settings.undecodable", key=key, offset=record.offset, error=str(error))
            return
        self._chosen[settings.company_id] = settings
        log.debug("settings.chosen", company=settings.company_id)

    def _drop(self, company_id: int | None) -> None:
        if company_id in self._chosen:
            del self._chosen[company_id]
            log.debug("settings.initial", company=company_id)

    def say_defaults(self) -> None:
        """Tell of the companies that have chosen nothing."""
        for company_id in sorted(self._initial.keys() - self._chosen.keys()):
            log.info("settings.initial", company=company_id)


def read_settings(broker: Broker, topic: str, settings: Settings) -> None:
    """Read the topic as it is now. Raises BrokerError, TopicMissing."""
    table = Table(broker, topic, settings.apply)
    try:
        table.catch_up(time.monotonic)
    finally:
        table.close()


def follow_settings(
    broker: Broker,
    topic: str,
    settings: Settings,
    *,
    stop: threading.Event,
    caught_up: threading.Event,
    on_turn: Callable[[], None],
) -> None:
    """Keep the settings level with the topic until ``stop`` is set. Raises BrokerError."""
    table = Table(broker, topic, settings.apply)
    try:
        table.catch_up(time.monotonic, on_turn=on_turn)
        if not caught_up.is_set():
            settings.say_defaults()
            caught_up.set()
        while not stop.is_set():
            on_turn()
            table.follow(_FOLLOW_S)
    finally:
        table.close()
