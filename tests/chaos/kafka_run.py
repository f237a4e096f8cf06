"""Chaos on Apache Kafka: members that are killed, stopped and joined, and a broker that bounces."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from threading import Thread

from consumer.broker.connect import connect
from consumer.broker.port import Broker, Reader
from consumer.exceptions import BrokerError
from consumer.model.events import Event
from tests.chaos.log import Tail
from tests.chaos.processes import Kafka, Member
from tests.chaos.replays import Replays
from tests.chaos.run import NAMES, Run, counts
from tests.chaos.schedule import Action, Plan, schedule


SCRIPT = Path(__file__).parents[2] / "deploy" / "kafka" / "kafka.sh"
TICK_S = 0.05
SAY_EVERY_S = 5.0
SETTLE_S = 600.0
LOOK_EVERY_S = 1.0
QUIET_S = 3.0
"""How long all must be quiet before the run is over; the sink has its last records by then."""
VISIT_DRAIN_S = 60.0
BURST_S = 8.0
REPLAY_AGAIN_S = 3.0


def on_kafka(run: Run, plan: Plan, seed: int) -> None:
    """Do all that the plan says, wait until it has come to rest, and judge."""
    kafka = Kafka(run.folder / "kafka", SCRIPT)
    members: list[Member] = []
    try:
        url = kafka.start()
        common = run.settings(url)
        for number in range(plan.members - 1):
            own = common | {"CREWSYNC_INSTANCE_ID": f"m{number}"}
            members.append(Member(f"member-{number}", ("users", "timesheets"), run.folder, own))
        members.append(Member("sink", ("sink",), run.folder, common))
        with connect(url) as broker:
            broker.ensure_topics(NAMES.specs())
            replays = Replays(run.folder, common, Random(seed))
            try:
                _Turmoil(run, plan, kafka, members, replays, broker, seed).last()
            finally:
                replays.kill()
                run.tally.replays, run.tally.replays_killed = replays.starts, replays.kills
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


@dataclass
class _Turmoil:
    """The time during which things happen. ``now`` is in seconds since its beginning."""

    run: Run
    plan: Plan
    kafka: Kafka
    members: Sequence[Member]
    replays: Replays
    broker: Broker
    seed: int
    tail: Tail = field(default_factory=Tail)
    now: float = 0.0
    _reader: Reader | None = None
    _visitors: list[tuple[float, Member]] = field(default_factory=list)
    _bouncing: Thread | None = None
    _mixed_again: float | None = None
    _quiet_since: float | None = None
    _looked_at: float = 0.0

    def __post_init__(self) -> None:
        """Make the schedule."""
        self._rng = Random(self.seed)
        self._todo = list(schedule(self.plan, self.seed))
        self._batches = bursts(self.run.events, self.plan.duration_s)

    def last(self) -> None:
        """Let it happen, until everything is over and at rest, or does not come to rest."""
        began, said = time.monotonic(), 0.0
        while not self._is_over():
            self.now = time.monotonic() - began
            for member in self.members:
                member.tend()
            self._act_on_schedule()
            self.replays.tend()
            self._tend_visitors()
            self._publish()
            self._follow()
            if self.now - said >= SAY_EVERY_S:
                said = self.now
                self.run.say(self._progress())
            time.sleep(TICK_S)
        if self._bouncing is not None:
            self._bouncing.join()
        if self._reader is not None:
            self._reader.close()

    def _is_over(self) -> bool:
        if self.now < self.plan.duration_s or self._todo or self._batches or self._visitors:
            return False
        if self.replays.is_running:
            return False
        self.run.upstream.set_mode("none")
        if self.now - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = self.now
        if not self.run.is_settled(self.tail):
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = self.now
        self.run.tally.settled = self._quiet_since is not None and self.now - self._quiet_since > QUIET_S
        return self.run.tally.settled or self.now > self.plan.duration_s + SETTLE_S

    def _act_on_schedule(self) -> None:
        if self._mixed_again is not None and self.now > self._mixed_again:
            self._mixed_again = None
            self.run.upstream.set_mode("mixed")
        while self._todo and self._todo[0].at <= self.now:
            if self._todo[0].what == "replay" and self.replays.is_running:
                later = replace(self._todo.pop(0), at=self.now + REPLAY_AGAIN_S)
                self._todo = sorted([*self._todo, later], key=lambda action: action.at)
                continue
            if self._todo[0].what == "bounce" and self._bouncing is not None and self._bouncing.is_alive():
                return
            self._act(self._todo.pop(0))

    def _act(self, action: Action) -> None:
        tally, member = self.run.tally, self.members[action.who]
        match action.what:
            case "bounce":
                tally.bounces += 1
                # In a thread, so that the others go on meanwhile.
                self._bouncing = Thread(target=self.kafka.bounce)
                self._bouncing.start()
            case "replay":
                self.replays.start()
            case "kill":
                # One that is being started cannot be killed yet; any other will do.
                tally.kills += member.kill() or any(other.kill() for other in self.members)
            case "stop":
                tally.stops += member.freeze(action.lasts_s)
            case "visit":
                tally.visits += 1
                settings = {name: v for name, v in member.settings.items() if name != "CREWSYNC_INSTANCE_ID"}
                name = f"visitor-{tally.visits}"
                visitor = Member(name, ("users", "timesheets"), self.run.folder, settings)
                visitor.start()
                self._visitors.append((self.now + action.lasts_s, visitor))
            case outage:
                tally.outages += 1
                self.run.upstream.set_mode(outage)
                self._mixed_again = self.now + action.lasts_s

    def _tend_visitors(self) -> None:
        stay = []
        for until, visitor in self._visitors:
            if self.now >= until:
                visitor.ask_to_end()
            if visitor.is_running and self.now < until + VISIT_DRAIN_S:
                stay.append((until, visitor))
            else:
                visitor.kill()
                self.run.tally.starts += visitor.starts
        self._visitors = stay

    def _publish(self) -> None:
        if self._batches and self._batches[0][0] <= self.now:
            # What fails is published once more; each record that is there is an event of its own.
            with suppress(BrokerError):
                self.run.publish(self.broker, self._batches[0][1], self._rng)
                self._batches.pop(0)

    def _follow(self) -> None:
        with suppress(BrokerError):
            self._reader = self._reader or self.tail.open(self.broker)
            self.tail.follow(self._reader)

    def _progress(self) -> str:
        tally = self.run.tally
        return (
            f"{self.now:5.0f} s of {self.plan.duration_s:.0f}: {tally.kills} kills, {tally.bounces} bounces, "
            f"{tally.stops} stops, {tally.visits} visits; {counts(self.tail)}"
        )


def bursts(events: Sequence[Event], duration_s: float) -> list[tuple[float, Sequence[Event]]]:
    """The events in bursts, each with its second, so that there is always a backlog."""
    size = max(50, int(len(events) * BURST_S / duration_s))
    parts = [events[start : start + size] for start in range(0, len(events), size)]
    return [(number * duration_s * 0.95 / len(parts), part) for number, part in enumerate(parts)]
