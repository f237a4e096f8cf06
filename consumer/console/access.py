"""Who may see and do what: tokens, sessions, and what protects a form from other sites.

Without any token everybody who reaches the console may see everything, which is for this machine alone. A
session is a signed cookie, so that any process with the same tokens knows it, also after a restart; a change
of a token ends all sessions. That somebody has logged out is known to the process that was told, as long as
it runs.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from itsdangerous import BadSignature, URLSafeTimedSerializer

from consumer.secret import is_same


SESSION_S = 12 * 3600
"""How long a session lasts."""
LONGEST_NAME = 60


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who was let in. ``company_id`` is the only company that they see, None for all of them.

    ``name`` is what stands in the logs beside what they ask for. ``session`` is the random id of the session,
    empty for a program that sends its token with each request.
    """

    company_id: int | None
    name: str
    session: str = ""

    def sees(self, company_id: int | None) -> bool:
        """Whether the company's data are theirs to see."""
        return self.company_id is None or self.company_id == company_id

    @property
    def sees_all(self) -> bool:
        """Whether every company's data are."""
        return self.company_id is None


@dataclass(frozen=True, slots=True)
class Access:
    """The tokens: ``token`` opens everything, each of ``companies`` its own company. Never shown."""

    token: str | None = field(default=None, repr=False)
    companies: Mapping[int, str] = field(default_factory=dict, repr=False)
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _ended: dict[str, float] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, token: str | None, companies: Mapping[int, str]) -> Self:
        """The access that these tokens give; without any, sessions end with the process."""
        if token is None and not companies:
            return cls()
        parts = [token or "", *(f"{company_id}:{companies[company_id]}" for company_id in sorted(companies))]
        key = hashlib.scrypt("\0".join(parts).encode(), salt=b"crewsync console", n=2**14, r=8, p=1)
        return cls(token, companies, key)

    @property
    def is_open(self) -> bool:
        """Whether no token is asked for."""
        return self.token is None and not self.companies

    def visitor_with(self, given: str, name: str) -> Visitor | None:
        """Whoever has this token; None if nobody has. Takes as long whichever token it is not."""
        found: list[int | None] = []
        if is_same(given, self.token or ""):
            found.append(None)
        found += [company_id for company_id, token in self.companies.items() if is_same(given, token)]
        return Visitor(found[0], name) if given and found else None

    def session_of(self, visitor: Visitor) -> str:
        """The value of a cookie that lets the visitor in again."""
        return self._serializer.dumps([visitor.company_id, visitor.name, secrets.token_urlsafe(12)])

    def visitor_of(self, session: str) -> Visitor | None:
        """Whoever a cookie's value was made for; None if it is forged, too old, or of other tokens."""
        try:
            company_id, name, number = self._serializer.loads(session, max_age=SESSION_S)
        except (BadSignature, ValueError, TypeError):
            return None
        return None if number in self._ended else Visitor(company_id, name, number)

    def end(self, visitor: Visitor) -> None:
        """Let nobody in with this session any more, as far as this process is asked, until it ends."""
        now = time.monotonic()
        for number in [number for number, at in self._ended.items() if now - at > SESSION_S]:
            del self._ended[number]
        self._ended[visitor.session] = now

    def form_token(self, visitor: Visitor) -> str:
        """What a form of this session must send along, which no other site can know."""
        return hmac.new(self._key, f"form:{visitor.session}".encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, visitor: Visitor, given: str) -> bool:
        """Whether a form came from one of the session's own pages."""
        return is_same(given, self.form_token(visitor))

    @property
    def _serializer(self) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._key, salt="session")
