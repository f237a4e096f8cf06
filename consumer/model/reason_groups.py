"""What several reasons of one code have in common, where each one's own sentence names somebody else."""

from collections.abc import Collection


COMMON = {
    "upstream_unavailable": "The other system did not answer; set aside, and syncs later",
    "access_refused": "The other system refuses access; set aside, and syncs once that is put right",
    "rejected": "The other system did not accept the data",
    "unusable_phone": "The cell phone in Procore cannot be used",
    "phone_in_use": "Phone number already in use in SmartBarrel",
    "position_refused": "SmartBarrel did not accept the position",
    "same_name": "SmartBarrel has another worker of the same name",
    "payroll_id_in_use": "Payroll ID already in use in SmartBarrel",
    "ambiguous": "Several SmartBarrel workers match",
    "conflict": "Matches one worker in SmartBarrel, but has what belongs to another",
    "person_not_found": "Linked to a Procore user whom Procore does not list any more",
    "employee_id_ambiguous": "Several people in Procore have this payroll ID",
    "employee_id_of_another": "The payroll ID is somebody else's in Procore, who is another worker",
    "contact_not_changed": "Procore does not let the contact be changed",
    "employee_id_left_out": "The contact does not get the payroll ID, which is somebody else's",
    "code_not_in_project": "Sub job or cost code is not in the Procore project",
    "location_not_in_project": "Synced without its location, which Procore does not have",
    "classification_not_on_project": "The classification could not be put on the project",
    "other_day": "The two systems do not agree about the day",
    "left_over": "The time card keeps what the shift has lost",
    "codes_kept": "The time card keeps codes that the shift has lost, and cannot move with them",
    "project_not_found": "The project is not in Procore, or hidden from this app",
    "locked": "The time card is approved or completed in Procore and stays as it is",
}
"""By code, for every code whose sentences differ."""


def common_sentence(code: str, messages: Collection[str]) -> str:
    """The one sentence of all these messages, or what they have in common; of an unknown code, its words."""
    distinct = set(messages) - {""}
    if len(distinct) == 1:
        return distinct.pop()
    return COMMON.get(code) or code.replace("_", " ").capitalize()
