"""What the demo data must lead to, worked out from the two JSON files and from nothing else.

This knows the rules of the mapping a second time, on purpose: no code of the product is used here, so that
a mistake there cannot hide in the expectation.

Three pairs of users share a phone number. Either may get there first; the expectation is made for the
``winners`` that were seen, and everything else follows from them.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import phonenumbers


Body = dict[str, Any]

_DATA = Path(__file__).parents[2] / "consumer" / "sandbox" / "data"
PROCORE: Body = json.loads((_DATA / "procore.json").read_text("utf-8"))
SMARTBARREL: Body = json.loads((_DATA / "smartbarrel.json").read_text("utf-8"))
USERS: dict[int, Body] = {user["id"]: user for user in PROCORE["users"]}
SHEETS: dict[str, Body] = {sheet["id"]: sheet for sheet in SMARTBARREL["timesheets"]}
PROJECTS: dict[int, Body] = {project["id"]: project for project in PROCORE["projects"]}

SENTENCES = {
    "missing_first_name": "Missing first name",
    "missing_last_name": "Missing last name",
    "missing_email": "Missing email",
    "missing_phone": "Missing phone number",
    "unusable_phone": "The cell phone in Procore cannot be used: ",
    "phone_in_use": "Phone number already in use by ",
    "not_an_employee": 'Not marked "Is Employee Of" the company in Procore',
    "user_inactive": "Deactivated in Procore",
    "missing_employee_id": "Missing employee ID, so SmartBarrel gets no payroll ID",
    "shift_deleted": "Deleted in SmartBarrel; time cards are never deleted in Procore",
    "shift_open": "The shift is still open; it syncs once the worker has clocked out",
    "not_approved": "The shift is not approved in SmartBarrel yet",
    "sub_worker": 'Works for a subcontractor, and "Include Sub Workers" is off',
    "project_not_linked": "The SmartBarrel project is not linked to a Procore project",
}
"""How the sentence of each reason begins."""

SYNCED = frozenset({"created", "updated", "unchanged"})


@dataclass(frozen=True)
class Ending:
    """How one event ends: the outcome, and the codes of the reasons and warnings."""

    outcome: str
    reasons: frozenset[str] = frozenset()
    warnings: frozenset[str] = frozenset()

    @property
    def again(self) -> "Ending":
        """How the same event ends the next time, when nothing has changed."""
        outcome = "unchanged" if self.outcome in SYNCED else self.outcome
        return Ending(outcome, self.reasons, self.warnings)

    @property
    def loosely(self) -> "Ending":
        """The same, with all outcomes of a synced event alike: after a kill, the work may be found done."""
        return Ending("synced" if self.outcome in SYNCED else self.outcome, self.reasons, self.warnings)


def code_of(line: str) -> str:
    """The code whose sentence a line of a log is. Raises ValueError if it is none."""
    for code, sentence in SENTENCES.items():
        exact = sentence[-1] != " "
        if line == sentence if exact else line.startswith(sentence):
            return code
    raise ValueError(f"no known sentence: {line}")


def full_name(body: Mapping[str, Any]) -> str:
    """First and last name as people see them, without superfluous white space."""
    return _tidy(f"{body['first_name'] or ''} {body['last_name'] or ''}")


def e164(user: Mapping[str, Any]) -> str | None:
    """The cell phone as its owner's country reads it; None if it is missing or nobody's number."""
    country = user["country_code"] if user["country_code"] in phonenumbers.SUPPORTED_REGIONS else "US"
    try:
        number = phonenumbers.parse(user["mobile_phone"] or "", country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def lacking(user: Mapping[str, Any]) -> frozenset[str]:
    """Why the user cannot be a worker, whoever else there is. The gates' reasons stand without the others."""
    gates = {"not_an_employee": not user["is_employee"], "user_inactive": not user["is_active"]}
    if any(gates.values()):
        return frozenset(code for code, holds in gates.items() if holds)
    phone = "missing_phone" if not user["mobile_phone"] else "unusable_phone"
    missing = {
        "missing_first_name": not _tidy(user["first_name"]),
        "missing_last_name": not _tidy(user["last_name"]),
        "missing_email": not _tidy(user["email_address"]),
        phone: e164(user) is None,
    }
    return frozenset(code for code, lacks in missing.items() if lacks)


def rivals() -> list[frozenset[int]]:
    """The groups of users who could all be workers, if they did not share a phone number."""
    by_phone: dict[str | None, set[int]] = defaultdict(set)
    for user in USERS.values():
        if not lacking(user):
            by_phone[e164(user)].add(user["id"])
    return [frozenset(users) for users in by_phone.values() if len(users) > 1]


def worker_of(user: Mapping[str, Any]) -> Body | None:
    """The worker who is the user already: by external id, else by payroll ID, else by phone number."""
    rungs = (
        ("external_id", f"procore:{user['id']}"),
        ("payroll_id", user["employee_id"]),
        ("phone_number", e164(user)),
    )
    for field, value in rungs:
        found = [w for w in SMARTBARREL["workers"] if value is not None and w[field] == value]
        if found:
            (worker,) = found
            return dict(worker)
    return None


@dataclass(frozen=True)
class Expected:
    """Everything that must be there after a first sync of users, then timesheets, for these winners."""

    winners: frozenset[int]

    @classmethod
    def seen(cls, workers: Iterable[Mapping[str, Any]]) -> "Expected":
        """The expectation for the winners among these workers, of whom each group must have exactly one."""
        linked = {worker["external_id"] for worker in workers}
        winners = []
        for group in rivals():
            here = [user for user in group if f"procore:{user}" in linked]
            assert len(here) == 1, f"of users {sorted(group)}, who share a phone, {here} are workers"
            winners += here
        return cls(frozenset(winners))

    @cached_property
    def losers(self) -> Mapping[int, int]:
        """Users who came second to a phone number, each with the winner."""
        return {
            user: winner for group in rivals() for winner in group & self.winners for user in group - {winner}
        }

    @cached_property
    def users(self) -> Mapping[str, Ending]:
        """How each Procore user's event ends, by the user's id."""
        return {str(user["id"]): self._user_ending(user) for user in USERS.values()}

    @cached_property
    def workers(self) -> tuple[Mapping[str, Body], Mapping[str, Body]]:
        """The workers that were there, by id, and those that are new, by external id.

        A worker of the second kind has no id and no times here: SmartBarrel chooses them. One who was
        updated has no time of the update.
        """
        old: dict[str, Body] = {worker["id"]: dict(worker) for worker in SMARTBARREL["workers"]}
        new: dict[str, Body] = {}
        for user in USERS.values():
            if lacking(user) or user["id"] in self.losers:
                continue
            worker, fields = worker_of(user), _worker_fields(user)
            if worker is None:
                nothing = {"payroll_id": None, "position_id": None, "contractor": None}
                company = {"company_id": SMARTBARREL["company"]["id"], "status": "active"}
                new[fields["external_id"]] = {**nothing, **company, **fields}
            elif any(worker[name] != value for name, value in fields.items()):
                old[worker["id"]] |= fields
                del old[worker["id"]]["updated_at"]
        return old, new

    @cached_property
    def timesheets(self) -> Mapping[str, Ending]:
        """How each listed timesheet's event ends, by its id: those of people who are no workers are not."""
        return {
            sheet["id"]: _shift_ending(sheet, worker)
            for sheet in SHEETS.values()
            if (worker := self.worker_at(sheet)) is not None
        }

    @cached_property
    def contacts(self) -> Mapping[str, Body]:
        """The people who are new in Procore, by origin id, without ids and times."""
        made = {}
        for sheet_id in self._due:
            worker = self._worker(sheet_id)
            if _user_of(worker) is None and _known_contact(worker) is None:
                origin_id = f"sb:{worker['id']}"
                made[origin_id] = {
                    "first_name": worker["first_name"],
                    "last_name": worker["last_name"],
                    "name": full_name(worker),
                    "employee_id": worker["payroll_id"],
                    "is_employee": True,
                    "user_id": None,
                    "origin_id": origin_id,
                    "contact": {"is_active": True, "email": None},
                }
        return made

    @cached_property
    def entries(self) -> Mapping[str, Body]:
        """Procore's timecard entries, by origin id.

        ``party_id`` is a person's id, or the origin id of a person who is new.
        """
        return {f"sb:{sheet_id}": self._entry(sheet_id) for sheet_id in self._due}

    @cached_property
    def classified(self) -> Mapping[str, str]:
        """The classification that each entry must have, by origin id and name without regard to case.

        Only of people who are no users in Procore, and of them whose worker has a position.
        """
        return {
            f"sb:{sheet_id}": positions[worker["position_id"]]["name"].casefold()
            for sheet_id in self._due
            for worker in [self._worker(sheet_id)]
            for positions in [{position["id"]: position for position in SMARTBARREL["positions"]}]
            if worker["position_id"] is not None and _user_of(worker) is None
        }

    @cached_property
    def classifications(self) -> frozenset[str]:
        """The names of all classifications, those that positions become included."""
        known = {one["name"].casefold() for one in PROCORE["work_classifications"]}
        return frozenset(known | set(self.classified.values()))

    def worker_at(self, sheet: Mapping[str, Any]) -> Body | None:
        """The worker whose shift it is, as after the sync of the users; None if there is none."""
        old, new = self.workers
        ref = sheet["worker_ref"]
        if "id" in ref:
            return old[ref["id"]]
        by_external_id = {worker["external_id"]: worker for worker in old.values() if worker["external_id"]}
        return by_external_id.get(ref["external_id"]) or new.get(ref["external_id"])

    @property
    def _due(self) -> list[str]:
        return [sheet_id for sheet_id, ending in self.timesheets.items() if ending.outcome in SYNCED]

    def _worker(self, sheet_id: str) -> Body:
        worker = self.worker_at(SHEETS[sheet_id])
        assert worker is not None
        return worker

    def _user_ending(self, user: Mapping[str, Any]) -> Ending:
        why = lacking(user)
        if user["id"] in self.losers:
            why = frozenset({"phone_in_use"})
        if why:
            return Ending("skipped", why)
        worker, fields = worker_of(user), _worker_fields(user)
        if worker is None:
            outcome = "created"
        else:
            same = all(worker[name] == value for name, value in fields.items())
            outcome = "unchanged" if same else "updated"
        return Ending(outcome, warnings=frozenset(() if user["employee_id"] else {"missing_employee_id"}))

    def _entry(self, sheet_id: str) -> Body:
        sheet, worker = SHEETS[sheet_id], self._worker(sheet_id)
        codes = _codes(sheet)
        assert codes is not None
        return {
            "project_id": sheet["project"]["procore_project_id"],
            "date": sheet["date"],
            "hours": Decimal(sheet["total_hours"]),
            "party_id": _person_of(worker) or f"sb:{worker['id']}",
            "description": "Created By SmartBarrel",
            "origin_id": f"sb:{sheet_id}",
            **codes,
            "billable": True,
            "approval_status": "pending",
            "in_progress": False,
            **dict.fromkeys(("time_in", "time_out", "lunch_time", "deleted_at")),
        }


def _tidy(text: str | None) -> str:
    return " ".join((text or "").split())


def _worker_fields(user: Mapping[str, Any]) -> Body:
    """What Procore says of a worker. An employee id that Procore does not know never clears a payroll ID."""
    fields = {
        "first_name": _tidy(user["first_name"]),
        "last_name": _tidy(user["last_name"]),
        "email": user["email_address"],
        "phone_number": e164(user),
        "external_id": f"procore:{user['id']}",
    }
    return fields if user["employee_id"] is None else {**fields, "payroll_id": user["employee_id"]}


def _shift_ending(sheet: Mapping[str, Any], worker: Mapping[str, Any]) -> Ending:
    if sheet["deleted"]:
        return Ending("skipped", frozenset({"shift_deleted"}))
    if sheet["time_out"] is None:
        return Ending("skipped", frozenset({"shift_open"}))
    against = {
        "not_approved": sheet["status"] != "approved",
        "sub_worker": worker["contractor"] is not None,
        "project_not_linked": sheet["project"]["procore_project_id"] is None,
    }
    why = frozenset(code for code, holds in against.items() if holds)
    if why:
        return Ending("skipped", why)
    if _codes(sheet) is None:
        return Ending("failed", frozenset({"code_not_in_project"}))
    return Ending("created")


def _codes(sheet: Mapping[str, Any]) -> Body | None:
    """Sub job, cost code and location in the project; None if it lacks the sub job or the code."""
    project = PROJECTS[sheet["project"]["procore_project_id"]]
    sub_job_id = cost_code_id = None
    biller = ("Project", project["id"])
    if sheet["cost_code_segment_1"]:
        found = [job["id"] for job in project["sub_jobs"] if job["code"] == sheet["cost_code_segment_1"]]
        if not found:
            return None
        (sub_job_id,) = found
        biller = ("SubJob", sub_job_id)
    if sheet["cost_code_segment_2"]:
        found = [
            code["id"]
            for code in project["cost_codes"]
            if (code["biller_type"], code["biller_id"]) == biller
            and code["full_code"] == sheet["cost_code_segment_2"]
        ]
        if not found:
            return None
        (cost_code_id,) = found
    location_id = None
    if sheet["location"]:
        (location_id,) = (here["id"] for here in project["locations"] if here["name"] == sheet["location"])
    return {"sub_job_id": sub_job_id, "cost_code_id": cost_code_id, "location_id": location_id}


def _user_of(worker: Mapping[str, Any]) -> int | None:
    system, _, number = (worker["external_id"] or "").partition(":")
    return int(number) if system == "procore" else None


def _known_contact(worker: Mapping[str, Any]) -> int | None:
    """The contact whom Procore has for the worker already, active or not."""
    contacts = [person for person in PROCORE["people"] if person["user_id"] is None]
    for field, value in (("origin_id", f"sb:{worker['id']}"), ("employee_id", worker["payroll_id"])):
        found = [person["id"] for person in contacts if value is not None and person[field] == value]
        if found:
            (person_id,) = found
            return int(person_id)
    return None


def _person_of(worker: Mapping[str, Any]) -> int | None:
    """The person whom Procore has for the worker already: the user's, or the contact."""
    user_id = _user_of(worker)
    if user_id is None:
        return _known_contact(worker)
    (person_id,) = (person["id"] for person in PROCORE["people"] if person["user_id"] == user_id)
    return int(person_id)
