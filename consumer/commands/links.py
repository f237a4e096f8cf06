"""``links``: what corresponds across the two systems, and whether it still does."""

import asyncio
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from typing import Annotated, Any

import typer

from consumer.commands.options import Company, Json
from consumer.commands.rows import print_json, print_rows
from consumer.config import load
from consumer.exceptions import CrewsyncError
from consumer.model.links import Link, LinkKind
from consumer.runs.drift import Drift, drifts
from consumer.runs.drift_reading import OnStep, read_held
from consumer.runs.linked import linked, read
from consumer.runs.planning import known_links
from consumer.runs.sync import only
from consumer.session import links_of, open_shown_place
from consumer.sink.layout import visible
from consumer.sync.company import Company as SyncCompany
from consumer.upstreams import closing_after


app = typer.Typer(
    no_args_is_help=True, help="Show what is linked across the systems, and check it; nothing is changed."
)

EXIT_DRIFT = 1
_MEANING = {
    LinkKind.USER: "Procore user -> SmartBarrel worker",
    LinkKind.CONTACT: "SmartBarrel worker -> Procore person",
    LinkKind.TIMESHEET: "SmartBarrel timesheet -> Procore timecard entry",
    LinkKind.POSITION: "SmartBarrel position -> Procore classification",
}

Kinds = Annotated[
    list[LinkKind] | None, typer.Option("--kind", help="Only this kind; may be given several times.")
]


@app.command()
def show(
    company: Annotated[int | None, typer.Option("--company", help="Only this Procore company's.")] = None,
    kind: Kinds = None,
    source: Annotated[
        str | None, typer.Option("--id", metavar="SOURCE", help="Only what starts from this id.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """Show the links as the topic has them."""
    links = links_of(load())
    keys = linked(links, company_id=company, kinds=kind or (), source_id=source)
    if not keys:
        raise CrewsyncError(_nothing(company, kind, source))
    shown = list(read(links, keys[:limit]))
    if as_json:
        print_json([_document(link) for link in shown])
        return
    head = ("company", "kind", "from", "to", "revision", "fingerprint")
    print_rows(head, [_row(link) for link in shown])
    for each in LinkKind:
        count = sum(key.kind is each for key in keys)
        if count:
            sys.stdout.write(f"{each}: {count} ({_MEANING[each]})\n")
    if len(keys) > limit:
        sys.stdout.write(f"Shown are the first {limit} of {len(keys)}; --limit shows more.\n")


@app.command()
def check(
    company: Company = None,
    kind: Kinds = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Check so many links at most.")] = None,
    as_json: Json = False,
) -> None:
    """Compare the links with what Procore and SmartBarrel hold, by reads only. Exit code 1 if they differ."""
    with open_shown_place(load()) as (place, display):
        one = only(dict(place.upstreams.companies), company)
        links = known_links(place.broker, place.topics.links, place.codec)
        keys = linked(links, company_id=one.settings.company_id, kinds=kind or ())
        chosen = list(islice((link for link in read(links, keys) if link.target_id), limit))
        found = asyncio.run(closing_after(_drifts(one, chosen, display.step), place.upstreams))
    checked = Counter(link.kind for link in chosen)
    if as_json:
        print_json(_check_document(checked, found))
    else:
        sys.stdout.write(_check_text(checked, found))
    if found:
        raise typer.Exit(EXIT_DRIFT)


async def _drifts(company: SyncCompany, links: Sequence[Link], on_step: OnStep) -> Sequence[Drift]:
    held = await read_held(company, links, on_step)
    return [drift for link in links for drift in drifts(link, held)]


def _nothing(company: int | None, kinds: Collection[LinkKind] | None, source: str | None) -> str:
    parts = (
        "" if company is None else f" of company {company}",
        "" if not kinds else f" of kind {' or '.join(kinds)}",
        "" if source is None else f" from {visible(source)}",
    )
    return f"there are no links{''.join(parts)}; a sync makes them"


def _row(link: Link) -> Sequence[object]:
    target = link.target_id or "(nothing yet)"
    return link.company_id, link.kind, link.source_id, target, link.revision, link.fingerprint or None


def _document(link: Link) -> Mapping[str, Any]:
    return {
        "company": link.company_id,
        "kind": link.kind,
        "from": link.source_id,
        "to": link.target_id or None,
        "revision": link.revision,
        "fingerprint": link.fingerprint or None,
    }


def _check_text(checked: Mapping[LinkKind, int], found: Sequence[Drift]) -> str:
    lines = []
    for drift in found:
        lines += [
            f"{drift.code}: {visible(drift.message)}.",
            f"    To put it right: {visible(drift.remedy)}.",
        ]
    counts = ", ".join(f"{checked[kind]} {kind}" for kind in LinkKind if checked.get(kind)) or "none"
    lines.append(f"Links checked: {counts}.")
    codes = ", ".join(f"{count} {code}" for code, count in sorted(_by_code(found).items()))
    lines.append(
        f"Drift: {len(found)} ({codes})." if found else "No drift: both systems are as the links say."
    )
    return "\n".join(lines) + "\n"


def _check_document(checked: Mapping[LinkKind, int], found: Sequence[Drift]) -> Mapping[str, Any]:
    return {
        "checked": dict(checked),
        "counts": _by_code(found),
        "drift": [
            {
                "code": drift.code,
                "link": _document(drift.link),
                "message": drift.message,
                "remedy": drift.remedy,
            }
            for drift in found
        ],
    }


def _by_code(found: Sequence[Drift]) -> Mapping[str, int]:
    return dict(Counter(str(drift.code) for drift in found))
