"""What happens to whom and when, in a chaos run. Pure and seeded."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


PHASES = ((0.4, 1.0), (0.4, 2.0), (0.2, 4.0))
"""Shares of the time, and how dense the kills are there: gentle, dense, very dense."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what, over so many seconds. ``members`` are numbered from 0; the last one is the sink."""

    duration_s: float
    kills: int
    bounces: int
    stops: int
    visits: int
    outages: int
    replays: int
    members: int


@dataclass(frozen=True, slots=True)
class Action:
    """``what`` is done at second ``at`` to member ``who``; ``lasts_s`` for what ends again."""

    at: float
    what: str
    who: int = 0
    lasts_s: float = 0.0


def schedule(plan: Plan, seed: int) -> Sequence[Action]:
    """All actions in order."""
    rng = Random(seed)
    actions = [
        Action(_moment(rng, plan.duration_s), "kill", rng.randrange(plan.members)) for _ in range(plan.kills)
    ]
    actions += [_spread("bounce", number, plan.bounces, plan, rng) for number in range(plan.bounces)]
    actions += [
        Action(
            rng.uniform(0, plan.duration_s), "stop", rng.randrange(plan.members), rng.choice((1.0, 3.0, 14.0))
        )
        for _ in range(plan.stops)
    ]
    actions += [
        Action(rng.uniform(0, plan.duration_s), "visit", 0, rng.uniform(4.0, 15.0))
        for _ in range(plan.visits)
    ]
    actions += [
        Action(rng.uniform(0, plan.duration_s), rng.choice(("denied", "down")), 0, rng.uniform(3.0, 15.0))
        for _ in range(plan.outages)
    ]
    actions += [_spread("replay", number, plan.replays, plan, rng) for number in range(plan.replays)]
    return sorted(actions, key=lambda action: action.at)


def _moment(rng: Random, duration_s: float) -> float:
    """A moment in a phase that is chosen by how dense it is."""
    (phase,) = rng.choices(range(len(PHASES)), [share * density for share, density in PHASES])
    begin = sum(share for share, _ in PHASES[:phase])
    return (begin + rng.random() * PHASES[phase][0]) * duration_s


def _spread(what: str, number: int, count: int, plan: Plan, rng: Random) -> Action:
    """One in each stretch, so that the broker is up in between."""
    stretch = plan.duration_s / count
    return Action((number + rng.uniform(0.1, 0.7)) * stretch, what)
