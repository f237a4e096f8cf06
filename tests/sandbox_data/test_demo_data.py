"""What the sandbox's demo data promises, so that a later edit cannot break it by accident."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
import yaml
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT202012


ROOT = Path(__file__).parents[2]
DATA = ROOT / "consumer" / "sandbox" / "data"
Json = dict[str, Any]

PROCORE: Json = json.loads((DATA / "procore.json").read_text(encoding="utf-8"))
SMARTBARREL: Json = json.loads((DATA / "smartbarrel.json").read_text(encoding="utf-8"))
USERS: list[Json] = PROCORE["users"]
PEOPLE: list[Json] = PROCORE["people"]
CONTACTS = [person for person in PEOPLE if person["user_id"] is None]
PROJECTS = {project["id"]: project for project in PROCORE["projects"]}
CLASSIFICATIONS: list[Json] = PROCORE["work_classifications"]
POSITIONS: list[Json] = SMARTBARREL["positions"]
WORKERS: list[Json] = SMARTBARREL["workers"]
TIMESHEETS: list[Json] = SMARTBARREL["timesheets"]

UNUSABLE = {"555-0143", "ask office", "n/a", "+1 512 555"}
FICTION = re.compile(  # North America 555-01xx; Ofcom, ACMA and PTS publish the other three.
    r"\+1\d{3}55501\d\d|\+44207946\d{4}|\+614915701(10|5[6-9])|\+61491570006|\+4670174060[5-9]|\+467017406[1-9]\d"
)
# Standard time without a time zone database: the week lies after the change of clocks. The yard is in Austin.
OFFSETS = {"Central Time (US & Canada)": -6, "Pacific Time (US & Canada)": -8}


@cache
def contract(system: str) -> Json:
    text = (ROOT / "schemas" / "http" / f"{system}.openapi.yaml").read_text(encoding="utf-8")
    document: Json = yaml.safe_load(text)
    return document


@cache
def validator(system: str, schema: str) -> OAS31Validator:
    resource = DRAFT202012.create_resource(contract(system))
    registry: Registry[Any] = Registry().with_resource("urn:contract", resource)
    reference = {"$ref": f"urn:contract#/components/schemas/{schema}"}
    return OAS31Validator(reference, registry=registry, format_checker=oas31_format_checker)


def of_projects(key: str) -> list[Json]:
    return [item for project in PROJECTS.values() for item in project[key]]


def with_worker(timesheet: Json) -> Json:
    """Return a timesheet in the contract's shape, with anybody in place of the reference."""
    example = contract("smartbarrel")["components"]["examples"]["TimesheetList"]["value"]["data"][0]
    return {k: v for k, v in timesheet.items() if k != "worker_ref"} | {"worker": example["worker"]}


def e164(user: Json, key: str = "mobile_phone") -> str | None:
    """Return the number in E.164, None if there is none or it is not valid."""
    try:
        number = phonenumbers.parse(user[key] or "", user["country_code"] or "US")
    except phonenumbers.NumberParseException:
        return None
    text = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return text if phonenumbers.is_valid_number(number) else None


MOBILES = {user["id"]: number for user in USERS if (number := e164(user))}
LANDLINES = [e164(user, "business_phone") for user in USERS if user["business_phone"]]
SHARED = {number for number, count in Counter(MOBILES.values()).items() if count > 1}


def category(user: Json) -> str:
    """Return the one heading under which a user is counted."""
    if not user["is_active"]:
        return "inactive"
    if not user["is_employee"]:
        return "not an employee"
    mobile = user["mobile_phone"] or ""
    if not user["first_name"]:
        return "no first name" if mobile else "no first name, no phone"
    if not mobile:
        return "only a landline" if user["business_phone"] else "no phone"
    if user["id"] not in MOBILES:
        return "unusable mobile"
    return "shared mobile" if MOBILES[user["id"]] in SHARED else "complete"


CATEGORIES = {user["id"]: category(user) for user in USERS}


def fold(text: str) -> str:
    """Return a name without case, accents and superfluous spaces."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return " ".join(bare.casefold().split())


def present(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def unique(values: Iterable[Any]) -> bool:
    listed = list(values)
    return len(listed) == len(set(listed))


def users_of(worker: Json) -> set[int]:
    """Return the Procore users at whom a worker points by external id, payroll ID or phone."""
    return {
        user["id"]
        for user in USERS
        if worker["external_id"] == f"procore:{user['id']}"
        or (worker["payroll_id"] is not None and worker["payroll_id"] == user["employee_id"])
        or worker["phone_number"] == MOBILES.get(user["id"])
    }


OWNERS = {worker["id"]: users_of(worker) for worker in WORKERS}
USER_BY_ID = {user["id"]: user for user in USERS}


def same_fields(worker: Json, user: Json) -> bool:
    names = {item["id"]: item["name"].casefold() for item in (*POSITIONS, *CLASSIFICATIONS)}
    worker_keys = ("first_name", "last_name", "email", "payroll_id")
    user_keys = ("first_name", "last_name", "email_address", "employee_id")
    return (
        [worker[key] for key in worker_keys] == [user[key] for key in user_keys]
        and worker["phone_number"] == MOBILES[user["id"]]
        and names.get(worker["position_id"]) == names.get(user["work_classification_id"])
    )


def worker_category(worker: Json) -> str:
    if worker["contractor"]:
        return "subcontractor"
    if not OWNERS[worker["id"]]:
        return "unknown to Procore"
    user = USER_BY_ID[min(OWNERS[worker["id"]])]
    payroll = worker["payroll_id"] is not None and worker["payroll_id"] == user["employee_id"]
    how = "external id" if worker["external_id"] else "payroll" if payroll else "phone"
    return f"{how}, {'equal' if same_fields(worker, user) else 'different'}"


def ref(timesheet: Json) -> str:
    return str(next(iter(timesheet["worker_ref"].values())))


def at(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def zone(timesheet: Json) -> timezone:
    project = PROJECTS.get(timesheet["project"]["procore_project_id"], PROJECTS[2790001])
    return timezone(timedelta(hours=OFFSETS[project["time_zone"]]))


LINKED_SHEETS = [t for t in TIMESHEETS if t["project"]["procore_project_id"] is not None]
CLOSED_SHEETS = [t for t in TIMESHEETS if t["time_out"] is not None]


@pytest.mark.parametrize(
    ("system", "schema", "objects"),
    [
        ("procore", "User", USERS),
        ("procore", "Person", PEOPLE),
        ("procore", "Project", list(PROJECTS.values())),
        ("procore", "SubJob", of_projects("sub_jobs")),
        ("procore", "CostCode", of_projects("cost_codes")),
        ("procore", "Location", of_projects("locations")),
        ("procore", "WorkClassification", CLASSIFICATIONS),
        ("smartbarrel", "Position", POSITIONS),
        ("smartbarrel", "Worker", WORKERS),
        ("smartbarrel", "Timesheet", [with_worker(timesheet) for timesheet in TIMESHEETS]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_object_has_the_contract_s_shape(system: str, schema: str, objects: list[Json]) -> None:
    check = validator(system, schema)
    problems = [(item["id"], error.message) for item in objects for error in check.iter_errors(item)]
    assert objects
    assert problems == []


@pytest.mark.parametrize(("example", "objects"), [("UserList", USERS), ("PersonList", PEOPLE)])
def test_users_and_people_have_the_keys_of_recorded_list_items(example: str, objects: list[Json]) -> None:
    recorded = contract("procore")["components"]["examples"][example]["value"][0]
    assert {tuple(sorted(item)) for item in objects} == {tuple(sorted(recorded))}


@pytest.mark.parametrize("name", ["procore.json", "smartbarrel.json"])
def test_each_object_stands_on_a_line_of_its_own_in_a_file_of_modest_size(name: str) -> None:
    text = (DATA / name).read_text(encoding="utf-8")
    lines = [line.strip().rstrip(",") for line in text.splitlines() if line.strip().startswith('{"')]
    arrays = [value for value in json.loads(text).values() if isinstance(value, list)]
    expected = [item for array in arrays for item in array if "time_zone" not in item]
    if name == "procore.json":
        expected += [*of_projects("sub_jobs"), *of_projects("cost_codes"), *of_projects("locations")]
    assert len(text.encode()) < 900 * 1024
    assert sorted(json.loads(line)["id"] for line in lines) == sorted(item["id"] for item in expected)


def test_the_250_users_fall_into_these_categories() -> None:
    assert Counter(CATEGORIES.values()) == {
        "complete": 195,
        "shared mobile": 6,
        "only a landline": 10,
        "no phone": 5,
        "unusable mobile": 4,
        "no first name": 1,
        "no first name, no phone": 1,
        "not an employee": 18,
        "inactive": 10,
    }
    assert len(USERS) == 250
    assert Counter(user["is_employee"] for user in USERS if not user["is_active"]) == {True: 9, False: 1}


def test_every_user_has_an_email_of_their_own() -> None:
    assert all("@" in user["email_address"] for user in USERS)
    assert unique(user["email_address"].casefold() for user in USERS)


def test_every_number_is_valid_and_fictitious_save_the_four_unusable_mobiles() -> None:
    texts = {user["mobile_phone"] for user in USERS if user["mobile_phone"] and user["id"] not in MOBILES}
    numbers = [*MOBILES.values(), *LANDLINES, *(worker["phone_number"] for worker in WORKERS)]
    assert texts == UNUSABLE
    assert [number for number in numbers if number is None or not FICTION.fullmatch(number)] == []
    assert all(phonenumbers.is_valid_number(phonenumbers.parse(w["phone_number"])) for w in WORKERS)


def test_mobiles_are_spelled_in_many_ways_and_never_with_an_extension() -> None:
    mobiles = [user["mobile_phone"] for user in USERS if user["id"] in MOBILES]
    assert len({re.sub(r"\d", "9", mobile) for mobile in mobiles}) >= 15
    assert any(mobile != mobile.strip() for mobile in mobiles)
    assert not any("x" in mobile.casefold() for mobile in mobiles)


def test_twelve_complete_users_have_foreign_numbers_five_of_them_in_national_format() -> None:
    foreign = {
        user["id"]: region
        for user in USERS
        if (number := MOBILES.get(user["id"]))
        and (region := phonenumbers.region_code_for_number(phonenumbers.parse(number))) != "US"
    }
    national = [u for u in foreign if USER_BY_ID[u]["country_code"] == foreign[u]]
    assert Counter(foreign.values()) == {"GB": 4, "AU": 3, "CA": 3, "SE": 2}
    assert {CATEGORIES[user] for user in foreign} == {"complete"}
    assert len(national) == 5
    assert not any(USER_BY_ID[user]["mobile_phone"].startswith("+") for user in national)
    assert {USER_BY_ID[user]["country_code"] for user in foreign.keys() - set(national)} == {"US", None}


def test_apart_from_three_differently_spelled_pairs_no_two_users_share_a_number() -> None:
    pairs = [[u for u in USERS if MOBILES.get(u["id"]) == number] for number in SHARED]
    assert [len(pair) for pair in pairs] == [2, 2, 2]
    assert all(a["mobile_phone"] != b["mobile_phone"] for a, b in pairs)
    assert {CATEGORIES[user["id"]] for pair in pairs for user in pair} == {"shared mobile"}
    assert unique([*set(MOBILES.values()), *LANDLINES])


def test_employee_ids_are_unique_text() -> None:
    ids = present(user["employee_id"] for user in USERS)
    without = [user for user in USERS if user["employee_id"] is None and user["is_employee"]]
    numeric = Counter(int(text) for text in ids if text.isdigit())
    assert unique(["", *ids])
    assert Counter(CATEGORIES[user["id"]] for user in without) == {"complete": 12}
    assert sum(text.startswith("0") for text in ids) == 10
    assert [number for number, count in numeric.items() if count > 1] == [417]


def test_names_are_distinct_and_as_untidy_as_real_ones() -> None:
    names = [f"{user['first_name'] or ''} {user['last_name']}" for user in USERS]
    scripts = ("L WITH STROKE", "CYRILLIC", "CJK", "DOT BELOW", "TILDE", "APOSTROPHE", "HYPHEN")
    characters = {unicodedata.name(character) for name in names for character in name}
    assert unique(fold(name) for name in names)
    assert [script for script in scripts if not any(re.search(script, name) for name in characters)] == []
    assert sum("  " in (user["first_name"] or "") for user in USERS) == 1
    assert sum(user["last_name"] != user["last_name"].strip() for user in USERS) == 1
    assert sum(" " in user["last_name"].strip() for user in USERS) >= 10
    assert all(u["name"] == " ".join(present((u["first_name"], u["last_name"]))) for u in USERS)


def test_most_employees_have_a_classification_and_the_own_company_as_vendor() -> None:
    employees = [user for user in USERS if user["is_employee"]]
    own = PROCORE["company"]["name"]
    known = {classification["id"] for classification in CLASSIFICATIONS}
    assert {user["work_classification_id"] for user in employees} == known | {None}
    assert 180 <= sum(user["work_classification_id"] is not None for user in employees) <= 215
    assert {user["vendor"]["name"] if user["vendor"] else None for user in employees} == {own, None}
    assert own not in {user["vendor"]["name"] for user in USERS if not user["is_employee"]}


def test_every_user_is_one_person_who_says_the_same() -> None:
    users = {person["user_id"]: person for person in PEOPLE if person["user_id"] is not None}
    same = PEOPLE[0].keys() & USERS[0].keys() - {"id"}
    assert same > {"first_name", "last_name", "employee_id", "is_employee", "contact_id"}
    assert len(PEOPLE) - len(CONTACTS) == len(USERS)
    for user in USERS:
        person = users[user["id"]]
        assert [person[key] for key in same] == [user[key] for key in same]
        assert person["contact"] == {"is_active": user["is_active"], "email": user["email_address"]}


def test_user_contact_and_person_ids_never_coincide_and_some_need_more_than_32_bits() -> None:
    ids = [[user["id"] for user in USERS], [p["contact_id"] for p in PEOPLE], [p["id"] for p in PEOPLE]]
    assert unique(i for kind in ids for i in kind)
    assert all(any(i > 2**33 for i in kind) for kind in ids)


def test_the_twelve_contacts_are_nobody_among_the_users() -> None:
    ids = present(contact["employee_id"] for contact in CONTACTS)
    assert len(CONTACTS) == 12
    assert sum(not contact["contact"]["is_active"] for contact in CONTACTS) == 3
    assert sum(contact["is_employee"] for contact in CONTACTS) == 6
    assert unique(ids)
    assert not set(ids) & {user["employee_id"] for user in USERS}
    assert not {fold(c["name"]) for c in CONTACTS} & {fold(user["name"]) for user in USERS}


def test_two_active_projects_in_two_time_zones() -> None:
    assert {i: project["time_zone"] for i, project in PROJECTS.items()} == {
        2790001: "Central Time (US & Canada)",
        2790002: "Pacific Time (US & Canada)",
    }
    assert all(p["active"] and p["company"] == PROCORE["company"] for p in PROJECTS.values())
    assert {i for c in CLASSIFICATIONS for i in c["project_ids"]} == set(PROJECTS)
    assert len(CLASSIFICATIONS) == 8
    assert unique(item["id"] for key in ("sub_jobs", "cost_codes", "locations") for item in of_projects(key))


@pytest.mark.parametrize("project", PROJECTS.values(), ids=lambda project: project["name"])
def test_cost_codes_form_trees_under_the_project_and_its_sub_jobs(project: Json) -> None:
    billers = {("Project", project["id"]): project["name"]}
    billers |= {("SubJob", sub_job["id"]): sub_job["name"] for sub_job in project["sub_jobs"]}
    codes = {code["id"]: code for code in project["cost_codes"]}
    sub_job_codes = present(sub_job["code"] for sub_job in project["sub_jobs"])
    assert {(c["biller_type"], c["biller_id"]): c["biller"] for c in codes.values()} == billers
    assert unique((code["biller_id"], code["full_code"]) for code in codes.values())
    for code in codes.values():
        parent = codes[code["parent"]["id"]] if code["parent"]["id"] else None
        assert code["full_code"] == (f"{parent['full_code']}-" if parent else "") + code["code"]
        assert parent is None or parent["biller_id"] == code["biller_id"]
        assert not parent or "labor" in {kind["base_type"] for kind in code["line_item_types"]}
    assert not unique(code["full_code"] for code in codes.values())
    assert unique(sub_job_codes)
    assert not any("-" in code for code in sub_job_codes)


@pytest.mark.parametrize("project", PROJECTS.values(), ids=lambda project: project["name"])
def test_locations_form_a_tree_of_full_names(project: Json) -> None:
    names = {location["id"]: location["name"] for location in project["locations"]}
    assert unique(names.values())
    for location in project["locations"]:
        prefix = f"{names[location['parent_id']]}>" if location["parent_id"] else ""
        assert location["name"] == prefix + location["node_name"]


def test_five_positions_have_the_name_of_a_classification_in_any_case() -> None:
    classifications = {c["name"].casefold(): c["id"] for c in CLASSIFICATIONS}
    alike = [position for position in POSITIONS if position["name"].casefold() in classifications]
    linked = [position for position in POSITIONS if position["external_id"] is not None]
    exact = {classification["name"] for classification in CLASSIFICATIONS}
    assert unique(position["name"].casefold() for position in POSITIONS)
    assert (len(POSITIONS), len(alike)) == (8, 5)
    assert sum(position["name"] not in exact for position in alike) == 4
    assert [p["external_id"] for p in linked] == [f"procore:{classifications[linked[0]['name'].casefold()]}"]
    assert Counter(position["status"] for position in POSITIONS) == {"active": 7, "inactive": 1}


def test_no_two_workers_have_the_same_id_phone_payroll_id_external_id_or_email() -> None:
    for key in ("id", "phone_number", "payroll_id", "external_id", "email"):
        assert unique(present(worker[key] for worker in WORKERS)), key
    assert {worker["position_id"] for worker in WORKERS} - {p["id"] for p in POSITIONS} == {None}
    assert {(w["status"], w["company_id"]) for w in WORKERS} == {("active", SMARTBARREL["company"]["id"])}


def test_the_forty_workers_fall_into_these_categories() -> None:
    by_phone = [worker for worker in WORKERS if worker_category(worker).startswith("phone")]
    assert Counter(map(worker_category, WORKERS)) == {
        "payroll, equal": 3,
        "payroll, different": 8,
        "phone, different": 5,
        "external id, equal": 4,
        "subcontractor": 11,
        "unknown to Procore": 9,
    }
    assert Counter(worker["payroll_id"] is None for worker in by_phone) == {True: 3, False: 2}


def test_a_worker_and_a_complete_user_point_at_each_other_or_at_nobody() -> None:
    owners = [user for users in OWNERS.values() for user in users]
    assert max(map(len, OWNERS.values())) == 1
    assert unique(owners)
    assert {CATEGORIES[user] for user in owners} == {"complete"}
    assert not any(OWNERS[worker["id"]] for worker in WORKERS if worker["contractor"])
    assert not {worker["phone_number"] for worker in WORKERS} & set(LANDLINES)


def test_two_workers_unknown_as_users_are_known_as_contacts() -> None:
    contacts = {c["employee_id"]: c for c in CONTACTS if c["employee_id"] is not None}
    known = [(w, contacts[w["payroll_id"]]) for w in WORKERS if w["payroll_id"] in contacts]
    assert [worker_category(worker) for worker, _ in known] == ["unknown to Procore"] * 2
    assert all(contact["is_employee"] and contact["origin_id"] is None for _, contact in known)
    assert {contact["contact"]["is_active"] for _, contact in known} == {True, False}
    assert all((w["first_name"], w["last_name"]) == (c["first_name"], c["last_name"]) for w, c in known)
    assert any(w["payroll_id"] not in contacts and (w["payroll_id"] or "").startswith("0") for w in WORKERS)


def test_the_timesheets_of_ninety_people_refer_to_users_and_to_workers_without_one() -> None:
    refs = {ref(timesheet) for timesheet in TIMESHEETS}
    users = [CATEGORIES[int(text.removeprefix("procore:"))] for text in refs if text.startswith("procore:")]
    withouts = {worker["id"] for worker in WORKERS if not OWNERS[worker["id"]]}
    assert {tuple(t["worker_ref"]) for t in TIMESHEETS} == {("external_id",), ("id",)}
    assert {text for text in refs if not text.startswith("procore:")} == withouts
    assert Counter(users) == {"complete": 67, "not an employee": 1, "no phone": 1, "inactive": 1}
    assert len(refs) == 90


def test_the_420_timesheets_cover_one_week_on_two_linked_projects_and_the_yard() -> None:
    projects = [timesheet["project"] for timesheet in TIMESHEETS]
    assert {timesheet["date"] for timesheet in TIMESHEETS} == {f"2026-11-{day:02}" for day in range(9, 16)}
    assert {(p["procore_project_id"], p["name"]) for p in projects} == {
        (None, "Yard"),
        *((project["id"], project["name"]) for project in PROJECTS.values()),
    }
    assert len({project["id"] for project in projects}) == 3
    assert (len(TIMESHEETS), len(LINKED_SHEETS)) == (420, 415)
    assert unique(timesheet["id"] for timesheet in TIMESHEETS)
    assert {timesheet["company_id"] for timesheet in TIMESHEETS} == {SMARTBARREL["company"]["id"]}


def test_statuses_revisions_and_deletions_are_mixed_and_three_shifts_are_open() -> None:
    opened = [timesheet for timesheet in TIMESHEETS if timesheet["time_out"] is None]
    deleted = [timesheet["revision"] for timesheet in TIMESHEETS if timesheet["deleted"]]
    statuses = Counter(timesheet["status"] for timesheet in TIMESHEETS)
    assert statuses == {"approved": 355, "submitted": 36, "reviewed": 26, "open": 3}
    assert {(t["status"], t["total_hours"], t["break_minutes"]) for t in opened} == {("open", "0.00", 0)}
    assert (len(opened), len(deleted)) == (3, 3)
    assert min(deleted) > 1
    assert not any(timesheet["deleted"] for timesheet in opened)
    assert sum(timesheet["revision"] > 1 for timesheet in TIMESHEETS) >= 40


def test_times_agree_with_the_date_in_the_project_s_time_zone_and_with_the_hours() -> None:
    for timesheet in TIMESHEETS:
        start, end = at(timesheet["time_in"]), at(timesheet["time_out"] or timesheet["time_in"])
        worked = end - start - timedelta(minutes=timesheet["break_minutes"])
        hours = Decimal(worked // timedelta(minutes=1) if timesheet["time_out"] else 0) / 60
        assert start.astimezone(zone(timesheet)).date() == date.fromisoformat(timesheet["date"])
        assert timesheet["total_hours"] == str(hours.quantize(Decimal("0.01")))
        assert timedelta() <= worked <= timedelta(hours=12)
        assert end < at(timesheet["updated_at"]) < datetime(2026, 11, 18, tzinfo=UTC)


def test_hours_have_quarters_and_odd_decimals_and_some_shifts_pass_midnight() -> None:
    decimals = {timesheet["total_hours"].partition(".")[2] for timesheet in CLOSED_SHEETS}
    ends = [(t["date"], at(t["time_out"]).astimezone(zone(t)).date().isoformat()) for t in CLOSED_SHEETS]
    assert {"00", "25", "50", "75", "33"} <= decimals
    assert len(decimals) > 20
    assert sum(day < end for day, end in ends) == 9
    assert {t["break_minutes"] for t in CLOSED_SHEETS} == {0, 15, 30, 45, 60}


def test_nobody_works_twice_at_one_time_or_twice_a_day_on_one_project() -> None:
    shifts = sorted((ref(t), t["time_in"], t["time_out"] or t["time_in"]) for t in TIMESHEETS)
    days = Counter((ref(t), t["date"]) for t in LINKED_SHEETS)
    assert unique((ref(t), t["project"]["id"], t["date"]) for t in TIMESHEETS)
    assert all(a[0] != b[0] or a[2] <= b[1] for a, b in pairwise(shifts))
    assert [count for count in days.values() if count > 1] == [2]


def test_three_fifths_of_the_timesheets_have_a_cost_code_of_their_project_or_its_sub_job() -> None:
    coded = [t for t in TIMESHEETS if t["cost_code_segment_1"] or t["cost_code_segment_2"]]
    for timesheet in coded:
        project = PROJECTS[timesheet["project"]["procore_project_id"]]
        billers = {sub_job["code"]: sub_job["id"] for sub_job in project["sub_jobs"] if sub_job["code"]}
        biller = {None: project["id"], **billers}[timesheet["cost_code_segment_1"]]
        own = {code["full_code"] for code in project["cost_codes"] if code["biller_id"] == biller}
        assert timesheet["cost_code_segment_2"] in own
    assert len(coded) == 252
    assert 100 <= sum(timesheet["cost_code_segment_1"] is not None for timesheet in coded) <= 152


def test_where_a_timesheet_has_a_location_the_project_has_it() -> None:
    located = [(t["project"]["procore_project_id"], t["location"]) for t in TIMESHEETS if t["location"]]
    assert set(located) <= {(i, place["name"]) for i, p in PROJECTS.items() for place in p["locations"]}
    assert len(located) == 188
