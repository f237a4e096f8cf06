"""Procore users become SmartBarrel workers: one each, whatever happens on the way."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from consumer.engine.handler import Handled, Subject
from consumer.exceptions import Misconfigured, RateLimited, Rejected, Transient
from consumer.model import reasons
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from consumer.sync.mapping import revision_of, user_fingerprint
from consumer.sync.worker_calls import carry_out
from consumer.sync.worker_plan import WorkerPlan
from tests.sync.conftest import Office
from tests.sync.people import ASKED_AT, MARIA, another_user, maria
from tests.upstream.site import COMPANY, Json, worker, worker_id


KEY = LinkKey(COMPANY, LinkKind.USER, "8800101")
CONTRACTOR = {"id": "9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "name": "Lakeside Electric"}
SETTINGS = CompanySettings(COMPANY)
STORED = {
    "first_name": "Maria",
    "last_name": "Delgado",
    "email": "maria.delgado@example.com",
    "phone_number": "+15125550101",
    "payroll_id": "20301",
    "external_id": "procore:8800101",
    "status": "active",
}


def stored(office: Office, number: int = 0) -> Json:
    """A worker as SmartBarrel has them, by their place in its list."""
    found = office.site.state.workers()[number]
    return {name: found[name] for name in STORED}


def link_of(office: Office, key: LinkKey = KEY) -> Link:
    link = office.links.get(key)
    assert link is not None
    return link


def requests(office: Office) -> int:
    return len(office.site.wire.seen)


# ------------------------------------------------------------------ created, updated, unchanged


def test_an_employee_whom_smartbarrel_does_not_know_is_created_and_linked(office: Office) -> None:
    handled = office.sync(MARIA)
    assert (handled.outcome, handled.reasons, handled.warnings) == (Outcome.CREATED, (), ())
    assert stored(office) == STORED
    (made,) = office.site.state.workers()
    assert handled.links == (
        Link(
            COMPANY,
            LinkKind.USER,
            "8800101",
            made["id"],
            revision_of(ASKED_AT),
            user_fingerprint(MARIA, SETTINGS),
        ),
    )
    assert handled.detail == f"worker {made['id']}"


def test_nothing_is_asked_or_sent_for_a_user_who_is_as_they_were(office: Office) -> None:
    office.sync(MARIA)
    before = requests(office)
    handled = office.sync(maria(minutes=60, run_id="another"))
    assert (handled.outcome, requests(office) - before) == (Outcome.UNCHANGED, 0)
    assert link_of(office).revision == revision_of(maria(minutes=60).asked_at), "but the revision is noted"


def test_a_changed_user_is_one_call(office: Office) -> None:
    office.sync(MARIA)
    before = requests(office)
    handled = office.sync(maria(minutes=60, last_name="Delgado-Ruiz", mobile_phone="(512) 555-0102"))
    assert (handled.outcome, requests(office) - before) == (Outcome.UPDATED, 1)
    assert stored(office) == STORED | {"last_name": "Delgado-Ruiz", "phone_number": "+15125550102"}


@pytest.mark.parametrize("rung", [{"payroll_id": "20301"}, {"phone_number": "+15125550101"}])
def test_a_worker_who_was_there_before_is_linked_and_brought_in_step(
    open_office: Callable[..., Office], rung: Json
) -> None:
    office = open_office(workers=[worker(7, "M.", "Delgado", **rung)])
    handled = office.sync(MARIA)
    assert handled.outcome is Outcome.UPDATED
    assert [one["id"] for one in office.site.state.workers()] == [worker_id(7)]
    assert stored(office) == STORED
    assert link_of(office).target_id == worker_id(7)
    assert "matched by" in (handled.detail or "")


def test_a_worker_who_is_in_step_already_is_only_linked(open_office: Callable[..., Office]) -> None:
    office = open_office(workers=[worker(7, "Maria", "Delgado", **STORED)])
    handled = office.sync(MARIA)
    assert (handled.outcome, office.site.writes()) == (Outcome.UNCHANGED, [])
    assert link_of(office).target_id == worker_id(7)


def test_only_what_differs_is_sent_to_a_worker_who_was_looked_at(open_office: Callable[..., Office]) -> None:
    office = open_office(workers=[worker(7, "Maria", "Delgado", **STORED | {"email": "old@example.com"})])
    office.sync(MARIA)
    (sent,) = [request for request in office.site.wire.seen if request.method == "PATCH"]
    assert sent.content == b'{"email": "maria.delgado@example.com"}'


def test_a_change_of_the_companys_settings_is_a_change_of_the_user(office: Office) -> None:
    office.sync(MARIA)
    office.settings = replace(SETTINGS, default_region="GB")
    office.restart()
    handled = office.sync(maria(minutes=60, country_code=None, mobile_phone="020 7946 0123"))
    assert handled.outcome is Outcome.UPDATED
    assert stored(office)["phone_number"] == "+442079460123"


def test_a_user_without_employee_id_is_synced_with_a_warning(office: Office) -> None:
    handled = office.sync(maria(employee_id=None))
    assert (handled.outcome, handled.warnings) == (Outcome.CREATED, (reasons.MISSING_EMPLOYEE_ID,))
    assert stored(office)["payroll_id"] is None
    again = office.sync(maria(minutes=60, employee_id=None))
    assert (again.outcome, again.warnings) == (Outcome.UNCHANGED, (reasons.MISSING_EMPLOYEE_ID,))


@pytest.mark.parametrize("is_linked", [True, False])
def test_an_employee_id_that_went_missing_never_clears_a_payroll_id(
    open_office: Callable[..., Office], is_linked: bool
) -> None:
    office = open_office(workers=[] if is_linked else [worker(7, "Maria", "Delgado", **STORED)])
    if is_linked:
        office.sync(MARIA)
    handled = office.sync(maria(minutes=60, employee_id=None, email="m.delgado@example.com"))
    assert handled.outcome is Outcome.UPDATED
    assert stored(office) == STORED | {"email": "m.delgado@example.com"}


# ------------------------------------------------------------------ skipped, stale, parked


def test_a_user_who_may_not_sync_costs_no_request_and_gets_every_reason(office: Office) -> None:
    handled = office.sync(maria(email=None, mobile_phone=None))
    assert handled.outcome is Outcome.SKIPPED
    assert set(handled.reasons) == {reasons.MISSING_EMAIL, reasons.MISSING_PHONE}
    assert requests(office) == 0


@pytest.mark.parametrize("change", [{"is_employee": False}, {"is_active": False}, {"email": None}])
def test_a_worker_whose_user_may_not_sync_any_more_stays_as_they_are(
    office: Office, change: dict[str, Any]
) -> None:
    office.sync(MARIA)
    before = office.site.state.workers()
    handled = office.sync(maria(minutes=60, first_name="Marie", **change))
    assert handled.outcome is Outcome.SKIPPED
    assert office.site.state.workers() == before


def test_who_was_skipped_and_is_as_before_again_is_unchanged_without_a_request(office: Office) -> None:
    office.sync(MARIA)
    office.sync(maria(minutes=10, email=None))
    before = requests(office)
    handled = office.sync(maria(minutes=20))
    assert (handled.outcome, requests(office) - before) == (Outcome.UNCHANGED, 0)


def test_an_older_reading_changes_nothing(office: Office) -> None:
    office.sync(maria(minutes=60))
    before = requests(office)
    handled = office.sync(maria(minutes=59, first_name="Marie"))
    assert (handled, requests(office) - before) == (Handled(Outcome.STALE), 0)
    assert link_of(office).revision == revision_of(maria(minutes=60).asked_at)


def test_the_same_event_again_is_not_stale(office: Office) -> None:
    office.sync(MARIA)
    assert office.sync(MARIA).outcome is Outcome.UNCHANGED


@pytest.mark.parametrize("was_synced", [True, False])
def test_a_skipped_reading_is_noted_so_that_an_older_one_is_stale(office: Office, was_synced: bool) -> None:
    """Otherwise an older event that is redriven or replayed would undo what the newer one said."""
    if was_synced:
        office.sync(MARIA)
    skipped = office.sync(maria(minutes=60, is_employee=False))
    assert skipped.outcome is Outcome.SKIPPED
    before = office.site.state.workers()
    assert office.sync(maria(minutes=30, first_name="Marie")).outcome is Outcome.STALE
    assert office.site.state.workers() == before
    assert office.sync(maria(minutes=61, last_name="Ruiz")).outcome is not Outcome.STALE


def test_a_note_about_a_skipped_user_is_no_link_to_a_worker(office: Office) -> None:
    office.sync(maria(email=None))
    assert link_of(office).target_id == ""
    assert office.sync(maria(minutes=1)).outcome is Outcome.CREATED


def test_an_unknown_company_is_parked(office: Office) -> None:
    handled = office.sync(maria(company_id=99))
    assert handled == Handled(Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))
    assert requests(office) == 0


def test_a_user_is_named_in_the_log_as_procore_names_them(office: Office) -> None:
    assert office.users.subject(maria(run_id="run-1")) == Subject(
        "8800101", "Maria Delgado", ASKED_AT, "run-1"
    )
    assert office.users.subject(maria(first_name=None)).name == "Delgado"
    assert office.users.subject(maria(first_name=None, last_name=None)).name == "(no name)"


# ------------------------------------------------------------------ ambiguity and conflicts


def test_a_linked_worker_who_is_gone_is_looked_for_again_by_the_ladder(
    open_office: Callable[..., Office],
) -> None:
    office = open_office(workers=[worker(7, "M.", "Delgado", payroll_id="20301")])
    office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(999), 1, "before"))
    handled = office.sync(MARIA)
    assert handled.outcome is Outcome.UPDATED
    assert link_of(office).target_id == worker_id(7)


def test_a_linked_worker_who_is_gone_is_created_if_nobody_matches(office: Office) -> None:
    office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(999), 1, "before"))
    handled = office.sync(MARIA)
    assert handled.outcome is Outcome.CREATED
    assert link_of(office).target_id == office.site.state.workers()[0]["id"]


def test_a_linked_worker_who_is_gone_and_whose_phone_somebody_takes_meanwhile_is_told_by_whom_it_is_used(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(999), 1, "before"))
    ada = another_user(2, mobile_phone=MARIA.mobile_phone)
    other = Office(office.site, office.settings)
    create = office.company.smartbarrel.create_worker
    calls: list[str] = []

    async def create_too_late(fields: dict[str, object], key: str) -> object:
        calls.append(key)
        if len(calls) == 1:
            await other.handle(ada)
        return await create(fields, key)

    monkeypatch.setattr(office.company.smartbarrel, "create_worker", create_too_late)
    handled = office.sync(MARIA)
    assert handled.outcome is Outcome.SKIPPED
    assert [reason.code for reason in handled.reasons] == ["phone_in_use"]
    assert len(office.site.state.workers()) == 1


@pytest.mark.parametrize("theirs", [{"external_id": "procore:8800999"}, {"contractor": CONTRACTOR}])
@pytest.mark.parametrize("field", ["phone_number", "payroll_id"])
def test_a_value_of_somebody_elses_worker_is_named_and_left_alone(
    open_office: Callable[..., Office], theirs: Json, field: str
) -> None:
    other = worker(7, "Emeka", "Lindqvist", **theirs, **{field: STORED[field]})
    office = open_office(workers=[other])
    handled = office.sync(MARIA)
    assert handled.outcome is Outcome.SKIPPED
    (reason,) = handled.reasons
    assert reason.code == ("phone_in_use" if field == "phone_number" else "payroll_id_in_use")
    assert "Emeka Lindqvist" in reason.message
    assert office.site.writes() == []


def test_two_workers_who_could_be_the_user_are_a_conflict_that_names_both(
    open_office: Callable[..., Office],
) -> None:
    by_id = worker(7, "M.", "Delgado", payroll_id="20301")
    by_phone = worker(8, "Maria", "D.", phone_number="+15125550101")
    office = open_office(workers=[by_id, by_phone])
    handled = office.sync(MARIA)
    assert (handled.outcome, handled.reasons) == (
        Outcome.FAILED,
        (reasons.conflict("phone number", "M. Delgado", "Maria D."),),
    )
    assert office.site.writes() == []


@pytest.mark.parametrize("was_cleared", [False, True], ids=["external id kept", "external id cleared"])
def test_a_linked_user_whose_new_phone_belongs_to_another_worker_keeps_their_worker(
    open_office: Callable[..., Office], was_cleared: bool
) -> None:
    """The stored link is the ladder's first rung: a later one never moves it to somebody else."""
    office = open_office(workers=[worker(8, "Tomas", "Okafor", phone_number="+15125550188")])
    office.sync(maria(employee_id=None))
    linked = link_of(office).target_id
    if was_cleared:
        office.site.state.edit_worker(linked, external_id=None)
    handled = office.sync(maria(minutes=60, employee_id=None, mobile_phone="(512) 555-0188"))
    assert handled.outcome in {Outcome.FAILED, Outcome.SKIPPED}
    assert "Tomas Okafor" in handled.reasons[0].message
    assert link_of(office).target_id == linked
    (tomas,) = [one for one in office.site.state.workers() if one["id"] == worker_id(8)]
    assert (tomas["first_name"], tomas["external_id"]) == ("Tomas", None)


def test_of_two_users_who_race_for_one_phone_number_one_is_created_and_one_told_by_whom_it_is_used(
    office: Office,
) -> None:
    ada = another_user(2, mobile_phone=MARIA.mobile_phone)
    other = Office(office.site, office.settings)

    async def race() -> list[Handled]:
        return list(await asyncio.gather(office.handle(MARIA), other.handle(ada)))

    outcomes = office.site.run(race())
    assert sorted(handled.outcome for handled in outcomes) == [Outcome.CREATED, Outcome.SKIPPED]
    (winner,) = office.site.state.workers()
    (skipped,) = [handled for handled in outcomes if handled.outcome is Outcome.SKIPPED]
    name = f"{winner['first_name']} {winner['last_name']}"
    assert skipped.reasons == (reasons.phone_in_use(name, winner["payroll_id"]),)
    refused = [entry.status for entry in office.site.writes("POST")]
    assert sorted(refused) == [201, 409], "both got as far as the call"


def test_a_user_who_is_handled_twice_at_once_is_one_worker(office: Office) -> None:
    """Two owners at the time of a rebalance: the external id is unique, so the second finds the first's."""
    other = Office(office.site, office.settings)

    async def race() -> list[Handled]:
        return list(
            await asyncio.gather(office.handle(MARIA), other.handle(maria(minutes=1, email="m@example.com")))
        )

    office.site.run(race())
    assert len(office.site.state.workers()) == 1
    assert link_of(office).target_id == link_of(other).target_id


# ------------------------------------------------------------------ crashes and lost answers


@pytest.mark.parametrize("loses_links", [True, False])
def test_an_event_that_is_handled_again_after_a_crash_makes_no_second_worker(
    office: Office, loses_links: bool
) -> None:
    office.sync(MARIA)
    office.restart(lose_links=loses_links)
    assert office.sync(MARIA).outcome is Outcome.UNCHANGED
    assert len(office.site.state.workers()) == 1
    assert stored(office) == STORED


@pytest.mark.parametrize("error", [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError])
def test_a_creation_whose_answer_is_lost_makes_no_second_worker(
    office: Office, error: type[httpx.TransportError]
) -> None:
    office.site.lose_answer("POST", "/workers", error=error)
    with pytest.raises(Transient):
        office.sync(MARIA)
    handled = office.sync(MARIA)
    assert handled.outcome in {Outcome.CREATED, Outcome.UNCHANGED}
    assert office.site.wire.befallen == 1
    assert len(office.site.state.workers()) == 1
    assert link_of(office).target_id == office.site.state.workers()[0]["id"]


@pytest.mark.parametrize("is_linked", [True, False])
def test_an_update_whose_answer_is_lost_is_made_once_more_on_the_same_worker(
    open_office: Callable[..., Office], is_linked: bool
) -> None:
    office = open_office(workers=[worker(7, "M.", "Delgado", payroll_id="20301")])
    if is_linked:
        office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(7), 1, "before"))
    office.site.lose_answer("PATCH", "/workers")
    with pytest.raises(Transient):
        office.sync(MARIA)
    office.sync(MARIA)
    assert office.site.wire.befallen == 1
    assert [one["id"] for one in office.site.state.workers()] == [worker_id(7)]
    assert stored(office) == STORED
    assert link_of(office).target_id == worker_id(7)


def test_a_look_up_without_an_answer_makes_nobody(office: Office) -> None:
    """A worker who was not seen because nobody answered must not be taken for one who is not there."""
    office.site.lose_answer("GET", "/workers")
    with pytest.raises(Transient):
        office.sync(MARIA)
    assert office.site.writes() == []
    assert office.links.get(KEY) is None


@pytest.mark.parametrize(
    ("status", "kind"), [(401, Misconfigured), (403, Misconfigured), (429, RateLimited), (500, Transient)]
)
def test_a_failure_that_may_pass_leaves_nothing_noted(
    office: Office, status: int, kind: type[Exception]
) -> None:
    office.site.wire.servers["smartbarrel.test"] = httpx.MockTransport(lambda _: httpx.Response(status))
    with pytest.raises(kind):
        office.sync(MARIA)
    assert office.links.get(KEY) is None


def test_smartbarrels_refusal_comes_up_in_its_own_words(office: Office) -> None:
    body = {
        "error": {
            "code": "invalid",
            "message": "Email is not valid",
            "fields": [{"field": "email", "message": "Email is not valid"}],
        }
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(422, json=body)
        return httpx.Response(200, json={"data": [], "meta": {"page": 1, "per_page": 200, "total": 0}})

    office.site.wire.servers["smartbarrel.test"] = httpx.MockTransport(answer)
    with pytest.raises(Rejected) as caught:
        office.sync(MARIA)
    assert caught.value.words == ("Email is not valid",)


def test_two_users_who_match_one_free_worker_at_once_do_not_both_get_them(
    open_office: Callable[..., Office],
) -> None:
    """One by the payroll ID, the other by the phone number: whoever comes first has the worker."""
    theirs = worker(7, "M.", "Delgado", payroll_id="20301", phone_number="+15125550102")
    office = open_office(workers=[theirs])
    other = another_user(2, employee_id=None, mobile_phone="(512) 555-0102")

    async def both() -> list[Handled]:
        return list(await asyncio.gather(office.handle(MARIA), office.handle(other)))

    first, second = office.site.run(both())
    assert {first.outcome, second.outcome} == {Outcome.UPDATED, Outcome.SKIPPED}
    refused = first if first.outcome is Outcome.SKIPPED else second
    assert refused.reasons[0].code in {"phone_in_use", "payroll_id_in_use"}
    targets = [link.target_id for one in (first, second) for link in one.links if link.target_id]
    assert targets == [worker_id(7)]


def test_a_plan_that_somebody_else_has_overtaken_takes_no_worker_from_them(
    open_office: Callable[..., Office],
) -> None:
    theirs = worker(7, "M.", "Delgado", payroll_id="20301", phone_number="+15125550102")
    office = open_office(workers=[theirs])
    other = another_user(2, employee_id=None, mobile_phone="(512) 555-0102")
    plan = office.site.run(office.users.plan(other))
    assert isinstance(plan, WorkerPlan)
    assert office.sync(MARIA).outcome is Outcome.UPDATED
    handled = office.site.run(carry_out(plan, office.company))
    assert [reason.code for reason in handled.reasons] == ["phone_in_use"]
    assert [one["external_id"] for one in office.site.state.workers()] == ["procore:8800101"]
