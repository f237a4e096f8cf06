"""What an event means for the other system: pure functions from event and settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from consumer.model import reasons
from consumer.model.events import ShiftStatus, ShiftWorker, TimesheetEvent, UserEvent
from consumer.model.results import Reason
from consumer.model.settings import CompanySettings, TimeEntry
from consumer.sync.fingerprint import fingerprint
from consumer.sync.phones import UnusablePhoneError, known_region, to_e164


_MAPPING = 1
"""Part of every fingerprint. To be raised when the mapping changes, so that everything is compared anew."""
DESCRIPTION = "Created By SmartBarrel"


@dataclass(frozen=True, slots=True)
class NotDue:
    """Nothing is to be done upstream, for these reasons."""

    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class WorkerFields:
    """A SmartBarrel worker as Procore says that they should be."""

    first_name: str
    last_name: str
    email: str
    phone_number: str
    payroll_id: str | None
    external_id: str

    def as_json(self) -> dict[str, object]:
        """The fields as SmartBarrel's API names them."""
        return {
            "first_name": self.first_name,
            "last_name": self.last_name,
            "email": self.email,
            "phone_number": self.phone_number,
            "payroll_id": self.payroll_id,
            "external_id": self.external_id,
        }


def revision_of(moment: datetime) -> int:
    """A moment as a revision: microseconds since 1970."""
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


def external_id(procore_id: int) -> str:
    """How SmartBarrel names a Procore user (on a worker) or classification (on a position)."""
    return f"procore:{procore_id}"


def procore_id(value: str | None) -> int | None:
    """The Procore id in an external id, if it holds one."""
    prefix, _, number = (value or "").partition(":")
    return int(number) if prefix == "procore" and number.isascii() and number.isdigit() else None


def origin_id(smartbarrel_id: str) -> str:
    """How Procore names a SmartBarrel worker (on a contact) or timesheet (on a timecard)."""
    return f"sb:{smartbarrel_id}"


def one_line(value: str | None) -> str:
    """The text with runs of white space as one space: names come with doubled spaces and line breaks."""
    return " ".join((value or "").split())


def payroll_id(worker: ShiftWorker) -> str | None:
    """The worker's payroll ID as it is compared with employee IDs; None if it is missing or blank."""
    return one_line(worker.payroll_id) or None


def user_fingerprint(user: UserEvent, settings: CompanySettings) -> str:
    """Everything of the user and the settings that decides what SmartBarrel should hold, but the position.

    Taken of the source, before any mapping, because that is what makes a resync without changes cheap. What
    the user's classification leads to is not theirs to tell: it may be renamed, and its position with it.
    """
    return fingerprint(
        _MAPPING,
        user.first_name,
        user.last_name,
        user.email,
        user.mobile_phone,
        user.country_code,
        user.employee_id,
        user.is_employee,
        user.is_active,
        settings.user_sync,
        settings.default_region,
        # So that a company which turns this on or off has those compared anew whom it concerns.
        settings.deactivate_workers and not user.is_active,
    )


def user_warnings(user: UserEvent) -> tuple[Reason, ...]:
    """What is only recommended, and missing."""
    return () if one_line(user.employee_id) else (reasons.MISSING_EMPLOYEE_ID,)


def worker_fields(user: UserEvent, settings: CompanySettings) -> WorkerFields | NotDue:
    """The worker that the user should be, or all the reasons why there should be none."""
    gates = _gates(user, settings)
    if gates:
        return NotDue(gates)
    first_name, last_name, email = map(one_line, (user.first_name, user.last_name, user.email))
    missing = [
        reason
        for value, reason in (
            (first_name, reasons.MISSING_FIRST_NAME),
            (last_name, reasons.MISSING_LAST_NAME),
            (email, reasons.MISSING_EMAIL),
        )
        if not value
    ]
    phone = _phone(user, settings)
    if isinstance(phone, Reason):
        missing.append(phone)
    if missing or isinstance(phone, Reason):
        return NotDue(tuple(missing))
    return WorkerFields(
        first_name=first_name,
        last_name=last_name,
        email=email,
        phone_number=phone,
        payroll_id=one_line(user.employee_id) or None,
        external_id=external_id(user.user_id),
    )


def shift_not_due(shift: TimesheetEvent, settings: CompanySettings) -> NotDue | None:
    """Why the shift is not for Procore, or not yet; None if it is due."""
    if shift.deleted:
        return NotDue((reasons.SHIFT_DELETED,))
    if shift.time_out is None:
        return NotDue((reasons.SHIFT_OPEN,))
    why = []
    if settings.only_approved_shift and shift.status is not ShiftStatus.APPROVED:
        why.append(reasons.NOT_APPROVED)
    if shift.worker.contractor is not None and not settings.include_sub_workers:
        why.append(reasons.SUB_WORKER)
    if shift.procore_project_id is None:
        why.append(reasons.PROJECT_NOT_LINKED)
    return NotDue(tuple(why)) if why else None


def shift_fingerprint(shift: TimesheetEvent, user_id: int | None, settings: CompanySettings) -> str:
    """Everything of the shift and the settings that decides what Procore should hold, and whose it is."""
    position = shift.worker.position
    # Whoever is no user as far as is known is found by these.
    found_by = (payroll_id(shift.worker), shift.worker.contractor is not None)
    # A synced user keeps Procore's own classification.
    counts = position is not None and (user_id is None or not settings.user_sync)
    return fingerprint(
        _MAPPING,
        shift.procore_project_id,
        shift.worker.id,
        found_by if user_id is None else user_id,
        shift.work_date,
        sorted(shift_times(shift, settings.time_entry_of(shift.procore_project_id or 0)).items()),
        shift.cost_code_segment_1,
        shift.cost_code_segment_2,
        shift.location,
        (position.id, position.name) if position is not None and counts else None,
    )


def shift_times(shift: TimesheetEvent, time_entry: TimeEntry) -> Mapping[str, object]:
    """How long was worked, as Procore's Time Entry setting of the project wants it.

    Start and stop are sent in UTC: what Procore makes of a time without a zone is not settled. The day is
    SmartBarrel's, which is the day in the project's zone on which the shift began.
    """
    if time_entry is TimeEntry.TOTAL_HOURS:
        return {"hours": hours_text(shift.total_hours)}
    return {
        "time_in": moment_text(shift.time_in),
        "time_out": moment_text(shift.time_out),
        "lunch_time": str(shift.break_minutes),
    }


@dataclass(frozen=True, slots=True)
class Codes:
    """Where a shift's hours are booked in Procore."""

    sub_job_id: int | None = None
    cost_code_id: int | None = None
    location_id: int | None = None


@dataclass(frozen=True, slots=True)
class Booking:
    """On which project, on whom (a person id) and on which codes a shift is booked."""

    project_id: int
    party_id: int
    codes: Codes


def timecard_fields(
    shift: TimesheetEvent, booking: Booking, times: Mapping[str, object]
) -> Mapping[str, object]:
    """The timecard entry that the shift should be, as Procore's API names its fields.

    ``billable`` is always sent: Procore's API takes false where its user interface would take true.
    """
    codes = {
        "sub_job_id": booking.codes.sub_job_id,
        "cost_code_id": booking.codes.cost_code_id,
        "location_id": booking.codes.location_id,
    }
    return {
        "date": shift.work_date.isoformat(),
        **times,
        "party_id": booking.party_id,
        "description": DESCRIPTION,
        "billable": True,
        "origin_id": origin_id(shift.timesheet_id),
        **{name: value for name, value in codes.items() if value is not None},
    }


def hours_text(hours: Decimal) -> str:
    """Hours as a decimal string with two places."""
    return f"{hours:.2f}"


def moment_text(moment: datetime | None) -> str | None:
    """A moment in UTC with whole seconds, as Procore writes it."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shift_detail(shift: TimesheetEvent) -> str:
    """The shift in a few words, for the log."""
    return f"{shift.work_date.isoformat()}, {hours_text(shift.total_hours)} h, {shift.project.name}"


def is_to_be_deactivated(user: UserEvent, settings: CompanySettings) -> bool:
    """Whether the user's worker should be inactive because the user is."""
    return settings.user_sync and settings.deactivate_workers and not user.is_active


def _gates(user: UserEvent, settings: CompanySettings) -> tuple[Reason, ...]:
    """Why the user is not for syncing at all, whatever else may be missing."""
    if not settings.user_sync:
        return (reasons.USER_SYNC_OFF,)
    not_an_employee = () if user.is_employee else (reasons.NOT_AN_EMPLOYEE,)
    inactive = () if user.is_active else (reasons.USER_INACTIVE,)
    return (*not_an_employee, *inactive)


def _phone(user: UserEvent, settings: CompanySettings) -> str | Reason:
    if not user.mobile_phone or not user.mobile_phone.strip():
        return reasons.MISSING_PHONE
    try:
        return to_e164(user.mobile_phone, known_region(user.country_code, settings.default_region))
    except UnusablePhoneError as error:
        return reasons.unusable_phone(str(error))
