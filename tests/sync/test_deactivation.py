"""Users who leave and come back: a worker is deactivated only if the company asks for it."""

from collections.abc import Callable
from dataclasses import replace

from consumer.model.links import Link, LinkKind
from consumer.model.results import Outcome
from consumer.model.settings import CompanySettings
from tests.sync.conftest import Office
from tests.sync.people import maria
from tests.upstream.site import COMPANY, Json, worker, worker_id


ASKED = CompanySettings(COMPANY, deactivate_workers=True)
OpenOffice = Callable[..., Office]
MATCHING: Json = {
    "email": "maria.delgado@example.com",
    "phone_number": "+15125550101",
    "payroll_id": "20301",
    "external_id": "procore:8800101",
}


def statuses(office: Office) -> list[str]:
    return [one["status"] for one in office.site.state.workers()]


def test_a_worker_is_deactivated_when_their_user_was(open_office: OpenOffice) -> None:
    office = open_office(ASKED)
    office.sync(maria())
    handled = office.sync(maria(minutes=5, is_active=False))
    assert (handled.outcome, handled.reasons, handled.warnings) == (Outcome.UPDATED, (), ())
    assert "deactivated" in (handled.detail or "")
    assert statuses(office) == ["inactive"]


def test_deactivation_is_sent_once(open_office: OpenOffice) -> None:
    office = open_office(ASKED)
    office.sync(maria())
    office.sync(maria(minutes=5, is_active=False))
    before = len(office.site.wire.seen)
    handled = office.sync(maria(minutes=10, is_active=False))
    assert (handled.outcome, len(office.site.wire.seen) - before) == (Outcome.UNCHANGED, 0)


def test_only_the_status_is_sent_so_what_a_leaver_lacks_does_not_matter(open_office: OpenOffice) -> None:
    office = open_office(ASKED)
    office.sync(maria())
    office.sync(maria(minutes=5, is_active=False, mobile_phone=None, email=None, is_employee=False))
    (kept,) = office.site.state.workers()
    assert (kept["status"], kept["email"]) == ("inactive", "maria.delgado@example.com")


def test_a_worker_is_active_again_when_their_user_is(open_office: OpenOffice) -> None:
    office = open_office(ASKED)
    office.sync(maria())
    office.sync(maria(minutes=5, is_active=False))
    handled = office.sync(maria(minutes=10, last_name="Delgado-Ruiz"))
    assert (handled.outcome, handled.warnings, statuses(office)) == (Outcome.UPDATED, (), ["active"])


def test_a_matched_worker_who_is_inactive_is_reactivated(open_office: OpenOffice) -> None:
    office = open_office(ASKED, workers=[worker(7, "Maria", "Delgado", status="inactive", **MATCHING)])
    handled = office.sync(maria())
    assert (handled.outcome, handled.warnings, statuses(office)) == (Outcome.UPDATED, (), ["active"])


def test_unless_asked_nobody_is_deactivated(open_office: OpenOffice) -> None:
    office = open_office()
    office.sync(maria())
    handled = office.sync(maria(minutes=5, is_active=False))
    assert handled.outcome is Outcome.SKIPPED
    assert [reason.code for reason in handled.reasons] == ["user_inactive"]
    assert statuses(office) == ["active"]


def test_unless_asked_nobody_is_reactivated_but_the_log_says_so(open_office: OpenOffice) -> None:
    office = open_office(workers=[worker(7, "Maria", "Delgado", status="inactive", **MATCHING)])
    handled = office.sync(maria())
    assert (handled.outcome, statuses(office)) == (Outcome.UNCHANGED, ["inactive"])
    assert [warning.code for warning in handled.warnings] == ["worker_inactive"]


def test_a_leaver_who_was_never_synced_is_skipped_without_a_call(open_office: OpenOffice) -> None:
    office = open_office(ASKED, workers=[worker(7, "Maria", "Delgado", **MATCHING)])
    handled = office.sync(maria(is_active=False))
    assert handled.outcome is Outcome.SKIPPED
    assert office.site.wire.seen == []


def test_a_leaver_whose_worker_is_gone_is_skipped(open_office: OpenOffice) -> None:
    office = open_office(ASKED)
    office.link(Link(COMPANY, LinkKind.USER, "8800101", worker_id(99), 1, "as it was"))
    handled = office.sync(maria(minutes=5, is_active=False))
    assert [reason.code for reason in handled.reasons] == ["user_inactive"]


def test_turning_the_policy_on_deactivates_those_who_left_before(open_office: OpenOffice) -> None:
    office = open_office()
    office.sync(maria())
    office.sync(maria(minutes=5, is_active=False))
    office.settings = replace(office.settings, deactivate_workers=True)
    office.restart()
    handled = office.sync(maria(minutes=10, is_active=False))
    assert (handled.outcome, statuses(office)) == (Outcome.UPDATED, ["inactive"])


def test_a_user_who_is_no_employee_any_more_keeps_their_worker(open_office: OpenOffice) -> None:
    office = open_office(ASKED)
    office.sync(maria())
    handled = office.sync(maria(minutes=5, is_employee=False))
    assert (handled.outcome, statuses(office)) == (Outcome.SKIPPED, ["active"])


def test_turning_the_policy_on_reactivates_an_active_users_worker_who_was_known_to_be_inactive(
    open_office: OpenOffice,
) -> None:
    office = open_office(workers=[worker(7, "Maria", "Delgado", status="inactive", **MATCHING)])
    office.sync(maria())
    office.settings = ASKED
    office.restart()
    handled = office.sync(maria(minutes=5))
    assert (handled.outcome, handled.warnings, statuses(office)) == (Outcome.UPDATED, (), ["active"])
    (sent,) = [request for request in office.site.wire.seen if request.method == "PATCH"]
    assert sent.content == b'{"status": "active"}'


def test_an_inactive_worker_is_warned_of_in_each_sync_until_somebody_reactivates_them(
    open_office: OpenOffice,
) -> None:
    office = open_office(workers=[worker(7, "Maria", "Delgado", status="inactive", **MATCHING)])
    for minutes in (0, 5, 10):
        handled = office.sync(maria(minutes))
        assert [warning.code for warning in handled.warnings] == ["worker_inactive"]
    office.site.state.edit_worker(worker_id(7), status="active")
    assert office.sync(maria(minutes=15)).warnings == ()
    before = len(office.site.wire.seen)
    assert office.sync(maria(minutes=20)).warnings == ()
    assert (len(office.site.wire.seen), office.site.writes()) == (before, [])


def test_nobody_asks_again_for_the_worker_of_a_leaver_who_is_known_to_be_gone(
    open_office: OpenOffice,
) -> None:
    office = open_office(ASKED)
    office.sync(maria())
    (made,) = office.site.state.workers()
    office.site.delete_worker(made["id"])
    office.sync(maria(minutes=5, is_active=False))
    before = len(office.site.wire.seen)
    for minutes in (10, 15):
        assert office.sync(maria(minutes, is_active=False)).outcome is Outcome.UNCHANGED
    assert len(office.site.wire.seen) == before
    assert office.sync(maria(minutes=20)).outcome is Outcome.CREATED
    assert [one["id"] == made["id"] for one in office.site.state.workers()] == [False]


def test_a_worker_who_is_inactive_already_is_sent_nothing(open_office: OpenOffice) -> None:
    office = open_office(ASKED)
    office.sync(maria())
    (made,) = office.site.state.workers()
    office.site.state.edit_worker(made["id"], status="inactive")
    handled = office.sync(maria(minutes=5, is_active=False))
    assert (handled.outcome, handled.warnings, office.site.writes("PATCH")) == (Outcome.UNCHANGED, (), [])
