"""``dead-letters``: what was set aside, shown, redriven and dropped."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console

from consumer.commands.masks import document_of
from consumer.commands.options import DryRun, Json
from consumer.commands.rows import print_json, print_rows
from consumer.commands.settling import settle
from consumer.config import Config, load
from consumer.engine.deadletters import letter_of
from consumer.exceptions import ConfigurationError, CrewsyncError, SchemaError, TopicMissing
from consumer.model.events import Kind
from consumer.runs.dead_letters import (
    MOST_TIMES,
    Choice,
    Letter,
    Place,
    decoded,
    histogram,
    record_at,
    redrivable,
    unsettled,
)
from consumer.session import open_broker
from consumer.topics import TopicNames


app = typer.Typer(no_args_is_help=True, help="Look at what was set aside, and put it right.")

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Company = Annotated[int | None, typer.Option("--company", help="Only this company's; by Procore's id.")]
ReasonCode = Annotated[str | None, typer.Option("--reason", help="Only those with this reason's code.")]
Topic = Annotated[
    str | None, typer.Option("--topic", help="users or timesheets, or a full name: where they came from.")
]
OlderThan = Annotated[
    str | None, typer.Option("--older-than", help="Only those set aside before so long: 30m, 12h, 7d.")
]
NewerThan = Annotated[
    str | None, typer.Option("--newer-than", help="Only those set aside since so long: 30m, 12h, 7d.")
]
Places = Annotated[list[str] | None, typer.Argument(help="Single ones, as PARTITION:OFFSET; else all.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many, the oldest first.")]


@app.command("list")
def list_(  # noqa: PLR0917 - each is an option of the command
    company: Company = None,
    reason: ReasonCode = None,
    topic: Topic = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows at most, the oldest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List what waits for somebody, and how much of it for which reason."""
    config = load()
    letters = _chosen(config, _choice(config, company, reason, topic, older_than, newer_than))
    if as_json:
        shown = [_document(letter) for letter in letters[:limit]]
        print_json({"total": len(letters), "reasons": histogram(letters), "letters": shown})
        return
    if not letters:
        sys.stdout.write("No dead letters.\n")
        return
    print_rows(
        ("letter", "company", "reason", "set aside", "stage", "times", "came from"),
        [_row(letter) for letter in letters[:limit]],
    )
    sys.stdout.write(f"\n{len(letters)} in all, {min(limit, len(letters))} shown. By reason:\n")
    print_histogram(letters)


@app.command()
def show(
    place: Annotated[str, typer.Argument(help="The letter, as PARTITION:OFFSET.")],
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Show personal data in full.")] = False,
    as_json: Json = False,
) -> None:
    """Show one: why it was set aside, and the event that it holds."""
    config = load()
    with open_broker(config) as (broker, codec):
        record = record_at(broker, TopicNames(config.topic_prefix), _place(place))
    if record is None:
        raise CrewsyncError(f"there is no letter {place}")
    event = decoded(record, codec)
    try:
        story = document_of(letter_of(record, codec), masked=False)
    except SchemaError as error:
        story = {"unreadable": str(error)}
    document = {
        "letter": story,
        "event": document_of(event, masked=not unmasked),
        "bytes": len(record.value or b""),
    }
    if as_json:
        print_json(document)
        return
    for title in ("letter", "event"):
        sys.stdout.write(f"{title}\n")
        for name, value in (document[title] or {"": "cannot be read as an event"}).items():
            sys.stdout.write(f"  {name:<26}{value}\n")


@app.command()
def redrive(  # noqa: PLR0917 - each is an option of the command
    places: Places = None,
    company: Company = None,
    reason: ReasonCode = None,
    topic: Topic = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Limit = None,
    most_times: Annotated[
        int, typer.Option("--most-times", min=1, help="Leave those that came back so often already.")
    ] = MOST_TIMES,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Publish letters to where they came from, to be handled once more.

    What was overtaken by a newer event is settled as stale. What came back too often is left.
    """
    config = load()
    choice = _choice(config, company, reason, topic, older_than, newer_than, places)
    chosen = _chosen(config, choice)
    fit = redrivable(chosen, TopicNames(config.topic_prefix), most_times)
    _settle(
        config,
        _Wish("redrive", fit[:limit], len(chosen) - len(fit)),
        yes=yes,
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command()
def drop(  # noqa: PLR0917 - each is an option of the command
    places: Places = None,
    company: Company = None,
    reason: ReasonCode = None,
    topic: Topic = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Limit = None,
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Settle letters without doing anything about them. They stay on the topic until its retention ends."""
    config = load()
    choice = _choice(config, company, reason, topic, older_than, newer_than, places)
    wish = _Wish("drop", _chosen(config, choice)[:limit], 0)
    _settle(config, wish, yes=yes, dry_run=dry_run, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Wish:
    verb: str
    letters: Sequence[Letter]
    left: int


def _settle(config: Config, wish: _Wish, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    letters = wish.letters
    if dry_run or not letters:
        if as_json:
            print_json({"would_" + wish.verb: len(letters), "reasons": histogram(letters), "left": wish.left})
            return
        sys.stdout.write(f"Would {wish.verb} {len(letters)} letters.{_left(wish)}\n")
        print_histogram(letters)
        sys.stdout.write("Nothing was changed.\n")
        return
    if not yes:
        _ask(f"{wish.verb.capitalize()} {len(letters)} letters?")
    endings = settle(config, letters, is_drop=wish.verb == "drop", quiet=as_json)
    if as_json:
        print_json({**endings, "left": wish.left})
        return
    words = ", ".join(f"{count} {ending}" for ending, count in endings.items()) or "nothing"
    sys.stdout.write(f"Done: {words}.{_left(wish)}\n")


def _left(wish: _Wish) -> str:
    why = "came back too often already, cannot be read, or are of another topic"
    return f" {wish.left} {why}, and are left." if wish.left else ""


def _ask(question: str) -> None:
    if not Console().is_terminal:
        raise ConfigurationError("there is nobody to ask: say --yes, or look at it first with --dry-run")
    typer.confirm(question, abort=True)


def _chosen(config: Config, choice: Choice) -> Sequence[Letter]:
    letters: Sequence[Letter] = []
    # Where nothing was ever synced, nothing was set aside.
    with open_broker(config) as (broker, codec), suppress(TopicMissing):
        letters = unsettled(broker, TopicNames(config.topic_prefix), codec)
    missing = choice.places - {letter.place for letter in letters}
    if missing:
        named = ", ".join(sorted(map(str, missing)))
        raise CrewsyncError(f"no letter waits at {named}; see: crewsync dead-letters list")
    return [letter for letter in letters if choice.has(letter)]


def _choice(  # noqa: PLR0917 - the options of the commands
    config: Config,
    company: int | None,
    reason: str | None,
    topic: str | None,
    older_than: str | None,
    newer_than: str | None,
    places: Sequence[str] | None = None,
) -> Choice:
    now = datetime.now(UTC)
    names = TopicNames(config.topic_prefix)
    known = {str(kind): names.events_of(kind) for kind in Kind}
    return Choice(
        company_id=company,
        reason=reason,
        topic=topic if topic is None else known.get(topic, topic),
        since=None if newer_than is None else now - _duration(newer_than),
        before=None if older_than is None else now - _duration(older_than),
        places=frozenset(map(_place, places or ())),
    )


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], _UNITS.get(text[-1:])
    if unit is None or not (number.isascii() and number.isdigit() and len(number) <= 4):  # noqa: PLR2004
        raise ConfigurationError(f"{text} is no duration: write 30m, 12h or 7d")
    return timedelta(**{unit: int(number)})


def _place(text: str) -> Place:
    partition, _, offset = text.partition(":")
    if not all(one.isascii() and one.isdigit() and len(one) <= 18 for one in (partition, offset)):  # noqa: PLR2004
        raise ConfigurationError(f"{text} is no letter: write PARTITION:OFFSET, as the list does")
    return Place(int(partition), int(offset))


def _row(letter: Letter) -> Sequence[object]:
    story = letter.story
    at = f"{letter.failed_at:%Y-%m-%d %H:%M:%S}"
    if story is None:
        return (letter.place, None, letter.reason_code, at, None, None, None)
    source = f"{story.source_topic} {story.source_partition}:{story.source_offset}"
    return (letter.place, story.company_id, letter.reason_code, at, story.stage, story.redrive_count, source)


def _document(letter: Letter) -> dict[str, object]:
    return {"letter": str(letter.place), **(document_of(letter.story, masked=False) or {})}


def print_histogram(letters: Sequence[Letter]) -> None:
    """Print how many letters there are for each reason."""
    counts = histogram(letters)
    width = max(map(len, counts), default=0)
    most = max(counts.values(), default=1)
    for code, count in counts.items():
        sys.stdout.write(f"  {code:<{width}}  {count:>7}  {'#' * max(1, round(40 * count / most))}\n")
