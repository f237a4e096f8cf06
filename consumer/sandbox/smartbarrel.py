"""SmartBarrel as this project's assumed contract describes it."""

import sqlite3
import uuid
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from consumer.sandbox.database import fact
from consumer.sandbox.documents import Body, Clause, Collection, first, get, put, select
from consumer.sandbox.exchange import Call, Clock, Handler, Reply, endpoint
from consumer.sandbox.fault_rules import FaultFile
from consumer.sandbox.idempotency import answered, earlier_answer
from consumer.sandbox.injection import FaultInjection, Surroundings
from consumer.sandbox.limits import RateBudget
from consumer.sandbox.metering import Meter
from consumer.sandbox.smartbarrel_wire import (
    Field,
    FieldErrors,
    error,
    error_body,
    is_day,
    is_email,
    is_moment,
    is_phone_number,
    is_status,
    listing,
    not_found,
    query_text,
    rate_limited,
    read_fields,
)
from consumer.sandbox.tables import POSITIONS, TIMESHEETS, WORKERS, folded, instant, smartbarrel_time


SYSTEM = "smartbarrel"

_WORKER_FIELDS = {
    "first_name": Field("first name", required=True),
    "last_name": Field("last name", required=True),
    "email": Field("email", is_email, required=True),
    "phone_number": Field("phone number", is_phone_number, required=True),
    "payroll_id": Field("payroll ID", nullable=True),
    "position_id": Field("position", nullable=True),
    "external_id": Field("external ID", nullable=True),
    "status": Field("status", is_status),
}
_POSITION_FIELDS = {
    "name": Field("name", required=True),
    "code": Field("code", nullable=True),
    "external_id": Field("external ID", nullable=True),
    "status": Field("status", is_status),
}
_UNIQUE = ("phone_number", "payroll_id", "external_id")
_WORKER_EXISTS = """worker_id IN (SELECT id FROM workers)
    OR worker_external_id IN (SELECT external_id FROM workers)"""


def smartbarrel_app(
    db: sqlite3.Connection,
    clock: Clock,
    *,
    api_key: str,
    budget: RateBudget | None = None,
    middleware: Sequence[Middleware] = (),
    faults: FaultFile | None = None,
    latency_s: float = 0.0,
) -> Starlette:
    """SmartBarrel's API server for one company, which has one key. Without a budget it has no limit.

    A budget that ``faults`` has takes the place of ``budget``.
    """
    company_id = fact(db, "smartbarrel_company_id")
    meter = Meter(SYSTEM, db, lambda: (faults and faults.budget_of(SYSTEM)) or budget)

    def guarded(handler: Handler) -> Handler:
        def guard(call: Call) -> Reply:
            quota = meter.take(call.now)
            if quota is not None and quota.exceeded:
                raise rate_limited(quota.reset - call.now)
            scheme, _, key = call.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or key != api_key:
                raise error(401, "unauthorized", "API key is missing or invalid")
            if call.path.get("company_id", company_id) != company_id:
                raise error(403, "forbidden", "API key has no access to this company")
            return handler(call)

        return guard

    routes = [
        Route(path, endpoint(SYSTEM, db, clock, guarded(handler)), methods=[method], name=operation)
        for operation, method, path, handler in _routes()
    ]
    every = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    nowhere = Route("/{path:path}", endpoint(SYSTEM, db, clock, guarded(_nowhere)), methods=every)
    around = Surroundings(SYSTEM, routes, error_body, clock, meter.take, faults, latency_s)
    return Starlette(
        routes=[*routes, nowhere], middleware=[*middleware, Middleware(FaultInjection, around=around)]
    )


def list_workers(call: Call) -> Reply:
    """Workers, active and inactive; filters are exact and all have to hold."""
    where: list[Clause] = []
    for name in ("external_id", "payroll_id", "phone_number", "status"):
        value = query_text(call, name, _WORKER_FIELDS[name])
        where += [] if value is None else [(f"{name} = ?", (value,))]
    email = query_text(call, "email", _WORKER_FIELDS["email"])
    where += [] if email is None else [("email = ?", (folded(email),))]
    return listing(call, WORKERS, where, lambda worker: worker)


def show_worker(call: Call) -> Reply:
    """One worker."""
    return Reply(_existing(call, WORKERS, "Worker"))


def create_worker(call: Call) -> Reply:
    """Create one of the company's own workers, once for each idempotency key."""
    earlier = earlier_answer(call)
    if earlier is not None:
        return earlier
    now = smartbarrel_time(call.now)
    fields = read_fields(call, _WORKER_FIELDS, errors=lambda sent: _position_errors(call, sent))
    worker: Body = {
        "id": str(uuid.uuid4()),
        "company_id": fact(call.db, "smartbarrel_company_id"),
        "payroll_id": None,
        "position_id": None,
        "external_id": None,
        "contractor": None,
        "status": "active",
        **fields,
        "created_at": now,
        "updated_at": now,
    }
    _store_worker(call, worker)
    return answered(call, Reply(worker, 201))


def update_worker(call: Call) -> Reply:
    """Change a worker; absent fields stay, null clears."""
    worker = _existing(call, WORKERS, "Worker")
    fields = read_fields(call, _WORKER_FIELDS, partial=True, errors=lambda sent: _position_errors(call, sent))
    worker |= {**fields, "updated_at": smartbarrel_time(call.now)}
    _store_worker(call, worker)
    return Reply(worker)


def list_positions(call: Call) -> Reply:
    """Positions, active and inactive."""
    where: list[Clause] = []
    external_id = query_text(call, "external_id", _POSITION_FIELDS["external_id"])
    where += [] if external_id is None else [("external_id = ?", (external_id,))]
    name = query_text(call, "name", _POSITION_FIELDS["name"])
    where += [] if name is None else [("name = ?", (folded(name),))]
    return listing(call, POSITIONS, where, _shown_position)


def create_position(call: Call) -> Reply:
    """Create a position, once for each idempotency key."""
    earlier = earlier_answer(call)
    if earlier is not None:
        return earlier
    fields = read_fields(call, _POSITION_FIELDS)
    position: Body = {
        "id": str(uuid.uuid4()),
        "code": None,
        "external_id": None,
        "status": "active",
        **fields,
        "created_at": smartbarrel_time(call.now),
    }
    return answered(call, Reply(_stored_position(call, position), 201))


def update_position(call: Call) -> Reply:
    """Change a position; absent fields stay, null clears."""
    position = _existing(call, POSITIONS, "Position")
    return Reply(_stored_position(call, position | read_fields(call, _POSITION_FIELDS, partial=True)))


def list_timesheets(call: Call) -> Reply:
    """Timesheets of workers who exist: without a worker's record nobody can clock in."""
    where: list[Clause] = [(_WORKER_EXISTS, ())]
    since = query_text(call, "updated_since", Field("updated_since", is_moment))
    where += [] if since is None else [("updated_at >= ?", (instant(since),))]
    for name, comparison in (("date_from", "date >= ?"), ("date_to", "date <= ?")):
        day = query_text(call, name, Field(name, is_day))
        where += [] if day is None else [(comparison, (day,))]
    project_id = query_text(call, "project_id", Field("project"))
    if project_id is not None:
        if first(call.db, TIMESHEETS, ("project_id = ?", (project_id,))) is None:
            raise not_found("Project")
        where.append(("project_id = ?", (project_id,)))
    return listing(call, TIMESHEETS, where, lambda timesheet: _shown_timesheet(call, timesheet))


def _routes() -> list[tuple[str, str, str, Handler]]:
    base = "/api/v1/companies/{company_id}"
    workers, positions = f"{base}/workers", f"{base}/positions"
    return [
        ("listWorkers", "GET", workers, list_workers),
        ("createWorker", "POST", workers, create_worker),
        ("getWorker", "GET", f"{workers}/{{id}}", show_worker),
        ("updateWorker", "PATCH", f"{workers}/{{id}}", update_worker),
        ("listPositions", "GET", positions, list_positions),
        ("createPosition", "POST", positions, create_position),
        ("updatePosition", "PATCH", f"{positions}/{{id}}", update_position),
        ("listTimesheets", "GET", f"{base}/timesheets", list_timesheets),
    ]


OPERATIONS = frozenset(operation for operation, *_ in _routes())
"""All that this SmartBarrel can be asked for, as its contract names it."""


def _nowhere(_call: Call) -> Reply:
    raise not_found("Page")


def _existing(call: Call, collection: Collection, kind: str) -> Body:
    found = get(call.db, collection, call.path["id"])
    if found is None:
        raise not_found(kind)
    return found


def _position_errors(call: Call, fields: Body) -> FieldErrors:
    position_id = fields.get("position_id")
    if position_id is None or get(call.db, POSITIONS, position_id) is not None:
        return []
    return [{"field": "position_id", "message": "Position not found"}]


def _store_worker(call: Call, worker: Body) -> None:
    for field in _UNIQUE:
        taken = (f"{field} = ? AND id <> ?", (worker[field], worker["id"]))
        other = first(call.db, WORKERS, taken)
        if other is not None:
            label = _WORKER_FIELDS[field].label
            message = f"{label[0].upper()}{label[1:]} already in use"
            raise error(409, "duplicate", message, field=field, worker_id=other["id"])
    known = get(call.db, WORKERS, worker["id"]) or {"external_id": None}
    put(call.db, WORKERS, worker)
    if worker["external_id"] not in {None, known["external_id"]}:
        _release_timesheets(call, worker["external_id"])


def _release_timesheets(call: Call, external_id: str) -> None:
    """Let timesheets that waited for the worker with this external id count as updated now.

    They are listed from now on, and a reader who asks for what is new since then has to see them.
    """
    now = smartbarrel_time(call.now)
    waiting: Clause = ("worker_external_id = ? AND updated_at < ?", (external_id, instant(now)))
    for timesheet in select(call.db, TIMESHEETS, [waiting]):
        put(call.db, TIMESHEETS, timesheet | {"updated_at": now})


def _stored_position(call: Call, position: Body) -> Body:
    taken: Clause = ("name = ? AND id <> ?", (folded(position["name"]), position["id"]))
    other = first(call.db, POSITIONS, taken)
    if other is not None:
        message = "Position name already in use"
        raise error(409, "duplicate", message, field="name", position_id=other["id"])
    put(call.db, POSITIONS, position)
    return _shown_position(position)


def _shown_position(position: Body) -> Body:
    return {key: position[key] for key in ("id", "name", "code", "external_id", "status")}


def _shown_timesheet(call: Call, timesheet: Body) -> Body:
    reference = timesheet.pop("worker_ref")
    worker = get(call.db, WORKERS, reference.get("id"))
    if worker is None:
        worker = first(call.db, WORKERS, ("external_id = ?", (reference.get("external_id"),)))
    if worker is None:
        raise LookupError("a timesheet without a worker was listed")
    position = get(call.db, POSITIONS, worker["position_id"])
    same = ("id", "first_name", "last_name", "payroll_id", "external_id", "contractor")
    shown_position = position and {"id": position["id"], "name": position["name"]}
    return {**timesheet, "worker": {**{key: worker[key] for key in same}, "position": shown_position}}
