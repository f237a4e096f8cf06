"""Edits of the sandbox's state, as somebody in an office makes them in Procore or in SmartBarrel."""

import sys
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from consumer.commands.sandbox_state import name_of, number, require, sandbox_state
from consumer.exceptions import CrewsyncError
from consumer.model.events import ShiftStatus
from consumer.sink.layout import visible


_DAY_HOURS = 24
_DAY_MINUTES = 1440
_NOTHING = "nothing to change was given; see --help"


def edit_user(
    user_id: Annotated[str, typer.Argument(help="Procore's id of the user.")],
    *,
    first_name: Annotated[str | None, typer.Option(help="As in every text here, '' takes it away.")] = None,
    last_name: Annotated[str | None, typer.Option()] = None,
    email: Annotated[str | None, typer.Option()] = None,
    mobile_phone: Annotated[str | None, typer.Option()] = None,
    employee_id: Annotated[str | None, typer.Option()] = None,
    active: Annotated[bool | None, typer.Option("--active/--inactive")] = None,
    is_employee: Annotated[bool | None, typer.Option("--is-employee/--no-employee")] = None,
) -> None:
    """Change a Procore user, and the person that the user is."""
    texts = {
        "first_name": first_name,
        "email_address": email,
        "mobile_phone": mobile_phone,
        "employee_id": employee_id,
    }
    fields: dict[str, Any] = {name: text or None for name, text in texts.items() if text is not None}
    # Procore answers an empty last name, and no null.
    given = {"last_name": last_name, "is_active": active, "is_employee": is_employee}
    fields |= {name: value for name, value in given.items() if value is not None}
    if not fields:
        raise CrewsyncError(_NOTHING)
    state = sandbox_state()
    require("user", user_id, {str(user["id"]): name_of(user) for user in state.users()})
    try:
        state.edit_user(number(user_id), **fields)
    except ValueError as error:
        raise CrewsyncError(f"user {user_id} was not changed: {error}") from None
    _say(f"Changed user {user_id}", fields, "users")


def edit_timesheet(
    timesheet_id: Annotated[str, typer.Argument(help="SmartBarrel's id of the timesheet.")],
    *,
    status: Annotated[ShiftStatus | None, typer.Option()] = None,
    hours: Annotated[str | None, typer.Option(help="The total, as a decimal number.")] = None,
    break_minutes: Annotated[int | None, typer.Option(min=0, max=_DAY_MINUTES)] = None,
    cost_code_1: Annotated[str | None, typer.Option(help="Segment 1: the sub job. '' takes it away.")] = None,
    cost_code_2: Annotated[str | None, typer.Option(help="Segment 2: the cost code.")] = None,
    location: Annotated[str | None, typer.Option()] = None,
    deleted: Annotated[bool | None, typer.Option("--deleted/--not-deleted")] = None,
) -> None:
    """Change a SmartBarrel timesheet, which gets the next revision."""
    texts = {"cost_code_segment_1": cost_code_1, "cost_code_segment_2": cost_code_2, "location": location}
    fields: dict[str, Any] = {name: text or None for name, text in texts.items() if text is not None}
    given = {
        "status": None if status is None else status.value,
        "total_hours": None if hours is None else _hours(hours),
        "break_minutes": break_minutes,
        "deleted": deleted,
    }
    fields |= {name: value for name, value in given.items() if value is not None}
    if not fields:
        raise CrewsyncError(_NOTHING)
    state = sandbox_state()
    sheets = state.timesheets()
    require(
        "timesheet", timesheet_id, {sheet["id"]: f"{sheet['date']} {sheet['status']}" for sheet in sheets}
    )
    state.edit_timesheet(timesheet_id, **fields)
    _say(f"Changed timesheet {timesheet_id}", fields, "timesheets")


def approve_timecard(entry_id: Annotated[str, typer.Argument(help="Procore's id of the entry.")]) -> None:
    """Approve a Procore timecard entry, which locks it."""
    state = sandbox_state()
    _require_entry(state.timecard_entries(), entry_id)
    state.approve_timecard_entry(number(entry_id))
    sys.stdout.write(f"Approved timecard entry {entry_id}; Procore refuses changes of it from now on.\n")


def delete_timecard(entry_id: Annotated[str, typer.Argument(help="Procore's id of the entry.")]) -> None:
    """Delete a Procore timecard entry."""
    state = sandbox_state()
    _require_entry(state.timecard_entries(), entry_id)
    try:
        state.delete_timecard_entry(number(entry_id))
    except ValueError as error:
        raise CrewsyncError(f"timecard entry {entry_id} was not deleted: {error}") from None
    sys.stdout.write(f"Deleted timecard entry {entry_id}; crewsync links check tells of it.\n")


def _require_entry(entries: list[dict[str, Any]], entry_id: str) -> None:
    there = [entry for entry in entries if entry["deleted_at"] is None]
    require(
        "timecard entry",
        entry_id,
        {str(entry["id"]): f"{entry['date']} {entry['approval_status']}" for entry in there},
    )


def _hours(text: str) -> str:
    try:
        hours = Decimal(text)
        is_possible = 0 <= hours <= _DAY_HOURS
    except InvalidOperation:
        is_possible = False
    if not is_possible:
        raise CrewsyncError(
            f"--hours must be a number from 0 to {_DAY_HOURS}, as 8.25, and is {visible(text)}"
        )
    return f"{hours:.2f}"


def _say(what: str, fields: dict[str, Any], kind: str) -> None:
    values = ", ".join(
        f"{name} = {'nothing' if value in {None, ''} else value}" for name, value in fields.items()
    )
    sys.stdout.write(f"{what}: {visible(values)}.\nThe next sync of {kind} takes it over.\n")
