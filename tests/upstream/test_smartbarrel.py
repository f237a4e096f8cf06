"""The SmartBarrel client against the sandbox; every exchange is checked against the contract."""

from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from consumer.exceptions import Duplicate, Misconfigured, NotFound, Rejected, Transient
from consumer.model.events import Named, ShiftStatus, ShiftWorker, TimesheetEvent
from consumer.secret import Secret
from consumer.upstream.smartbarrel import SmartBarrel, SmartBarrelAccount
from tests.upstream.site import (
    ACCOUNT,
    API_KEY,
    COMPANY,
    SMARTBARREL,
    TOWER,
    Json,
    Site,
    timesheet,
    timesheet_id,
    worker,
    worker_id,
)


FIELDS = {
    "first_name": "Maria",
    "last_name": "Delgado",
    "email": "maria.delgado@example.com",
    "phone_number": "+15125550101",
    "payroll_id": "20301",
    "external_id": "procore:8800101",
}
NOBODY = worker_id(999)
CONTRACTOR = {"id": "9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "name": "Lakeside Electric"}


async def all_timesheets(
    barrel: SmartBarrel, date_from: date | None = None, date_to: date | None = None
) -> list[list[TimesheetEvent]]:
    return [list(page) async for page in barrel.timesheets(date_from, date_to)]


# ------------------------------------------------------------------ workers


def test_a_created_worker_is_read_back(site: Site) -> None:
    made = site.run(site.smartbarrel.create_worker(FIELDS, "key-1"))
    assert {name: getattr(made, name) for name in FIELDS} == FIELDS
    assert (made.name, made.contractor, made.is_active) == ("Maria Delgado", None, True)
    assert site.run(site.smartbarrel.worker(made.id)) == made


def test_the_same_key_and_fields_give_the_same_worker_again(site: Site) -> None:
    first = site.run(site.smartbarrel.create_worker(FIELDS, "key-1"))
    assert site.run(site.smartbarrel.create_worker(FIELDS, "key-1")) == first
    assert len(site.state.workers()) == 1


def test_the_same_key_with_other_fields_is_refused_and_no_duplicate(site: Site) -> None:
    site.run(site.smartbarrel.create_worker(FIELDS, "key-1"))
    with pytest.raises(Rejected) as caught:
        site.run(site.smartbarrel.create_worker({**FIELDS, "first_name": "Marie"}, "key-1"))
    assert not isinstance(caught.value, Duplicate)
    assert len(site.state.workers()) == 1


def test_workers_are_read_over_all_pages(build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.upstream.smartbarrel.PER_PAGE", 2)
    site = build(workers=[worker(number, "Ada", f"Number{number}") for number in range(1, 6)])
    found = site.run(site.smartbarrel.find_workers())
    assert [one.id for one in found] == [worker_id(number) for number in range(1, 6)]
    assert len(site.wire.seen) == 3


@pytest.mark.parametrize("count", [0, 2, 4])
def test_no_page_is_asked_for_in_vain_but_the_first(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("consumer.upstream.smartbarrel.PER_PAGE", 2)
    site = build(workers=[worker(number, "Ada", f"Number{number}") for number in range(count)])
    assert len(site.run(site.smartbarrel.find_workers())) == count
    assert len(site.wire.seen) == max(1, count // 2)


@pytest.mark.parametrize("what", ["workers", "positions", "timesheets"])
def test_a_list_that_is_shorter_than_it_says_is_no_list(site: Site, what: str) -> None:
    """Nobody must be taken for missing, and created, because of an answer that lost its rows."""
    body = {"data": [], "meta": {"page": 1, "per_page": 200, "total": 1}}
    site.wire.servers["smartbarrel.test"] = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    calls: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "workers": lambda: site.smartbarrel.find_workers(payroll_id="20301"),
        "positions": site.smartbarrel.positions,
        "timesheets": lambda: all_timesheets(site.smartbarrel),
    }
    with pytest.raises(Transient):
        site.run(calls[what]())
    assert len(site.wire.seen) == 2


def test_a_page_of_all_workers_tells_how_many_there_are(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.smartbarrel.PER_PAGE", 2)
    site = build(workers=[worker(number, "Ada", f"Number{number}") for number in range(1, 6)])
    pages = [site.run(site.smartbarrel.worker_page(number)) for number in (1, 2, 3)]
    assert [[one.id for one in page.rows] for page in pages] == [
        [worker_id(1), worker_id(2)],
        [worker_id(3), worker_id(4)],
        [worker_id(5)],
    ]
    assert [(page.total, page.is_last) for page in pages] == [(5, False), (5, False), (5, True)]


@pytest.mark.parametrize(
    "filters",
    [{"phone_number": "+15125550002"}, {"payroll_id": "A+B &c"}, {"external_id": "procore:8800102"}],
    ids=["phone number", "payroll id", "external id"],
)
def test_a_worker_is_found_by_an_exact_value_whatever_its_characters(
    build: Callable[..., Site], filters: dict[str, str]
) -> None:
    second = worker(2, "Tomas", "Okafor", payroll_id="A+B &c", external_id="procore:8800102")
    site = build(workers=[worker(1, "Maria", "Delgado", status="inactive"), second])
    found = site.run(site.smartbarrel.find_workers(**filters))
    assert [one.id for one in found] == [worker_id(2)]


def test_a_plus_sign_is_encoded_since_it_would_be_read_as_a_blank(site: Site) -> None:
    site.run(site.smartbarrel.find_workers(phone_number="+15125550101"))
    (request,) = site.wire.seen
    assert "phone_number=%2B15125550101" in request.url.query.decode()


def test_inactive_workers_are_found_too(build: Callable[..., Site]) -> None:
    site = build(workers=[worker(1, "Maria", "Delgado", status="inactive")])
    (found,) = site.run(site.smartbarrel.find_workers(phone_number="+15125550001"))
    assert not found.is_active


def test_a_subcontractors_worker_has_the_contractors_name(build: Callable[..., Site]) -> None:
    site = build(workers=[worker(1, "Emeka", "Lindqvist", contractor=CONTRACTOR)])
    assert site.run(site.smartbarrel.worker(worker_id(1))).contractor == "Lakeside Electric"


def test_an_update_changes_what_is_given_and_none_clears(site: Site) -> None:
    made = site.run(site.smartbarrel.create_worker(FIELDS, "key-1"))
    changed = site.run(site.smartbarrel.update_worker(made.id, {"first_name": "Marie", "payroll_id": None}))
    assert (changed.first_name, changed.last_name, changed.payroll_id) == ("Marie", "Delgado", None)
    assert site.run(site.smartbarrel.worker(made.id)) == changed


@pytest.mark.parametrize("field", ["phone_number", "payroll_id", "external_id"])
@pytest.mark.parametrize("way", ["create", "update"])
def test_a_value_that_is_taken_is_a_duplicate_that_names_the_field_and_the_other_worker(
    build: Callable[..., Site], field: str, way: str
) -> None:
    taken = worker(1, "Maria", "Delgado", payroll_id="20301", external_id="procore:8800101")
    site = build(workers=[taken, worker(2, "Tomas", "Okafor")])
    others = {
        **FIELDS,
        "phone_number": "+15125550199",
        "payroll_id": "9999",
        "external_id": "procore:9999999",
        field: taken[field],
    }
    call = (
        site.smartbarrel.create_worker(others, "key-1")
        if way == "create"
        else site.smartbarrel.update_worker(worker_id(2), {field: taken[field]})
    )
    with pytest.raises(Duplicate) as caught:
        site.run(call)
    assert (caught.value.field, caught.value.other_id) == (field, worker_id(1))


def test_every_field_that_is_wrong_is_named_in_smartbarrels_words(build: Callable[..., Site]) -> None:
    site = build(workers=[worker(1, "Maria", "Delgado")])
    # Only null breaks no contract of this call's own making: an empty name would.
    with pytest.raises(Rejected) as caught:
        site.run(site.smartbarrel.update_worker(worker_id(1), {"position_id": NOBODY}))
    assert caught.value.words == ("Position not found",)


def test_a_worker_who_is_not_there_is_not_found(site: Site) -> None:
    for call in (
        site.smartbarrel.worker(NOBODY),
        site.smartbarrel.update_worker(NOBODY, {"first_name": "Marie"}),
    ):
        with pytest.raises(NotFound) as caught:
            site.run(call)
        assert caught.value.words == ("Worker not found",)


@pytest.mark.parametrize(("account", "key"), [(ACCOUNT, "another-key"), ("elsewhere", None)])
def test_a_wrong_key_and_a_company_beyond_its_reach_are_matters_of_configuration(
    site: Site, account: str, key: str | None
) -> None:
    right_key = site.smartbarrel._account.api_key
    barrel = SmartBarrel(site.barrel, SmartBarrelAccount(account, Secret(key) if key else right_key), COMPANY)
    with pytest.raises(Misconfigured) as caught:
        site.run(barrel.find_workers())
    assert "another-key" not in f"{caught.value!r} {caught.value.words}"


def test_a_creation_without_an_answer_is_transient_and_its_repetition_makes_no_second_worker(
    site: Site,
) -> None:
    site.lose_answer("POST", "/workers")
    with pytest.raises(Transient):
        site.run(site.smartbarrel.create_worker(FIELDS, "key-1"))
    again = site.run(site.smartbarrel.create_worker(FIELDS, "key-1"))
    assert [one["id"] for one in site.state.workers()] == [again.id]


# ------------------------------------------------------------------ timesheets


def test_a_timesheet_is_an_event_with_its_worker(build: Callable[..., Site]) -> None:
    emeka = worker(
        1, "Emeka", "Lindqvist", payroll_id="7001", external_id="procore:8800101", contractor=CONTRACTOR
    )
    site = build(workers=[emeka], timesheets=[timesheet(1, 1, revision=3, location="North")])
    ((event,),) = site.run(all_timesheets(site.smartbarrel))
    assert event == TimesheetEvent(
        company_id=COMPANY,
        timesheet_id=timesheet_id(1),
        revision=3,
        project=Named("e81d3f70-0c5b-4c6c-8f2a-6b9a4d2c1e03", "Harbor Point Tower"),
        procore_project_id=TOWER,
        worker=ShiftWorker(
            id=worker_id(1),
            first_name="Emeka",
            last_name="Lindqvist",
            payroll_id="7001",
            external_id="procore:8800101",
            contractor=Named(CONTRACTOR["id"], "Lakeside Electric"),
        ),
        work_date=date(2026, 2, 24),
        time_in=datetime(2026, 2, 24, 14, tzinfo=UTC),
        time_out=datetime(2026, 2, 24, 22, 30, tzinfo=UTC),
        break_minutes=30,
        total_hours=Decimal("8.00"),
        cost_code_segment_1="FL1",
        cost_code_segment_2="03-300",
        location="North",
        status=ShiftStatus.APPROVED,
        deleted=False,
        updated_at=datetime(2026, 2, 24, 23, tzinfo=UTC),
    )


@pytest.mark.parametrize(("typed", "read"), [("", None), ("  ", None), (" 20301", "20301"), (None, None)])
def test_a_payroll_id_is_read_without_the_spaces_around_it_and_a_blank_one_as_none(
    build: Callable[..., Site], typed: str | None, read: str | None
) -> None:
    site = build(workers=[worker(1, "Maria", "Delgado", payroll_id=typed)], timesheets=[timesheet(1, 1)])
    ((event,),) = site.run(all_timesheets(site.smartbarrel))
    assert site.run(site.smartbarrel.worker(worker_id(1))).payroll_id == read
    assert event.worker.payroll_id == read


def test_an_open_shift_on_an_unlinked_project_has_neither_end_nor_project(build: Callable[..., Site]) -> None:
    bare: Json = {
        "project": {"id": "e81d3f70-0c5b-4c6c-8f2a-6b9a4d2c1e03", "procore_project_id": None, "name": "Shed"},
        "time_out": None,
        "status": "open",
        "total_hours": "0",
        "cost_code_segment_1": None,
        "cost_code_segment_2": None,
        "deleted": True,
    }
    site = build(workers=[worker(1, "Maria", "Delgado")], timesheets=[timesheet(1, 1, **bare)])
    ((event,),) = site.run(all_timesheets(site.smartbarrel))
    assert (event.time_out, event.procore_project_id, event.status) == (None, None, ShiftStatus.OPEN)
    assert (event.cost_code_segment_1, event.cost_code_segment_2, event.deleted) == (None, None, True)


def test_timesheets_are_read_over_all_pages_oldest_change_first(
    build: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.upstream.smartbarrel.PER_PAGE", 2)
    sheets = [timesheet(number, 1, updated_at=f"2026-02-2{9 - number}T08:00:00Z") for number in range(1, 6)]
    site = build(workers=[worker(1, "Maria", "Delgado")], timesheets=sheets)
    pages = site.run(all_timesheets(site.smartbarrel))
    assert [[event.timesheet_id for event in page] for page in pages] == [
        [timesheet_id(5), timesheet_id(4)],
        [timesheet_id(3), timesheet_id(2)],
        [timesheet_id(1)],
    ]


@pytest.mark.parametrize(
    ("date_from", "date_to", "numbers"),
    [
        (None, None, [1, 2, 3]),
        (date(2026, 2, 24), None, [2, 3]),
        (None, date(2026, 2, 24), [1, 2]),
        (date(2026, 2, 24), date(2026, 2, 24), [2]),
    ],
)
def test_only_timesheets_of_the_asked_days_both_included_are_read(
    build: Callable[..., Site], date_from: date | None, date_to: date | None, numbers: list[int]
) -> None:
    sheets = [timesheet(number, 1, date=f"2026-02-2{number + 2}") for number in (1, 2, 3)]
    site = build(workers=[worker(1, "Maria", "Delgado")], timesheets=sheets)
    (page,) = site.run(all_timesheets(site.smartbarrel, date_from, date_to))
    assert [event.timesheet_id for event in page] == [timesheet_id(number) for number in numbers]


def test_every_call_is_within_the_company_and_carries_its_key(site: Site) -> None:
    site.run(site.smartbarrel.create_worker(FIELDS, "key-1"))
    site.run(site.smartbarrel.find_workers())
    site.run(all_timesheets(site.smartbarrel))
    key = f"Bearer {site.smartbarrel._account.api_key.value}"
    assert {request.headers["Authorization"] for request in site.wire.seen} == {key}
    base = f"{SMARTBARREL}/api/v1/companies/{ACCOUNT}/"
    assert all(str(request.url).startswith(base) for request in site.wire.seen)


# ------------------------------------------------------------------ a key that is changed


def rotating(site: Site, path: Path) -> SmartBarrel:
    """A client whose key was another one at the start, before SmartBarrel got the one of today."""
    return SmartBarrel(site.barrel, SmartBarrelAccount(ACCOUNT, Secret("of-yesterday", path)), COMPANY)


def test_a_key_that_is_refused_is_read_again_and_used_at_once(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{API_KEY}\n")
    barrel = rotating(site, path)
    assert site.run(barrel.create_worker(FIELDS, "key-1")).name == "Maria Delgado"
    site.run(barrel.find_workers())
    assert len(site.wire.seen) == 3, "the first key was tried once"


@pytest.mark.parametrize("content", ["of-yesterday", "no key of\u00a0any kind", "", None])
def test_a_key_whose_file_has_nothing_better_is_refused_without_another_call(
    site: Site, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Misconfigured):
        site.run(rotating(site, path).find_workers())
    assert len(site.wire.seen) == 1
