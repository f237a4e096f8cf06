"""What Procore holds of shifts, and what is linked."""

from typing import Any

from consumer.model.events import TimesheetEvent
from consumer.model.links import Link, LinkKey, LinkKind
from tests.sync.conftest import Office
from tests.sync.people import priya, shift
from tests.upstream.site import (
    COMPANY,
    CONCRETE_1,
    FLOOR_1,
    TOWER,
    Json,
    timesheet_id,
)


MARIA = 25130001
"""Maria's person id; her user id is 8800101."""
MARIAS = priya(first_name="Maria", last_name="Delgado", external_id="procore:8800101")
KEY = LinkKey(COMPANY, LinkKind.TIMESHEET, timesheet_id(1))
ENTRY = {
    "project_id": TOWER,
    "date": "2026-02-24",
    "hours": "8.0",
    "party_id": MARIA,
    "description": "Created By SmartBarrel",
    "billable": True,
    "origin_id": f"sb:{timesheet_id(1)}",
    "sub_job_id": FLOOR_1,
    "cost_code_id": CONCRETE_1,
    "location_id": None,
}


def marias(revision: int = 1, number: int = 1, **fields: Any) -> TimesheetEvent:
    """A shift of Maria's, who is a Procore user."""
    return shift(revision, number, worker=MARIAS, **fields)


def entries(office: Office) -> list[Json]:
    """Procore's entries, with what this project writes."""
    return [{name: entry[name] for name in ENTRY} for entry in office.site.state.timecard_entries()]


def contacts(office: Office) -> list[Json]:
    """Procore's people who are no users."""
    return [one for one in office.site.state.people() if one["user_id"] is None]


def entry_id(office: Office) -> int:
    (entry,) = office.site.state.timecard_entries()
    return int(entry["id"])


def link_of(office: Office, key: LinkKey = KEY) -> Link:
    link = office.links.get(key)
    assert link is not None
    return link


def requests(office: Office) -> int:
    return len(office.site.wire.seen)
