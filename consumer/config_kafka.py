"""The settings of Kafka's TLS and SASL, and what of them goes together."""

import ipaddress
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, BaseModel, Field, SecretStr, field_validator

from consumer.broker.security import OAuth, Password, Security, Tls
from consumer.secret import Secret


PREFIX = "CREWSYNC_"
KAFKA_SECRETS = ("kafka_key_password", "kafka_password", "kafka_oauth_client_secret")
"""The secrets among them, which may be given as a file."""

_MODE = "kafka_security"
_MECHANISM = "kafka_sasl_mechanism"
_FORCED = "kafka_allow_plaintext_credentials"
_OAUTH = "OAUTHBEARER"
_CERTIFICATES = ("kafka_ca_file", "kafka_cert_file", "kafka_key_file")
_TLS = (*_CERTIFICATES, "kafka_key_password")
_BY_PASSWORD = ("kafka_username", "kafka_password")
_BY_TOKEN_NEEDED = ("kafka_oauth_url", "kafka_oauth_client_id", "kafka_oauth_client_secret")
_BY_TOKEN = (*_BY_TOKEN_NEEDED, "kafka_oauth_scope")
_SASL = (_MECHANISM, *_BY_PASSWORD, *_BY_TOKEN, _FORCED)
_MODES = ("plaintext", "tls", "sasl_plaintext", "sasl_tls")


class KafkaConfig(BaseModel):
    """How Kafka is spoken to. The field's name in capitals, after the prefix, is the variable's."""

    kafka_security: Literal["plaintext", "tls", "sasl_plaintext", "sasl_tls"] = "plaintext"
    kafka_ca_file: Path | None = None
    kafka_cert_file: Path | None = None
    kafka_key_file: Path | None = None
    kafka_key_password: SecretStr | None = None
    kafka_sasl_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER"] = "SCRAM-SHA-512"
    kafka_username: str | None = Field(None, max_length=1000)
    kafka_password: SecretStr | None = None
    kafka_oauth_url: SecretStr | None = None
    kafka_oauth_client_id: str | None = Field(None, max_length=1000)
    kafka_oauth_client_secret: SecretStr | None = None
    kafka_oauth_scope: str | None = Field(None, max_length=1000)
    kafka_allow_plaintext_credentials: bool = False

    @field_validator("kafka_username")
    @classmethod
    def _check_username(cls, value: str) -> str:
        if not value.isprintable():
            raise ValueError("has characters that cannot be seen; was it pasted with something else?")
        return value

    @field_validator("kafka_password")
    @classmethod
    def _check_password(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().isprintable():
            raise ValueError("has characters that cannot be seen; was it pasted with something else?")
        return value

    @field_validator("kafka_oauth_url")
    @classmethod
    def _check_oauth_url(cls, value: SecretStr) -> SecretStr:
        # Kept as a secret, because it may hold a user name and a password.
        if AnyHttpUrl(value.get_secret_value()).username is not None:
            raise ValueError("must hold no credentials: the client's id and secret are settings of their own")
        return value

    @field_validator(*_CERTIFICATES)
    @classmethod
    def _check_file(cls, value: Path) -> Path:
        try:
            value.open("rb").close()
        except OSError as error:
            raise ValueError(f"the file cannot be read ({error.strerror})") from None
        return value


def security_of(config: KafkaConfig, secret: Callable[[str], Secret | None]) -> Security:
    """The security that settings without problems mean; ``secret`` gives one of theirs by its name."""
    tls = Tls(
        config.kafka_ca_file, config.kafka_cert_file, config.kafka_key_file, secret("kafka_key_password")
    )
    sasl: Password | OAuth | None = None
    password, client_secret = secret("kafka_password"), secret("kafka_oauth_client_secret")
    if config.kafka_sasl_mechanism == "OAUTHBEARER":
        if config.kafka_oauth_url and config.kafka_oauth_client_id and client_secret:
            sasl = OAuth(
                config.kafka_oauth_url.get_secret_value(),
                config.kafka_oauth_client_id,
                client_secret,
                config.kafka_oauth_scope,
            )
    elif config.kafka_username and password:
        sasl = Password(config.kafka_username, password, config.kafka_sasl_mechanism)
    return Security(tls if config.kafka_security.endswith("tls") else None, sasl)


def kafka_problems(known: Mapping[str, str]) -> list[str]:
    """What of the settings of Kafka does not go together, or is missing; one line for each."""
    given = [name for name in KafkaConfig.model_fields if name in known]
    if known.get("broker_url", "embedded:").startswith("embedded:"):
        return [f"{_variable(name)}: for Kafka only, but the broker is embedded" for name in given]
    mode = known.get(_MODE, "plaintext").strip()
    if mode not in _MODES:
        # Told by the field itself; nobody knows what would go with it.
        return []
    foreign = [
        *(_TLS if not mode.endswith("tls") else ()),
        *(_SASL if not mode.startswith("sasl") else ()),
    ]
    problems = [
        f"{_variable(name)}: does not go with {_variable(_MODE)}={mode}" for name in foreign if name in known
    ]
    if mode.endswith("tls"):
        problems += _tls_problems(known)
    if mode.startswith("sasl"):
        problems += _sasl_problems(known, mode)
    return problems


def _tls_problems(known: Mapping[str, str]) -> list[str]:
    if "kafka_cert_file" in known:
        return []
    return [
        f"{_variable(name)}: needs {_variable('kafka_cert_file')}"
        for name in ("kafka_key_file", "kafka_key_password")
        if name in known
    ]


def _sasl_problems(known: Mapping[str, str], mode: str) -> list[str]:
    mechanism = known.get(_MECHANISM, "SCRAM-SHA-512").strip()
    by_token = mechanism == _OAUTH
    needed, foreign = (_BY_TOKEN_NEEDED, _BY_PASSWORD) if by_token else (_BY_PASSWORD, _BY_TOKEN)
    problems = [
        f"{_given(name)}: missing, though {_variable(_MECHANISM)} is {mechanism}"
        for name in needed
        if name not in known
    ]
    problems += [
        f"{_variable(name)}: does not go with {_variable(_MECHANISM)}={mechanism}"
        for name in foreign
        if name in known
    ]
    if known.get(_FORCED, "").strip().lower() in {"true", "1", "yes", "on", "t", "y"}:
        return problems
    if mode == "sasl_plaintext":
        problems.append(
            f"{_variable(_MODE)}: sends credentials unencrypted; use sasl_tls, or set "
            f"{_variable(_FORCED)}=true"
        )
    if by_token and _is_readable(known.get("kafka_oauth_url", "")):
        problems.append(
            f"{_variable('kafka_oauth_url')}: sends credentials unencrypted; use https, or set "
            f"{_variable(_FORCED)}=true"
        )
    return problems


def _is_readable(url: str) -> bool:
    """Whether others on the way can read what is sent there."""
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        if parts.scheme.lower() != "http" or host == "localhost":
            return False
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Any other name may lead anywhere; a wrong address is told by its own field.
        return url.strip().lower().startswith("http:")


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _given(name: str) -> str:
    return f"{_variable(name)} (or {_variable(name)}_FILE)" if name in KAFKA_SECRETS else _variable(name)
