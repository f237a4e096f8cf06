"""What the API answers, and what it is asked with."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from consumer.console.progress import Shown
from consumer.model.events import Kind
from consumer.model.results import Reason, Result
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry
from consumer.runs.dead_letters import Letter
from consumer.sink.listing import Past
from consumer.sink.log_entry import LogEntry


Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _told(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("has to be text, as in 2026-11-28")  # noqa: TRY004 - pydantic takes ValueError
    return value


Day = Annotated[date, BeforeValidator(_told)]
Moment = Annotated[datetime, BeforeValidator(_told)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(BaseModel):
    """An error, as RFC 9457 writes it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


class Company(BaseModel):
    """A company that the token lets see."""

    company_id: int
    name: str


class Companies(BaseModel):
    """All of them."""

    items: list[Company]


class ProjectEntry(_Asked):
    """A project whose Time Entry setting is its own."""

    project_id: Annotated[int, Field(ge=1, le=10**15)]
    time_entry: TimeEntry


class Settings(BaseModel):
    """What a company has chosen."""

    user_sync: bool
    sync_classifications: bool
    autosync_users: bool
    auto_sync_time_card: bool
    only_approved_shift: bool
    include_sub_workers: bool
    time_entry: TimeEntry
    default_region: str
    deactivate_workers: bool
    project_time_entry: list[ProjectEntry]

    @classmethod
    def of(cls, settings: CompanySettings) -> Self:
        """As they are."""
        return cls.model_validate(settings, from_attributes=True)


class SettingsChange(_Asked):
    """The settings that are to change; the others stay."""

    user_sync: StrictBool | None = None
    sync_classifications: StrictBool | None = None
    autosync_users: StrictBool | None = None
    auto_sync_time_card: StrictBool | None = None
    only_approved_shift: StrictBool | None = None
    include_sub_workers: StrictBool | None = None
    time_entry: TimeEntry | None = None
    default_region: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    deactivate_workers: StrictBool | None = None
    project_time_entry: Annotated[list[ProjectEntry], Field(max_length=1000)] | None = None

    @property
    def changes(self) -> Mapping[str, object]:
        """By name, what is to change."""
        found: dict[str, object] = {
            name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) is not None
        }
        if self.project_time_entry is not None:
            found["project_time_entry"] = tuple(
                ProjectTimeEntry(one.project_id, one.time_entry) for one in self.project_time_entry
            )
        return found


class SyncUsers(_Asked):
    """The wish to sync a company's users."""

    kind: Literal[Kind.USERS]
    requested_by: Name | None = None


class SyncTimesheets(_Asked):
    """The wish to sync a company's timesheets: all, or those of a project or of some working days."""

    kind: Literal[Kind.TIMESHEETS]
    requested_by: Name | None = None
    project_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    since: Day | None = None
    until: Day | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise ValueError("the days end before they begin")
        return self


SyncRequest = Annotated[SyncUsers | SyncTimesheets, Field(discriminator="kind")]


class Sync(BaseModel):
    """How far a sync is. ``run_id`` is the run that stands for it: another, if one was under way already.

    ``expected`` is null while nobody knows how many there will be.
    """

    run_id: str
    kind: Kind
    done: int
    expected: int | None
    is_over: bool
    is_failed: bool
    text: str

    @classmethod
    def of(cls, shown: Shown, kind: Kind) -> Self:
        """As a page shows it."""
        return cls(
            run_id=shown.run_id,
            kind=kind,
            done=shown.done,
            expected=shown.most,
            is_over=shown.is_over,
            is_failed=shown.is_failed,
            text=shown.text,
        )


class Log(BaseModel):
    """The log of a run, or of a UTC day's events outside any run."""

    kind: Kind
    run_id: str | None
    day: date | None
    trigger: str | None
    requested_by: str | None
    started_at: datetime | None
    last_handled_at: datetime | None
    status: str
    reason: str | None
    expected: int | None
    outcomes: dict[str, int]
    synced: int
    not_synced: int
    file: str | None

    @classmethod
    def of(cls, entry: LogEntry) -> Self:
        """As it is listed."""
        marker = entry.marker
        return cls(
            kind=entry.key.kind,
            run_id=entry.key.run_id,
            day=entry.key.day,
            trigger=None if marker is None else marker.trigger,
            requested_by=None if marker is None else marker.requested_by,
            started_at=entry.started_at,
            last_handled_at=entry.last_handled_at,
            status=entry.status,
            reason=entry.reason,
            expected=None if marker is None else marker.expected,
            outcomes={str(outcome): count for outcome, count in entry.outcomes.items()},
            synced=entry.synced,
            not_synced=entry.not_synced,
            file=None if entry.path is None else entry.path.name,
        )


class Page(BaseModel):
    """Part of a list: ``total`` is how long it is in all, ``next_offset`` where the next part begins."""

    total: int
    next_offset: int | None


class Logs(Page):
    """Logs, the newest first."""

    items: list[Log]


class Why(BaseModel):
    """A reason or a warning."""

    code: str
    message: str
    upstream: str | None


class LoggedResult(BaseModel):
    """What became of one user or shift."""

    subject_id: str
    name: str
    outcome: str
    reasons: list[Why]
    warnings: list[Why]
    detail: str | None
    handled_at: datetime

    @classmethod
    def of(cls, result: Result) -> Self:
        """As it is logged."""
        return cls(
            subject_id=result.subject_id,
            name=result.subject_name,
            outcome=result.outcome,
            reasons=_whys(result.reasons),
            warnings=_whys(result.warnings),
            detail=result.detail,
            handled_at=result.handled_at,
        )


class Results(Page):
    """Results of a log: not synced first, each by name."""

    items: list[LoggedResult]


class PastResult(BaseModel):
    """One line of a history; a ``superseded`` result was followed by a later one in the same run."""

    run_id: str | None
    day: date | None
    superseded: bool
    result: LoggedResult

    @classmethod
    def of(cls, past: Past) -> Self:
        """As it is listed."""
        key = past.entry.key
        return cls(
            run_id=key.run_id,
            day=key.day,
            superseded=past.superseded,
            result=LoggedResult.of(past.result),
        )


class History(Page):
    """What became of one user, shift or name, newest first."""

    items: list[PastResult]


class DeadLetter(BaseModel):
    """A record that was set aside; what it holds is not told here."""

    letter: str
    reason_code: str
    reason: str | None
    stage: str | None
    failed_at: datetime
    redrive_count: int | None
    run_id: str | None
    source_topic: str | None

    @classmethod
    def of(cls, letter: Letter) -> Self:
        """As it is listed."""
        story = letter.story
        return cls(
            letter=str(letter.place),
            reason_code=letter.reason_code,
            reason=None if story is None else story.reason,
            stage=None if story is None else story.stage,
            failed_at=letter.failed_at,
            redrive_count=None if story is None else story.redrive_count,
            run_id=None if story is None else story.run_id,
            source_topic=None if story is None else story.source_topic,
        )


class DeadLetters(Page):
    """Dead letters, the oldest first, and how many there are in all for each reason."""

    reasons: dict[str, int]
    items: list[DeadLetter]


class RedriveRequest(_Asked):
    """Which dead letters are to go back: those of a reason, set aside before a moment.

    None do by default: a dry run tells how many would.
    """

    reason: Annotated[str, Field(pattern="^[a-z_]{1,60}$")] | None = None
    before: Moment | None = None
    dry_run: StrictBool = True


class Redrive(BaseModel):
    """What a redrive has done, or would do: ``left`` cannot go back."""

    dry_run: bool
    letters: int
    left: int
    endings: dict[str, int]


def _whys(reasons: Sequence[Reason]) -> list[Why]:
    return [Why(code=one.code, message=one.message, upstream=one.upstream) for one in reasons]
