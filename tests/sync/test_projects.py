"""Procore's projects are found by id, and read again for one that is missing."""

from consumer.sync.projects import Projects
from consumer.upstream.procore_answers import Project
from tests.upstream.site import TOWER, YARD, Site


def reads(site: Site) -> int:
    return sum(request.url.path.endswith("/projects") for request in site.wire.seen)


def test_a_project_is_found_by_its_id_and_all_are_read_once(site: Site) -> None:
    projects = Projects(site.procore)
    assert site.run(projects.get(TOWER)) == Project(TOWER, "Harbor Point Tower", None)
    yard = site.run(projects.get(YARD))
    assert yard is not None
    assert (yard.name, reads(site)) == ("Yard", 1)


def test_for_a_project_that_is_missing_the_list_is_read_again_but_not_at_once(site: Site) -> None:
    now = 1000.0
    projects = Projects(site.procore, lambda: now)
    for seconds, expected in ((0, 1), (59, 1), (2, 2)):
        now += seconds
        assert (site.run(projects.get(1)), reads(site)) == (None, expected)


def test_after_renew_the_projects_are_read_again(site: Site) -> None:
    projects = Projects(site.procore)
    site.run(projects.get(TOWER))
    projects.renew()
    site.run(projects.get(TOWER))
    assert reads(site) == 2
