"""All that the whole program asks of both systems, in good times and bad, is in their contracts."""

import json
from pathlib import Path

from starlette.middleware import Middleware

from consumer.sandbox.server import start as start_sandbox
from consumer.sandbox.store import SandboxState
from consumer.upstream.calls import OPERATIONS
from tests.checked_app import CheckedApp
from tests.contracts import ContractChecker
from tests.e2e.expected import Body
from tests.e2e.observed import check_all
from tests.e2e.program import Place, real_upstreams


FAULTS = """
[[rules]]
operation = "createTimecardEntry"
times = 3
after = 20
fault = "reset-after"

[[rules]]
operation = "createWorker"
times = 2
after = 20
fault = "status=503; after-effect"

[[rules]]
operation = "createCompanyPerson"
times = 1
fault = "reset"

[[rules]]
operation = "listCostCodes"
times = 1
fault = "expired-token"

[[rules]]
system = "smartbarrel"
method = "PATCH"
times = 1
fault = "status=429; retry-after=1"
"""
CALLED = {operation for of_system in OPERATIONS.values() for operation in of_system} - {
    # Of a classification that somebody deactivated: in tests/sync/test_classifications.py.
    "updateProjectWorkClassification"
}


def user_of(worker: Body) -> int:
    return int(worker["external_id"].removeprefix("procore:"))


def _turn_on_classifications(place: Place) -> None:
    (company,) = json.loads(place.settings["CREWSYNC_COMPANIES"])
    changed = {"sync_classifications": True, "project_time_entry": {"2790002": "start_stop"}}
    place.settings["CREWSYNC_COMPANIES"] = json.dumps([{**company, **changed}])


def _rename_a_contact(state: SandboxState) -> None:
    contact = next(one for one in state.people() if str(one["origin_id"]).startswith("sb:"))
    entry = next(one for one in state.timecard_entries() if one["party_id"] == contact["id"])
    state.edit_worker(contact["origin_id"].removeprefix("sb:"), last_name="Renamed")
    state.edit_timesheet(entry["origin_id"].removeprefix("sb:"), total_hours="4.44")


def test_every_request_of_the_program_and_every_answer_keeps_the_contract(
    place: Place, tmp_path: Path, contract_checker: ContractChecker
) -> None:
    """While answers are refused and lost, all is synced; and then again, when a few things have changed."""
    faults = tmp_path / "faults.toml"
    faults.write_text(FAULTS, "utf-8")
    around = [Middleware(CheckedApp, checker=contract_checker)]
    with start_sandbox(place.sandbox, middleware=around, faults=faults) as sandbox:
        place.settings |= real_upstreams(sandbox.address)
        for kind in ("users", "timesheets"):
            place.run("sync", kind)
        assert sandbox.faults is not None
        assert sandbox.faults.counts.total() == 8
        check_all(f"embedded:{place.broker}", place.folder, to_the_letter=False)
        entry = sandbox.state.timecard_entries()[0]
        *_, renamed, clashing = sandbox.state.workers()
        sandbox.state.edit_user(user_of(renamed), last_name="Renamed")
        sandbox.state.edit_user(user_of(clashing), mobile_phone=renamed["phone_number"])
        sandbox.state.edit_timesheet(entry["origin_id"].removeprefix("sb:"), total_hours="3.33")
        _turn_on_classifications(place)
        _rename_a_contact(sandbox.state)
        for kind in ("users", "timesheets"):
            place.run("sync", kind)
        place.run("plan", "user", str(user_of(renamed)))
    contract_checker.check_served()
    assert contract_checker.failures == []
    assert contract_checker.operations.keys() >= CALLED
    assert contract_checker.checked >= len(sandbox.state.requests())
