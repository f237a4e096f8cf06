"""Which Procore user a SmartBarrel worker is.

A link says what was true when it was made. Since then somebody may have unlinked the worker by hand, or
deleted them and made them anew. So where a link alone would decide, SmartBarrel is asked.
"""

import structlog

from consumer.engine.links import Links
from consumer.exceptions import Misconfigured
from consumer.model.events import ShiftWorker
from consumer.model.links import LinkKey, LinkKind
from consumer.sync.company import Company
from consumer.sync.mapping import procore_id


log = structlog.get_logger(__name__)


def stated_or_linked(worker: ShiftWorker, company_id: int, links: Links) -> int | None:
    """The user by the shift's own word, else by what is linked; nobody is asked."""
    stated = procore_id(worker.external_id)
    return stated if stated is not None else links.user_of_worker(company_id, worker.id)


async def user_of(worker: ShiftWorker, company: Company, links: Links) -> int | None:
    """The user who the worker is.

    A shift may have been written before its worker was linked, or after they were unlinked by hand: which of
    the two, SmartBarrel tells. Who is gone there stays the user whom they were.
    """
    linked = stated_or_linked(worker, company.company_id, links)
    if linked is None or procore_id(worker.external_id) is not None:
        return linked
    try:
        known = await company.workers.get(worker.id)
    except Misconfigured as error:
        _tell(error, company)
        return linked
    return linked if known is None else procore_id(known.external_id)


async def worker_of(user_id: int, company: Company, links: Links) -> str | None:
    """The worker who the user is, if they are linked, and SmartBarrel still has them as that."""
    link = links.get(LinkKey(company.company_id, LinkKind.USER, str(user_id)))
    if link is None or not link.target_id:
        return None
    try:
        known = await company.workers.get(link.target_id)
    except Misconfigured as error:
        _tell(error, company)
        return link.target_id
    return link.target_id if known is not None and procore_id(known.external_id) == user_id else None


def _tell(error: Misconfigured, company: Company) -> None:
    """The link is followed: time cards go to Procore, and must not wait for SmartBarrel's key."""
    log.warning("link.not_checked", error=str(error), company=company.company_id)
