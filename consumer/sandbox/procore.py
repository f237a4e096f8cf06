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
from consumer.sandbox.limits import HOUR_S, RateBudget, RateLimits
from consumer.sandbox.procore_wire import bad_request, not_found


SYSTEM = "procore"
TOKEN_LIFETIME_S = 5400
TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path

_LIMITED = "You have surpassed the max number of requests for an hour. Please wait until your limit resets."


def login_app(
    db: sqlite3.Connection,
    clock: Clock,
    *,
    client_id: str,
    client_secret: str,
    middleware: Sequence[Middleware] = (),
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

    routes = [Route(TOKEN_PATH, endpoint(SYSTEM, db, clock, create_token), methods=["POST"])]
    return Starlette(routes=[*routes, _fallback(db, clock, lambda _: _refuse())], middleware=middleware)


def procore_app(
    db: sqlite3.Connection,
    clock: Clock,
    *,
    budget: RateBudget,
    unique_origin_ids: bool,
    middleware: Sequence[Middleware] = (),
) -> Starlette:
    """The API server. With ``unique_origin_ids`` an origin id is refused if another record has it."""
    now = clock()
    (spent,) = db.execute(
        "SELECT count(*) FROM requests WHERE system = ? AND at >= ? AND path <> ? AND status <> 429",
        (SYSTEM, now // HOUR_S * HOUR_S, TOKEN_PATH),
    ).fetchone()
    limits = RateLimits(budget, now, spent)
    company_id = fact(db, "procore_company_id")

    def guarded(handler: Handler) -> Handler:
        def guard(call: Call) -> Reply:
            quota = limits.take(call.now)
            try:
                if quota.exceeded:
                    raise Refusal(429, {"message": _LIMITED})  # noqa: TRY301 - one way out for all refusals
                _check_token(call)
                _check_company(call, company_id)
                return handler(call).having(quota.headers())
            except Refusal as refusal:
                refusal.reply = refusal.reply.having(quota.headers())
                raise

        return guard

    routes = [
        Route(path, endpoint(SYSTEM, db, clock, guarded(handler)), methods=[method])
        for method, path, handler in _routes(unique_origin_ids)
    ]
    return Starlette(
        routes=[*routes, _fallback(db, clock, guarded(lambda _: _refuse()))], middleware=middleware
    )


def _routes(unique_origin_ids: bool) -> list[tuple[str, str, Handler]]:
    company, project = "/rest/v1.0/companies/{company_id:int}", "/rest/v1.0/projects/{project_id:int}"
    users, entries = "/rest/v1.3/companies/{company_id:int}/users", f"{company}/timecard_entries"
    classifications = f"{project}/work_classifications"

    def writing(handler: Callable[..., Reply]) -> Handler:
        return partial(handler, unique_origin_ids=unique_origin_ids)

    return [
        ("GET", users, directory.list_users),
        ("GET", f"{users}/{{id:int}}", directory.show_user),
        ("GET", f"{company}/users/inactive", directory.list_inactive_users),
        ("GET", f"{company}/people", directory.list_people),
        ("POST", f"{company}/people", writing(directory.create_person)),
        ("GET", f"{company}/people/inactive", directory.list_inactive_people),
        ("PATCH", f"{company}/people/{{id:int}}", writing(directory.update_person)),
        ("GET", f"{company}/work_classifications", projects.list_company_classifications),
        ("POST", f"{company}/work_classifications", projects.create_company_classification),
        ("GET", classifications, projects.list_project_classifications),
        ("POST", classifications, projects.create_project_classification),
        ("PATCH", f"{classifications}/bulk_update", projects.set_all_project_classifications),
        ("POST", f"{classifications}/initial_setup", projects.import_classifications),
        ("PATCH", f"{classifications}/{{id:int}}", projects.update_project_classification),
        ("GET", entries, timecards.list_entries),
        ("POST", entries, writing(timecards.create_entry)),
        ("GET", f"{entries}/{{id:int}}", timecards.show_entry),
        ("PATCH", f"{entries}/{{id:int}}", writing(timecards.update_entry)),
        ("POST", f"{company}/timesheets", writing(timecards.bulk_create)),
        ("PATCH", f"{company}/timesheets", writing(timecards.bulk_update)),
        ("GET", f"{company}/timecard_time_types", projects.list_time_types),
        ("GET", "/rest/v1.0/projects", projects.list_projects),
        ("GET", "/rest/v1.0/sub_jobs", projects.list_sub_jobs),
        ("GET", "/rest/v1.0/cost_codes", projects.list_cost_codes),
        ("GET", f"{project}/locations", projects.list_locations),
    ]


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
