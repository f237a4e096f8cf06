"""A timecard entry: its hours, and how Procore shows it."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from consumer.sandbox.database import fact
from consumer.sandbox.documents import Body, get
from consumer.sandbox.exchange import Call
from consumer.sandbox.procore_directory import get_classification, id_and_name
from consumer.sandbox.procore_projects import TIME_TYPES
from consumer.sandbox.procore_wire import unprocessable
from consumer.sandbox.tables import COST_CODES, LOCATIONS, PEOPLE, PROJECTS, SUB_JOBS, USERS


OWN_FIELDS = (
    *("id", "project_id", "date", "hours", "time_in", "time_out", "lunch_time", "clock_in_time"),
    *("clock_out_time", "billable", "description", "party_id", "cost_code_id", "sub_job_id"),
    *("location_id", "line_item_type_id", "timecard_time_type_id", "work_classification_id"),
    *("approval_status", "origin_id", "origin_data", "in_progress", "created_at", "updated_at"),
    "deleted_at",
)
"""What the sandbox keeps of an entry; the rest of what is shown follows from it."""

_NOT_USED = (
    *("approved_by", "clock_in", "clock_out", "completed_by", "crew", "injured", "lunch_clock_in"),
    *("lunch_clock_out", "lunch_start_time", "lunch_stop_time", "procore_signature_id", "reviewed_by"),
    *("signature", "timesheet", "timesheet_status", "wbs_code", "wbs_code_id"),
)
_CREATED_BY = {"id": 9480001, "login": "service-account@example.com", "name": "Service Account"}
_DAY_HOURS = 24
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


def settle_hours(entry: Body, written: Body) -> None:
    """Bring times, break and hours of a changed entry into Procore's form.

    Hours that were written count; else in, out and break give them. Refused if they make no sense.
    """
    for name in ("time_in", "time_out"):
        entry[name] = _moment(name, entry)
    lunch, hours = _number("lunch_time", entry), _number("hours", entry)
    if "hours" not in written and entry["time_in"] and entry["time_out"]:
        hours = _worked(entry, lunch or Decimal(0))
    if hours is None and entry["time_in"] is None:
        raise unprocessable(hours="can't be blank")
    if hours is not None and hours > _DAY_HOURS:
        raise unprocessable(hours="must be less than or equal to 24")
    entry["lunch_time"] = None if lunch is None else int(lunch)
    entry["hours"] = None if hours is None else _decimal_text(hours)
    entry["in_progress"] = hours is None


def shown(call: Call, entry: Body) -> Body:
    """An entry as the single endpoints and the list show it."""
    db = call.db
    code = get(db, COST_CODES, entry["cost_code_id"])
    sub_job = get(db, SUB_JOBS, entry["sub_job_id"])
    person = get(db, PEOPLE, entry["party_id"])
    location = get(db, LOCATIONS, entry["location_id"])
    return {
        **dict.fromkeys(_NOT_USED),
        **{name: entry[name] for name in OWN_FIELDS if name != "location_id"},
        "company_id": fact(db, "procore_company_id"),
        "cost_code": _nested_code(code),
        "created_by": _CREATED_BY,
        "custom_fields": {},
        # Procore answers noon in the project's zone; clients read "date".
        "datetime": f"{entry['date']}T18:00:00Z",
        "location": None if location is None else _without(location, "project_id", "code"),
        "login_information": _login(call, person),
        "party": _party(call, person),
        "project": _project(call, entry),
        "sub_job": None if sub_job is None else {key: sub_job.get(key) for key in ("id", "name", "code")},
        "timecard_time_type": _time_type(call, entry),
        "work_classification": id_and_name(get_classification(call, entry)),
    }


def bulk_shown(call: Call, entry: Body) -> Body:
    """An entry as the bulk endpoints show it."""
    code = get(call.db, COST_CODES, entry["cost_code_id"])
    person = get(call.db, PEOPLE, entry["party_id"])
    time_type = _time_type(call, entry)
    same = ("id", "date", "hours", "description", "billable", "line_item_type_id", "origin_id", "origin_data")
    return {
        **{name: entry[name] for name in (*same, "created_at", "updated_at", "deleted_at")},
        "timecard_type": time_type and time_type["time_type"],
        "cost_code": code and code["name"],
        "full_cost_code": id_and_name(code),
        "party": id_and_name(person),
        "login_information": _login(call, person),
        "timecard_time_type": time_type,
        "timesheet_status": None,
        "created_by": _CREATED_BY,
    }


def _moment(name: str, entry: Body) -> str | None:
    value = entry[name]
    if value is None:
        return None
    try:
        # An official sample sends a bare time and gets it back as UTC on the entry's day.
        moment = datetime.fromisoformat(value if "T" in value else f"{entry['date']}T{value}")
    except ValueError:
        raise unprocessable(**{name: "is invalid"}) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _number(name: str, entry: Body) -> Decimal | None:
    value = entry[name]
    if value is None:
        return None
    if not _NUMBER.fullmatch(str(value)):
        raise unprocessable(**{name: "is not a number"})
    return Decimal(str(value))


def _worked(entry: Body, lunch_minutes: Decimal) -> Decimal:
    shift = datetime.fromisoformat(entry["time_out"]) - datetime.fromisoformat(entry["time_in"])
    minutes = Decimal(int(shift.total_seconds())) / 60
    if minutes <= 0:
        raise unprocessable(time_out="must be after time in")
    if lunch_minutes > minutes:
        raise unprocessable(lunch_time="cannot exceed the work duration")
    return ((minutes - lunch_minutes) / 60).quantize(Decimal("0.01"))


def _decimal_text(hours: Decimal) -> str:
    text = f"{hours.normalize():f}"
    return text if "." in text else f"{text}.0"


def _nested_code(code: Body | None) -> Body | None:
    if code is None:
        return None
    same = ("id", "biller_id", "biller_type", "code", "full_code", "name", "position", "sortable_code")
    dated = ("created_at", "updated_at", "deleted_at")
    return {
        **{key: code.get(key) for key in (*same, "standard_cost_code_id")},
        **{key: code[key] for key in dated if key in code},
        "long_name": f"{code['full_code']} - {code['name']}",
        "parent_id": (code.get("parent") or {}).get("id"),
        "sortable_code": code.get("sortable_code") or code["full_code"],
    }


def _party(call: Call, person: Body | None) -> Body | None:
    if person is None:
        return None
    keys = ("id", "name", "first_name", "last_name", "employee_id", "is_employee", "user_id")
    classification = id_and_name(get_classification(call, person))
    return {**{key: person.get(key) for key in keys}, "work_classification": classification}


def _login(call: Call, person: Body | None) -> Body | None:
    user = None if person is None else get(call.db, USERS, person["user_id"])
    return user and {"id": user["id"], "login": user.get("email_address"), "name": user["name"]}


def _project(call: Call, entry: Body) -> Body | None:
    project = get(call.db, PROJECTS, entry["project_id"])
    return project and {"id": project["id"], "name": project.get("display_name") or project["name"]}


def _time_type(call: Call, entry: Body) -> Body | None:
    for time_type in TIME_TYPES:
        if time_type["id"] == entry["timecard_time_type_id"]:
            return {
                "id": time_type["id"],
                "abbreviated_time_type": time_type.get("abbreviated_time_type"),
                "company_id": fact(call.db, "procore_company_id"),
                "global": None,
                "pay_rate": None,
                "time_type": time_type.get("time_type") or time_type["name"],
            }
    return None


def _without(body: Body, *names: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in names}
