"""Runs chaos: on Apache Kafka with several members, on the embedded broker with one process."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Thread

from consumer.broker.connect import connect
from consumer.broker.port import Broker, Message
from consumer.config import Config
from consumer.exceptions import BrokerError
from consumer.model.codec import Codec
from consumer.model.events import Event, Kind, UserEvent
from consumer.runs.publish import Publisher, marker_of
from consumer.sandbox.store import SandboxState
from consumer.topics import TopicNames
from tests.chaos import world
from tests.chaos.log import Tail, logged, rebalances, settings
from tests.chaos.oracle import Findings, judge
from tests.chaos.processes import Kafka, Member, Upstream
from tests.chaos.schedule import Action, Plan, schedule


SCRIPT = Path(__file__).parents[2] / "deploy" / "kafka" / "kafka.sh"
COMPANY = json.dumps(
    [{"company_id": world.COMPANY, "name": "Granite Ridge", "smartbarrel_company_id": "granite-ridge"}]
)
TICK_S = 0.05
SAY_EVERY_S = 5.0
SETTLE_S = 300.0
NAMES = TopicNames()


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
    starts: int = 0
    own_ends: list[int] = field(default_factory=list)
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

    def publish(self, broker: Broker, batch: Sequence[Event], rng: Random) -> None:
        """Publish a batch as two runs, with a record that cannot be read and a deletion. Raises BrokerError."""
        publisher = Publisher(broker, Codec(), NAMES)
        for kind in Kind:
            of_kind = [event for event in batch if isinstance(event, UserEvent) == (kind is Kind.USERS)]
            publisher.publish(marker_of(world.COMPANY, kind, of_kind, "chaos"), of_kind)
        with closing(broker.producer()) as producer:
            producer.send(Message(NAMES.user_events, f"{world.COMPANY}:{rng.random()}".encode(), b"no event"))
            producer.send(Message(NAMES.user_events, f"{world.COMPANY}:{rng.random()}".encode(), None))

    def judge(self, broker: Broker) -> None:
        """Read everything, and compare."""
        tail, tally = Tail(), self.tally
        tail.read_all(broker)
        state = SandboxState(self.folder / "sandbox.db")
        tally.findings = judge(
            tail.places,
            tail.results,
            world.expected(tail.events),
            {
                "workers": state.workers(),
                "people": state.people(),
                "entries": state.timecard_entries(),
            },
            logged(self.folder / "var" / "sync-logs"),
            tail.subjects,
        )
        tally.events, tally.results = len(tail.places), len(tail.results)
        tally.outcomes = dict(sorted(tail.outcomes.items()))
        tally.parked, tally.redriven = tail.parked, tail.redriven
        made = len(state.workers()) + len(state.people()) + len(state.timecard_entries())
        creations = [one for one in state.writes() if one.method == "POST"]
        tally.repeated_calls = len(creations) - made
        tally.faults = self.upstream.counts()
        tally.rebalances = rebalances(self.folder)
        tally.seconds = time.monotonic() - self._began


def on_kafka(run: Run, plan: Plan, seed: int) -> None:
    """Several members and a sink on Apache Kafka."""
    kafka = Kafka(run.folder / "kafka", SCRIPT)
    members: list[Member] = []
    try:
        url = kafka.start()
        common = settings(run.upstream.start(), url, COMPANY) | _metrics_off()
        members += [
            Member(
                f"member-{number}",
                ("users", "timesheets"),
                run.folder,
                common | {"CREWSYNC_INSTANCE_ID": f"m{number}"},
            )
            for number in range(plan.members - 1)
        ]
        members.append(Member("sink", ("sink",), run.folder, common))
        with connect(url) as broker:
            broker.ensure_topics(NAMES.specs())
            _work(run, plan, seed, kafka, members, broker)
        for member in members:
            member.ask_to_end()
        for member in members:
            member.end()
        with connect(url) as broker:
            run.judge(broker)
    finally:
        for member in members:
            run.tally.starts += member.starts
            run.tally.own_ends += member.own_ends
            member.kill()
        run.upstream.end()
        kafka.end()


def _work(run: Run, plan: Plan, seed: int, kafka: Kafka, members: list[Member], broker: Broker) -> None:
    rng = Random(seed)
    todo = list(schedule(plan, seed))
    batches = _batches(run.events, plan.duration_s)
    began, tail, bouncing = time.monotonic(), Tail(), None
    visitors: list[tuple[float, Member]] = []
    reader, said, settled_since = None, 0.0, None
    while True:
        now = time.monotonic() - began
        for member in members:
            member.tend()
        while (
            todo and todo[0].at <= now and not (bouncing and bouncing.is_alive() and todo[0].what == "bounce")
        ):
            action = todo.pop(0)
            if action.what == "bounce":
                # In a thread, so that the others go on meanwhile.
                bouncing = Thread(target=kafka.bounce)
                bouncing.start()
                run.tally.bounces += 1
            else:
                _act(action, now, run, members, visitors)
        visitors = _tend_visitors(now, visitors, run)
        if batches and batches[0][0] <= now:
            with suppress(BrokerError):
                run.publish(broker, batches[0][1], rng)
                batches.pop(0)
        with suppress(BrokerError):
            reader = reader or tail.open(broker)
            tail.follow(reader)
        if now - said >= SAY_EVERY_S:
            said = now
            run.say(_progress(now, plan, run.tally, tail))
        if now > plan.duration_s and not todo and not batches and not visitors:
            run.upstream.set_mode("none")
            if not tail.is_settled:
                settled_since = None
            elif settled_since is None:
                settled_since = now
            run.tally.settled = settled_since is not None and now - settled_since > SINK_S
            if run.tally.settled or now > plan.duration_s + SETTLE_S:
                break
        time.sleep(TICK_S)
    if bouncing is not None:
        bouncing.join()
    if reader is not None:
        reader.close()


SINK_S = 3.0
"""How long all must be quiet before the run is over; the sink has its last records by then."""


def _act(
    action: Action, now: float, run: Run, members: Sequence[Member], visitors: list[tuple[float, Member]]
) -> None:
    tally, member = run.tally, members[action.who]
    if action.what == "kill":
        # One that is being started cannot be killed yet; any other will do.
        tally.kills += member.kill() or any(other.kill() for other in members)
    elif action.what == "stop":
        tally.stops += member.freeze(action.lasts_s)
    elif action.what == "visit":
        tally.visits += 1
        plain = {name: value for name, value in members[0].settings.items() if name != "CREWSYNC_INSTANCE_ID"}
        visitor = Member(f"visitor-{tally.visits}", ("users", "timesheets"), run.folder, plain)
        visitor.start()
        visitors.append((now + action.lasts_s, visitor))
    else:
        tally.outages += 1
        run.upstream.set_mode(action.what)
        Thread(target=_end_outage, args=(run.upstream, action.lasts_s), daemon=True).start()


def _end_outage(upstream: Upstream, after_s: float) -> None:
    time.sleep(after_s)
    upstream.set_mode("mixed")


def _tend_visitors(
    now: float, visitors: Sequence[tuple[float, Member]], run: Run
) -> list[tuple[float, Member]]:
    stay = []
    for until, visitor in visitors:
        if now >= until:
            visitor.ask_to_end()
        if visitor.is_running and now < until + 60:
            stay.append((until, visitor))
        else:
            visitor.kill()
            run.tally.starts += visitor.starts
    return stay


def on_embedded(run: Run, plan: Plan, seed: int) -> None:
    """One process after the other on the embedded broker; its kill is the broker's too."""
    rng = Random(seed)
    url = f"embedded:{run.folder / 'broker.db'}"
    member = Member("all", (), run.folder, settings(run.upstream.start(), url, COMPANY) | _metrics_off())
    parts = [run.events[start :: plan.kills + 1] for start in range(plan.kills + 1)]
    said = 0.0
    try:
        for number, part in enumerate(parts):
            with connect(url) as broker:
                broker.ensure_topics(NAMES.specs())
                run.publish(broker, part, rng)
            member.start()
            if number == plan.kills:
                break
            until = time.monotonic() + rng.uniform(1.0, 2.0 * plan.duration_s / plan.kills - 1.0)
            run.upstream.set_mode("mixed" if rng.random() > plan.outages / plan.kills else "denied")
            run.tally.outages += (run.folder / "mode").read_text("utf-8") == "denied"
            if rng.random() < plan.stops / plan.kills:
                time.sleep(max(0.0, (until - time.monotonic()) / 2))
                run.tally.stops += member.freeze(1.0)
            while time.monotonic() < until:
                time.sleep(TICK_S)
            run.tally.kills += member.kill()
            run.tally.bounces = run.tally.kills
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                run.say(f"{run.tally.kills} of {plan.kills} kills")
        _settle_embedded(run, member, url)
    finally:
        run.tally.starts += member.starts
        member.kill()
        run.upstream.end()


def _settle_embedded(run: Run, member: Member, url: str) -> None:
    """Let the last process work for as long as it takes, looking at the file between its drains."""
    run.upstream.set_mode("none")
    deadline = time.monotonic() + SETTLE_S
    while not run.tally.settled and time.monotonic() < deadline:
        time.sleep(8.0)
        member.ask_to_end()
        member.end()
        tail = Tail()
        with connect(url) as broker:
            tail.read_all(broker)
            run.tally.settled = tail.is_settled
            run.say(_counts(tail))
            if run.tally.settled:
                run.judge(broker)
                return
        member.start()
    member.kill()
    with connect(url) as broker:
        run.judge(broker)


def _metrics_off() -> dict[str, str]:
    return {"CREWSYNC_METRICS_PORT": "0"} if "metrics_port" in Config.model_fields else {}


def _batches(events: Sequence[Event], duration_s: float) -> list[tuple[float, Sequence[Event]]]:
    """The events in bursts, so that there is always a backlog."""
    size = max(50, len(events) // max(1, int(duration_s / 8)))
    parts = [events[start : start + size] for start in range(0, len(events), size)]
    return [(number * duration_s * 0.95 / len(parts), part) for number, part in enumerate(parts)]


def _progress(now: float, plan: Plan, tally: Tally, tail: Tail) -> str:
    return (
        f"{now:5.0f} s of {plan.duration_s:.0f}: {tally.kills} kills, {tally.bounces} bounces, "
        f"{tally.stops} stops, {tally.visits} visits; {_counts(tail)}"
    )


def _counts(tail: Tail) -> str:
    return f"{len(tail.places)} events, {len(tail.results)} results, {tail.parked} parked, {tail.redriven} redriven"


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
