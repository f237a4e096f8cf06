"""Invented records, and catalogues in which a record has an older version."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from consumer.model.codec import Codec
from consumer.model.deadletters import DeadLetter
from consumer.model.events import (
    Kind,
    Named,
    ShiftStatus,
    ShiftWorker,
    SyncCommand,
    TimesheetEvent,
    Trigger,
    UserEvent,
)
from consumer.model.links import Link, LinkKind
from consumer.model.notices import WebhookNotice
from consumer.model.results import Outcome, Reason, Result, RunMarker
from consumer.model.schemas import Catalogue
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry


MORNING = datetime(2026, 11, 23, 7, 15, 0, 123456, tzinfo=UTC)
AFTERNOON = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)

EXAMPLES = (
    UserEvent(
        company_id=7,
        user_id=4_000_000_001,
        asked_at=MORNING,
        first_name="Ayşe",
        last_name="Örnek",
        email="ayse@example.com",
        mobile_phone="(312) 555-0101",
        country_code="US",
        employee_id="E-17",
        is_employee=True,
        work_classification_id=31,
        work_classification_name="Carpenter",
        run_id="r1",
    ),
    TimesheetEvent(
        company_id=7,
        timesheet_id="ts-1",
        revision=3,
        project=Named("p-1", "North Tower"),
        procore_project_id=91,
        worker=ShiftWorker("w-1", "Ayşe", "Örnek", payroll_id="E-17", position=Named("c-1", "Carpenter")),
        work_date=date(2026, 11, 23),
        time_in=MORNING,
        time_out=AFTERNOON,
        break_minutes=30,
        total_hours=Decimal("8.25"),
        cost_code_segment_1="01",
        cost_code_segment_2="02-100",
        location=None,
        status=ShiftStatus.APPROVED,
        deleted=False,
        updated_at=AFTERNOON,
    ),
    SyncCommand(7, Kind.USERS, Trigger.MANUAL, "A. Örnek", MORNING, "r1", reason="New site"),
    Result(
        company_id=None,
        kind=Kind.TIMESHEETS,
        run_id=None,
        subject_id="ts-1",
        subject_name="Ayşe Örnek",
        outcome=Outcome.FAILED,
        reasons=(
            Reason("missing_phone", "Missing phone number"),
            Reason("rejected", "Procore said no", "is too long"),
        ),
        warnings=(),
        detail=None,
        source_topic="smartbarrel.timesheet-events",
        source_partition=2,
        source_offset=12345678901,
        event_at=MORNING,
        handled_at=AFTERNOON,
    ),
    RunMarker(7, Kind.USERS, "r1", Trigger.REPLAY, "A. Örnek", MORNING, 20_000),
    Link(7, LinkKind.CONTACT, "w-1", "55", 3, "ab12"),
    CompanySettings(
        7,
        user_sync=False,
        time_entry=TimeEntry.START_STOP,
        default_region="CA",
        project_time_entry=(ProjectTimeEntry(2790001, TimeEntry.TOTAL_HOURS),),
    ),
    DeadLetter(
        "procore.user-events",
        0,
        42,
        MORNING,
        "decode",
        "undecodable",
        "The value is cut off.",
        AFTERNOON,
        1,
        7,
    ),
    WebhookNotice(
        7,
        4_000_000_001,
        "01JMYXMZRBVKK0PC6XS8SA4QRE",
        "Company Users",
        "update",
        "v4.0",
        AFTERNOON,
        changed_at=MORNING,
        changed_by="5447",
    ),
)


@pytest.fixture(scope="session")
def examples() -> Mapping[type, Any]:
    """One record of each type."""
    return {type(example): example for example in EXAMPLES}


@pytest.fixture(scope="session")
def codec() -> Codec:
    """The codec of the project's own schemas, without a registry."""
    return Codec()


@pytest.fixture
def with_older(tmp_path: Path) -> Callable[[str, Callable[[Any], None]], Catalogue]:
    """A catalogue in which today's newest version of a record follows one that is changed as told."""

    def make(name: str, change: Callable[[Any], None]) -> Catalogue:
        for own in Catalogue.load().by_name.values():
            newest = own[-1]
            folder = tmp_path / newest.record
            folder.mkdir()
            versions = [newest.text]
            if newest.name == name:
                older = json.loads(newest.text)
                change(older)
                versions.insert(0, json.dumps(older))
            for number, text in enumerate(versions, start=1):
                (folder / f"v{number}.avsc").write_text(text, encoding="utf-8")
        return Catalogue.load(tmp_path)

    return make
