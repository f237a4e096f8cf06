"""Procore as this project's contract describes it: the API server, and the login server for tokens."""

import json
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from consumer.sandbox import procore_directory as directory
from consumer.sandbox import procore_projects as projects
from consumer.sandbox import procore_timecards as timecards
from consumer.sandbox.database import fact
from consumer.sandbox.exchange import Call, Clock, Handler, Refusal, Reply, endpoint
from consumer.sandbox.fault_rules import FaultFile
from consumer.sandbox.injection import FaultInjection, Surroundings
from consumer.sandbox.limits import RateBudget
from consumer.sandbox.metering import TOKEN_PATH, Meter
from consumer.sandbox.procore_wire import bad_request, error_body, not_found


SYSTEM = "procore"
TOKEN_LIFETIME_S = 5400
CREATE_TOKEN = "createAccessToken"  # noqa: S105 - an operation

_LIMITED = "You have surpassed the max number of requests for an hour. Please wait until your limit resets."


def login_app(
    db: sqlite3.Connection,
    clock: Clock,
    *,
    client_id: str,
    client_secret: str,
    middleware: Sequence[Middleware] = (),
    faults: FaultFile | None = None,
    latency_s: float = 0.0,
) -> Starlette:
    """The login server. It is not limited, and refuses with 401, the one refusal that the contract has."""

    def create_token(call: Call) -> Reply:
        request = _token_request(call)
        if request.get("grant_type") != "client_credentials":
            raise Refusal(401, {"error": "unsupported_grant_type"})
        credentials = (str(request.get("client_id")), str(request.get("client_secret")))
        if credentials != (client_id, client_secret):
            refused = {"error": "invalid_client", "error_description": "Client authentication failed"}
            raise Refusal(401, refused)
        token = secrets.token_urlsafe(32)
        call.db.execute("DELETE FROM tokens WHERE expires_at <= ?", (call.now,))
        call.db.execute("INSERT INTO tokens VALUES (?, ?)", (token, call.now + TOKEN_LIFETIME_S))
        lifetime = {"expires_in": TOKEN_LIFETIME_S, "created_at": int(call.now)}
        return Reply({"access_token": token, "token_type": "bearer", **lifetime})

    token = endpoint(SYSTEM, db, clock, create_token)
    routes = [Route(TOKEN_PATH, token, methods=["POST"], name=CREATE_TOKEN)]
    around = Surroundings(SYSTEM, routes, error_body, clock, rules=faults, latency_s=latency_s)
    return Starlette(
        routes=[*routes, _fallback(db, clock, lambda _: _refuse())],
        middleware=[*middleware, Middleware(FaultInjection, around=around)],
    )


def procore_app(
    db: sqlite3.Connection,
    clock: Clock,
    *,
    budget: RateBudget,
    unique_origin_ids: bool,
    middleware: Sequence[Middleware] = (),
    faults: FaultFile | None = None,
    latency_s: float = 0.0,
) -> Starlette:
    """The API server. With ``unique_origin_ids`` an origin id is refused if another record has it.

    A budget that ``faults`` has takes the place of ``budget``.
    """
    meter = Meter(SYSTEM, db, lambda: (faults and faults.budget_of(SYSTEM)) or budget)
    company_id = fact(db, "procore_company_id")

    def guarded(handler: Handler) -> Handler:
        def guard(call: Call) -> Reply:
            quota = meter.take(call.now)
            standing = {} if quota is None else quota.headers()
            try:
                if quota is not None and quota.exceeded:
                    raise Refusal(429, {"message": _LIMITED})  # noqa: TRY301 - one way out for all refusals
                _check_token(call)
                _check_company(call, company_id)
                return handler(call).having(standing)
            except Refusal as refusal:
                refusal.reply = refusal.reply.having(standing)
                raise

        return guard

    routes = [
        Route(path, endpoint(SYSTEM, db, clock, guarded(handler)), methods=[method], name=operation)
        for operation, method, path, handler in _routes(unique_origin_ids=unique_origin_ids)
    ]
    around = Surroundings(SYSTEM, routes, error_body, clock, meter.take, faults, latency_s)
    return Starlette(
        routes=[*routes, _fallback(db, clock, guarded(lambda _: _refuse()))],
        middleware=[*middleware, Middleware(FaultInjection, around=around)],
    )


def _routes(*, unique_origin_ids: bool) -> list[tuple[str, str, str, Handler]]:
    company, project = "/rest/v1.0/companies/{company_id:int}", "/rest/v1.0/projects/{project_id:int}"
    users, entries = "/rest/v1.3/companies/{company_id:int}/users", f"{company}/timecard_entries"
    classifications = f"{project}/work_classifications"

    def writing(handler: Callable[..., Reply]) -> Handler:
        return partial(handler, unique_origin_ids=unique_origin_ids)

    return [
        ("listCompanyUsers", "GET", users, directory.list_users),
        ("showCompanyUser", "GET", f"{users}/{{id:int}}", directory.show_user),
        ("listInactiveCompanyUsers", "GET", f"{company}/users/inactive", directory.list_inactive_users),
        ("listCompanyPeople", "GET", f"{company}/people", directory.list_people),
        ("createCompanyPerson", "POST", f"{company}/people", writing(directory.create_person)),
        ("listInactiveCompanyPeople", "GET", f"{company}/people/inactive", directory.list_inactive_people),
        ("updateCompanyPerson", "PATCH", f"{company}/people/{{id:int}}", writing(directory.update_person)),
        (
            "listCompanyWorkClassifications",
            "GET",
            f"{company}/work_classifications",
            projects.list_company_classifications,
        ),
        (
            "createCompanyWorkClassification",
            "POST",
            f"{company}/work_classifications",
            projects.create_company_classification,
        ),
        ("listProjectWorkClassifications", "GET", classifications, projects.list_project_classifications),
        ("createProjectWorkClassification", "POST", classifications, projects.create_project_classification),
        (
            "setAllProjectWorkClassifications",
            "PATCH",
            f"{classifications}/bulk_update",
            projects.set_all_project_classifications,
        ),
        (
            "importCompanyWorkClassifications",
            "POST",
            f"{classifications}/initial_setup",
            projects.import_classifications,
        ),
        (
            "updateProjectWorkClassification",
            "PATCH",
            f"{classifications}/{{id:int}}",
            projects.update_project_classification,
        ),
        ("listTimecardEntries", "GET", entries, timecards.list_entries),
        ("createTimecardEntry", "POST", entries, writing(timecards.create_entry)),
        ("showTimecardEntry", "GET", f"{entries}/{{id:int}}", timecards.show_entry),
        ("updateTimecardEntry", "PATCH", f"{entries}/{{id:int}}", writing(timecards.update_entry)),
        ("bulkCreateTimecardEntries", "POST", f"{company}/timesheets", writing(timecards.bulk_create)),
        ("bulkUpdateTimecardEntries", "PATCH", f"{company}/timesheets", writing(timecards.bulk_update)),
        ("listTimecardTimeTypes", "GET", f"{company}/timecard_time_types", projects.list_time_types),
        ("listProjects", "GET", "/rest/v1.0/projects", projects.list_projects),
        ("listSubJobs", "GET", "/rest/v1.0/sub_jobs", projects.list_sub_jobs),
        ("listCostCodes", "GET", "/rest/v1.0/cost_codes", projects.list_cost_codes),
        ("listProjectLocations", "GET", f"{project}/locations", projects.list_locations),
    ]


OPERATIONS = frozenset({CREATE_TOKEN, *(operation for operation, *_ in _routes(unique_origin_ids=True))})
"""All that this Procore can be asked for, as its contract names it."""


def _fallback(db: sqlite3.Connection, clock: Clock, handler: Handler) -> Route:
    every = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return Route("/{path:path}", endpoint(SYSTEM, db, clock, handler), methods=every)


def _refuse() -> Reply:
    raise not_found()


def _token_request(call: Call) -> dict[str, object]:
    if call.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(call.body.decode("utf-8", "replace")))
    try:
        request = json.loads(call.body)
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise Refusal(401, {"error": "invalid_request"})
    return request


def _check_token(call: Call) -> None:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    found = call.db.execute("SELECT expires_at FROM tokens WHERE token = ?", (token,)).fetchone()
    if scheme.lower() != "bearer" or found is None:
        raise Refusal(401, {"errors": "The access token is invalid"})
    if found[0] <= call.now:
        raise Refusal(401, {"code": 401, "message": "Unauthorized", "fields": "", "reason": "token_expired"})


def _check_company(call: Call, company_id: int) -> None:
    header = call.headers.get("procore-company-id")
    if header is None:
        raise bad_request("Missing Procore-Company-Id header!")
    if not header.isdecimal():
        raise bad_request("Procore-Company-Id is no number")
    named = {header, str(call.path.get("company_id", company_id)), call.query.get("company_id", header)}
    if named != {str(company_id)}:
        raise Refusal(403, {"errors": ["App is not connected to this company."]})
