"""What every chaos run has: a folder, events to publish, both upstreams, a tally, and a verdict."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from consumer.broker.port import Broker, Message
from consumer.model.codec import Codec
from consumer.model.events import Event, Kind, Trigger, UserEvent
from consumer.model.results import RunMarker
from consumer.runs.commands import new_run_id
from consumer.runs.messages import page_messages
from consumer.sandbox.store import SandboxState
from consumer.topics import TopicNames
from tests.chaos import world
from tests.chaos.log import Tail, failed_roles, logged, rebalances
from tests.chaos.oracle import Effects, Findings, judge
from tests.chaos.processes import Upstream


NAMES = TopicNames()
HOLD_S = 10
"""So long is a company held before its records are parked: short, so that it happens often."""
COMPANY = json.dumps(
    [
        {
            "company_id": world.COMPANY,
            "name": "Granite Ridge",
            "smartbarrel_company_id": "granite-ridge",
            "autosync_users": True,
            "auto_sync_time_card": True,
        }
    ]
)


@dataclass
class Tally:
    """What was done, and what came of it."""

    broker: str
    seed: int
    kills: int = 0
    bounces: int = 0
    stops: int = 0
    visits: int = 0
    outages: int = 0
    replays: int = 0
    replays_killed: int = 0
    starts: int = 0
    own_ends: list[int] = field(default_factory=list)
    failed_roles: dict[str, int] = field(default_factory=dict)
    rebalances: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    events: int = 0
    results: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    parked: int = 0
    redriven: int = 0
    repeated_calls: int = 0
    seconds: float = 0.0
    settled: bool = False
    findings: Findings = field(default_factory=Findings)

    @property
    def is_clean(self) -> bool:
        """Whether nothing was lost or doubled."""
        return self.settled and self.findings.is_clean


@dataclass
class Run:
    """One run in a folder of its own."""

    folder: Path
    events: Sequence[Event]
    tally: Tally
    upstream: Upstream
    say: Callable[[str], None]
    _began: float = field(default_factory=time.monotonic)

    def settings(self, broker_url: str) -> dict[str, str]:
        """Start the upstreams; the settings of every member."""
        ports = {"CREWSYNC_METRICS_PORT": "0", "CREWSYNC_CONSOLE_PORT": "0"}
        return {
            **self.upstream.start(),
            "CREWSYNC_BROKER_URL": broker_url,
            "CREWSYNC_COMPANIES": COMPANY,
            "CREWSYNC_HOLD_S": str(HOLD_S),
            "CREWSYNC_LOG_LEVEL": "debug",
            **ports,
        }

    def publish(self, broker: Broker, batch: Sequence[Event], rng: Random) -> None:
        """Publish a batch as two runs, and a record that cannot be read, and a deletion.

        Raises BrokerError; then some of it may be there.
        """
        for kind in Kind:
            of_kind = [event for event in batch if isinstance(event, UserEvent) == (kind is Kind.USERS)]
            _publish_run(broker, kind, of_kind)
        with closing(broker.producer()) as producer:
            for value in (b"no event", None):
                key = f"{world.COMPANY}:{rng.random()}".encode()
                producer.send(Message(NAMES.user_events, key, value))

    def is_settled(self, tail: Tail) -> bool:
        """Whether each event has its result, and all that was parked has come back and had its effect.

        An effect that is lost for good keeps a run from coming to rest.
        """
        if not tail.has_all_results:
            return False
        return judge(tail.places, tail.results, world.expected(tail.events), self._effects()).lost == 0

    def _effects(self) -> Effects:
        state = SandboxState(self.folder / "sandbox.db")
        contacts = [one for one in state.people() if one["user_id"] is None]
        return Effects(state.workers(), contacts, state.timecard_entries())

    def judge(self, broker: Broker) -> None:
        """Read everything, and compare."""
        tail, tally = Tail(), self.tally
        tail.read_all(broker)
        effects = self._effects()
        tally.findings = judge(
            tail.places,
            tail.results,
            world.expected(tail.events),
            effects,
            log_differs=sorted((logs := logged(self.folder / "var")) - tail.subjects)
            + sorted(tail.subjects - logs),
        )
        tally.events, tally.results = len(tail.places), len(tail.results)
        tally.outcomes = dict(sorted(tail.outcomes.items()))
        tally.parked, tally.redriven = tail.parked, tail.redriven
        writes = SandboxState(self.folder / "sandbox.db").writes()
        creations = [one for one in writes if one.method == "POST"]
        tally.repeated_calls = len(creations) - effects.count
        tally.faults = self.upstream.counts()
        tally.rebalances = rebalances(self.folder)
        tally.failed_roles = dict(failed_roles(self.folder))
        tally.seconds = time.monotonic() - self._began


def counts(tail: Tail) -> str:
    """How far it has come."""
    return (
        f"{len(tail.places)} events, {len(tail.results)} results, "
        f"{tail.parked} parked, {tail.redriven} redriven"
    )


def _publish_run(broker: Broker, kind: Kind, events: Sequence[Event]) -> None:
    marker = RunMarker(
        world.COMPANY, kind, new_run_id(), Trigger.MANUAL, "chaos", datetime.now(UTC), len(events)
    )
    with closing(broker.transactional_producer(f"chaos-run-{marker.run_id}")) as producer:
        producer.begin()
        for message in page_messages(marker, events, NAMES, Codec()):
            producer.send(message)
        producer.commit()
