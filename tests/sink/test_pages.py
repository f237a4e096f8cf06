"""Pages of a log, the history of a person, and the runs that are under way."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from consumer.model.events import Kind
from consumer.model.results import SYNCED, Outcome, Phase, Reason
from consumer.sink.catalog import Catalog
from consumer.sink.listing import Show, Wanted
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey
from tests.sink.scene import RUN_FILE, START, Scene, drain, marker, result
from tests.sink.version_2 import records


NO_PHONE = Reason("missing_phone", "Missing phone number")
REFUSED = Reason("rejected", "SmartBarrel did not accept the data", 'field "Ort": "Köln" is unknown')
NO_ID = Reason("missing_employee_id", "Missing employee ID")
R1 = LogKey(4100, Kind.USERS, run_id="r1")


@pytest.fixture
def catalog(scene: Scene) -> Iterator[Catalog]:
    """The catalog of an empty log directory, whose sink was open once."""
    scene.follow()
    with Catalog(scene.log_dir) as made:
        yield made


def r1(catalog: Catalog) -> LogEntry:
    entry = catalog.find(R1)
    assert entry is not None
    return entry


def names(catalog: Catalog, wanted: Wanted = Wanted(), limit: int = 100, offset: int = 0) -> list[str]:  # noqa: B008 - frozen
    page = catalog.page(r1(catalog), wanted, limit, offset)
    assert offset or len(page.results) == min(page.total, limit)
    return [one.subject_name for one in page.results]


def write_some(scene: Scene) -> None:
    scene.write(
        marker(6),
        result(1, "zoe Zahn"),
        result(2, "Émile Zola", Outcome.SKIPPED, reasons=(NO_PHONE,)),
        result(3, "emil Abel", Outcome.FAILED, reasons=(REFUSED,)),
        result(4, "Ana Abel", Outcome.UPDATED, warnings=(NO_ID,), detail="Größe geändert"),
        result(5, "Ben Bauer", Outcome.PARKED),
        result(6, "Ben Bauer", subject_id="505"),
        result(7, "Cem Cole", Outcome.HELD, subject_id="id-77"),
    )
    scene.follow()


def test_who_is_not_synced_comes_first_each_by_name(scene: Scene, catalog: Catalog) -> None:
    write_some(scene)
    assert names(catalog) == ["Cem Cole", "emil Abel", "Émile Zola", "Ana Abel", "Ben Bauer", "zoe Zahn"]
    assert names(catalog, Wanted(Show.NOT_SYNCED)) == ["Cem Cole", "emil Abel", "Émile Zola"]
    assert names(catalog, Wanted(Show.SYNCED)) == ["Ana Abel", "Ben Bauer", "zoe Zahn"]
    assert names(catalog, Wanted(Show.WARNINGS)) == ["Ana Abel"]


def test_what_was_superseded_is_on_no_page_and_not_counted(scene: Scene, catalog: Catalog) -> None:
    write_some(scene)
    entry = r1(catalog)
    assert entry.outcomes == {
        Outcome.CREATED: 2,
        Outcome.UPDATED: 1,
        Outcome.SKIPPED: 1,
        Outcome.FAILED: 1,
        Outcome.HELD: 1,
    }
    assert (entry.synced, entry.not_synced, entry.events) == (3, 3, 6)
    assert catalog.page(entry, Wanted(search="ben")).results[0].outcome is Outcome.CREATED
    assert catalog.page(entry, Wanted()).total == 6


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("EMIL", ["emil Abel", "Émile Zola"]),
        ("émil", ["emil Abel", "Émile Zola"]),
        (" abel ", ["emil Abel", "Ana Abel"]),
        ("503", ["emil Abel"]),
        ("ID-77", ["Cem Cole"]),
        ("PHONE number", ["Émile Zola"]),
        ("koln", ["emil Abel"]),
        ('"ort": "KÖLN"', ["emil Abel"]),
        ("employee id", ["Ana Abel"]),
        ("grösse geandert", ["Ana Abel"]),
        ("missing_phone", []),
        ('", "', []),
        ("null", []),
        ("%", []),
        ("nobody", []),
    ],
)
def test_a_search_is_without_regard_to_case_and_accents_over_all_that_is_said(
    scene: Scene, catalog: Catalog, search: str, found: list[str]
) -> None:
    write_some(scene)
    assert names(catalog, Wanted(search=search)) == found


def test_pages_joined_are_the_whole_with_a_search_and_without(scene: Scene, catalog: Catalog) -> None:
    outcomes = list(Outcome)
    scene.write(*(result(n, f"Person {n % 17}", outcomes[n % 8], detail=f"{n % 3}") for n in range(60)))
    scene.follow()
    entry = r1(catalog)
    for wanted in (Wanted(), Wanted(Show.NOT_SYNCED), Wanted(search="person 1"), Wanted(Show.SYNCED, "2")):
        whole = catalog.page(entry, wanted, limit=1000)
        pages = [catalog.page(entry, wanted, limit=7, offset=offset) for offset in range(0, 70, 7)]
        assert [one for page in pages for one in page.results] == list(whole.results)
        assert {page.total for page in pages} == {whole.total} == {len(whole.results)}


def test_a_log_s_page_has_the_order_the_file_has(scene: Scene, catalog: Catalog) -> None:
    for partition, record in records():
        scene.write(record, partition=partition)
    scene.follow()
    lines = [line for line in scene.files()[RUN_FILE].splitlines() if line.startswith("- ")]
    in_file = [line.split("(id ")[1].split(")")[0] for line in lines if "): " in line]

    shown = catalog.page(r1(catalog), Wanted()).results

    synced = [one.subject_id for one in shown if one.outcome in SYNCED]
    not_synced = [one.subject_id for one in shown if one.outcome not in SYNCED]
    assert [one.subject_id for one in shown] == not_synced + synced
    assert synced + not_synced == in_file
    assert "Synced" in scene.files()[RUN_FILE]


def test_the_order_of_arrival_changes_no_count(scene: Scene, catalog: Catalog) -> None:
    """A redriven result that is read before the parked one is the latest all the same."""
    parked = result(1, outcome=Outcome.PARKED)
    later = result(9, subject_id="501")
    scene.write(later, partition=1)
    scene.follow()
    scene.write(parked, marker(1))
    scene.follow()

    entry = r1(catalog)
    assert (entry.outcomes, entry.events, entry.status) == ({Outcome.CREATED: 1}, 1, "complete")
    past = catalog.history(4100, Kind.USERS, subject_id="501")
    assert [(one.result.outcome, one.superseded) for one in past.items] == [
        (Outcome.CREATED, False),
        (Outcome.PARKED, True),
    ]


def test_a_history_is_found_by_id_or_exact_name_across_all_logs_newest_first(
    scene: Scene, catalog: Catalog
) -> None:
    for number, run_id in enumerate(("r1", "r2", None, "r3")):
        at = START + timedelta(days=number)
        scene.write(result(1, "Ana Abel", run_id=run_id, handled_at=at), result(2, "Ana", run_id=run_id))
    scene.write(
        result(1, run_id="other", company_id=41),
        result(1, run_id="other", kind=Kind.TIMESHEETS),
        result(7, "Ana Abel", run_id="r1", subject_id="namesake"),
    )
    scene.follow()

    past = catalog.history(4100, Kind.USERS, subject_id="501")
    assert [one.entry.key.run_id for one in past.items] == ["r3", None, "r2", "r1"]
    assert past.total == 4
    assert past.items[0].result.handled_at == START + timedelta(days=3)

    assert catalog.history(4100, Kind.USERS, name="Ana Abel").total == 5
    assert catalog.history(4100, Kind.USERS, name="ana abel").total == 0
    assert catalog.history(4100, Kind.USERS, subject_id="501", name="Ana Abel").total == 4
    second = catalog.history(4100, Kind.USERS, subject_id="501", limit=1, offset=1)
    assert (second.items, second.total) == (past.items[1:2], 4)
    with pytest.raises(ValueError, match="an id or a name"):
        catalog.history(4100, Kind.USERS)


def test_runs_that_are_not_over_are_told_and_no_others(scene: Scene, catalog: Catalog) -> None:
    sink = scene.open()
    scene.write(
        marker(2),
        result(1),
        marker(0, run_id="reading", phase=Phase.READING, started_at=START + timedelta(hours=1)),
        marker(0, run_id="done"),
        marker(0, run_id="failed", phase=Phase.FAILED),
        marker(3, run_id="rest", phase=Phase.FAILED, started_at=START - timedelta(hours=1)),
        marker(1, run_id="theirs", company_id=41),
        result(1, run_id=None),
    )
    drain(sink)

    def running() -> list[str | None]:
        entries = catalog.running(4100, Kind.USERS)
        assert not any(entry.is_over for entry in entries)
        return [entry.key.run_id for entry in entries]

    assert running() == ["reading", "r1", "rest"]
    scene.write(result(2), marker(0, run_id="reading", started_at=START + timedelta(hours=1)))
    drain(sink)
    assert running() == ["rest"]
    assert catalog.running(4100, Kind.TIMESHEETS) == []


def test_logs_are_counted_as_they_are_listed(scene: Scene, catalog: Catalog) -> None:
    for partition, record in records():
        scene.write(record, partition=partition)
    scene.follow()
    for which in ({}, {"company_id": 4100}, {"kind": Kind.USERS}, {"company_id": 4100, "kind": Kind.USERS}):
        for runs_only in (False, True):
            listed = catalog.newest(**which, limit=99, runs_only=runs_only)
            assert catalog.count(**which, runs_only=runs_only) == len(listed) > 0
            assert not runs_only or all(entry.key.run_id for entry in listed)
    assert catalog.find(LogKey(4100, Kind.USERS, run_id="nobody")) is None
    for entry in catalog.newest():
        assert catalog.find(entry.key) == entry
