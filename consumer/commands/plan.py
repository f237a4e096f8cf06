"""``plan``: what a sync would do for one person or shift."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import typer

from consumer.commands.options import Company, Json
from consumer.config import load
from consumer.engine.links import Links
from consumer.plan_text import plan_document, plan_text
from consumer.runs.planning import Shown, known_links, plan_timesheet, plan_user
from consumer.runs.sync import only
from consumer.session import open_place
from consumer.sync import company as sync_company
from consumer.upstreams import closing_after


app = typer.Typer(
    no_args_is_help=True, help="Show what a sync would do for one person or shift; change nothing."
)


@app.command("user")
def plan_of_user(
    user_id: Annotated[int, typer.Argument(help="Procore's id of the user.")],
    company: Company = None,
    as_json: Json = False,
) -> None:
    """Show what a sync would do for one Procore user, and why."""
    _say_plan(lambda one, links: plan_user(one, links, user_id), company, as_json=as_json)


@app.command("timesheet")
def plan_of_timesheet(
    timesheet_id: Annotated[str, typer.Argument(help="SmartBarrel's id of the timesheet.")],
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="Its working day; saves reading all others."),
    ] = None,
    company: Company = None,
    as_json: Json = False,
) -> None:
    """Show what a sync would do for one SmartBarrel timesheet, and why."""
    on = day and day.date()
    _say_plan(lambda one, links: plan_timesheet(one, links, timesheet_id, on), company, as_json=as_json)


def _say_plan(
    plan: Callable[[sync_company.Company, Links], Awaitable[Shown]], company_id: int | None, *, as_json: bool
) -> None:
    with open_place(load()) as place:
        company = only(dict(place.upstreams.companies), company_id)
        links = known_links(place.broker, place.topics.links, place.codec)
        shown = asyncio.run(closing_after(plan(company, links), place.upstreams))
    text = json.dumps(plan_document(shown), indent=2, default=str) if as_json else plan_text(shown)
    sys.stdout.write(f"{text}\n")
