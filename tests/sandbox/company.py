"""A small company in both systems."""

from typing import Any

from consumer.sandbox.demo import DemoData


Json = dict[str, Any]

NOON = 1772452800.0  # 2026-03-02T12:00:00Z
THEN = "2026-01-12T09:30:00Z"


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def user(number: int, first: str, last: str, **fields: Any) -> Json:
    return {
        "id": 8800100 + number,
        "contact_id": 25210000 + number,
        "name": f"{first} {last}",
        "first_name": first,
        "last_name": last,
        "email_address": f"{first}.{last}@example.com".lower(),
        "mobile_phone": f"(512) 555-01{number:02}",
        "employee_id": f"203{number:02}",
        "is_active": True,
        "is_employee": True,
        "job_title": "Carpenter",
        "work_classification_id": None,
        "origin_id": None,
        "vendor": {"id": 19170001, "name": "Granite Ridge Builders"},
    } | fields


def person(number: int, first: str, last: str, **fields: Any) -> Json:
    return {
        "id": 25130000 + number,
        "first_name": first,
        "last_name": last,
        "name": f"{first} {last}",
        "employee_id": f"203{number:02}",
        "work_classification_id": None,
        "is_employee": True,
        "user_id": 8800100 + number,
        "origin_id": None,
        "contact_id": 25210000 + number,
        "contact": {"is_active": True, "email": f"{first}.{last}@example.com".lower()},
        "user_uuid": None,
    } | fields


def cost_code(number: int, code: str, biller_type: str, biller_id: int) -> Json:
    return {
        "id": number,
        "name": f"Work {code}",
        "code": code,
        "full_code": f"03-{code}",
        "biller_id": biller_id,
        "biller_type": biller_type,
        "parent": {"id": None},
        "line_item_types": [],
    }


def timesheet(identifier: str, worker_ref: Json, day: str, **fields: Any) -> Json:
    return {
        "id": identifier,
        "revision": 1,
        "company_id": "granite-ridge",
        "project": {
            "id": "e81d3f70-0c5b-4c6c-8f2a-6b9a4d2c1e03",
            "procore_project_id": 2790001,
            "name": "Harbor Point Tower",
        },
        "worker_ref": worker_ref,
        "date": day,
        "time_in": f"{day}T14:00:00Z",
        "time_out": f"{day}T22:30:00Z",
        "break_minutes": 30,
        "total_hours": "8.00",
        "cost_code_segment_1": "FL1",
        "cost_code_segment_2": "03-300",
        "location": None,
        "status": "approved",
        "deleted": False,
        "updated_at": f"{day}T23:00:00Z",
    } | fields


def small_company() -> DemoData:
    retired = {"contact": {"is_active": False, "email": None}}
    project: Json = {
        "id": 2790001,
        "name": "Harbor Point Tower",
        "display_name": "2601 - Harbor Point Tower",
        "active": True,
        "sub_jobs": [
            {"id": 348001, "name": "Floor 1", "code": "FL1"},
            {"id": 348002, "name": "Floor 2", "code": "FL2"},
        ],
        "cost_codes": [
            cost_code(97120301, "300", "SubJob", 348001),
            cost_code(97120302, "300", "SubJob", 348002),
            cost_code(97120303, "100", "Project", 2790001),
        ],
        "locations": [
            {"id": 1550401, "name": "North", "node_name": "North", "parent_id": None, "code": "N"},
            {"id": 1550402, "name": "North>Roof", "node_name": "Roof", "parent_id": 1550401, "code": "NR"},
        ],
    }
    yard: Json = {
        "id": 2790002,
        "name": "Yard",
        "active": False,
        "sub_jobs": [{"id": 348009, "name": "Yard", "code": "YD"}],
        "cost_codes": [cost_code(97120309, "900", "Project", 2790002)],
        "locations": [],
    }
    return DemoData(
        procore={
            "company": {"id": 4281001, "name": "Granite Ridge Builders"},
            "users": [
                user(1, "Maria", "Delgado"),
                user(2, "Tomas", "Okafor", is_employee=False, employee_id=None, mobile_phone=None),
                user(3, "Lena", "Brandt", is_active=False),
            ],
            "people": [
                person(1, "Maria", "Delgado"),
                person(2, "Tomas", "Okafor", is_employee=False, employee_id=None),
                person(3, "Lena", "Brandt", **retired),
                person(4, "Priya", "Nair", user_id=None, origin_id="sb:known"),
                person(5, "Joan", "Idle", user_id=None, **retired),
            ],
            "projects": [project, yard],
            "work_classifications": [
                {"id": 57801, "name": "Carpenter", "abbreviation": "CARP", "project_ids": [2790001]},
                {"id": 57802, "name": "Laborer", "abbreviation": "LAB", "project_ids": []},
            ],
        },
        smartbarrel={
            "company": {"id": "granite-ridge", "name": "Granite Ridge Builders"},
            "positions": [
                {
                    "id": "6a0f7d0c-93c1-4a53-9f62-0e5f2f0f7b01",
                    "name": "Carpenter",
                    "code": "CARP",
                    "external_id": None,
                    "status": "active",
                }
            ],
            "workers": [
                {
                    "id": "4d1f9c33-2c0a-4a9b-8d57-1a6b0c5e9f02",
                    "company_id": "granite-ridge",
                    "first_name": "Emeka",
                    "last_name": "Lindqvist",
                    "email": "emeka.lindqvist@example.org",
                    "phone_number": "+15125550168",
                    "payroll_id": "7001",
                    "position_id": "6a0f7d0c-93c1-4a53-9f62-0e5f2f0f7b01",
                    "external_id": None,
                    "contractor": {"id": "9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "name": "Lakeside Electric"},
                    "status": "active",
                    "created_at": THEN,
                    "updated_at": THEN,
                }
            ],
            "timesheets": [
                timesheet(
                    "5b7e6c1e-9d0b-4a57-8f33-2f1f6b0c9a41",
                    {"id": "4d1f9c33-2c0a-4a9b-8d57-1a6b0c5e9f02"},
                    "2026-02-24",
                ),
                timesheet(
                    "1c9a4b7d-3e52-4f08-b6a1-8d7c5e2f4a36",
                    {"id": "4d1f9c33-2c0a-4a9b-8d57-1a6b0c5e9f02"},
                    "2026-02-23",
                    deleted=True,
                ),
                timesheet(
                    "a4e0d2c8-6f17-4b95-9c3e-0b1a2d3c4e5f", {"external_id": "procore:8800101"}, "2026-02-23"
                ),
            ],
        },
    )
