"""What a company may choose, in words: what each setting means, and how its value is written and read."""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from consumer.broker.port import Broker, Message
from consumer.broker.writing import write
from consumer.exceptions import ConfigurationError
from consumer.model.codec import Codec
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry
from consumer.model.topics import company_key


_ON, _OFF = frozenset({"on", "true", "yes"}), frozenset({"off", "false", "no"})
_REGION = re.compile("[A-Z]{2}")
_PROJECT = re.compile("[0-9]{1,18}")
NAMES = tuple(one.name for one in fields(CompanySettings) if one.name != "company_id")
MEANING: Mapping[str, str] = {
    "user_sync": "sync Procore users at all",
    "sync_classifications": "Procore's classifications become SmartBarrel positions",
    "autosync_users": "sync users every hour, and apply changes as they come",
    "auto_sync_time_card": "sync timesheets every hour, and apply changes as they come",
    "only_approved_shift": "leave shifts alone until they are approved",
    "include_sub_workers": "sync timesheets of subcontractors' workers too",
    "time_entry": "total_hours or start_stop, as in Procore",
    "default_region": "country of phone numbers without a country code, as in US",
    "deactivate_workers": "deactivate workers whose Procore user was deactivated",
    "project_time_entry": "projects that differ: PROCORE_PROJECT_ID:start_stop,...",
}


def write_settings(broker: Broker, codec: Codec, topic: str, settings: CompanySettings) -> None:
    """Write a company's settings durably. Raises BrokerError."""
    write(broker, Message(topic, company_key(settings.company_id), codec.encode(settings)))


def choice(text: str) -> tuple[str, Any]:
    """The setting and the value that ``NAME=VALUE`` means. Raises ConfigurationError."""
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or name not in NAMES:
        names = ", ".join(map(option, NAMES))
        raise ConfigurationError(f"{text}: write NAME=VALUE, where NAME is one of {names}")
    return name, _value(name, value.strip())


def _value(name: str, value: str) -> Any:
    if name == "project_time_entry":
        return tuple(_project(part) for part in value.split(",") if part.strip())
    if name == "time_entry":
        return _time_entry(value)
    if name == "default_region":
        if _REGION.fullmatch(value) is None:
            raise ConfigurationError(f"default-region: {value} is no country's two capital letters")
        return value
    if value.lower() in _ON | _OFF:
        return value.lower() in _ON
    raise ConfigurationError(f"{option(name)}: {value} is neither on nor off")


def _time_entry(value: str) -> TimeEntry:
    try:
        return TimeEntry(value)
    except ValueError:
        raise ConfigurationError(f"{value} is neither {' nor '.join(TimeEntry)}") from None


def _project(part: str) -> ProjectTimeEntry:
    project, _, entry = part.strip().partition(":")
    if _PROJECT.fullmatch(project) is None:
        raise ConfigurationError(f"{part.strip()}: write PROCORE_PROJECT_ID:start_stop")
    return ProjectTimeEntry(int(project), _time_entry(entry))


def plain(value: Any) -> Any:
    """A setting's value as JSON has it."""
    if isinstance(value, tuple):
        return [f"{one.project_id}:{one.time_entry}" for one in value]
    return value


def word(value: Any) -> str:
    """A setting's plain value as it is written."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(value) or "none" if isinstance(value, list) else str(value)


def option(name: str) -> str:
    """A setting's name as people write it."""
    return name.replace("_", "-")
