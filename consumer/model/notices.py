"""What Procore's webhooks say: that somebody may have changed, and nothing of what has."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WebhookNotice:
    """One delivery of a webhook that is about a user, who is to be read from Procore.

    ``notice_id`` is the same each time that Procore delivers it. ``changed_at`` is Procore's own word, None
    if it gives none; ``changed_by`` and ``application`` are the ids of the user and of the application that
    have made the change, as far as Procore names them.
    """

    company_id: int
    user_id: int
    notice_id: str
    resource: str
    reason: str
    payload_version: str
    received_at: datetime
    changed_at: datetime | None = None
    changed_by: str | None = None
    application: str | None = None
