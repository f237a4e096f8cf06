"""What comes in: user events, timesheet events and sync commands."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum


class Kind(StrEnum):
    """The two flows. A log, a run and a result belong to one of them."""

    USERS = "users"
    TIMESHEETS = "timesheets"


class ShiftStatus(StrEnum):
    """State of a SmartBarrel shift."""

    OPEN = "open"
    SUBMITTED = "submitted"
    REVIEWED = "reviewed"
    APPROVED = "approved"


class Trigger(StrEnum):
    """What started a run."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class UserEvent:
    """A whole Procore user, as of ``asked_at``, the moment at which Procore was asked.

    An absent key, null and an empty string in Procore all arrive here as None.
    """

    company_id: int
    user_id: int
    asked_at: datetime
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    mobile_phone: str | None = None
    country_code: str | None = None
    employee_id: str | None = None
    is_employee: bool = False
    is_active: bool = True
    work_classification_id: int | None = None
    work_classification_name: str | None = None
    run_id: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """A SmartBarrel position, project or contractor: its id and name."""

    id: str
    name: str


def stated(value: str | None) -> str | None:
    """An ID as it is compared: people type spaces around it, and a blank one says nothing."""
    return (value or "").strip() or None


@dataclass(frozen=True, slots=True)
class ShiftWorker:
    """The worker as of a timesheet's revision, with the payroll ID as it is compared."""

    id: str
    first_name: str
    last_name: str
    payroll_id: str | None = None
    external_id: str | None = None
    position: Named | None = None
    contractor: Named | None = None

    def __post_init__(self) -> None:
        """Take the payroll ID as it is compared, whoever has written the event."""
        object.__setattr__(self, "payroll_id", stated(self.payroll_id))


@dataclass(frozen=True, slots=True)
class TimesheetEvent:
    """A whole SmartBarrel timesheet, one shift of one worker, with its revision."""

    company_id: int
    timesheet_id: str
    revision: int
    project: Named
    procore_project_id: int | None
    worker: ShiftWorker
    work_date: date
    time_in: datetime
    time_out: datetime | None
    break_minutes: int
    total_hours: Decimal
    cost_code_segment_1: str | None
    cost_code_segment_2: str | None
    location: str | None
    status: ShiftStatus
    deleted: bool
    updated_at: datetime
    run_id: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class SyncCommand:
    """The wish to sync a company's users or timesheets; ``project_id`` is SmartBarrel's."""

    company_id: int
    kind: Kind
    trigger: Trigger
    requested_by: str
    requested_at: datetime
    run_id: str
    reason: str | None = None
    project_id: str | None = None
    first_day: date | None = None
    last_day: date | None = None


Event = UserEvent | TimesheetEvent
