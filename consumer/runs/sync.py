"""A sync from the wish to its last result: write the command, and follow what comes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from consumer.broker.port import Broker
from consumer.exceptions import CrewsyncError
from consumer.model.codec import Codec
from consumer.model.events import Kind, SyncCommand
from consumer.model.results import Phase
from consumer.runs.commands import manual_sync, send_command
from consumer.runs.progress import Progress, RunState
from consumer.sync.company import Company


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is, and who says whether to go on.

    ``waiting`` is told again and again while nobody has taken up the command.
    """

    waiting: Callable[[Kind], None]
    counting: Callable[[RunState], None]
    is_running: Callable[[], bool]


def follow_run(progress: Progress, watch: Watch, run_id: str, kind: Kind) -> RunState | None:
    """Follow a run, or the one that it joins, until it is over; None if stopped before."""
    while watch.is_running():
        progress.follow(0.2)
        state = progress.run(run_id)
        if state is None:
            watch.waiting(kind)
        elif state.marker.phase is Phase.JOINED and state.marker.joined is not None:
            run_id = state.marker.joined
        else:
            watch.counting(state)
            if state.is_over:
                return state
    return None


@dataclass(frozen=True, slots=True)
class Syncs:
    """The syncs of one company, as somebody asks for them and waits."""

    company_id: int
    broker: Broker
    codec: Codec
    commands_topic: str
    progress: Progress
    watch: Watch
    requested_by: str

    def start(self, command: SyncCommand) -> None:
        """Ask for a sync. Raises BrokerError."""
        send_command(self.broker, self.codec, self.commands_topic, command)

    def wait(self, command: SyncCommand) -> RunState | None:
        """Follow a run, or the one that it joins, until it is over; None if stopped before."""
        return follow_run(self.progress, self.watch, command.run_id, command.kind)

    def finish_or_start(self, *, again: bool) -> list[RunState] | None:
        """Bring users, then timesheets to a complete run each, going on where an earlier process stopped.

        ``again`` starts new runs if both are complete already. None if the service was stopped before.
        """
        users, timesheets = self._latest(Kind.USERS), self._latest(Kind.TIMESHEETS)
        if again and _is_over(users) and _is_over(timesheets) and _is_after(timesheets, users):
            users = timesheets = None
        users = self._complete(Kind.USERS, users)
        if users is None:
            return None
        timesheets = self._complete(Kind.TIMESHEETS, timesheets if _is_after(timesheets, users) else None)
        return None if timesheets is None else [users, timesheets]

    def _latest(self, kind: Kind) -> RunState | None:
        state = self.progress.latest(self.company_id, kind)
        return None if state is None or state.marker.phase is Phase.FAILED else state

    def _complete(self, kind: Kind, state: RunState | None) -> RunState | None:
        command = manual_sync(self.company_id, kind, self.requested_by)
        if state is None:
            self.start(command)
        else:
            command = replace(command, run_id=state.marker.run_id)
        return self.wait(command)


def only(companies: Mapping[int, Company], company_id: int | None) -> Company:
    """The company with this id, or the only one there is. Raises CrewsyncError."""
    if company_id is None and len(companies) == 1:
        return next(iter(companies.values()))
    if company_id is None:
        raise CrewsyncError(f"name a company: {', '.join(map(str, sorted(companies)))}")
    if company_id not in companies:
        raise CrewsyncError(
            f"company {company_id} is not set up; there are {', '.join(map(str, sorted(companies)))}"
        )
    return companies[company_id]


def _is_over(state: RunState | None) -> bool:
    return state is not None and state.is_over


def _is_after(later: RunState | None, earlier: RunState | None) -> bool:
    return later is not None and earlier is not None and later.marker.started_at >= earlier.marker.started_at
