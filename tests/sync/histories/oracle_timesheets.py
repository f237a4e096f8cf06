"""What Procore should hold of timesheets, as plain functions; the product's own mapping is not used.

Written from the design's tables and the README's assumptions.
"""

from collections.abc import Collection, Mapping

from consumer.model.events import ShiftStatus, ShiftWorker, TimesheetEvent
from consumer.model.settings import CompanySettings
from tests.sync.histories.places import Place
from tests.upstream.site import (
    CONCRETE_1,
    CONCRETE_2,
    FLOOR_1,
    FLOOR_2,
    GENERAL,
    NORTH,
    ROOF,
    TOWER,
    YARD,
    YARD_CODE,
    YARD_JOB,
    Json,
)


SUB_JOBS = {(TOWER, "FL1"): FLOOR_1, (TOWER, "FL2"): FLOOR_2, (YARD, "YD"): YARD_JOB}
COST_CODES = {
    (TOWER, FLOOR_1, "03-300"): CONCRETE_1,
    (TOWER, FLOOR_2, "03-300"): CONCRETE_2,
    (TOWER, None, "03-100"): GENERAL,
    (YARD, None, "03-900"): YARD_CODE,
}
LOCATIONS = {(TOWER, "North"): NORTH, (TOWER, "North>Roof"): ROOF}

_CODES = ("sub_job_id", "cost_code_id", "location_id")
ENTRY_FIELDS = (
    *("project_id", "date", "hours", "party_id", "description", "billable", "origin_id", *_CODES),
    *("time_in", "time_out", "lunch_time", "work_classification_id", "approval_status"),
)


Entries = dict[int | Place, Json]
"""Procore's timecard entries by id, or by where they go, with ``ENTRY_FIELDS``."""


def is_due(sheet: TimesheetEvent, settings: CompanySettings) -> bool:
    """Whether the shift is for Procore, and now."""
    is_approved = sheet.status is ShiftStatus.APPROVED or not settings.only_approved_shift
    is_of_ours = sheet.worker.contractor is None or settings.include_sub_workers
    is_over = sheet.time_out is not None and not sheet.deleted
    return is_over and is_approved and is_of_ours and sheet.procore_project_id is not None


def entry_of(sheet: TimesheetEvent, settings: CompanySettings) -> Json | None:
    """What the shift's entry should hold, but for its party; None if there should be none.

    A location that Procore does not have is left out; a sub job or cost code that it does not have leaves
    no entry at all.
    """
    if not is_due(sheet, settings):
        return None
    project, segment_1, segment_2 = (
        sheet.procore_project_id,
        sheet.cost_code_segment_1,
        sheet.cost_code_segment_2,
    )
    sub_job = SUB_JOBS.get((project or 0, segment_1 or ""))
    cost_code = COST_CODES.get((project or 0, sub_job, segment_2 or ""))
    if (segment_1 and sub_job is None) or (segment_2 and cost_code is None):
        return None
    return {
        "project_id": project,
        "date": sheet.work_date.isoformat(),
        "hours": str(float(sheet.total_hours)),
        "description": "Created By SmartBarrel",
        "billable": True,
        "origin_id": f"sb:{sheet.timesheet_id}",
        "sub_job_id": sub_job,
        "cost_code_id": cost_code,
        "location_id": LOCATIONS.get((project or 0, sheet.location or "")),
    }


def user_of(worker: ShiftWorker, linked: Mapping[int, str]) -> int | None:
    """The user that the worker is known to be: by what SmartBarrel says, else by the users' links."""
    if (worker.external_id or "").startswith("procore:"):
        return int((worker.external_id or "").removeprefix("procore:"))
    return next((user for user, linked_to in linked.items() if linked_to == worker.id), None)


def party_of(worker: ShiftWorker, people: Collection[Json], linked: Mapping[int, str]) -> int | Place:
    """The id of the person on whom the worker's hours are booked; ``linked`` has the workers of users.

    A known user is their own person. Anybody else is the one person with their employee ID, users before
    contacts and active before inactive ones, unless that is another worker; or else a contact of theirs.
    A subcontractor's worker is found by the contact of theirs alone.
    """
    user = user_of(worker, linked)
    if user is not None:
        return next((int(one["id"]) for one in people if one["user_id"] == user), Place.REFUSED)
    origin = f"sb:{worker.id}"
    own = next((int(one["id"]) for one in people if one["origin_id"] == origin), None)
    namesakes = [
        one
        for one in people
        if worker.payroll_id
        and worker.contractor is None
        and one["employee_id"] == worker.payroll_id
        and one["origin_id"] in {None, origin}
    ]
    if not namesakes:
        return Place.NEW if own is None else own
    best = max(map(_standing, namesakes))
    first, *others = [one for one in namesakes if _standing(one) == best]
    if others:
        return Place.REFUSED
    is_user = first["user_id"] is not None
    if is_user and linked.get(first["user_id"], worker.id) == worker.id:
        return int(first["id"])
    if own is not None:
        return own
    return Place.REFUSED if is_user else int(first["id"])


def contact_of(worker: ShiftWorker, people: Collection[Json]) -> Json:
    """What Procore should hold of a contact that is made for the worker.

    Never a user's employee ID, which can only be another's, since the worker would be found by it otherwise.
    """
    users = {one["employee_id"] for one in people if one["user_id"] is not None}
    return {
        "first_name": worker.first_name,
        "last_name": worker.last_name,
        "employee_id": None if worker.payroll_id in users else worker.payroll_id,
        "origin_id": f"sb:{worker.id}",
        "is_employee": True,
        "user_id": None,
    }


def entries_after(wanted: Json, party: int, entries: Entries) -> Entries:
    """The entries once the shift is booked on the party: one has exactly these fields, no other has changed.

    Procore's API has no way to take a code off an entry. So an entry keeps a code that its shift has lost,
    and where the two do not go together, Procore refuses the change as a whole.
    """
    origin = wanted["origin_id"]
    place: int | Place = next(
        (one for one, entry in entries.items() if entry["origin_id"] == origin), Place.NEW
    )
    before: Json = (
        dict.fromkeys(ENTRY_FIELDS) | {"approval_status": "pending"}
        if isinstance(place, Place)
        else entries[place]
    )
    kept = {name: before[name] for name in _CODES if wanted[name] is None}
    after = {**before, **wanted, **kept, "party_id": party}
    return {**entries, place: after} if _go_together(after) else dict(entries)


def keeps_a_code(wanted: Json, entries: Entries) -> bool:
    """Whether the shift's entry has a code that the shift has not."""
    found = [entry for entry in entries.values() if entry["origin_id"] == wanted["origin_id"]]
    return any(entry[name] is not None for entry in found for name in _CODES if wanted[name] is None)


def _go_together(entry: Json) -> bool:
    project, sub_job, cost_code, location = (entry[name] for name in ("project_id", *_CODES))
    sub_jobs = {None, *(one for (of, _), one in SUB_JOBS.items() if of == project)}
    locations = {None, *(one for (of, _), one in LOCATIONS.items() if of == project)}
    cost_codes = {
        None,
        *(one for (of, part, _), one in COST_CODES.items() if of == project and part in {None, sub_job}),
    }
    return sub_job in sub_jobs and location in locations and cost_code in cost_codes


def _standing(person: Json) -> tuple[bool, bool]:
    return person["user_id"] is not None, bool((person["contact"] or {}).get("is_active", True))
