"""Access tokens for SASL OAUTHBEARER, by the client credentials grant of RFC 6749."""

import re
import ssl
import threading
import time
from typing import Any
from urllib.parse import quote_plus

import httpx

from consumer.broker.kafka_library import AbstractTokenProvider
from consumer.broker.kafka_refusal import Refusal
from consumer.broker.security import OAuth, Tls
from consumer.exceptions import BrokerRefused


TIMEOUT = httpx.Timeout(5.0, connect=3.0)
"""Seconds. While a token is fetched a client of Kafka does nothing else, and a group waits 10 s for it."""

PAUSE_S = 2.0
"""After a failure nobody asks again for so long."""

USED_SHARE = 0.8
"""A token is renewed after this share of its life; Kafka's sessions end with it, and are renewed at 0.85."""

LIFE_S = 300.0
"""How long a token is taken to live whose endpoint does not say."""

_CODE = re.compile(r"[a-z_]{1,40}")


class Tokens(AbstractTokenProvider):  # type: ignore[misc] # kafka-python has no types
    """Fetches a token and shares it among all connections. May be used from any thread.

    While the endpoint fails, a token that is still valid goes on being used.
    """

    def __init__(self, oauth: OAuth, tls: Tls | None) -> None:
        super().__init__()
        self._oauth = oauth
        self._tls = tls
        self._lock = threading.Lock()
        self._token = ""
        self._renew_at = self._ends_at = 0.0
        self._failure: BrokerRefused | None = None
        self._ask_at = 0.0

    def token(self) -> str:
        """A token that is still valid. Raises Refusal."""
        with self._lock:
            if time.monotonic() >= self._renew_at:
                self._renew()
            return self._token

    def _renew(self) -> None:
        now = time.monotonic()
        if self._failure is None or now >= self._ask_at:
            try:
                self._token, life_s = self._fetched()
            except BrokerRefused as error:
                self._failure, self._ask_at = error, time.monotonic() + PAUSE_S
            else:
                self._failure = None
                self._renew_at, self._ends_at = now + life_s * USED_SHARE, now + life_s
                return
        if now >= self._ends_at:
            raise Refusal(self._failure)

    def _fetched(self) -> tuple[str, float]:
        oauth = self._oauth
        form = {"grant_type": "client_credentials", **({"scope": oauth.scope} if oauth.scope else {})}
        # RFC 6749, 2.3.1: both are encoded as in a form before they are put together.
        credentials = (quote_plus(oauth.client_id), quote_plus(oauth.client_secret.read()))
        try:
            with httpx.Client(timeout=TIMEOUT, verify=self._trust(), follow_redirects=False) as client:
                response = client.post(
                    oauth.url, data=form, auth=credentials, headers={"Accept": "application/json"}
                )
        except (httpx.HTTPError, OSError) as error:
            raise self._refused(f"cannot be reached ({_reason(error)})") from None
        body = _json(response)
        if not response.is_success:
            code = str(body.get("error", ""))
            words = f"HTTP {response.status_code}{f', {code}' if _CODE.fullmatch(code) else ''}"
            raise self._refused(f"gives no token ({words})")
        token, life_s = body.get("access_token"), body.get("expires_in", LIFE_S)
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise self._refused("gives no token (its answer has none)")
        return token, float(life_s) if isinstance(life_s, int | float) else LIFE_S

    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._tls is not None and self._tls.ca_file is not None:
            # Who runs an authority of their own has often signed both.
            context.load_verify_locations(self._tls.ca_file)
        return context

    def _refused(self, words: str) -> BrokerRefused:
        url = httpx.URL(self._oauth.url)
        where = url.host if url.port is None else f"{url.host}:{url.port}"
        return BrokerRefused(
            f"the token endpoint at {where} {words}",
            "see that CREWSYNC_KAFKA_OAUTH_URL, the client's id, its secret and the scope are right, and "
            "that the endpoint can be reached from this machine",
        )


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _reason(error: Exception) -> str:
    """What is told of an error: its kind, since its text may hold the address with its credentials."""
    cause = error.__cause__ or error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    return type(error).__name__
