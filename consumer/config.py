"""Settings, from environment variables and ``.env``, checked at start with all problems in one message.

Every name starts with ``CREWSYNC_``. A secret may also be given as a file, with ``_FILE`` after its name.
"""

import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from consumer.broker.connect import check
from consumer.broker.security import Security
from consumer.config_kafka import KAFKA_SECRETS, KafkaConfig, kafka_problems, security_of
from consumer.exceptions import ConfigurationError
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry
from consumer.secret import Secret, read_secret


PREFIX = "CREWSYNC_"
_SECRETS = ("procore_client_id", "procore_client_secret", "smartbarrel_api_key")
_IN_HEADERS = (*_SECRETS, "metrics_token", "console_token", "webhooks_token")
_IN_FILES = (*_IN_HEADERS, *KAFKA_SECRETS)
"""The settings that may be given as a file."""
_REAL = ("companies", "smartbarrel_url", "procore_url", "procore_login_url", *_SECRETS)
"""Whoever sets one of these means real upstreams, so the sandbox must not start in their place."""
SHORTEST_TOKEN = 16
"""Characters of a console's token: a shorter one can be guessed."""


def _sendable(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("has characters that no HTTP header can carry; was it pasted with something else?")
    return secret


class CompanyConfig(BaseModel):
    """A company, its credentials where they differ from the common ones, and what it chose."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    company_id: int = Field(gt=0, lt=2**63)
    name: str = Field(min_length=1)
    smartbarrel_company_id: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    procore_client_id: SecretStr | None = None
    procore_client_secret: SecretStr | None = None
    smartbarrel_api_key: SecretStr | None = None
    console_token: SecretStr | None = Field(None, min_length=SHORTEST_TOKEN)
    user_sync: bool = True
    autosync_users: bool = False
    auto_sync_time_card: bool = False
    sync_classifications: bool = False
    deactivate_workers: bool = False
    only_approved_shift: bool = True
    include_sub_workers: bool = False
    time_entry: TimeEntry = TimeEntry.TOTAL_HOURS
    project_time_entry: dict[int, TimeEntry] = Field(default_factory=dict)
    default_region: str = Field("US", pattern="^[A-Z]{2}$")

    @field_validator(*_SECRETS, "console_token")
    @classmethod
    def _check_secret(cls, value: SecretStr | None) -> SecretStr | None:
        return value and _sendable(value)

    @property
    def settings(self) -> CompanySettings:
        """What it chose; the rest has its defaults."""
        return CompanySettings(
            company_id=self.company_id,
            user_sync=self.user_sync,
            autosync_users=self.autosync_users,
            auto_sync_time_card=self.auto_sync_time_card,
            sync_classifications=self.sync_classifications,
            deactivate_workers=self.deactivate_workers,
            only_approved_shift=self.only_approved_shift,
            include_sub_workers=self.include_sub_workers,
            time_entry=self.time_entry,
            project_time_entry=tuple(
                ProjectTimeEntry(project_id, time_entry)
                for project_id, time_entry in sorted(self.project_time_entry.items())
            ),
            default_region=self.default_region,
        )


class Config(KafkaConfig):
    """All settings. The field's name in capitals, after the prefix, is the variable's."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    broker_url: str = Field("embedded:var/broker.db", min_length=1)
    schema_registry_url: SecretStr | None = None
    procore_url: AnyHttpUrl = AnyHttpUrl("https://api.procore.com")
    procore_login_url: AnyHttpUrl = AnyHttpUrl("https://login.procore.com")
    procore_client_id: SecretStr | None = None
    procore_client_secret: SecretStr | None = None
    smartbarrel_url: AnyHttpUrl | None = None
    smartbarrel_api_key: SecretStr | None = None
    companies: tuple[CompanyConfig, ...] = ()
    log_dir: Path = Path("var/sync-logs")
    log_line_ends: Literal["lf", "crlf"] = "lf"
    log_days: int = Field(400, ge=1, le=36_500)
    sandbox_state: Path = Path("var/sandbox.db")
    sandbox_faults: Path | None = None
    topic_prefix: str = Field("", pattern="^[A-Za-z0-9._-]{0,100}$")
    instance_id: str | None = Field(None, pattern="^[A-Za-z0-9._-]{1,100}$")
    in_flight: int = Field(200, ge=1, le=10_000)
    in_flight_per_company: int = Field(100, ge=1, le=10_000)
    hold_s: float = Field(600.0, ge=1, le=86_400)
    drain_s: float = Field(10.0, ge=0, le=600)
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    metrics_host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:-]{1,253}$")
    metrics_port: int = Field(9464, ge=0, le=65535)
    metrics_token: SecretStr | None = None
    console_host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:-]{1,253}$")
    console_port: int = Field(8080, ge=0, le=65535)
    console_token: SecretStr | None = Field(None, min_length=SHORTEST_TOKEN)
    webhooks_host: str = Field("127.0.0.1", pattern=r"^[A-Za-z0-9.:-]{1,253}$")
    webhooks_port: int = Field(8081, ge=0, le=65535)
    webhooks_token: SecretStr | None = None
    webhooks_own_ids: str = Field("", pattern=r"^[A-Za-z0-9_-]*( *, *[A-Za-z0-9_-]+)*$")
    tracing: bool = False
    stuck_s: float = Field(120.0, ge=1, le=86_400)
    _files: Mapping[str, Path] = PrivateAttr(default_factory=dict)

    def secret(self, name: str) -> Secret | None:
        """A setting that may be given as a file, None if it is not set."""
        value: SecretStr | None = getattr(self, name)
        return None if value is None else Secret(value.get_secret_value(), self._files.get(name))

    @property
    def security(self) -> Security:
        """How Kafka is spoken to."""
        return security_of(self, self.secret)

    @property
    def is_embedded(self) -> bool:
        """Whether the broker is the embedded one, which has room for one process."""
        return self.broker_url.startswith("embedded:")

    @property
    def uses_sandbox(self) -> bool:
        """Whether no real upstream is configured."""
        real = (self.companies, self.smartbarrel_url, *(getattr(self, name) for name in _SECRETS))
        return not any(real)

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, value: str) -> str:
        try:
            check(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator(*_IN_HEADERS)
    @classmethod
    def _check_secret(cls, value: SecretStr) -> SecretStr:
        return _sendable(value)

    @field_validator("schema_registry_url")
    @classmethod
    def _check_registry_url(cls, value: SecretStr) -> SecretStr:
        # Kept as a secret, because it may hold a user name and a password.
        TypeAdapter(AnyHttpUrl).validate_python(value.get_secret_value())
        return value

    @field_validator("companies", mode="before")
    @classmethod
    def _read_companies(cls, value: object) -> object:
        return _companies(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class _Variables:
    known: dict[str, str] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def load(environ: Mapping[str, str] | None = None, env_file: Path = Path(".env")) -> Config:
    """Read and check all settings; the environment wins over the file.

    Raises ConfigurationError, whose message has a line for every problem and no secret.
    """
    variables = _variables({**_env_file(env_file), **(os.environ if environ is None else environ)})
    known = variables.known
    problems = [*variables.problems, *_incomplete(known), *_unguarded(known), *_same_tokens(known)]
    problems += kafka_problems(known)
    try:
        config = Config.model_validate(variables.known)
    except ValidationError as error:
        problems += map(_problem, error.errors(include_input=False, include_url=False))
    if problems:
        raise ConfigurationError("\n  ".join(["the settings are wrong:", *sorted(problems)]))
    config._files = variables.files  # noqa: SLF001 - its own module
    return config


def _incomplete(known: Mapping[str, str]) -> list[str]:
    """What real upstreams need and is not there, or do not go with, and companies that are there twice."""
    if not any(name in known for name in _REAL):
        return []
    companies = _parsed(known)
    needed = {name: f"{PREFIX}{name.upper()}" for name in ("companies", "smartbarrel_url")}
    for name in _SECRETS:
        if not companies or any(not one.get(name) for one in companies):
            needed[name] = f"{PREFIX}{name.upper()} (or {PREFIX}{name.upper()}_FILE)"
    problems = [
        f"{words}: missing, though real upstreams are configured"
        for name, words in needed.items()
        if name not in known
    ]
    if "sandbox_faults" in known:
        problems.append(f"{PREFIX}SANDBOX_FAULTS: for the sandbox only, but real upstreams are configured")
    ids = [one.get("company_id") for one in companies]
    twice = sorted({str(one) for one in ids if ids.count(one) > 1})
    if twice:
        problems.append(f"{PREFIX}COMPANIES: named twice: {', '.join(twice)}")
    return problems


def _parsed(known: Mapping[str, str]) -> list[dict[str, Any]]:
    """The companies before they are checked; none if they cannot be read, which is told elsewhere."""
    try:
        parsed = _companies(known["companies"]) if "companies" in known else []
    except ValueError:
        parsed = []
    return [one for one in parsed if isinstance(one, dict)] if isinstance(parsed, list) else []


def _unguarded(known: Mapping[str, str]) -> list[str]:
    """Beyond this machine, what the process tells, and lets do, is for those who have a token."""
    problems = []
    for what in ("metrics", "console"):
        host = known.get(f"{what}_host", "localhost").strip()
        has_token = f"{what}_token" in known or (
            what == "console" and any(one.get("console_token") for one in _parsed(known))
        )
        if not is_loopback(host) and not has_token:
            name = f"{PREFIX}{what.upper()}_TOKEN"
            problems.append(
                f"{name} (or {name}_FILE): missing, though {PREFIX}{what.upper()}_HOST lets others in"
            )
    return problems


def _same_tokens(known: Mapping[str, str]) -> list[str]:
    """A token says whose logs may be seen, so it is one company's, or everybody's, and never both."""
    # What is no text is told of elsewhere.
    tokens = [one["console_token"] for one in _parsed(known) if isinstance(one.get("console_token"), str)]
    tokens += [known["console_token"]] if "console_token" in known else []
    if len(set(tokens)) == len(tokens):
        return []
    return [f"{PREFIX}CONSOLE_TOKEN, console_token of the companies: two are the same"]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        # Any other name may lead anywhere.
        return False


def _variables(given: Mapping[str, str]) -> _Variables:
    variables = _Variables()
    for name, value in given.items():
        if not name.upper().startswith(PREFIX):
            continue
        key = name.upper().removeprefix(PREFIX).lower()
        if not value.strip():
            # Set to nothing is not set: that is how templates leave a variable out.
            continue
        if key in Config.model_fields:
            variables.known[key] = value
        elif (secret := key.removesuffix("_file")) in _IN_FILES and key.endswith("_file"):
            if name.upper().removesuffix("_FILE") in given:
                variables.problems.append(f"{name}: set together with {PREFIX}{secret.upper()}; keep one")
            try:
                variables.known[secret] = read_secret(Path(value))
                variables.files[secret] = Path(value)
            except (OSError, ValueError) as error:
                variables.problems.append(f"{name}: the file cannot be read ({_why(error)})")
        else:
            variables.problems.append(f"{name}: no such setting{_suggestion(key)}")
    return variables


def _env_file(path: Path) -> dict[str, str]:
    try:
        return {
            name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None
        }
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the settings' file {path} cannot be read ({_why(error)})") from None


def secret_in(path: Path) -> str:
    """A secret from a file, as the settings take it. Raises ConfigurationError, without the secret."""
    try:
        return _sendable(SecretStr(read_secret(path))).get_secret_value()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: the secret cannot be used ({_why(error)})") from None


def _companies(value: str) -> object:
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"neither a JSON list nor a path to a TOML file ({error})") from None
    try:
        with Path(value).open("rb") as file:
            document = tomllib.load(file)
    except OSError as error:
        raise ValueError(f"neither a JSON list nor a readable TOML file ({_why(error)})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"the TOML file cannot be read ({error})") from None
    if list(document) != ["companies"]:
        raise ValueError("the TOML file must consist of [[companies]] tables")
    return document["companies"]


def _problem(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    where = error["loc"]
    if not where:
        return message
    name = f"{PREFIX}{str(where[0]).upper()}"
    inner = ".".join(map(str, where[1:]))
    return f"{name}{f' ({inner})' if inner else ''}: {message}"


def _suggestion(key: str) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    close = get_close_matches(key, [*Config.model_fields, *(f"{name}_file" for name in _IN_FILES)], n=1)
    return f"; did you mean {PREFIX}{close[0].upper()}?" if close else ""


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
