"""Procore's projects, what belongs to them, and work classifications."""

from consumer.sandbox.database import active_projects, fact, new_id
from consumer.sandbox.documents import Body, Clause, get, put, select
from consumer.sandbox.exchange import Call, Reply
from consumer.sandbox.procore_wire import (
    Writable,
    bad_request,
    ids_filter,
    json_object,
    listing,
    not_found,
    permitted,
    project,
    range_filter,
    search_filter,
    text_filter,
    unprocessable,
    whole_number,
    wrapped,
)
from consumer.sandbox.tables import (
    COST_CODES,
    LOCATIONS,
    PROJECTS,
    SUB_JOBS,
    WORK_CLASSIFICATIONS,
    procore_time,
)


TIME_TYPES: tuple[Body, ...] = (
    {"id": 980001, "name": "Hourly", "abbreviated_time_type": "REG", "available": True, "default": False},
    {"id": 980002, "name": "Overtime", "abbreviated_time_type": "OT", "available": True, "default": False},
    # The specification names the key "time_type", recorded answers name it "name": a client has to read both.
    {"id": 980003, "time_type": "Vacation", "in_use": True},
)

_STATUSES: dict[str, list[Clause]] = {
    "All": [],
    "Active": [("active", ())],
    "Inactive": [("NOT active", ())],
}
_LOCATION_ORDERS = {
    name: f"json_extract(body, '$.{name}'), id"
    for name in ("created_at", "name", "node_name", "parent_id", "updated_at")
}
_CLASSIFICATION_FIELDS: Writable = {"name": str, "abbreviation": str}
_PROJECT_CLASSIFICATION_FIELDS: Writable = {**_CLASSIFICATION_FIELDS, "is_active": bool}


def list_time_types(_call: Call) -> Reply:
    """The company's time types, in one piece."""
    return Reply(list(TIME_TYPES))


def list_projects(call: Call) -> Reply:
    """The projects; without a status, the active ones."""
    if whole_number(call, "company_id") is None:
        raise bad_request("company_id is missing")
    status = call.query.get("filters[by_status]", "Active")
    if status not in _STATUSES:
        raise bad_request("filters[by_status] is invalid")
    where = [*_STATUSES[status]]
    where += text_filter(call, "name", "name") + text_filter(call, "origin_id", "origin_id")
    where += ids_filter(call, "id", "id") + range_filter(call, "updated_at")
    order = "lower(name), id" if "sort" in call.query else None
    return listing(call, PROJECTS, where, lambda body: body, order)


def list_sub_jobs(call: Call) -> Reply:
    """A project's sub jobs."""
    return listing(call, SUB_JOBS, _of_project(call), _without_project)


def list_cost_codes(call: Call) -> Reply:
    """The cost codes of one sub job, or all of the project: its own, and its sub jobs'."""
    where = _of_project(call)
    where += ids_filter(call, "id", "id") + text_filter(call, "origin_id", "origin_id")
    sub_job_id = whole_number(call, "sub_job_id")
    if sub_job_id is not None:
        where.append(("sub_job_id = ?", (sub_job_id,)))
    return listing(call, COST_CODES, where, _without_project)


def list_locations(call: Call) -> Reply:
    """A project's locations."""
    where: list[Clause] = [("project_id = ?", (project(call, call.path["project_id"])["id"],))]
    where += ids_filter(call, "id", "id") + range_filter(call, "updated_at") + search_filter(call)
    parent_id = whole_number(call, "filters[parent_id]")
    if parent_id is not None:
        where.append(("parent_id = ?", (parent_id,)))
    codes = call.query.getlist("filters[code][]")
    if codes:
        where.append((f"code IN ({', '.join('?' * len(codes))})", tuple(codes)))
    wanted = call.query.get("filters[search_with_code]")
    if wanted is not None:
        where.append(("instr(words, ?) OR code = ?", (wanted.casefold(), wanted)))
    order = _LOCATION_ORDERS.get(call.query.get("sort", ""))
    return listing(call, LOCATIONS, where, _without_project, order)


def list_company_classifications(call: Call) -> Reply:
    """The classifications that the whole company has."""
    compact = call.query.get("serializer_view") == "compact"

    def render(classification: Body) -> Body:
        shown = rendered_classification(call, classification)
        return {key: shown[key] for key in ("id", "name")} if compact else shown

    return listing(call, WORK_CLASSIFICATIONS, [("company_visible", ())], render)


def create_company_classification(call: Call) -> Reply:
    """Create a classification. Names may repeat: no source says that they must not."""
    fields = permitted(wrapped(json_object(call), "work_classification"), _CLASSIFICATION_FIELDS)
    return Reply(rendered_classification(call, _created(call, fields, company_visible=True)), 201)


def list_project_classifications(call: Call) -> Reply:
    """A project's classifications, active or not; ``project_ids`` names the project if it is active there."""
    project_id = project(call, call.path["project_id"])["id"]
    return listing(
        call,
        WORK_CLASSIFICATIONS,
        [_on_project(project_id)],
        lambda body: rendered_classification(call, body),
    )


def create_project_classification(call: Call) -> Reply:
    """Create a classification that only this project has."""
    project_id = project(call, call.path["project_id"])["id"]
    fields = permitted(wrapped(json_object(call), "work_classification"), _PROJECT_CLASSIFICATION_FIELDS)
    is_active = fields.pop("is_active", True)
    created = _created(call, fields, company_visible=False)
    call.db.execute(
        "INSERT INTO project_classifications VALUES (?, ?, ?)", (project_id, created["id"], is_active)
    )
    return Reply(rendered_classification(call, created), 201)


def update_project_classification(call: Call) -> Reply:
    """Rename a classification, or activate or deactivate it on the project."""
    project_id = project(call, call.path["project_id"])["id"]
    found = select(call.db, WORK_CLASSIFICATIONS, [_on_project(project_id), ("id = ?", (call.path["id"],))])
    if not found:
        raise not_found()
    fields = permitted(wrapped(json_object(call), "work_classification"), _PROJECT_CLASSIFICATION_FIELDS)
    is_active = fields.pop("is_active", None)
    if not fields.get("name", "-").strip():
        raise unprocessable(name="can't be blank")
    classification = {**found[0], **fields, "updated_at": procore_time(call.now)}
    put(call.db, WORK_CLASSIFICATIONS, classification)
    if is_active is not None:
        call.db.execute(
            "UPDATE project_classifications SET is_active = ? WHERE project_id = ? AND classification_id = ?",
            (is_active, project_id, classification["id"]),
        )
    return Reply(rendered_classification(call, classification))


def set_all_project_classifications(call: Call) -> Reply:
    """Activate or deactivate all of a project's classifications."""
    project_id = project(call, call.path["project_id"])["id"]
    fields = permitted(wrapped(json_object(call), "work_classification"), {"is_active": bool})
    if "is_active" not in fields:
        raise unprocessable(is_active="can't be blank")
    call.db.execute(
        "UPDATE project_classifications SET is_active = ? WHERE project_id = ?",
        (fields["is_active"], project_id),
    )
    return Reply(_all_on_project(call, project_id))


def import_classifications(call: Call) -> Reply:
    """Put the company's missing classifications on the project, active; those that are there stay."""
    project_id = project(call, call.path["project_id"])["id"]
    call.db.execute(
        """INSERT OR IGNORE INTO project_classifications
           SELECT ?, id, 1 FROM work_classifications WHERE company_visible""",
        (project_id,),
    )
    return Reply(_all_on_project(call, project_id), 201)


def rendered_classification(call: Call, classification: Body) -> Body:
    """A classification as Procore shows it."""
    return {**classification, "project_ids": active_projects(call.db, classification["id"])}


def _created(call: Call, fields: Body, *, company_visible: bool) -> Body:
    if not fields.get("name", "").strip():
        raise unprocessable(name="can't be blank")
    now = procore_time(call.now)
    classification: Body = {
        "id": new_id(call.db),
        "abbreviation": None,
        **fields,
        "company_id": fact(call.db, "procore_company_id"),
        "company_visible": company_visible,
        "deletable": True,
        "created_at": now,
        "updated_at": now,
    }
    put(call.db, WORK_CLASSIFICATIONS, classification)
    return classification


def _all_on_project(call: Call, project_id: int) -> list[Body]:
    found = select(call.db, WORK_CLASSIFICATIONS, [_on_project(project_id)])
    return [rendered_classification(call, classification) for classification in found]


def _on_project(project_id: int) -> Clause:
    listed = "SELECT classification_id FROM project_classifications WHERE project_id = ?"
    return f"id IN ({listed})", (project_id,)


def _of_project(call: Call) -> list[Clause]:
    project_id = whole_number(call, "project_id")
    if project_id is None:
        raise bad_request("project_id is missing")
    if get(call.db, PROJECTS, project_id) is None:
        raise not_found()
    return [("project_id = ?", (project_id,))]


def _without_project(body: Body) -> Body:
    # The owner is the sandbox's own note; the contract's record does not have it.
    return {key: value for key, value in body.items() if key != "project_id"}
