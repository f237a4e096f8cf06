"""``settings``: what each company has chosen, shown and set."""

import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from consumer.commands.options import Company, DryRun, Json
from consumer.commands.rows import print_json
from consumer.config import load
from consumer.runs.sync import only
from consumer.service import Place
from consumer.session import open_place
from consumer.sync.choices import MEANING, NAMES, choice, option, plain, word, write_settings


app = typer.Typer(no_args_is_help=True, help="Show and set what each company has chosen.")


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
            sys.stdout.write(f"  {option(name):<22}{word(value):<14}{MEANING[name]}\n")


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
        after = replace(before, **dict(map(choice, choices)))
        if not dry_run:
            place.broker.ensure_topics(
                spec for spec in place.topics.specs() if spec.name == place.topics.company_settings
            )
            write_settings(place.broker, place.codec, place.topics.company_settings, after)
    changed = {
        name: (getattr(before, name), getattr(after, name))
        for name in NAMES
        if getattr(before, name) != getattr(after, name)
    }
    if as_json:
        document = {name: [plain(old), plain(new)] for name, (old, new) in changed.items()}
        print_json({"company_id": company_id, "changed": document})
        return
    for name, (old, new) in changed.items():
        sys.stdout.write(f"{option(name)}: {word(plain(old))} -> {word(plain(new))}\n")
    sys.stdout.write(
        "Nothing was changed.\n" if dry_run or not changed else f"Set for company {company_id}.\n"
    )


def _document(place: Place, company_id: int) -> dict[str, Any]:
    settings = place.settings.of(company_id)
    is_chosen = place.settings.is_chosen(company_id)
    return {
        "company_id": company_id,
        "from": "chosen" if is_chosen else "nobody has chosen: as set up",
        "settings": {name: plain(getattr(settings, name)) for name in NAMES},
    }
