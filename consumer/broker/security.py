"""How Kafka's servers are known for who they are, and how this client says who it is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from consumer.secret import Secret


Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


@dataclass(frozen=True, slots=True)
class Tls:
    """Encrypted connections to servers whose certificates and host names are always verified.

    Without ``ca_file`` the certificates of the system are trusted. ``cert_file`` is for servers that ask for
    a client's; its key is in ``key_file``, or in the same file.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password: Secret | None = None


@dataclass(frozen=True, slots=True)
class Password:
    """Authentication by SASL with a user's name and password."""

    username: str
    password: Secret
    mechanism: Mechanism = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True)
class OAuth:
    """Authentication by SASL OAUTHBEARER, with tokens that are fetched by a client credentials grant."""

    url: str = field(repr=False)
    client_id: str
    client_secret: Secret
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """TLS, if it is used, and the way to authenticate, if there is one. It shows no secret in its repr."""

    tls: Tls | None = None
    sasl: Password | OAuth | None = None


PLAINTEXT = Security()
"""Neither encrypted nor authenticated."""
