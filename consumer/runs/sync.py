"""A sync from its start to its last result: publish what an upstream holds, then wait for the results."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from consumer.exceptions import CrewsyncError
from consumer.model.events import Event, Kind
from consumer.runs.progress import Progress, RunState
from consumer.runs.publish import Publisher, marker_of, read_events
from consumer.sync.company import Company


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is, and who says whether to go on."""

    reading: Callable[[Kind, int], None]
    counting: Callable[[RunState], None]
    is_running: Callable[[], bool]


class _StoppedError(Exception):
    """Nobody waits for the rest of the pages."""


@dataclass(frozen=True, slots=True)
class Syncs:
    """The syncs of one company."""

    company: Company
    publisher: Publisher
    progress: Progress
    call: Callable[[Coroutine[Any, Any, list[Event]]], list[Event]]
    watch: Watch
    requested_by: str

    def start(self, kind: Kind) -> str | None:
        """Read the upstream, publish a run, and return its id. Raises UpstreamError, BrokerError.

        None, and nothing is published, if the service was stopped meanwhile.
        """

        def on_page(count: int) -> None:
            if not self.watch.is_running():
                raise _StoppedError
            self.watch.reading(kind, count)

        try:
            events = self.call(read_events(self.company, kind, on_page))
        except _StoppedError:
            return None
        marker = marker_of(self.company.company_id, kind, events, self.requested_by)
        self.publisher.publish(marker, events)
        return marker.run_id

    def wait(self, run_id: str) -> RunState | None:
        """Follow a run until it is complete; None if the service was stopped before."""
        while self.watch.is_running():
            self.progress.follow(0.2)
            state = self.progress.run(run_id)
            if state is not None:
                self.watch.counting(state)
                if state.is_complete:
                    return state
        return None

    def latest(self, kind: Kind) -> RunState | None:
        """The newest run of the kind."""
        return self.progress.latest(self.company.company_id, kind)

    def finish_or_start(self, *, again: bool) -> list[RunState] | None:
        """Bring users, then timesheets to a complete run each, going on where an earlier process stopped.

        ``again`` starts new runs if both are complete already. None if the service was stopped before.
        """
        users, timesheets = self.latest(Kind.USERS), self.latest(Kind.TIMESHEETS)
        if again and _is_over(users) and _is_over(timesheets) and _is_after(timesheets, users):
            users = timesheets = None
        users = self._complete(Kind.USERS, users)
        if users is None:
            return None
        timesheets = self._complete(Kind.TIMESHEETS, timesheets if _is_after(timesheets, users) else None)
        return None if timesheets is None else [users, timesheets]

    def _complete(self, kind: Kind, state: RunState | None) -> RunState | None:
        run_id = self.start(kind) if state is None else state.marker.run_id
        return None if run_id is None else self.wait(run_id)


def only(companies: dict[int, Company], company_id: int | None) -> Company:
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
    return state is not None and state.is_complete


def _is_after(later: RunState | None, earlier: RunState | None) -> bool:
    return later is not None and earlier is not None and later.marker.started_at >= earlier.marker.started_at
