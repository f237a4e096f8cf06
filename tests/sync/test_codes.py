"""A shift's cost code segments and location become Procore's ids, or it is not booked."""

import asyncio
from typing import Any

import pytest

from consumer.exceptions import NotFound
from consumer.model import reasons
from consumer.model.results import Reason
from consumer.sync.codes import ProjectCodes, Resolved
from consumer.sync.mapping import Codes
from tests.sync.people import shift
from tests.upstream.site import (
    CONCRETE_1,
    CONCRETE_2,
    FLOOR_1,
    FLOOR_2,
    GENERAL,
    NORTH,
    ROOF,
    TOWER,
    YARD,
    YARD_CODE,
    YARD_JOB,
    Site,
)


def resolve(site: Site, project_id: int = TOWER, **fields: Any) -> Resolved | Reason:
    return site.run(ProjectCodes(site.procore).resolve(shift(**fields), project_id))


@pytest.mark.parametrize(
    ("project_id", "sub_job", "cost_code", "ids"),
    [
        (TOWER, "FL1", "03-300", (FLOOR_1, CONCRETE_1)),
        (TOWER, "FL2", "03-300", (FLOOR_2, CONCRETE_2)),
        (TOWER, None, "03-100", (None, GENERAL)),
        (TOWER, "FL1", None, (FLOOR_1, None)),
        (TOWER, None, None, (None, None)),
        (YARD, None, "03-900", (None, YARD_CODE)),
        (YARD, "YD", None, (YARD_JOB, None)),
    ],
)
def test_a_code_is_the_one_of_its_own_project_and_sub_job(
    site: Site,
    project_id: int,
    sub_job: str | None,
    cost_code: str | None,
    ids: tuple[int | None, int | None],
) -> None:
    """Both floors of the tower have a code 03-300."""
    found = resolve(site, project_id, cost_code_segment_1=sub_job, cost_code_segment_2=cost_code)
    assert found == Resolved(Codes(*ids))


@pytest.mark.parametrize(
    ("sub_job", "cost_code"),
    [
        ("FL9", "03-300"),
        ("FL1", "03-999"),
        ("FL9", "03-999"),
        ("FL1", "03-100"),
        (None, "03-300"),
        ("YD", None),
        ("fl1", "03-300"),
        ("FL9", None),
    ],
)
def test_a_code_that_is_not_there_is_named_with_its_sub_job_and_not_replaced_by_another(
    site: Site, sub_job: str | None, cost_code: str | None
) -> None:
    found = resolve(site, cost_code_segment_1=sub_job, cost_code_segment_2=cost_code)
    assert found == reasons.code_not_in_project(sub_job, cost_code)
    assert isinstance(found, Reason)
    assert all(name in found.message for name in (sub_job or "(none)", cost_code or "(none)"))


@pytest.mark.parametrize(("location", "location_id"), [("North", NORTH), ("North>Roof", ROOF)])
def test_a_location_is_found_by_its_whole_name(site: Site, location: str, location_id: int) -> None:
    assert resolve(site, location=location) == Resolved(Codes(FLOOR_1, CONCRETE_1, location_id))


@pytest.mark.parametrize("location", ["South", "Roof", "north"])
def test_an_unknown_location_is_left_out_with_a_warning_that_names_it(site: Site, location: str) -> None:
    found = resolve(site, location=location)
    assert found == Resolved(Codes(FLOOR_1, CONCRETE_1), (reasons.location_not_in_project(location),))
    assert location in found.warnings[0].message


def test_a_project_that_procore_does_not_show_is_not_found(site: Site) -> None:
    with pytest.raises(NotFound):
        resolve(site, 1)


def test_codes_are_read_once_however_many_shifts_ask(site: Site) -> None:
    async def test() -> None:
        codes = ProjectCodes(site.procore)
        await asyncio.gather(
            *(codes.resolve(shift(number=number, location="North"), TOWER) for number in range(20))
        )

    site.run(test())
    paths = [request.url.path.rpartition("/")[2] for request in site.wire.seen]
    assert sorted(paths) == ["cost_codes", "locations", "sub_jobs", "token"]


def test_for_a_code_that_is_missing_the_project_is_read_again_but_not_at_once(
    site: Site,
) -> None:
    now = 1000.0
    codes = ProjectCodes(site.procore)
    for kept in (codes._sub_jobs, codes._cost_codes, codes._locations):
        kept._clock = lambda: now

    def reads() -> int:
        unknown = shift(cost_code_segment_1="FL9")
        assert isinstance(site.run(codes.resolve(unknown, TOWER)), Reason)
        return sum(request.url.path.endswith("/sub_jobs") for request in site.wire.seen)

    assert reads() == 1
    now += 59
    assert reads() == 1
    now += 2
    assert reads() == 2


def test_after_renew_the_codes_are_read_again(site: Site) -> None:
    async def test() -> None:
        codes = ProjectCodes(site.procore)
        for _ in range(2):
            await codes.resolve(shift(location="North"), TOWER)
            codes.renew()

    site.run(test())
    assert len(site.wire.seen) == 1 + 2 * 3
