"""The links that are known: what ``links`` holds, and on top of it what is not committed yet.

The handlers' loop reads it and adds what it finds; the engine's thread adds what is committed.
"""

import threading
from collections.abc import Iterable

import structlog

from consumer.broker.port import Broker, Record
from consumer.broker.table import Table
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.links import Link, LinkKey, LinkKind


log = structlog.get_logger(__name__)


class Links:
    """Looks links up by where they start and, for users, by where they lead."""

    def __init__(self) -> None:
        self._committed: dict[str, Link] = {}
        self._pending: dict[str, Link] = {}
        self._users_of_workers: dict[tuple[int, str], int] = {}
        self._lock = threading.Lock()

    def get(self, key: LinkKey) -> Link | None:
        """The newest link with this key, committed or not."""
        text = str(key)
        return self._pending.get(text) or self._committed.get(text)

    def user_of_worker(self, company_id: int, worker_id: str) -> int | None:
        """The Procore user whose worker this is, if the two are linked."""
        user_id = self._users_of_workers.get((company_id, worker_id))
        if user_id is None:
            return None
        link = self.get(LinkKey(company_id, LinkKind.USER, str(user_id)))
        return user_id if link and link.target_id == worker_id else None

    def add_pending(self, links: Iterable[Link]) -> None:
        """Take over what a handler has found, before it is committed."""
        with self._lock:
            for link in links:
                self._pending[str(link.key)] = link
                self._index(link)

    def drop_pending(self, links: Iterable[Link]) -> None:
        """Forget what will never be committed, because the partition has a new owner."""
        with self._lock:
            for link in links:
                self._settle(str(link.key), link)

    def apply(self, key: bytes | None, link: Link | None) -> None:
        """Take over a committed record; a missing link deletes the key."""
        text = (key or b"").decode(errors="replace")
        with self._lock:
            if link is None:
                self._committed.pop(text, None)
                return
            self._committed[text] = link
            self._settle(text, link)
            self._index(link)

    def __len__(self) -> int:
        return len(self._committed)

    def _settle(self, text: str, link: Link) -> None:
        # Only this very link: an older committed one must not uncover itself while a newer is pending.
        if self._pending.get(text) == link:
            del self._pending[text]

    def _index(self, link: Link) -> None:
        if (
            link.kind is LinkKind.USER
            and link.target_id
            and link.source_id.isascii()
            and link.source_id.isdigit()
        ):
            self._users_of_workers[link.company_id, link.target_id] = int(link.source_id)


def follow_links(broker: Broker, topic: str, links: Links, codec: Codec) -> Table:
    """Open the topic as a table that keeps ``links`` up to date."""

    def apply(record: Record) -> None:
        try:
            link = codec.decode(record.value, Link) if record.value is not None else None
        except SchemaError as error:
            log.warning(
                "link.undecodable", partition=record.partition, offset=record.offset, error=str(error)
            )
            return
        links.apply(record.key, link)

    return Table(broker, topic, apply)
