"""What pages and API are made from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consumer.broker.port import Broker
from consumer.console.access import Access
from consumer.console.live import Live
from consumer.engine.state import EngineState
from consumer.model.codec import Codec
from consumer.sink.sink import SinkState
from consumer.sync.settings import Settings
from consumer.topics import TopicNames


@dataclass(frozen=True, slots=True)
class Budget:
    """Calls that an upstream allows a company, as this process was told last; None if it was not."""

    system: str
    limit: float
    remaining: float


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything comes from. ``companies`` has the names by id; ``who`` asks where nobody logs in."""

    broker: Broker
    codec: Codec
    topics: TopicNames
    companies: Mapping[int, str]
    settings: Settings
    log_dir: Path
    live: Live
    access: Access
    who: str
    engine_states: Callable[[], Mapping[str, EngineState | None]]
    sink_state: Callable[[], SinkState | None]
    budgets: Callable[[], Mapping[int, Sequence[Budget]]] = field(default=dict)
