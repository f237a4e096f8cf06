"""The topics, what keys they have, and how they are kept."""

from functools import lru_cache

from consumer.model.events import TimesheetEvent, UserEvent
from consumer.model.links import LinkKey
from consumer.model.notices import WebhookNotice


USER_EVENTS = "procore.user-events"
TIMESHEET_EVENTS = "smartbarrel.timesheet-events"
WEBHOOKS = "procore.webhooks"
SYNC_COMMANDS = "sync-commands"
SYNC_LOG = "sync-log"
LINKS = "links"
COMPANY_SETTINGS = "company-settings"
DEAD_LETTERS = "dead-letters"


def user_key(event: UserEvent) -> bytes:
    """Key on ``procore.user-events``: company and user, so that one user's events stay in order."""
    return f"{event.company_id}:{event.user_id}".encode()


def notice_key(notice: WebhookNotice) -> bytes:
    """Key on ``procore.webhooks``: company and user, so that one process reads a user."""
    return f"{notice.company_id}:{notice.user_id}".encode()


def timesheet_key(event: TimesheetEvent) -> bytes:
    """Key on ``smartbarrel.timesheet-events``: company and worker, so one worker's events stay in order."""
    return f"{event.company_id}:{event.worker.id}".encode()


@lru_cache(maxsize=1024)
def log_key(company_id: int | None, run_id: str | None) -> bytes:
    """Key on ``sync-log``: company and run, so that a run's start and results stay together, in order."""
    return f"{company_id or ''}:{run_id or ''}".encode()


def company_key(company_id: int) -> bytes:
    """Key on ``sync-commands`` and ``company-settings``: the company."""
    return str(company_id).encode()


def link_key(key: LinkKey) -> bytes:
    """Key on ``links``."""
    return str(key).encode()


def company_of_key(key: bytes | None) -> int | None:
    """The company in a key of any topic, if the key says one; also of records that cannot be decoded."""
    head = (key or b"").partition(b":")[0]
    return int(head) if head.isdigit() and len(head) <= 18 else None  # noqa: PLR2004 - digits of a 64-bit id
