"""Procore's access tokens, by the client credentials of a service account."""

import asyncio
import time
from dataclasses import dataclass, field

import httpx

from consumer.exceptions import Misconfigured, NotFound, Rejected
from consumer.upstream.calls import PROCORE
from consumer.upstream.http import json_of, send


_RENEW_EARLY_S = 60.0


@dataclass(frozen=True, slots=True)
class ProcoreCredentials:
    """Client credentials of a service account. The secret never shows in a repr."""

    client_id: str
    client_secret: str = field(repr=False)


class TokenSource:
    """Fetches the access token and shares it: one request at a time, however many callers wait."""

    def __init__(self, client: httpx.AsyncClient, credentials: ProcoreCredentials) -> None:
        self._client = client
        self._credentials = credentials
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._renew_at = 0.0

    async def get(self) -> str:
        """A token with some life left. Raises Misconfigured if the credentials are refused."""
        async with self._lock:
            if self._token is None or time.monotonic() >= self._renew_at:
                self._token = await self._fetch()
            return self._token

    async def refused(self, token: str) -> None:
        """Forget a token that was answered with 401, unless it has been renewed already."""
        async with self._lock:
            if self._token == token:
                self._token = None

    async def _fetch(self) -> str:
        asked = time.monotonic()
        request = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
        }
        try:
            response = await send(
                self._client, PROCORE, "createAccessToken", "POST", "/oauth/token", body=request
            )
        except (Rejected, NotFound) as error:
            # RFC 6749 lets a server answer wrong credentials with 400; a 404 means a wrong login address.
            raise Misconfigured(error.upstream, error.operation, error.status, error.words) from None
        body = json_of(PROCORE, "createAccessToken", response)
        self._renew_at = asked + max(float(body["expires_in"]) - _RENEW_EARLY_S, 1.0)
        return str(body["access_token"])
