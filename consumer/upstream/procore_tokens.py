"""Procore's access tokens, by the client credentials of a service account."""

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from consumer.exceptions import Misconfigured, NotFound, RateLimited, Rejected
from consumer.secret import Secret
from consumer.upstream.budget import is_patient
from consumer.upstream.calls import PROCORE
from consumer.upstream.http import send
from consumer.upstream.pauses import pause_s
from consumer.upstream.shapes import read


_RENEW_EARLY_S = 60.0
_OPERATION = "createAccessToken"


@dataclass(frozen=True, slots=True)
class ProcoreCredentials:
    """Client credentials of a service account. The secret never shows in a repr."""

    client_id: Secret
    client_secret: Secret


class TokenSource:
    """Fetches the access token and shares it: one request at a time, however many callers wait.

    Credentials that are given as files are read again for each token. The login has no
    budget: while it refuses, one call is made for all after each pause.
    """

    def __init__(self, client: httpx.AsyncClient, credentials: ProcoreCredentials) -> None:
        self._client = client
        self._credentials = credentials
        self._rng = random.Random()  # noqa: S311 - spreads calls, keeps no secret
        self._lock = asyncio.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self._refusal: RateLimited | None = None
        self._refusals = 0
        self._closed_until = 0.0

    async def get(self) -> str:
        """A token with some life left. Raises Misconfigured if the credentials are refused.

        While the login takes no calls, who is patient waits, and RateLimited is raised for the others.
        """
        while True:
            try:
                return await self._get()
            except RateLimited as error:
                if not is_patient():
                    raise
                pause = error.retry_after_s
            # Not with the lock, on which others wait who are not patient.
            await asyncio.sleep(pause)

    async def refused(self, token: str) -> None:
        """Forget a token that was answered with 401, unless it has been renewed already."""
        async with self._lock:
            if self._token == token:
                self._token = None

    async def _get(self) -> str:
        async with self._lock:
            if self._token is None or time.monotonic() >= self._renew_at:
                self._heed()
                try:
                    self._token = await self._fetch()
                except RateLimited as error:
                    raise self._refused(error) from None
                self._refusals = 0
            return self._token

    def _heed(self) -> None:
        """Raise RateLimited before it is time to call again."""
        left = self._closed_until - time.monotonic()
        if self._refusal is not None and left > 0:
            raise _limited(self._refusal, left)

    def _refused(self, error: RateLimited) -> RateLimited:
        self._refusals += 1
        pause = pause_s(self._refusals, error.retry_after_s, self._rng)
        self._refusal, self._closed_until = error, time.monotonic() + pause
        return _limited(error, pause)

    async def _fetch(self) -> str:
        asked = time.monotonic()
        request = {
            "grant_type": "client_credentials",
            "client_id": self._credentials.client_id.read(),
            "client_secret": self._credentials.client_secret.read(),
        }
        try:
            response = await send(
                self._client, PROCORE, _OPERATION, "POST", "/oauth/token", body=request, may_wait=False
            )
        except (Rejected, NotFound) as error:
            # RFC 6749 lets a server answer wrong credentials with 400; a 404 means a wrong login address.
            raise Misconfigured(error.upstream, error.operation, error.status, error.words) from None
        token, lasts_s = read(PROCORE, _OPERATION, response, _token)
        self._renew_at = asked + max(lasts_s - _RENEW_EARLY_S, 1.0)
        return token


def _token(body: Mapping[str, Any]) -> tuple[str, float]:
    """An access token, and for how many seconds it can be used."""
    token, lasts_s = body["access_token"], int(body["expires_in"])
    if not isinstance(token, str) or not token:
        raise TypeError
    return token, lasts_s


def _limited(error: RateLimited, seconds: float) -> RateLimited:
    """The same refusal, to come back after so many seconds."""
    limited = RateLimited(error.upstream, error.operation, error.status, error.words)
    limited.retry_after_s = seconds
    return limited
