"""Small random companies, and steps of their histories.

Few values, so that people collide: on a phone number, on an employee ID, on both in different ways.
"""

from typing import Any

from hypothesis import strategies as st

from consumer.model.settings import CompanySettings
from tests.upstream.site import (
    COMPANY,
    TOWER,
    YARD,
    Json,
    classification,
    person,
    position,
    timesheet,
    user,
    worker,
)


MOST_USERS = 8
SWITCHES = ("only_approved_shift", "include_sub_workers", "deactivate_workers", "sync_classifications")
"""The settings that are turned on and off."""
CLASSIFICATIONS = ["Carpenter", "carpenter", "Laborer", "Flagger", "Flagger"]
MOST_CLASSIFICATIONS = 3
PHONES = [f"+1512555010{number}" for number in range(MOST_USERS)]
EMPLOYEE_IDS = [f"2030{number}" for number in range(MOST_USERS)]
CONTRACTOR = {"id": "9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "name": "Lakeside Electric"}
NOBODY = 8809999
"""The id of a Procore user who is not there any more."""

_user_fields: dict[str, st.SearchStrategy[Any]] = {
    "first_name": st.sampled_from(["Maria", "Ada", "Bo", None, ""]),
    "last_name": st.sampled_from(["Delgado", "Hale", "Nair"]),
    "email_address": st.sampled_from(["one@example.com", "two@example.com", "three@example.com", None, ""]),
    "mobile_phone": st.sampled_from([*PHONES, None, ""]),
    "employee_id": st.sampled_from([*EMPLOYEE_IDS, None, ""]),
    "work_classification_id": st.sampled_from([None, 57800, 57801, 57802]),
    "is_employee": st.sampled_from([True, True, True, False]),
    "is_active": st.sampled_from([True, True, True, False]),
}
_sheet_fields: dict[str, st.SearchStrategy[Any]] = {
    "total_hours": st.sampled_from(["8.00", "7.75", "0.50"]),
    # Within the days in which an entry is found by its origin id.
    "date": st.sampled_from(["2026-02-24", "2026-02-23", "2026-02-26"]),
    "location": st.sampled_from([None, "North", "North>Roof", "Basement"]),
    "status": st.sampled_from(["approved", "approved", "approved", "submitted"]),
    "deleted": st.sampled_from([False, False, False, True]),
    "time_out": st.sampled_from(["2026-02-24T22:30:00Z"] * 3 + [None]),
}
_codes = st.sampled_from(
    [("FL1", "03-300"), ("FL2", "03-300"), (None, "03-100"), ("FL1", None), (None, None), ("FL9", "03-300")]
)
_yard_codes = st.sampled_from([("YD", None), (None, "03-900"), (None, None), ("FL1", "03-300")])


@st.composite
def user_fields(draw: st.DrawFn) -> Json:
    """Some fields of a user."""
    names = draw(st.lists(st.sampled_from(list(_user_fields)), max_size=3, unique=True))
    return {name: draw(_user_fields[name]) for name in names}


def user_with(number: int, fields: Json) -> Json:
    """The user with this number, who is for syncing unless the fields say otherwise."""
    own: Json = {"mobile_phone": PHONES[number], "employee_id": EMPLOYEE_IDS[number]}
    return user(number, "Maria", "Delgado", **own | fields)


@st.composite
def timesheet_fields(draw: st.DrawFn) -> Json:
    """Some fields of a timesheet."""
    names = draw(st.lists(st.sampled_from([*_sheet_fields, "project"]), max_size=3, unique=True))
    fields = {name: draw(_sheet_fields[name]) for name in names if name != "project"}
    if "project" not in names:
        return fields
    project = draw(st.sampled_from([TOWER, TOWER, TOWER, YARD, YARD, None]))
    segment_1, segment_2 = draw(_yard_codes if project == YARD else _codes)
    return {
        **fields,
        "project": {"id": f"project-{project}", "procore_project_id": project, "name": "A project"},
        "cost_code_segment_1": segment_1,
        "cost_code_segment_2": segment_2,
    }


def choices() -> st.SearchStrategy[CompanySettings]:
    """What a company has chosen at first."""
    return st.builds(CompanySettings, st.just(COMPANY), **dict.fromkeys(SWITCHES, st.booleans()))


@st.composite
def companies(draw: st.DrawFn) -> Json:
    """What a company holds at first, under the names of ``company_data``; ``contacts`` are people."""
    workers = draw(_workers())
    refs = [{"id": one["id"]} for one in workers]
    refs += [{"external_id": f"procore:{8800100 + number}"} for number in range(2)]
    return {
        "users": [user_with(number, draw(user_fields())) for number in range(draw(st.integers(0, 3)))],
        "contacts": [draw(_contacts(number)) for number in range(draw(st.integers(0, 2)))],
        "workers": workers,
        "classifications": [
            classification(number, draw(st.sampled_from(CLASSIFICATIONS)))
            for number in range(draw(st.integers(0, MOST_CLASSIFICATIONS)))
        ],
        "positions": draw(_positions()),
        "timesheets": [
            timesheet(number, 0, **draw(timesheet_fields()) | {"worker_ref": draw(st.sampled_from(refs))})
            for number in range(draw(st.integers(0, 4)))
        ],
    }


@st.composite
def _workers(draw: st.DrawFn) -> list[Json]:
    """Workers whose phone numbers, payroll IDs and external ids are their own, as SmartBarrel wants it."""
    phones = draw(st.permutations(PHONES))
    payroll_ids = draw(st.permutations(EMPLOYEE_IDS))
    external_ids = draw(st.permutations([f"procore:{one}" for one in (*range(8800100, 8800103), NOBODY)]))
    workers: list[Json] = []
    for number in range(draw(st.integers(0, 4))):
        # Whether a subcontractor's worker may be a user by their external id alone, no source tells.
        belongs_to = draw(st.sampled_from([{}, {}, {}, {"contractor": CONTRACTOR}]))
        is_linked = not belongs_to and draw(st.sampled_from([False, False, False, True]))
        fields: Json = {
            "phone_number": phones[number],
            "payroll_id": draw(st.sampled_from([None, payroll_ids[number]])),
            "external_id": external_ids[number] if is_linked else None,
            "status": draw(st.sampled_from(["active", "active", "inactive"])),
        }
        workers.append(worker(number, "Priya", f"Nair{number}", **fields | belongs_to))
    return workers


@st.composite
def _positions(draw: st.DrawFn) -> list[Json]:
    """Positions of names of their own, as SmartBarrel wants it; some stand for a classification."""
    names = draw(st.permutations(["Carpenter", "LABORER", "Painter"]))
    stand_for = draw(st.permutations([None, "procore:57800", "procore:57801", "payroll-7"]))
    return [
        position(
            number,
            names[number],
            external_id=draw(st.sampled_from([None, stand_for[number]])),
            status=draw(st.sampled_from(["active", "inactive"])),
        )
        for number in range(draw(st.integers(0, 3)))
    ]


def _contacts(number: int) -> st.SearchStrategy[Json]:
    """People in Procore who are no users, and were there before anything was synced."""
    return st.builds(
        lambda employee_id, is_active: person(
            50 + number,
            "Old",
            f"Contact{number}",
            user_id=None,
            employee_id=employee_id,
            contact={"is_active": is_active, "email": None},
        ),
        st.sampled_from([None, *EMPLOYEE_IDS]),
        st.booleans(),
    )
