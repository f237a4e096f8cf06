"""``settings``: what each company has chosen, shown and set."""

import re
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Annotated, Any

import typer

from consumer.broker.port import Broker, Message
from consumer.broker.writing import write
from consumer.commands.options import Company, DryRun, Json
from consumer.commands.rows import print_json
from consumer.config import load
from consumer.exceptions import ConfigurationError
from consumer.model.codec import Codec
from consumer.model.settings import CompanySettings, ProjectTimeEntry, TimeEntry
from consumer.model.topics import company_key
from consumer.runs.sync import only
from consumer.service import Place
from consumer.session import open_place


app = typer.Typer(no_args_is_help=True, help="Show and set what each company has chosen.")

_ON, _OFF = frozenset({"on", "true", "yes"}), frozenset({"off", "false", "no"})
_REGION = re.compile("[A-Z]{2}")
_NAMES = tuple(one.name for one in fields(CompanySettings) if one.name != "company_id")
_MEANING: Mapping[str, str] = {
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


@app.command()
def show(company: Company = None, as_json: Json = False) -> None:
    """Show each company's settings, and where they come from."""
    with open_place(load()) as place:
        known = place.upstreams.companies
        chosen = [only(known, company).company_id] if company is not None else sorted(known)
        shown = [_document(place, company_id) for company_id in chosen]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        sys.stdout.write(f"Company {one['company_id']} ({one['from']})\n")
        for name, value in one["settings"].items():
            sys.stdout.write(f"  {_option(name):<22}{_word(value):<14}{_MEANING[name]}\n")


@app.command("set")
def set_(
    choices: Annotated[list[str], typer.Argument(help="NAME=VALUE, such as autosync-users=on.")],
    company: Company = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Set some of a company's settings; the others stay. Every process follows within a second."""
    with open_place(load()) as place:
        company_id = only(place.upstreams.companies, company).company_id
        before = place.settings.of(company_id)
        after = replace(before, **dict(map(_choice, choices)))
        if not dry_run:
            place.broker.ensure_topics(
                spec for spec in place.topics.specs() if spec.name == place.topics.company_settings
            )
            write_settings(place.broker, place.codec, place.topics.company_settings, after)
    changed = {
        name: (getattr(before, name), getattr(after, name))
        for name in _NAMES
        if getattr(before, name) != getattr(after, name)
    }
    if as_json:
        document = {name: [_plain(old), _plain(new)] for name, (old, new) in changed.items()}
        print_json({"company_id": company_id, "changed": document})
        return
    for name, (old, new) in changed.items():
        sys.stdout.write(f"{_option(name)}: {_word(_plain(old))} -> {_word(_plain(new))}\n")
    sys.stdout.write(
        "Nothing was changed.\n" if dry_run or not changed else f"Set for company {company_id}.\n"
    )


def write_settings(broker: Broker, codec: Codec, topic: str, settings: CompanySettings) -> None:
    """Write a company's settings durably. Raises BrokerError."""
    write(broker, Message(topic, company_key(settings.company_id), codec.encode(settings)))


def _document(place: Place, company_id: int) -> dict[str, Any]:
    settings = place.settings.of(company_id)
    is_chosen = place.settings.is_chosen(company_id)
    return {
        "company_id": company_id,
        "from": "chosen" if is_chosen else "nobody has chosen: as set up",
        "settings": {name: _plain(getattr(settings, name)) for name in _NAMES},
    }


def _choice(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    name = name.strip().replace("-", "_")
    if not equals or name not in _NAMES:
        names = ", ".join(map(_option, _NAMES))
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
    raise ConfigurationError(f"{_option(name)}: {value} is neither on nor off")


def _time_entry(value: str) -> TimeEntry:
    try:
        return TimeEntry(value)
    except ValueError:
        raise ConfigurationError(f"{value} is neither {' nor '.join(TimeEntry)}") from None


def _project(part: str) -> ProjectTimeEntry:
    project, _, entry = part.strip().partition(":")
    if not (project.isascii() and project.isdigit()):
        raise ConfigurationError(f"{part.strip()}: write PROCORE_PROJECT_ID:start_stop")
    return ProjectTimeEntry(int(project), _time_entry(entry))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [f"{one.project_id}:{one.time_entry}" for one in value]
    return value


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ",".join(value) or "none" if isinstance(value, list) else str(value)


def _option(name: str) -> str:
    return name.replace("_", "-")
