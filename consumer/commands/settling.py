"""What ``dead-letters redrive`` and ``drop`` do: settle letters, and handle them where nobody else can."""

import time
from collections.abc import Mapping, Sequence

from consumer.config import Config
from consumer.exceptions import CrewsyncError
from consumer.runs.dead_letters import Letter, Settlement
from consumer.runs.planning import known_links
from consumer.session import Session, open_session, roles_beside, who


_IDLE_LIMIT_S = 300.0
_LOOK_S = 0.3


def settle(config: Config, letters: Sequence[Letter], *, is_drop: bool, quiet: bool) -> Mapping[str, int]:
    """Settle the letters, and tell how many each way. Raises CrewsyncError."""
    # Nobody of this process redrives beside it: a letter would go back twice.
    with open_session(config, [], quiet=quiet) as session:
        place = session.place
        links = known_links(place.broker, place.topics.links, place.codec)
        settlement = Settlement(place.broker, place.codec, place.topics, links, who(), is_drop)
        verb = "dropping" if is_drop else "redriving"
        endings = settlement.settle(
            letters, lambda done: session.display.step(verb, done, len(letters)), session.goes_on
        )
        _refuse_stopped(session)
    if not is_drop and config.is_embedded:
        with open_session(config, roles_beside(config), quiet=quiet) as session:
            _handle(session)
            _refuse_stopped(session)
    return {str(ending): count for ending, count in endings.items()}


def _refuse_stopped(session: Session) -> None:
    if not session.goes_on():
        raise session.service.error or CrewsyncError("stopped before all was done; ask for it again")


def _handle(session: Session) -> None:
    """Nobody else can have the embedded broker, so this process handles what was published."""
    session.display.say("Handling what was redriven ...")
    deadline = time.monotonic() + _IDLE_LIMIT_S
    while session.goes_on() and not _is_idle(session) and time.monotonic() < deadline:
        session.stop.wait(_LOOK_S)
    session.display.say_arrived()


def _is_idle(session: Session) -> bool:
    """Whether the engines have handled and committed all that is there."""
    states = session.service.engine_states().values()
    return all(
        state is not None
        and state.is_ready
        and state.in_flight == 0
        and state.finished == 0
        and all(one.end is not None and one.position >= one.end for one in state.partitions)
        for state in states
    )
