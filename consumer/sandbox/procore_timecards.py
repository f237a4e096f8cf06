"""Procore's timecard entries: single, and by the bulk endpoints."""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from consumer.sandbox.database import new_id
from consumer.sandbox.documents import Body, Clause, first, get, put
from consumer.sandbox.exchange import Call, Refusal, Reply
from consumer.sandbox.procore_entry import OWN_FIELDS, bulk_shown, settle_hours, shown
from consumer.sandbox.procore_projects import TIME_TYPES
from consumer.sandbox.procore_wire import (
    Writable,
    bad_request,
    flag,
    ids_filter,
    json_object,
    listing,
    not_found,
    permitted,
    project,
    range_filter,
    unprocessable,
    wrapped,
)
from consumer.sandbox.tables import (
    COST_CODES,
    LOCATIONS,
    LOCKED,
    PEOPLE,
    SUB_JOBS,
    TIMECARD_ENTRIES,
    procore_time,
)


STATUSES = frozenset({"pending", "reviewed", *LOCKED})

_COMMON_FIELDS: Writable = {
    "date": str,
    # Specified as a string here and an integer in the bulk bodies; numbers were accepted in both (observed).
    "hours": (str, int, float),
    "time_in": str,
    "time_out": str,
    "billable": bool,
    "description": str,
    "party_id": int,
    "cost_code_id": int,
    "sub_job_id": int,
    "location_id": int,
    "timecard_time_type_id": int,
    "approval_status": str,
    "origin_id": (str, int),
    "origin_data": str,
}
# What only one of both ways documents is ignored on the other, as undocumented fields are.
_SINGLE_FIELDS: Writable = {
    **_COMMON_FIELDS,
    "lunch_time": (str, int),
    "line_item_type_id": int,
    "clock_in_time": str,
    "clock_out_time": str,
}
_BULK_FIELDS: Writable = {
    **_COMMON_FIELDS,
    "project_id": int,
    "work_classification_id": int,
    "user_id": int,
}


def list_entries(call: Call) -> Reply:
    """The entries of a range of days, both included; without one, those of today."""
    start, end = _day(call, "start_date"), _day(call, "end_date")
    if start is None and end is None:
        start = end = datetime.fromtimestamp(call.now, UTC).date().isoformat()
    where: list[Clause] = []
    if start is not None:
        where.append(("date >= ?", (start,)))
    if end is not None:
        where.append(("date <= ?", (end,)))
    where += ids_filter(call, "id", "id") + ids_filter(call, "party_id", "party_id")
    deleted = range_filter(call, "deleted_at")
    where += range_filter(call, "updated_at") + (deleted or [("deleted_at IS NULL", ())])
    if flag(call, "filters[in_progress_only]"):
        where.append(("in_progress", ()))
    elif not flag(call, "filters[include_in_progress]"):
        where.append(("NOT in_progress", ()))
    return listing(call, TIMECARD_ENTRIES, where, lambda entry: shown(call, entry), "date, id")


def show_entry(call: Call) -> Reply:
    """One entry."""
    return Reply(shown(call, _entry(call, call.path["id"])))


def create_entry(call: Call, *, unique_origin_ids: bool) -> Reply:
    """Create an entry. One without a party is accepted, as was observed."""
    project_id, fields = _single_request(call)
    entry = _saved(call, _blank(call), {**fields, "project_id": project_id}, unique_origin_ids)
    return Reply(shown(call, entry), 201)


def update_entry(call: Call, *, unique_origin_ids: bool) -> Reply:
    """Change an entry; fields that are absent stay. Approved and completed entries refuse it."""
    entry = _unlocked(_entry(call, call.path["id"]))
    project_id, fields = _single_request(call)
    entry = _saved(call, entry, {**fields, "project_id": project_id}, unique_origin_ids)
    return Reply(shown(call, entry))


def bulk_create(call: Call, *, unique_origin_ids: bool) -> Reply:
    """Create several entries, or none if one is refused."""
    created = []
    for item in wrapped(json_object(call), "timecard_entries", list):
        fields = permitted(item if isinstance(item, dict) else {}, _BULK_FIELDS)
        created.append(_saved(call, _blank(call), _with_party(call, fields), unique_origin_ids))
    # The order of the answer is not promised, so it is not that of the request.
    return Reply([bulk_shown(call, entry) for entry in reversed(created)])


def bulk_update(call: Call, *, unique_origin_ids: bool) -> Reply:
    """Give several entries the same values, or none if one is refused."""
    body = json_object(call)
    updates = wrapped(body, "updates", list)
    fields = _with_party(call, permitted(body, _BULK_FIELDS))
    entries = [_unlocked(_entry(call, key)) for key in _ids(updates)]
    updated = [_saved(call, entry, fields, unique_origin_ids) for entry in entries]
    return Reply({"updated_timecard_entries": [bulk_shown(call, entry) for entry in updated]})


def _single_request(call: Call) -> tuple[int, Body]:
    body = json_object(call)
    project_id = wrapped(body, "project_id", int)
    fields = permitted(wrapped(body, "timecard_entry"), _SINGLE_FIELDS)
    if "date" not in fields:
        raise unprocessable(date="can't be blank")
    return project(call, project_id)["id"], fields


def _ids(updates: Iterable[Any]) -> Iterable[int | None]:
    return (update.get("id") if isinstance(update, dict) else None for update in updates)


def _blank(call: Call) -> Body:
    blank: Body = dict.fromkeys(OWN_FIELDS)
    return blank | {
        "id": new_id(call.db),
        "approval_status": "pending",
        "billable": False,
        "created_at": procore_time(call.now),
    }


def _entry(call: Call, key: int | None) -> Body:
    entry = get(call.db, TIMECARD_ENTRIES, key) if isinstance(key, int) else None
    if entry is None or entry["deleted_at"] is not None:
        raise not_found()
    return entry


def _unlocked(entry: Body) -> Body:
    status = entry["approval_status"]
    if status in LOCKED:
        raise Refusal(422, {"error": {"reason": f"Timecard entry is {status} and cannot be edited"}})
    return entry


def _with_party(call: Call, fields: Body) -> Body:
    user_id = fields.pop("user_id", None)
    person = first(call.db, PEOPLE, ("user_id = ?", (user_id,)))
    return {"party_id": person["id"], **fields} if person else fields


def _saved(call: Call, entry: Body, fields: Body, unique_origin_ids: bool) -> Body:
    changed = {**entry, **fields, "updated_at": procore_time(call.now)}
    errors = _errors(call, changed)
    if unique_origin_ids and fields.get("origin_id") is not None:
        taken = (
            "origin_id = ? AND id <> ? AND deleted_at IS NULL",
            (str(fields["origin_id"]), changed["id"]),
        )
        if first(call.db, TIMECARD_ENTRIES, taken) is not None:
            errors["origin_id"] = "has already been taken"
    if errors:
        raise unprocessable(**errors)
    settle_hours(changed, fields)
    put(call.db, TIMECARD_ENTRIES, changed)
    return changed


def _errors(call: Call, entry: Body) -> dict[str, str]:
    errors: dict[str, str] = {}
    for name in ("project_id", "date"):
        if entry[name] is None:
            errors[name] = "can't be blank"
    if entry["date"] is not None and not _is_day(entry["date"]):
        errors["date"] = "is invalid"
    if entry["party_id"] is not None and get(call.db, PEOPLE, entry["party_id"]) is None:
        errors["party_id"] = "is invalid"
    if entry["approval_status"] not in STATUSES:
        errors["approval_status"] = "is invalid"
    time_type_id = entry["timecard_time_type_id"]
    if time_type_id is not None and time_type_id not in {time_type["id"] for time_type in TIME_TYPES}:
        errors["timecard_time_type_id"] = "is invalid"
    of_project: Clause = ("project_id = ?", (entry["project_id"],))
    parts = {"sub_job_id": SUB_JOBS, "cost_code_id": COST_CODES, "location_id": LOCATIONS}
    for name, collection in parts.items():
        wanted = ("id = ?", (entry[name],))
        if entry[name] is not None and first(call.db, collection, wanted, of_project) is None:
            errors[name] = "is not available on this project"
    if not errors:
        errors |= _mismatches(call, entry)
    return errors


def _mismatches(call: Call, entry: Body) -> dict[str, str]:
    """A code belongs to its project or to one sub job; a classification has to be active on the project."""
    code = get(call.db, COST_CODES, entry["cost_code_id"])
    if code is not None and code["biller_type"] == "SubJob" and code["biller_id"] != entry["sub_job_id"]:
        return {"cost_code_id": "is not available on this sub job"}
    if entry["work_classification_id"] is not None:
        active = call.db.execute(
            """SELECT 1 FROM project_classifications
               WHERE project_id = ? AND classification_id = ? AND is_active""",
            (entry["project_id"], entry["work_classification_id"]),
        )
        if active.fetchone() is None:
            return {"work_classification_id": "is not available on this project"}
    return {}


def _day(call: Call, name: str) -> str | None:
    value = call.query.get(name)
    if value is not None and not _is_day(value):
        raise bad_request(f"{name} is no ISO 8601 date")
    return value


def _is_day(value: str) -> bool:
    try:
        return date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False
