"""Why something was not synced, or what to look at: the closed list of codes, each with its sentence.

The sentences are read by site and payroll offices: they say what is wrong and where to put it right.
"""

from consumer.model.results import Reason


# People: what Procore does not say.
MISSING_FIRST_NAME = Reason("missing_first_name", "Missing first name")
MISSING_LAST_NAME = Reason("missing_last_name", "Missing last name")
MISSING_EMAIL = Reason("missing_email", "Missing email")
MISSING_PHONE = Reason("missing_phone", "Missing phone number")
MISSING_EMPLOYEE_ID = Reason("missing_employee_id", "Missing employee ID, so SmartBarrel gets no payroll ID")
NOT_AN_EMPLOYEE = Reason("not_an_employee", 'Not marked "Is Employee Of" the company in Procore')
USER_INACTIVE = Reason("user_inactive", "Deactivated in Procore")
USER_SYNC_OFF = Reason("user_sync_off", "User sync is turned off for this company")

# What waits for the next sync.
AUTOSYNC_OFF = Reason("autosync_off", "Autosync is off for this company; the next sync takes it over")

# People: warnings about those who were synced.
WORKER_INACTIVE = Reason(
    "worker_inactive", "The worker is inactive in SmartBarrel and cannot clock in; reactivate them there"
)
CLASSIFICATION_UNKNOWN = Reason(
    "classification_unknown",
    "Synced without a position: Procore does not list the classification that this person has",
)

# Shifts that are not for Procore, or not yet.
SHIFT_DELETED = Reason("shift_deleted", "Deleted in SmartBarrel; time cards are never deleted in Procore")
SHIFT_OPEN = Reason("shift_open", "The shift is still open; it syncs once the worker has clocked out")
NOT_APPROVED = Reason("not_approved", "The shift is not approved in SmartBarrel yet")
SUB_WORKER = Reason("sub_worker", 'Works for a subcontractor, and "Include Sub Workers" is off')
PROJECT_NOT_LINKED = Reason(
    "project_not_linked", "The SmartBarrel project is not linked to a Procore project"
)

# What went wrong on our side or on the way.
UNDECODABLE = Reason("undecodable", "The record cannot be read; it was set aside")
INTERNAL_ERROR = Reason("internal_error", "An error of this program; the record was set aside")
COMPANY_UNKNOWN = Reason("company_unknown", "The company is not set up here; the record was set aside")

# Every other code is made by a function, because its sentence names somebody or something.


def upstream_unavailable(system: str) -> Reason:
    """The upstream gave no answer for as long as we try."""
    return Reason(
        "upstream_unavailable", f"{system} did not answer; the record was set aside and syncs later"
    )


def access_refused(system: str) -> Reason:
    """The upstream refuses the company's credentials or permissions, or its app is not connected."""
    return Reason(
        "access_refused",
        f"{system} refuses access to this company; the record was set aside and syncs once that is put right",
    )


def rejected(system: str) -> Reason:
    """The upstream refused the data, in words that stand beside this."""
    return Reason("rejected", f"{system} did not accept the data")


def unusable_phone(why: str) -> Reason:
    """The mobile phone is there, but nobody can be called at it."""
    return Reason("unusable_phone", f"The cell phone in Procore cannot be used: {why}")


def phone_in_use(name: str, payroll_id: str | None) -> Reason:
    """Another worker has the phone number."""
    return Reason("phone_in_use", f"Phone number already in use by {_who(name, payroll_id)} in SmartBarrel")


def position_refused(name: str) -> Reason:
    """Warning: SmartBarrel refused the position of a classification, in words that stand beside."""
    return Reason(
        "position_refused",
        f"SmartBarrel did not accept the position {name}, so it is missing or out of date there",
    )


def same_name(name: str, payroll_id: str | None) -> Reason:
    """Warning: a worker was created though there is one of the same name, which alone never links."""
    return Reason(
        "same_name",
        f"SmartBarrel has another {_who(name, payroll_id)}; if that is the same person, give them the same"
        " payroll ID or phone number in both systems",
    )


def payroll_id_in_use(name: str) -> Reason:
    """Another Procore user's worker has the payroll ID."""
    return Reason("payroll_id_in_use", f"Payroll ID already in use by {name} in SmartBarrel")


def ambiguous(rung: str, names: list[str]) -> Reason:
    """Several workers match equally well."""
    return Reason("ambiguous", f"Several SmartBarrel workers have this {rung}: {', '.join(sorted(names))}")


def conflict(rung: str, matched: str, other: str) -> Reason:
    """Two ways of matching lead to two workers."""
    return Reason(
        "conflict",
        f"Matches {matched} in SmartBarrel, but the {rung} belongs to {other}; put one of them right",
    )


def person_not_found(name: str) -> Reason:
    """The worker is linked to a Procore user whom Procore does not list."""
    return Reason(
        "person_not_found", f"{name} is linked to a Procore user whom Procore does not list any more"
    )


def employee_id_ambiguous(employee_id: str, names: list[str]) -> Reason:
    """Several people in Procore have the worker's payroll ID as their employee ID."""
    people = ", ".join(sorted(names))
    return Reason(
        "employee_id_ambiguous", f"Several people in Procore have employee ID {employee_id}: {people}"
    )


def employee_id_of_another(employee_id: str, name: str) -> Reason:
    """The worker's payroll ID is the employee ID of a user who is another worker."""
    return Reason(
        "employee_id_of_another", f"Payroll ID {employee_id} is {name}'s in Procore, who is another worker"
    )


def contact_not_changed(name: str) -> Reason:
    """Warning: the contact keeps a former name or employee ID, since Procore refuses to change it."""
    return Reason(
        "contact_not_changed",
        f"Procore does not let this account change the contact of {name}; put it right there by hand",
    )


def employee_id_left_out(employee_id: str, name: str) -> Reason:
    """Warning: the worker's contact does not get the payroll ID, which is another person's employee ID."""
    return Reason(
        "employee_id_left_out",
        f"Payroll ID {employee_id} is {name}'s in Procore, so the worker's contact does not get it",
    )


def code_not_in_project(sub_job: str | None, cost_code: str | None) -> Reason:
    """The shift's sub job or cost code does not exist in the Procore project."""
    codes = f"sub job {sub_job or '(none)'}, cost code {cost_code or '(none)'}"
    return Reason("code_not_in_project", f"Not in the Procore project: {codes}")


def location_not_in_project(location: str) -> Reason:
    """Warning: the entry was made without the location."""
    message = f"Synced without its location, which Procore does not have: {location}"
    return Reason("location_not_in_project", message)


def classification_not_on_project(name: str) -> Reason:
    """The worker's classification could not be put on the project."""
    return Reason(
        "classification_not_on_project",
        f"The classification {name} cannot be chosen on the Procore project; add it there by hand",
    )


def other_day(day: str, began: str) -> Reason:
    """Warning: the two systems do not agree about the day, so one of them has the project's zone wrong."""
    return Reason(
        "other_day",
        f"Booked on {day}, as SmartBarrel says, but by the Procore project's time zone it began on {began}",
    )


def left_over(codes: list[str]) -> Reason:
    """Warning: the shift lost codes that the entry keeps."""
    named = " and ".join(codes)
    return Reason(
        "left_over", f"The shift has no {named} any more; take it off the time card in Procore by hand"
    )


def codes_kept(codes: list[str]) -> Reason:
    """The entry keeps codes that the shift lost, and Procore refuses them where the shift is now."""
    named = " and ".join(codes)
    return Reason(
        "codes_kept",
        f"The time card keeps its {named}, which does not go with the shift now; move it by hand in Procore",
    )


def project_not_found(name: str) -> Reason:
    """The project is not in Procore, or hidden from the account."""
    return Reason(
        "project_not_found",
        f"Procore does not show the project {name} to this account; give it access, or link the project anew",
    )


def locked(status: str, differences: list[str]) -> Reason:
    """The entry is approved or completed in Procore, so it stays as it is."""
    what = ", ".join(differences)
    return Reason("locked", f"The time card is {status} in Procore and stays as it is; what differs: {what}")


def _who(name: str, payroll_id: str | None) -> str:
    return f"{name} (payroll ID {payroll_id})" if payroll_id else name
