"""Chaos on the embedded broker: one process after the other, whose kill is the broker's too."""

import time
from collections.abc import Sequence
from random import Random

from consumer.broker.connect import connect
from consumer.model.events import Event
from tests.chaos.log import Tail
from tests.chaos.processes import Member
from tests.chaos.replays import Replays
from tests.chaos.run import NAMES, Run, counts
from tests.chaos.schedule import Plan


SETTLE_S = 600.0
LOOK_EVERY_S = 8.0
SHORTEST_LIFE_S = 1.0
FROZEN_S = 1.0
SAY_EVERY_S = 5.0


def on_embedded(run: Run, plan: Plan, seed: int) -> None:
    """Between two lives of the process its file is free, so that is when events are published."""
    rng = Random(seed)
    url = f"embedded:{run.folder / 'broker.db'}"
    settings = run.settings(url)
    member = Member("all", (), run.folder, settings)
    replays = Replays(run.folder, settings, rng)
    parts = [run.events[start :: plan.kills + 1] for start in range(plan.kills + 1)]
    said = time.monotonic()
    try:
        for part in parts[:-1]:
            _publish(run, url, part, rng)
            _live_and_die(run, plan, member, rng)
            if rng.random() < plan.replays / plan.kills:
                _replay(plan, replays, rng)
            if time.monotonic() - said > SAY_EVERY_S:
                said = time.monotonic()
                run.say(f"{run.tally.kills} of {plan.kills} kills")
        _publish(run, url, parts[-1], rng)
        _settle(run, member, url)
    finally:
        run.tally.starts += member.starts
        run.tally.replays, run.tally.replays_killed = replays.starts, replays.kills
        member.kill()
        replays.kill()
        run.upstream.end()


def _publish(run: Run, url: str, part: Sequence[Event], rng: Random) -> None:
    with connect(url) as broker:
        broker.ensure_topics(NAMES.specs())
        run.publish(broker, part, rng)


def _live_and_die(run: Run, plan: Plan, member: Member, rng: Random) -> None:
    """One life: perhaps in an outage, perhaps frozen for a while, and killed in the end."""
    tally = run.tally
    member.start()
    life_s = rng.uniform(SHORTEST_LIFE_S, 2 * plan.duration_s / plan.kills - SHORTEST_LIFE_S)
    if rng.random() < plan.outages / plan.kills:
        tally.outages += 1
        run.upstream.set_mode(rng.choice(("denied", "down")))
    else:
        run.upstream.set_mode("mixed")
    time.sleep(life_s / 2)
    if rng.random() < plan.stops / plan.kills:
        tally.stops += member.freeze(FROZEN_S)
        time.sleep(FROZEN_S)
        member.tend()
    time.sleep(life_s / 2)
    tally.kills += member.kill()
    tally.bounces = tally.kills


def _replay(plan: Plan, replays: Replays, rng: Random) -> None:
    """A replay has the broker for itself, and does all of the work meanwhile; it is killed, or ends."""
    replays.start()
    deadline = time.monotonic() + rng.uniform(SHORTEST_LIFE_S, 3 * plan.duration_s / plan.kills)
    while replays.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
    replays.kill()


def _settle(run: Run, member: Member, url: str) -> None:
    """Let the process work for as long as it takes, and look into the file between its drains."""
    run.upstream.set_mode("none")
    deadline = time.monotonic() + SETTLE_S
    while True:
        member.start()
        time.sleep(LOOK_EVERY_S)
        member.ask_to_end()
        member.end()
        tail = Tail()
        with connect(url) as broker:
            tail.read_all(broker)
            run.say(counts(tail))
            run.tally.settled = run.is_settled(tail)
            if run.tally.settled or time.monotonic() > deadline:
                run.judge(broker)
                return
