"""A run that is being read: on the handlers' loop, page by page, each of which waits to be published."""

import asyncio
import random
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from consumer.broker.port import Broker, TopicPartition
from consumer.engine.clock import Clock
from consumer.engine.retry import RetryPolicy
from consumer.exceptions import BrokerError, UpstreamError
from consumer.model.codec import Codec
from consumer.model.events import Event, SyncCommand
from consumer.model.results import RunMarker
from consumer.runs.endings import failure_words
from consumer.runs.published import before_ms, published_by
from consumer.runs.reading import read_pages
from consumer.sync.company import Companies
from consumer.topics import TopicNames


log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunnerConfig:
    """Names, how long an upstream that does not answer is tried, and how long a broker is waited for."""

    group: str
    transactional_id: str
    topics: TopicNames
    instance_id: str | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    clock: Clock = field(default_factory=Clock)
    outage_s: float = 300.0


@dataclass(slots=True)
class Run:
    """A command under way, where it stands, and whom it has published."""

    command: SyncCommand
    partition: TopicPartition
    epoch: int
    offset: int
    marker: RunMarker
    published: set[str] = field(default_factory=set)
    reading: Future[None] | None = None

    def cancel(self) -> None:
        """Stop reading."""
        if self.reading is not None:
            self.reading.cancel()


class Page(NamedTuple):
    """Events that were read, and who waits until they are published."""

    run: Run
    events: Sequence[Event]
    taken: asyncio.Future[None]


class End(NamedTuple):
    """Nothing more comes of a run; ``why`` says what is in the way, None if all was read."""

    run: Run
    why: str | None


class RunReader:
    """Reads runs, and hands over what comes of it; the next page is read once one is taken.

    A BrokerError is handed over if it cannot be found out what a run has published before.
    """

    def __init__(  # noqa: PLR0917 - made in one place
        self,
        broker: Broker,
        codec: Codec,
        config: RunnerConfig,
        companies: Companies,
        loop: asyncio.AbstractEventLoop,
        hand_over: Callable[[Page | End | BrokerError], None],
    ) -> None:
        self._broker = broker
        self._codec = codec
        self._config = config
        self._companies = companies
        self._loop = loop
        self._hand_over = hand_over
        self._rng = random.Random()  # noqa: S311 - jitter is no secret

    def start(self, run: Run, *, is_resumed: bool) -> None:
        """Begin to read. One that another process has begun is read anew, but for what is published."""
        run.reading = asyncio.run_coroutine_threadsafe(self._read(run, is_resumed), self._loop)

    def taken(self, page: Page) -> None:
        """The page is published."""
        self._loop.call_soon_threadsafe(_resolve, page.taken)

    async def _read(self, run: Run, is_resumed: bool) -> None:
        run_id, company_id, why = run.command.run_id, run.command.company_id, None
        try:
            if is_resumed:
                run.published |= await asyncio.to_thread(self._published_before, run)
            config = self._config
            await read_pages(
                self._companies[company_id],
                run.command,
                lambda page: self._give(run, page),
                retry=config.retry,
                clock=config.clock,
                rng=self._rng,
            )
        except UpstreamError as error:
            log.warning("run.failed", run=run_id, company=company_id, error=str(error))
            why = failure_words(error)
        except BrokerError as error:
            self._hand_over(error)
            return
        except Exception as error:  # noqa: BLE001 - the run must end and say so
            log.error("run.fault", run=run_id, company=company_id, kind=type(error).__name__)  # noqa: TRY400
            why = f"An error of this program ({type(error).__name__})"
        self._hand_over(End(run, why))

    async def _give(self, run: Run, page: Sequence[Event]) -> None:
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._hand_over(Page(run, page, taken))
        await taken

    def _published_before(self, run: Run) -> AbstractSet[str]:
        kind = run.command.kind
        topic = self._config.topics.events_of(kind)
        return published_by(
            self._broker,
            self._codec,
            topic,
            kind,
            run_id=run.command.run_id,
            since_ms=before_ms(min(run.marker.started_at, run.command.requested_at)),
        )


def _resolve(taken: asyncio.Future[None]) -> None:
    if not taken.done():
        taken.set_result(None)
