"""The links that are known: what ``links`` holds, and on top of it what is not committed yet.

The handlers' loop reads it and adds what it finds; the engine's thread adds what is committed. Committed
links are kept as they were read, and decoded when one is asked for: there may be millions.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import structlog

from consumer.broker.port import Broker, Record
from consumer.broker.table import Table
from consumer.exceptions import SchemaError
from consumer.model.codec import Codec
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.topics import link_key


log = structlog.get_logger(__name__)

_HEADER = 5
"""Bytes that tell the writer's schema, in either framing."""
_USER = f":{LinkKind.USER}:".encode()


class Links:
    """Looks links up by where they start, and those of users by where they lead."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._committed: dict[bytes, bytes] = {}
        self._pending: dict[bytes, Link] = {}
        self._users_of_workers: dict[tuple[int, str], int] = {}
        self._others_of_workers: dict[tuple[int, str], set[int]] = {}
        self._headers: set[bytes] = set()
        self._lock = threading.Lock()

    def get(self, key: LinkKey) -> Link | None:
        """The newest link with this key, committed or not."""
        name = link_key(key)
        pending = self._pending.get(name)
        if pending is not None:
            return pending
        value = self._committed.get(name)
        return None if value is None else self._decoded(value)

    def user_of_worker(self, company_id: int, worker_id: str) -> int | None:
        """The Procore user whose worker this is, if the two are linked; of several, whose link came last."""
        user_id = self._users_of_workers.get((company_id, worker_id))
        if user_id is None or self._leads_to(company_id, user_id, worker_id):
            return user_id
        return next(iter(self.users_of_worker(company_id, worker_id)), None)

    def users_of_worker(self, company_id: int, worker_id: str) -> Sequence[int]:
        """All Procore users whose links lead to this worker: one, unless a worker has changed hands."""
        with self._lock:
            last = self._users_of_workers.get((company_id, worker_id))
            others = self._others_of_workers.get((company_id, worker_id), ())
            users = sorted({*others} if last is None else {*others, last})
        return [one for one in users if self._leads_to(company_id, one, worker_id)]

    def add_pending(self, links: Iterable[Link]) -> None:
        """Take over what a handler has found, before it is committed."""
        with self._lock:
            for link in links:
                self._pending[link_key(link.key)] = link
                if link.kind is LinkKind.USER:
                    self._index(link)

    def drop_pending(self, links: Iterable[Link]) -> None:
        """Forget what will never be committed, because the partition has a new owner."""
        with self._lock:
            for link in links:
                name = link_key(link.key)
                # Only this very object: a later handling of the same event may have made an equal one.
                if self._pending.get(name) is link:
                    del self._pending[name]

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take over a committed record; without a value it deletes the key.

        Raises SchemaRegistryError if nobody can tell now what its schema id means.
        """
        name = key or b""
        if value is None:
            self._committed.pop(name, None)
            return
        self._committed[name] = value
        if value[:_HEADER] not in self._headers:
            # So that whoever looks a link up later need not ask a registry, which may be down then.
            self._decoded(value)
            self._headers.add(value[:_HEADER])
        if name in self._pending or _USER in name:
            link = self._decoded(value)
            if link is not None:
                with self._lock:
                    self._settle(name, link)
                    if link.kind is LinkKind.USER:
                        self._index(link)

    def keys(self) -> Iterator[LinkKey]:
        """The keys of all committed links, in no order. Not to be called while others ``apply``."""
        for name in self._committed:
            with suppress(ValueError):
                yield LinkKey.parse(name.decode())

    def __len__(self) -> int:
        return len(self._committed)

    def _leads_to(self, company_id: int, user_id: int, worker_id: str) -> bool:
        link = self.get(LinkKey(company_id, LinkKind.USER, str(user_id)))
        return link is not None and link.target_id == worker_id

    def _decoded(self, value: bytes) -> Link | None:
        try:
            return self._codec.decode(value, Link)
        except SchemaError as error:
            log.warning("link.undecodable", error=str(error))
            return None

    def _settle(self, name: bytes, link: Link) -> None:
        # An older committed one must not uncover itself while a newer is pending.
        if self._pending.get(name) == link:
            del self._pending[name]

    def _index(self, link: Link) -> None:
        if not (link.target_id and link.source_id.isascii() and link.source_id.isdigit()):
            return
        worker, user_id = (link.company_id, link.target_id), int(link.source_id)
        before = self._users_of_workers.get(worker, user_id)
        if before != user_id:
            self._others_of_workers.setdefault(worker, set()).add(before)
        self._users_of_workers[worker] = user_id


def follow_links(broker: Broker, topic: str, links: Links) -> Table:
    """Open the topic as a table that keeps ``links`` up to date."""
    apply = links.apply

    def take(record: Record) -> None:
        apply(record.key, record.value)

    return Table(broker, topic, take)
