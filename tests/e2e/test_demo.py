"""The demo: one process, the embedded broker, both flows; and again, when there is nothing to do."""

import json
import re
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.e2e.conftest import Demo
from tests.e2e.expected import PROCORE, SMARTBARREL, USERS, Ending, Expected, code_of, e164, full_name
from tests.e2e.observed import (
    check_one_result_each,
    check_procore,
    check_workers,
    endings,
    logged_endings,
    name_order,
    read_log_file,
)
from tests.e2e.program import Place


KINDS = ("users", "timesheets")


@pytest.fixture(scope="session")
def expected(demo: Demo) -> Expected:
    """What must be there, given who came first to the shared phone numbers."""
    return Expected.seen(demo.workers)


def wanted(expected: Expected, kind: str, run: int) -> dict[str, Ending]:
    of_kind = expected.users if kind == "users" else expected.timesheets
    return {subject: ending.again if run else ending for subject, ending in of_kind.items()}


def test_the_demo_data_ask_for_every_kind_of_ending(demo: Demo, expected: Expected) -> None:
    """The oracle itself: the numbers that the demo data promise, and no reason that never occurs."""
    outcomes = [ending.outcome for ending in expected.users.values()]
    assert {name: outcomes.count(name) for name in set(outcomes)} == {
        "created": 178,
        "updated": 16,
        "unchanged": 4,
        "skipped": 52,
    }
    assert [len(expected.losers), len(expected.contacts), len(expected.entries)] == [3, 7, 300]
    assert len(demo.workers) == 40 + 178


def test_json_on_standard_output_counts_what_was_done(demo: Demo, expected: Expected) -> None:
    users, timesheets = json.loads(demo.first.stdout)
    for kind, run in (("users", users), ("timesheets", timesheets)):
        outcomes = [ending.outcome for ending in wanted(expected, kind, 0).values()]
        assert run["kind"] == kind
        assert run["expected"] == len(outcomes)
        assert run["outcomes"] == {name: outcomes.count(name) for name in set(outcomes)}
        assert demo.place.folder / run["log"] == demo.log_files(kind)[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", [0, 1], ids=["first", "second"])
def test_every_event_ends_as_expected_with_all_of_its_reasons(
    demo: Demo, expected: Expected, kind: str, run: int
) -> None:
    """On ``sync-log`` and in the file alike: outcomes, reasons and warnings of everybody, and nobody else."""
    of_run = wanted(expected, kind, run)
    assert endings(demo.log.of_run(run, kind)) == of_run
    assert logged_endings(read_log_file(demo.log_files(kind)[run])) == of_run


@pytest.mark.parametrize("run", [0, 1], ids=["first", "second"])
def test_the_users_log_names_each_of_the_250_people_once(demo: Demo, run: int) -> None:
    named = read_log_file(demo.log_files("users")[run]).subjects
    assert len(named) == 250
    assert {entry.subject_id: " ".join(entry.name.split()) for entry in named} == {
        str(user["id"]): full_name(user) for user in USERS.values()
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", [0, 1], ids=["first", "second"])
def test_people_stand_in_the_order_of_their_names(demo: Demo, kind: str, run: int) -> None:
    for entries in read_log_file(demo.log_files(kind)[run]).sections.values():
        names = [name_order(entry.name) for entry in entries]
        assert all(a <= b for a, b in pairwise(names))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("run", [0, 1], ids=["first", "second"])
def test_a_log_s_head_and_counts_agree_with_its_entries(demo: Demo, kind: str, run: int) -> None:
    log = read_log_file(demo.log_files(kind)[run])
    outcomes = [entry.outcome or "" for entry in log.subjects]
    assert log.counts == {name: outcomes.count(name) for name in set(outcomes)} | {
        "Synced": len(log.sections["Synced"]),
        "Not synced": len(log.sections["Not synced"]),
        "Total": len(outcomes),
    }
    assert {name: log.head[name] for name in ("Company", "Kind", "Trigger", "Status")} == {
        "Company": str(PROCORE["company"]["id"]),
        "Kind": kind,
        "Trigger": "manual",
        "Status": "complete",
    }
    assert log.head["Started"] <= log.head["Ended"]


def test_who_comes_second_to_a_phone_is_told_who_has_it(demo: Demo, expected: Expected) -> None:
    entries = {entry.subject_id: entry for entry in read_log_file(demo.log_files("users")[0]).subjects}
    assert {user: entries[str(user)].lines for user in expected.losers} == {
        user: (
            (
                f"Phone number already in use by {full_name(USERS[winner])}"
                f" (payroll ID {USERS[winner]['employee_id']}) in SmartBarrel"
            ),
        )
        for user, winner in expected.losers.items()
    }


def test_the_log_says_which_shift_was_not_synced(demo: Demo) -> None:
    """Above its reasons, a shift has its day, its hours and its project."""
    sheets = {sheet["id"]: sheet for sheet in SMARTBARREL["timesheets"]}
    for entry in read_log_file(demo.log_files("timesheets")[0]).sections["Not synced"]:
        sheet = sheets[entry.subject_id]
        assert entry.lines[0] == f"{sheet['date']}, {sheet['total_hours']} h, {sheet['project']['name']}"
        assert all(code_of(line) for line in entry.lines[1:])


def test_smartbarrel_has_exactly_the_workers_that_procore_says(demo: Demo, expected: Expected) -> None:
    check_workers(demo.workers, expected)


def test_procore_has_exactly_the_contacts_and_timecards_of_the_due_shifts(
    demo: Demo, expected: Expected
) -> None:
    check_procore(demo.state, expected)


def test_a_missing_employee_id_clears_no_payroll_id(demo: Demo) -> None:
    """Said apart from the exact sets, because it could cost people their pay."""
    before = {worker["id"]: worker["payroll_id"] for worker in SMARTBARREL["workers"]}
    kept = {w["id"]: w["payroll_id"] for w in demo.workers if before.get(w["id"]) is not None}
    assert kept == {worker: payroll_id for worker, payroll_id in before.items() if payroll_id is not None}


def _is_id(part: str) -> bool:
    return part.isdigit() or "-" in part


def test_every_change_is_asked_for_once(demo: Demo, expected: Expected) -> None:
    """178 workers created and 16 changed, 7 contacts and 300 entries created: one request for each.

    So is each classification that is new, and each that is put on an entry. Only who comes second to a
    phone number may be refused, if both came at the same moment.
    """
    writes = demo.state.writes()
    made = expected.classifications - {one["name"].casefold() for one in PROCORE["work_classifications"]}
    accepted = Counter(
        (write.system, write.method, [part for part in write.path.split("/") if not _is_id(part)][-1])
        for write in writes
        if write.status < 300
    )
    assert accepted == {
        ("smartbarrel", "POST", "workers"): 178,
        ("smartbarrel", "PATCH", "workers"): 16,
        ("procore", "POST", "people"): 7,
        ("procore", "POST", "timecard_entries"): 300,
        ("procore", "POST", "work_classifications"): len(made),
        ("smartbarrel", "PATCH", "positions"): len(made),
        ("procore", "PATCH", "timesheets"): len(expected.classified),
        # How many imports it takes depends on who comes first.
        ("procore", "POST", "initial_setup"): accepted["procore", "POST", "initial_setup"],
    }
    assert made == {"rodbuster", "tool crib attendant", "flagger"}
    refused = [(write.system, write.method, write.status) for write in writes if write.status >= 300]
    assert refused == [("smartbarrel", "POST", 409)] * len(refused)
    assert len(refused) <= len(expected.losers)


def test_a_second_run_changes_nothing(demo: Demo, expected: Expected) -> None:
    assert demo.writes[1] == demo.writes[0]
    check_workers(demo.state.workers(), expected)


def test_every_event_of_both_runs_has_exactly_one_result(demo: Demo) -> None:
    check_one_result_each(demo.log)
    assert len(demo.log.markers) == 4


def test_people_get_both_logs_and_where_they_are(demo: Demo) -> None:
    for kind in KINDS:
        path = demo.log_files(kind)[1]
        assert path.read_text("utf-8") in demo.second.stdout
        assert str(path.relative_to(demo.place.folder)) in demo.second.stdout


def test_the_process_log_holds_no_personal_data(demo: Demo) -> None:
    """No phone number, e-mail, or name of anybody on standard error, at the finest level either."""
    people = [*PROCORE["users"], *PROCORE["people"], *SMARTBARREL["workers"]]
    secret = {full_name(person) for person in people}
    secret |= {" ".join((person["last_name"] or "").split()) for person in people}
    secret |= {worker["phone_number"].removeprefix("+") for worker in SMARTBARREL["workers"]}
    secret |= {worker["email"] for worker in SMARTBARREL["workers"]}
    for user in USERS.values():
        typed = {user[key] or "" for key in ("mobile_phone", "business_phone")}
        secret |= typed | {re.sub(r"\D", "", number) for number in typed}
        secret |= {user["email_address"] or "", (e164(user) or "").removeprefix("+")}
    secret = {text for text in secret if len(text) > 3}
    assert len(secret) > 800
    # As in an address with a query, where %2B and %40 would hide a number or an e-mail behind letters.
    logs = unquote(demo.first.stderr + demo.second.stderr)
    assert [text for text in secret if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", logs)] == []
    assert "Traceback" not in logs


def test_the_demo_s_logs_can_be_printed_where_only_ascii_is_known(demo: Demo, tmp_path: Path) -> None:
    """Names are written in many scripts, terminals are not."""
    copy = Place(tmp_path)
    shutil.copytree(demo.place.folder / "var", tmp_path / "var")
    try:
        printed = copy.run("demo", PYTHONIOENCODING="ascii")
    finally:
        copy.close()
    assert "Traceback" not in printed.stderr
    assert printed.stdout.count("(id ") >= 250 + 411
