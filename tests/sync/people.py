"""Invented people and shifts, as events."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from consumer.model.events import Named, ShiftStatus, ShiftWorker, TimesheetEvent, UserEvent
from tests.upstream.site import COMPANY, TOWER, timesheet_id, worker_id


ASKED_AT = datetime(2026, 3, 2, 12, tzinfo=UTC)
RUN = "5f0c2a11"
"""Events of a run are never held."""
CONTRACTOR = Named("9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "Lakeside Electric")
MARIA = UserEvent(
    company_id=COMPANY,
    user_id=8800101,
    asked_at=ASKED_AT,
    first_name="Maria",
    last_name="Delgado",
    email="maria.delgado@example.com",
    mobile_phone="(512) 555-0101",
    employee_id="20301",
    is_employee=True,
    run_id=RUN,
)
SHIFT = TimesheetEvent(
    company_id=COMPANY,
    timesheet_id=timesheet_id(1),
    revision=1,
    project=Named("e81d3f70-0c5b-4c6c-8f2a-6b9a4d2c1e03", "Harbor Point Tower"),
    procore_project_id=TOWER,
    worker=ShiftWorker(worker_id(1), "Priya", "Nair"),
    work_date=date(2026, 2, 24),
    time_in=datetime(2026, 2, 24, 14, tzinfo=UTC),
    time_out=datetime(2026, 2, 24, 22, 30, tzinfo=UTC),
    break_minutes=30,
    total_hours=Decimal("8.00"),
    cost_code_segment_1="FL1",
    cost_code_segment_2="03-300",
    location=None,
    status=ShiftStatus.APPROVED,
    deleted=False,
    updated_at=datetime(2026, 2, 24, 23, tzinfo=UTC),
    run_id=RUN,
)


def maria(minutes: float = 0, **fields: Any) -> UserEvent:
    """Maria as Procore shows her so many minutes later, with other fields."""
    return replace(MARIA, asked_at=ASKED_AT + timedelta(minutes=minutes), **fields)


def another_user(number: int, **fields: Any) -> UserEvent:
    """Another employee, with values of their own."""
    own = {
        "user_id": 8800100 + number,
        "first_name": "Ada",
        "last_name": f"Number{number}",
        "email": f"ada.{number}@example.com",
        "mobile_phone": f"(512) 555-01{number:02}",
        "employee_id": f"203{number:02}",
    }
    return replace(MARIA, **{**own, **fields})


def shift(
    revision: int = 1, number: int = 1, *, worker: ShiftWorker | None = None, **fields: Any
) -> TimesheetEvent:
    """A shift of Priya's, whom Procore does not know, in a revision and with other fields."""
    return replace(
        SHIFT, revision=revision, timesheet_id=timesheet_id(number), worker=worker or SHIFT.worker, **fields
    )


def priya(**fields: Any) -> ShiftWorker:
    """Priya, worker number 1, with other fields."""
    return replace(SHIFT.worker, **fields)
