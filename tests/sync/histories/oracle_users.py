"""What SmartBarrel should hold of Procore's users, as plain functions; the product's own mapping is not used.

Written from the design's tables and the README's assumptions. Phone numbers are in E.164 from the start,
so nothing has to be known about phone numbers here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from consumer.model.events import UserEvent
from consumer.model.settings import CompanySettings
from tests.sync.histories.oracle_positions import (
    Classifications,
    Positions,
    position_of,
    positions_after,
)
from tests.sync.histories.places import Place
from tests.upstream.site import Json


_BLANK_WORKER: Json = {"payroll_id": None, "contractor": None, "status": "active", "position_id": None}
WORKER_FIELDS = ("first_name", "last_name", "email", "phone_number", "external_id", *_BLANK_WORKER)

Workers = dict[str | Place, Json]
"""SmartBarrel's workers by id, or by where they go, with ``WORKER_FIELDS``."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a user's worker depends on besides the user; ``linked`` has the workers of users."""

    settings: CompanySettings
    linked: Mapping[int, str]
    classifications: Classifications
    positions: Positions


def worker_of(user: UserEvent, settings: CompanySettings) -> Json | None:
    """What the user's worker should hold; None if the user is not for syncing.

    A payroll ID that Procore does not know is left as it is, so it is not among the fields then.
    """
    wanted = {
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "phone_number": user.mobile_phone,
        "external_id": f"procore:{user.user_id}",
    }
    if not (settings.user_sync and user.is_employee and user.is_active and all(wanted.values())):
        return None
    status = {"status": "active"} if settings.deactivate_workers else {}
    return wanted | status | ({"payroll_id": user.employee_id} if user.employee_id else {})


def leaver_of(user: UserEvent, settings: CompanySettings, linked: Mapping[int, str]) -> str | None:
    """The worker who should be inactive because the user is; ``linked`` has the workers of users."""
    is_followed = settings.user_sync and settings.deactivate_workers
    return linked.get(user.user_id) if is_followed and not user.is_active else None


def place_of(wanted: Json, workers: Workers) -> str | Place:
    """The id of the worker who is the user: by external id, then payroll ID, then phone number."""
    own = _holder("external_id", wanted, workers)
    by_payroll_id = _holder("payroll_id", wanted, workers)
    by_phone = _holder("phone_number", wanted, workers)
    if own is not None:
        return Place.REFUSED if {by_payroll_id, by_phone} - {own, None} else own
    found = by_payroll_id or by_phone
    if found is None:
        return Place.NEW
    worker = workers[found]
    is_somebody_elses = worker["contractor"] or (worker["external_id"] or "").startswith("procore:")
    is_on_two = by_payroll_id is not None and by_phone not in {None, found}
    is_known_by_another_id = by_payroll_id is None and worker["payroll_id"] and wanted.get("payroll_id")
    return Place.REFUSED if is_somebody_elses or is_on_two or is_known_by_another_id else found


def position_for(user: UserEvent, known: Known) -> Json:
    """The user's position among the fields of their worker; none of it if positions are nothing to us.

    Whoever's classification Procore does not list keeps the position.
    """
    if not known.settings.sync_classifications:
        return {}
    one = user.work_classification_id
    if one is None:
        return {"position_id": None}
    if one not in known.classifications:
        return {}
    return {"position_id": position_of(one, known.classifications, known.positions)}


def positions_for(user: UserEvent, known: Known) -> Positions:
    """The positions once the user is synced."""
    one = user.work_classification_id
    is_due = worker_of(user, known.settings) is not None and known.settings.sync_classifications
    if not is_due or one is None or one not in known.classifications:
        return known.positions
    return positions_after(one, known.classifications, known.positions)


def workers_after(user: UserEvent, known: Known, workers: Workers) -> Workers | None:
    """The workers once the user is synced; None if the user is not for syncing.

    Theirs has exactly the fields that it should, and nobody else has changed. Of one who has left, only the
    status has.
    """
    leaver = leaver_of(user, known.settings, known.linked)
    if leaver is not None:
        return {**workers, leaver: {**workers[leaver], "status": "inactive"}}
    wanted = worker_of(user, known.settings)
    return None if wanted is None else with_worker(wanted | position_for(user, known), workers)


def with_worker(wanted: Json, workers: Workers) -> Workers:
    """The workers with one who has exactly these fields, unless somebody is in the way."""
    place = place_of(wanted, workers)
    if place is Place.REFUSED:
        return {**workers}
    before = _BLANK_WORKER if isinstance(place, Place) else workers[place]
    return {**workers, place: {**before, **wanted}}


def _holder(field: str, wanted: Json, workers: Workers) -> str | Place | None:
    value = wanted.get(field)
    return next((one for one, worker in workers.items() if value and worker[field] == value), None)
