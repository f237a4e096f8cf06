"""Which worker a user is: each rung of the ladder, and what keeps it from being climbed."""

from collections.abc import Callable
from typing import Any

import pytest

from consumer.model import reasons
from consumer.model.results import Outcome
from consumer.sync.mapping import WorkerFields
from consumer.sync.matching import Match, Matched, Refused, Rung, decide, find_match
from consumer.upstream.smartbarrel import Worker
from tests.upstream.site import Json, Site, worker, worker_id


FIELDS = WorkerFields(
    first_name="Maria",
    last_name="Delgado",
    email="maria.delgado@example.com",
    phone_number="+15125550101",
    payroll_id="20301",
    external_id="procore:8800101",
)
CONTRACTOR = {"id": "9b7d2e54-6b0f-4c86-a0b1-7f3c2d1e0a45", "name": "Lakeside Electric"}

# What a worker has who is found by a rung.
HAS: dict[Rung, Json] = {
    Rung.EXTERNAL_ID: {"external_id": "procore:8800101"},
    Rung.PAYROLL_ID: {"payroll_id": "20301"},
    Rung.PHONE: {"phone_number": "+15125550101"},
}
RUNGS = sorted(HAS)
NOT_OURS: dict[str, Json] = {
    "somebody else's": {"external_id": "procore:8800999"},
    "a subcontractor's": {"contractor": CONTRACTOR},
}


def one(number: int = 1, **fields: Any) -> Worker:
    """A worker as the client reads them."""
    plain: dict[str, Any] = {
        "id": worker_id(number),
        "first_name": "Worker",
        "last_name": f"Number{number}",
        "email": "worker@example.org",
        "phone_number": f"+151255501{number + 50:02}",
        "payroll_id": None,
        "external_id": None,
        "contractor": None,
        "status": "active",
        "position_id": None,
    }
    return Worker(**{**plain, **fields})


def climb(site: Site, fields: WorkerFields = FIELDS) -> Match:
    return site.run(find_match(fields, site.smartbarrel))


def without_payroll_id() -> WorkerFields:
    return WorkerFields(
        FIELDS.first_name, FIELDS.last_name, FIELDS.email, FIELDS.phone_number, None, FIELDS.external_id
    )


# ------------------------------------------------------------------ one rung


@pytest.mark.parametrize("rung", RUNGS)
def test_nobody_on_a_rung_decides_nothing(rung: Rung) -> None:
    assert decide(rung, [], FIELDS) is None


@pytest.mark.parametrize("rung", RUNGS)
def test_the_only_one_on_a_rung_is_the_match(rung: Rung) -> None:
    found = one(**HAS[rung])
    assert decide(rung, [found], FIELDS) == Matched(found, rung)


@pytest.mark.parametrize("rung", RUNGS)
def test_several_on_a_rung_are_ambiguous_and_named(rung: Rung) -> None:
    refused = decide(rung, [one(2), one(1)], FIELDS)
    assert refused == Refused(Outcome.FAILED, reasons.ambiguous(rung, ["Worker Number1", "Worker Number2"]))
    assert isinstance(refused, Refused)
    assert "Worker Number1, Worker Number2" in refused.reason.message
    assert rung in refused.reason.message


@pytest.mark.parametrize("theirs", NOT_OURS.values(), ids=list(NOT_OURS))
def test_who_has_the_payroll_id_but_cannot_be_this_user_is_named(theirs: Json) -> None:
    refused = decide(Rung.PAYROLL_ID, [one(**theirs)], FIELDS)
    assert refused == Refused(Outcome.SKIPPED, reasons.payroll_id_in_use("Worker Number1"))


@pytest.mark.parametrize("theirs", NOT_OURS.values(), ids=list(NOT_OURS))
def test_who_has_the_phone_number_but_cannot_be_this_user_is_named_with_their_payroll_id(
    theirs: Json,
) -> None:
    refused = decide(Rung.PHONE, [one(payroll_id="777", **theirs)], FIELDS)
    assert refused == Refused(Outcome.SKIPPED, reasons.phone_in_use("Worker Number1", "777"))


def test_a_worker_of_another_system_is_nobody_elses_in_procore() -> None:
    found = one(external_id="payroll-system:12")
    assert decide(Rung.PHONE, [found], FIELDS) == Matched(found, Rung.PHONE)


# ------------------------------------------------------------------ the ladder


def test_in_an_empty_company_nobody_is_the_user(site: Site) -> None:
    assert climb(site) is None


def test_somebody_with_the_same_name_and_email_is_not_the_user(build: Callable[..., Site]) -> None:
    namesake = worker(7, "Maria", "Delgado", email=FIELDS.email)
    assert climb(build(workers=[namesake])) is None


@pytest.mark.parametrize("rung", RUNGS)
def test_the_user_is_found_by_each_rung_alone(build: Callable[..., Site], rung: Rung) -> None:
    site = build(workers=[worker(7, "M.", "Delgado", **HAS[rung]), worker(8, "Tomas", "Okafor")])
    match = climb(site)
    assert isinstance(match, Matched)
    assert (match.worker.id, match.rung) == (worker_id(7), rung)


@pytest.mark.parametrize("rung", RUNGS)
def test_an_inactive_worker_is_the_user_rather_than_made_again(
    build: Callable[..., Site], rung: Rung
) -> None:
    match = climb(build(workers=[worker(7, "M.", "Delgado", status="inactive", **HAS[rung])]))
    assert isinstance(match, Matched)
    assert match.worker.id == worker_id(7)


def test_a_worker_on_all_rungs_is_found_by_the_first_without_further_calls(
    build: Callable[..., Site],
) -> None:
    everything = {name: value for has in HAS.values() for name, value in has.items()}
    site = build(workers=[worker(7, "M.", "Delgado", **everything)])
    match = climb(site)
    assert isinstance(match, Matched)
    assert match.rung == Rung.EXTERNAL_ID
    assert len(site.wire.seen) == 1


LATER = [
    (Rung.EXTERNAL_ID, Rung.PAYROLL_ID),
    (Rung.EXTERNAL_ID, Rung.PHONE),
    (Rung.PAYROLL_ID, Rung.PHONE),
]


@pytest.mark.parametrize(("first", "later"), LATER)
def test_a_later_rung_that_points_at_another_worker_is_a_conflict_that_names_both(
    build: Callable[..., Site], first: Rung, later: Rung
) -> None:
    site = build(
        workers=[worker(7, "M.", "Delgado", **HAS[first]), worker(8, "Tomas", "Okafor", **HAS[later])]
    )
    refused = climb(site)
    assert refused == Refused(Outcome.FAILED, reasons.conflict(later, "M. Delgado", "Tomas Okafor"))
    assert isinstance(refused, Refused)
    assert all(name in refused.reason.message for name in ("M. Delgado", "Tomas Okafor", later))


@pytest.mark.parametrize(("first", "later"), LATER)
@pytest.mark.parametrize("theirs", NOT_OURS.values(), ids=list(NOT_OURS))
def test_a_later_rung_that_belongs_to_somebody_else_is_in_use(
    build: Callable[..., Site], first: Rung, later: Rung, theirs: Json
) -> None:
    other = worker(8, "Tomas", "Okafor", **{**HAS[later], **theirs})
    refused = climb(build(workers=[worker(7, "M.", "Delgado", **HAS[first]), other]))
    expected = (
        reasons.payroll_id_in_use("Tomas Okafor")
        if later is Rung.PAYROLL_ID
        else reasons.phone_in_use("Tomas Okafor", None)
    )
    assert refused == Refused(Outcome.SKIPPED, expected)


@pytest.mark.parametrize("rung", [Rung.PAYROLL_ID, Rung.PHONE])
@pytest.mark.parametrize("theirs", NOT_OURS.values(), ids=list(NOT_OURS))
def test_a_worker_who_cannot_be_the_user_never_matches(
    build: Callable[..., Site], rung: Rung, theirs: Json
) -> None:
    refused = climb(build(workers=[worker(7, "Emeka", "Lindqvist", **{**HAS[rung], **theirs})]))
    assert isinstance(refused, Refused)
    assert refused.outcome is Outcome.SKIPPED
    assert "Emeka Lindqvist" in refused.reason.message


def test_without_an_employee_id_nobody_is_asked_for_by_payroll_id(build: Callable[..., Site]) -> None:
    site = build(workers=[worker(7, "M.", "Delgado", **HAS[Rung.PHONE], payroll_id="777")])
    match = climb(site, without_payroll_id())
    assert isinstance(match, Matched)
    assert match.rung == Rung.PHONE
    assert not any("payroll_id" in request.url.query.decode() for request in site.wire.seen)
