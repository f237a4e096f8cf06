"""Procore's directory: users and people."""

from typing import Any

from consumer.sandbox.database import new_id, person_fields
from consumer.sandbox.documents import Body, Clause, first, get, put
from consumer.sandbox.exchange import Call, Reply
from consumer.sandbox.procore_wire import (
    Writable,
    flag,
    ids_filter,
    json_object,
    listing,
    not_found,
    permitted,
    range_filter,
    search_filter,
    text_filter,
    unprocessable,
    wrapped,
)
from consumer.sandbox.tables import PEOPLE, USER_KEYS, USERS, WORK_CLASSIFICATIONS, procore_time


_PERSON_KEYS = (
    *("id", "first_name", "last_name", "name", "employee_id", "work_classification_id", "is_employee"),
    *("user_id", "origin_id", "contact_id", "contact", "user_uuid"),
)
_EXTENDED_PERSON_KEYS = (
    *("vendor", "email", "mobile_phone", "business_phone", "job_title", "created_at", "updated_at"),
)
_USER_ORDERS = {
    "name": "lower(json_extract(body, '$.name')), id",
    "full_name": "lower(json_extract(body, '$.name')), id",
    "vendor_name": "lower(json_extract(body, '$.vendor.name')), id",
    "email": "lower(json_extract(body, '$.email_address')), id",
    "job_title": "lower(json_extract(body, '$.job_title')), id",
}
_PERSON_FIELDS: Writable = {
    "first_name": str,
    "last_name": str,
    "is_employee": bool,
    "employee_id": str,
    "active": bool,
    "origin_id": str,
    "job_title": str,
    "work_classification_id": int,
}


def list_users(call: Call) -> Reply:
    """The active users. Nobody in the sandbox has a trade, so a filter by trade finds nobody."""
    where: list[Clause] = [("is_active", ())]
    where += range_filter(call, "created_at") + range_filter(call, "updated_at")
    where += ids_filter(call, "vendor_id", "vendor_id") + text_filter(call, "origin_id", "origin_id")
    where += search_filter(call)
    if "filters[trade_id][]" in call.query:
        where.append(("0", ()))
    keys = () if call.query.get("view") == "extended" else USER_KEYS
    return listing(call, USERS, where, lambda user: _picked(user, keys), _order(call))


def list_inactive_users(call: Call) -> Reply:
    """The deactivated users."""
    return listing(call, USERS, [("NOT is_active", ())], lambda user: user, _order(call))


def show_user(call: Call) -> Reply:
    """A user, active or not; keys without a value are left out."""
    user = get(call.db, USERS, call.path["id"])
    if user is None:
        raise not_found()
    return Reply({key: value for key, value in user.items() if value is not None})


def list_people(call: Call) -> Reply:
    """The active people."""
    return _list_people(call, "is_active")


def list_inactive_people(call: Call) -> Reply:
    """The inactive people."""
    return _list_people(call, "NOT is_active")


def create_person(call: Call, *, unique_origin_ids: bool) -> Reply:
    """Create a contact: a person who is no user."""
    fields = permitted(wrapped(json_object(call), "person"), _PERSON_FIELDS)
    person: Body = {
        "id": new_id(call.db),
        "first_name": None,
        "employee_id": None,
        "work_classification_id": None,
        "is_employee": False,
        "user_id": None,
        "origin_id": None,
        "contact_id": new_id(call.db),
        "contact": {"is_active": True, "email": None},
        "user_uuid": None,
        "created_at": procore_time(call.now),
    }
    return Reply(_saved_person(call, person, fields, unique_origin_ids=unique_origin_ids), 201)


def update_person(call: Call, *, unique_origin_ids: bool) -> Reply:
    """Change a person; a user's own record follows. ``last_name`` is required, even if it stays."""
    person = get(call.db, PEOPLE, call.path["id"])
    if person is None:
        raise not_found()
    fields = permitted(wrapped(json_object(call), "person"), _PERSON_FIELDS)
    return Reply(_saved_person(call, person, fields, unique_origin_ids=unique_origin_ids))


def _saved_person(call: Call, person: Body, fields: Body, *, unique_origin_ids: bool) -> Body:
    if not fields.get("last_name", "").strip():
        raise unprocessable(last_name="can't be blank")
    classification_id = fields.get("work_classification_id")
    if classification_id is not None and get(call.db, WORK_CLASSIFICATIONS, classification_id) is None:
        raise unprocessable(work_classification_id="is invalid")
    if unique_origin_ids and "origin_id" in fields:
        taken = ("origin_id = ? AND id <> ?", (fields["origin_id"], person["id"]))
        if first(call.db, PEOPLE, taken) is not None:
            raise unprocessable(origin_id="has already been taken")
    active = fields.pop("active", None)
    person = {**person, **fields, "updated_at": procore_time(call.now)}
    person["name"] = " ".join(filter(None, (person["first_name"], person["last_name"])))
    if active is not None:
        person["contact"] = {**(person["contact"] or {"email": None}), "is_active": active}
    user = get(call.db, USERS, person["user_id"])
    if user is not None:
        followed = {key: person[key] for key in (*fields, "name", "updated_at") if key != "origin_id"}
        user = {**user, **followed, "is_active": user["is_active"] if active is None else active}
        put(call.db, USERS, user)
        person.update(person_fields(user))
    put(call.db, PEOPLE, person)
    return _rendered_person(call, person)


def _list_people(call: Call, active: str) -> Reply:
    where: list[Clause] = [(active, ())]
    is_employee = flag(call, "filters[is_employee]")
    if is_employee is not None:
        where.append(("is_employee = ?", (is_employee,)))
    if flag(call, "filters[without_reference_users]"):
        where.append(("user_id IS NOT NULL", ()))
    if flag(call, "filters[reference_users_only]"):
        where.append(("user_id IS NULL", ()))
    where += search_filter(call) + ids_filter(call, "vendor_id", "vendor_id")
    return listing(call, PEOPLE, where, lambda person: _rendered_person(call, person))


def _rendered_person(call: Call, person: Body) -> Body:
    normal = _picked(person, _PERSON_KEYS)
    if call.query.get("view") != "extended":
        return normal
    return {
        **normal,
        **_picked(person, _EXTENDED_PERSON_KEYS),
        "work_classification": id_and_name(get_classification(call, person)),
        "reference_user": person["user_id"] is None,
        "connected": False,
    }


def get_classification(call: Call, owner: Body) -> Body | None:
    """The classification that a person or a timecard entry has."""
    return get(call.db, WORK_CLASSIFICATIONS, owner.get("work_classification_id"))


def id_and_name(body: Body | None) -> Body | None:
    """A thing as it stands inside another one."""
    return None if body is None else {"id": body["id"], "name": body["name"]}


def _picked(body: Body, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: body.get(key) for key in keys} if keys else body


def _order(call: Call) -> str | None:
    return _USER_ORDERS.get(call.query.get("sort", ""))
