"""What the sandbox remembers: one collection for each kind of thing, in both systems."""

from datetime import UTC, datetime
from typing import Any

from consumer.sandbox.documents import Body, Collection, Column


USER_KEYS = (
    *("id", "name", "first_name", "initials", "last_name", "business_id", "address", "avatar"),
    *("business_phone", "business_phone_extension", "city", "contact_id", "country_code", "email_address"),
    *("employee_id", "erp_integrated_accountant", "fax_number", "is_active", "is_employee", "job_title"),
    *("mobile_phone", "origin_id", "state_code", "zip", "last_activated_at", "work_classification_id"),
    "vendor",
)
"""The keys of a recorded list item, in the normal view; the others come with "show" and "extended"."""

LOCKED = frozenset({"approved", "completed"})
"""The states of a timecard entry that refuse changes."""


def instant(value: str | None) -> str | None:
    """An ISO 8601 time in a form whose alphabetical order is the order in time.

    A time without a zone is taken as UTC. Raises ValueError if it is no time.
    """
    if value is None:
        return None
    moment = datetime.fromisoformat(value)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")


def procore_time(now: float) -> str:
    """A Unix time as Procore writes it: UTC, whole seconds."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def smartbarrel_time(now: float) -> str:
    """A Unix time as this SmartBarrel writes it: UTC, so fine that two changes rarely share it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def folded(value: str | None) -> str | None:
    """The text as it is compared without regard to case."""
    return None if value is None else value.casefold()


def is_active(person: Body) -> bool:
    """Whether a person is on the active list; only the nested contact says so."""
    return bool((person.get("contact") or {"is_active": True}).get("is_active", True))


def _words(*values: Any) -> str:
    return "\n".join(str(value) for value in values if value).casefold()


def _vendor(body: Body, key: str) -> Any:
    return (body.get("vendor") or {}).get(key)


def _user_words(user: Body) -> str:
    names = (user.get("first_name"), user.get("last_name"), user.get("name"))
    return _words(*names, user.get("email_address"), user.get("job_title"), _vendor(user, "name"))


def _person_words(person: Body) -> str:
    email = person.get("email") or (person.get("contact") or {}).get("email")
    keys = ("first_name", "last_name", "name", "mobile_phone", "business_phone", "job_title")
    return _words(*(person.get(key) for key in keys), email)


def _updated_at() -> Column:
    return Column("updated_at", lambda body: instant(body.get("updated_at")))


def _plain(name: str, *, unique: bool = False) -> Column:
    return Column(name, lambda body: body.get(name), unique)


def _origin_id() -> Column:
    # Integers and strings are accepted; both are compared as text.
    return Column("origin_id", lambda body: None if body.get("origin_id") is None else str(body["origin_id"]))


USERS = Collection(
    "users",
    (
        _plain("is_active"),
        _origin_id(),
        Column("vendor_id", lambda user: _vendor(user, "id")),
        Column("created_at", lambda user: instant(user.get("created_at"))),
        _updated_at(),
        Column("words", _user_words, indexed=False),
    ),
)
PEOPLE = Collection(
    "people",
    (
        Column("is_active", is_active),
        _plain("user_id", unique=True),
        _plain("is_employee"),
        _origin_id(),
        Column("vendor_id", lambda person: _vendor(person, "id")),
        Column("words", _person_words, indexed=False),
    ),
)
PROJECTS = Collection("projects", (_plain("active"), _plain("name"), _origin_id(), _updated_at()))
SUB_JOBS = Collection("sub_jobs", (_plain("project_id"),))
COST_CODES = Collection(
    "cost_codes",
    (
        _plain("project_id"),
        Column("sub_job_id", lambda code: code["biller_id"] if code["biller_type"] == "SubJob" else None),
        _origin_id(),
    ),
)
LOCATIONS = Collection(
    "locations",
    (
        _plain("project_id"),
        _plain("parent_id"),
        _plain("code"),
        _updated_at(),
        Column("words", lambda location: _words(location.get("name")), indexed=False),
    ),
)
WORK_CLASSIFICATIONS = Collection("work_classifications", (_plain("company_visible"),))
TIMECARD_ENTRIES = Collection(
    "timecard_entries",
    (
        _plain("project_id"),
        _plain("party_id"),
        _plain("date"),
        _plain("in_progress"),
        _origin_id(),
        Column("deleted_at", lambda entry: instant(entry.get("deleted_at"))),
        _updated_at(),
    ),
)

WORKERS = Collection(
    "workers",
    (
        _plain("phone_number", unique=True),
        _plain("payroll_id", unique=True),
        _plain("external_id", unique=True),
        Column("email", lambda worker: folded(worker["email"])),
        _plain("status"),
        Column("created_at", lambda worker: instant(worker["created_at"])),
    ),
    key="TEXT",
    order="created_at, id",
)
POSITIONS = Collection(
    "positions",
    (
        Column("name", lambda position: folded(position["name"]), unique=True),
        _plain("external_id"),
        Column("created_at", lambda position: instant(position["created_at"])),
    ),
    key="TEXT",
    order="created_at, id",
)
TIMESHEETS = Collection(
    "timesheets",
    (
        Column("worker_id", lambda sheet: sheet["worker_ref"].get("id")),
        Column("worker_external_id", lambda sheet: sheet["worker_ref"].get("external_id")),
        Column("project_id", lambda sheet: sheet["project"]["id"]),
        _plain("date"),
        _updated_at(),
    ),
    key="TEXT",
    order="updated_at, id",
)

COLLECTIONS = (
    USERS,
    PEOPLE,
    PROJECTS,
    SUB_JOBS,
    COST_CODES,
    LOCATIONS,
    WORK_CLASSIFICATIONS,
    TIMECARD_ENTRIES,
    WORKERS,
    POSITIONS,
    TIMESHEETS,
)
