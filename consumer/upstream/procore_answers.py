"""What Procore answers, read into values: absent keys, null and empty strings all mean "none".

Ids may exceed 32 bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from consumer.model.events import UserEvent


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the company's directory: a user, or a contact if ``user_id`` is None.

    ``id`` is the *person* id, which is what a timecard calls its party.
    """

    id: int
    user_id: int | None
    first_name: str | None
    last_name: str
    employee_id: str | None
    origin_id: str | None
    is_employee: bool
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Classification:
    """A work classification, and the projects on which it can be chosen."""

    id: int
    name: str
    abbreviation: str | None
    project_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Project:
    """A project. ``time_zone`` is as Procore names it: by Rails' names, or by IANA's."""

    id: int
    name: str
    time_zone: str | None


@dataclass(frozen=True, slots=True)
class SubJob:
    """A sub job of a project."""

    id: int
    code: str | None


@dataclass(frozen=True, slots=True)
class CostCode:
    """A cost code of a project, or of one of its sub jobs (``sub_job_id``)."""

    id: int
    full_code: str
    sub_job_id: int | None


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a project; nested ones have names like ``Building>Floor``."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Timecard:
    """A timecard entry as it stands in Procore."""

    id: int
    project_id: int
    party_id: int | None
    date: date
    hours: Decimal | None
    approval_status: str
    origin_id: str | None
    description: str | None
    cost_code_id: int | None
    sub_job_id: int | None
    location_id: int | None
    time_in: datetime | None = None
    time_out: datetime | None = None
    lunch_minutes: int | None = None
    classification_id: int | None = None


def text(value: object) -> str | None:
    """A text field, with surrounding white space taken off; None for null and for nothing but white space."""
    return (str(value).strip() or None) if value is not None else None


def user_event(company_id: int, item: Mapping[str, Any], asked_at: datetime) -> UserEvent:
    """A user of a list or show answer as an event of the moment of asking."""
    classification = item.get("work_classification_id")
    return UserEvent(
        company_id=company_id,
        user_id=int(item["id"]),
        asked_at=asked_at,
        first_name=text(item.get("first_name")),
        last_name=text(item.get("last_name")),
        email=text(item.get("email_address")),
        mobile_phone=text(item.get("mobile_phone")),
        country_code=text(item.get("country_code")),
        employee_id=text(item.get("employee_id")),
        is_employee=bool(item.get("is_employee")),
        is_active=bool(item.get("is_active", True)),
        work_classification_id=None if classification is None else int(classification),
    )


def person(item: Mapping[str, Any]) -> Person:
    """A person of a list or create answer."""
    user_id = item.get("user_id")
    return Person(
        id=int(item["id"]),
        user_id=None if user_id is None else int(user_id),
        first_name=text(item.get("first_name")),
        last_name=text(item.get("last_name")) or "",
        employee_id=text(item.get("employee_id")),
        origin_id=text(item.get("origin_id")),
        is_employee=bool(item.get("is_employee")),
    )


def classification(item: Mapping[str, Any]) -> Classification:
    """A work classification of any answer."""
    return Classification(
        int(item["id"]),
        str(item["name"]),
        text(item.get("abbreviation")),
        frozenset(map(int, item.get("project_ids") or ())),
    )


def project(item: Mapping[str, Any]) -> Project:
    """A project of a list answer."""
    return Project(int(item["id"]), str(item["name"]), text(item.get("time_zone")))


def cost_code(item: Mapping[str, Any]) -> CostCode:
    """A cost code of a list answer."""
    of_sub_job = item.get("biller_type") == "SubJob"
    return CostCode(int(item["id"]), str(item["full_code"]), int(item["biller_id"]) if of_sub_job else None)


def sub_job(item: Mapping[str, Any]) -> SubJob:
    """A sub job of a list answer."""
    return SubJob(int(item["id"]), text(item.get("code")))


def location(item: Mapping[str, Any]) -> Location:
    """A location of a list answer."""
    return Location(int(item["id"]), str(item["name"]))


def timecard(item: Mapping[str, Any]) -> Timecard:
    """A timecard entry of any answer. ``hours`` comes as "8.0", also when "8.00" was sent."""
    place = item.get("location") or {}
    hours, lunch = item.get("hours"), item.get("lunch_time")
    classified = item.get("work_classification_id")
    if classified is None:
        classified = (item.get("work_classification") or {}).get("id")
    return Timecard(
        id=int(item["id"]),
        project_id=int(item["project_id"]),
        party_id=item.get("party_id"),
        date=date.fromisoformat(item["date"]),
        hours=None if hours is None else Decimal(str(hours)),
        approval_status=text(item.get("approval_status")) or "pending",
        origin_id=text(item.get("origin_id")),
        description=text(item.get("description")),
        cost_code_id=item.get("cost_code_id"),
        sub_job_id=item.get("sub_job_id"),
        location_id=place.get("id"),
        time_in=_moment(item.get("time_in")),
        time_out=_moment(item.get("time_out")),
        lunch_minutes=None if lunch is None or lunch == "" else int(lunch),
        classification_id=classified,
    )


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None
