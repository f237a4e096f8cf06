"""Procore: projects, what belongs to them, and work classifications."""

from typing import Any

import httpx
import pytest

from consumer.sandbox.server import RunningSandbox
from tests.contracts import BREAKS_CONTRACT


COMPANY = "/rest/v1.0/companies/4281001"
CLASSIFICATIONS = f"{COMPANY}/work_classifications"
ON_PROJECT = "/rest/v1.0/projects/2790001/work_classifications"


def ids(answer: httpx.Response) -> list[int]:
    return [item["id"] for item in answer.json()]


def classified(**fields: Any) -> dict[str, dict[str, Any]]:
    return {"work_classification": fields}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, [2790001]),
        ("Active", [2790001]),
        ("Inactive", [2790002]),
        ("All", [2790001, 2790002]),
    ],
)
def test_projects_are_listed_by_status(
    procore: httpx.Client, status: str | None, expected: list[int]
) -> None:
    parameters = {"company_id": "4281001"} | ({"filters[by_status]": status} if status else {})
    answer = procore.get("/rest/v1.0/projects", params=parameters)
    assert ids(answer) == expected
    assert "cost_codes" not in answer.json()[0]


def test_the_list_of_projects_needs_the_company(procore: httpx.Client) -> None:
    assert procore.get("/rest/v1.0/projects", extensions=BREAKS_CONTRACT).status_code == 400


@pytest.mark.parametrize(
    ("path", "parameters", "expected"),
    [
        ("sub_jobs", {}, [348001, 348002]),
        ("cost_codes", {}, [97120301, 97120302, 97120303]),
        ("cost_codes", {"sub_job_id": 348002}, [97120302]),
        ("cost_codes", {"filters[id][]": [97120301, 97120309]}, [97120301]),
    ],
)
def test_sub_jobs_and_cost_codes_are_listed_by_project(
    procore: httpx.Client, path: str, parameters: dict[str, Any], expected: list[int]
) -> None:
    """Without a sub job, the list of cost codes holds the project's and those of all its sub jobs."""
    assert ids(procore.get(f"/rest/v1.0/{path}", params={"project_id": 2790001, **parameters})) == expected


@pytest.mark.parametrize("path", ["sub_jobs", "cost_codes"])
def test_the_project_has_to_be_named_and_known(procore: httpx.Client, path: str) -> None:
    assert procore.get(f"/rest/v1.0/{path}", extensions=BREAKS_CONTRACT).status_code == 400
    assert procore.get(f"/rest/v1.0/{path}", params={"project_id": 1}).status_code == 404


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, [1550401, 1550402]),
        ({"filters[parent_id]": 1550401}, [1550402]),
        ({"filters[code][]": ["N", "X"]}, [1550401]),
        ({"filters[search]": "roof"}, [1550402]),
        ({"filters[search_with_code]": "NR"}, [1550402]),
    ],
)
def test_locations_are_filtered(
    procore: httpx.Client, parameters: dict[str, Any], expected: list[int]
) -> None:
    assert ids(procore.get("/rest/v1.0/projects/2790001/locations", params=parameters)) == expected


def test_time_types_come_in_one_piece_and_are_named_in_two_ways(procore: httpx.Client) -> None:
    answer = procore.get(f"{COMPANY}/timecard_time_types")
    assert [item.get("name") or item["time_type"] for item in answer.json()] == [
        "Hourly",
        "Overtime",
        "Vacation",
    ]
    assert "Link" not in answer.headers


def test_company_classifications_are_listed_with_the_projects_where_they_are_active(
    procore: httpx.Client,
) -> None:
    listed = procore.get(CLASSIFICATIONS).json()
    assert [(item["name"], item["project_ids"]) for item in listed] == [
        ("Carpenter", [2790001]),
        ("Laborer", []),
    ]


def test_the_compact_view_of_classifications_has_less(procore: httpx.Client) -> None:
    listed = procore.get(CLASSIFICATIONS, params={"serializer_view": "compact"}).json()
    assert listed[0] == {"id": 57801, "name": "Carpenter"}


def test_a_created_company_classification_is_on_no_project(procore: httpx.Client) -> None:
    answer = procore.post(CLASSIFICATIONS, json=classified(name="Flagger", abbreviation="FLAG"))
    created = answer.json()
    assert answer.status_code == 201
    assert (created["name"], created["abbreviation"], created["project_ids"]) == ("Flagger", "FLAG", [])
    assert created["id"] in ids(procore.get(CLASSIFICATIONS))
    assert created["id"] not in ids(procore.get(ON_PROJECT))


def test_nothing_stops_a_second_classification_of_the_same_name(procore: httpx.Client) -> None:
    assert procore.post(CLASSIFICATIONS, json=classified(name="Carpenter")).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), (classified(name=" "), 422), (classified(name=5), 422)]
)
def test_a_classification_needs_a_name(procore: httpx.Client, body: dict[str, Any], status: int) -> None:
    extensions = {} if body == classified(name=" ") else BREAKS_CONTRACT
    assert procore.post(CLASSIFICATIONS, json=body, extensions=extensions).status_code == status


def test_the_import_puts_missing_company_classifications_on_the_project(procore: httpx.Client) -> None:
    """Those that are there stay as they are, also if they were deactivated."""
    procore.patch(f"{ON_PROJECT}/57801", json=classified(is_active=False))
    answer = procore.post(f"{ON_PROJECT}/initial_setup")
    assert answer.status_code == 201
    assert ids(answer) == ids(procore.get(ON_PROJECT)) == [57801, 57802]
    assert [item["project_ids"] for item in answer.json()] == [[], [2790001]]


def test_a_classification_is_deactivated_and_activated_on_a_project(
    procore: httpx.Client, sandbox: RunningSandbox
) -> None:
    off = procore.patch(f"{ON_PROJECT}/57801", json=classified(is_active=False))
    assert (off.json()["project_ids"], ids(procore.get(ON_PROJECT))) == ([], [57801])
    procore.patch(f"{ON_PROJECT}/57801", json=classified(is_active=True))
    assert sandbox.state.work_classifications()[0]["active_project_ids"] == [2790001]


def test_a_classification_that_is_not_on_the_project_is_not_found(procore: httpx.Client) -> None:
    answer = procore.patch(f"{ON_PROJECT}/57802", json=classified(is_active=True))
    assert answer.status_code == 404


def test_all_classifications_of_a_project_are_set_at_once(procore: httpx.Client) -> None:
    procore.post(f"{ON_PROJECT}/initial_setup")
    answer = procore.patch(f"{ON_PROJECT}/bulk_update", json=classified(is_active=False))
    assert [item["project_ids"] for item in answer.json()] == [[], []]


def test_a_classification_may_belong_to_one_project_only(procore: httpx.Client) -> None:
    created = procore.post(ON_PROJECT, json=classified(name="Diver", is_active=True)).json()
    assert created["project_ids"] == [2790001]
    assert created["id"] in ids(procore.get(ON_PROJECT))
    assert created["id"] not in ids(procore.get(CLASSIFICATIONS))


def test_an_unknown_project_is_not_found(procore: httpx.Client) -> None:
    unknown = "/rest/v1.0/projects/1"
    assert procore.get(f"{unknown}/locations").status_code == 404
    assert procore.get(f"{unknown}/work_classifications").status_code == 404
    assert procore.post(f"{unknown}/work_classifications/initial_setup").status_code == 404
