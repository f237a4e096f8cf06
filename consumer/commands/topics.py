"""``topics``: make what is missing on the broker, and see how what is there is kept."""

import json
import sys
from collections.abc import Mapping, Sequence

import typer

from consumer.broker.connect import connect, describe
from consumer.broker.port import TopicSpec, TopicState
from consumer.commands.options import Json
from consumer.config import load
from consumer.doctor.findings import Finding, Level, finding_text, findings_document, is_failed
from consumer.doctor.topics import state_words, topic_findings
from consumer.topics import TopicNames


app = typer.Typer(no_args_is_help=True, help="Make and check the topics on the broker.")


@app.command("create")
def create(as_json: Json = False) -> None:
    """Make the topics that are missing. Existing ones are left as they are; see describe."""
    config = load()
    specs = TopicNames(config.topic_prefix).specs()
    with connect(config.broker_url, config.security) as broker:
        created = set(broker.ensure_topics(specs))
    made = {spec.name: spec.name in created for spec in specs}
    if as_json:
        document = {
            "created": [name for name, is_new in made.items() if is_new],
            "existing": [name for name, is_new in made.items() if not is_new],
        }
        sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
        return
    for name, is_new in made.items():
        sys.stdout.write(f"{name}: {'created' if is_new else 'was there'}\n")


@app.command("describe")
def describe_topics(as_json: Json = False) -> None:
    """Show how each topic is kept and what is in it, and what is wrong with it; nothing is written.

    The exit code is 1 if a topic is missing, too small, or cleaned up in the wrong way.
    """
    config = load()
    specs = TopicNames(config.topic_prefix).specs()
    states = describe(config.broker_url, [spec.name for spec in specs], config.security)
    found = list(topic_findings(specs, states, on_kafka=config.broker_url.startswith("kafka:")))
    sys.stdout.write(_document(specs, states, found) if as_json else _text(states, found))
    if is_failed(found):
        raise typer.Exit(1)


def _text(states: Mapping[str, TopicState | None], found: Sequence[Finding]) -> str:
    lines = [
        f"{name}: {'missing' if state is None else state_words(state)}" for name, state in states.items()
    ]
    lines += [finding_text(finding) for finding in found if finding.level is not Level.OK]
    return "".join(f"{line}\n" for line in lines)


def _document(
    specs: Sequence[TopicSpec], states: Mapping[str, TopicState | None], found: Sequence[Finding]
) -> str:
    document = {
        "ok": not is_failed(found),
        "topics": [_topic(spec, states[spec.name]) for spec in specs],
        "findings": findings_document(found),
    }
    return f"{json.dumps(document, indent=2)}\n"


def _topic(spec: TopicSpec, state: TopicState | None) -> Mapping[str, object]:
    if state is None:
        return {"name": spec.name, "exists": False}
    return {
        "name": spec.name,
        "exists": True,
        "partitions": state.partitions,
        "cleanup": sorted(state.cleanup),
        "retention_ms": state.retention_ms,
        "retention_bytes": state.retention_bytes,
        "compaction_lag_ms": state.compaction_lag_ms,
        "replicas": state.replicas,
        "most_records": state.most_records,
        "offsets": [{"first": first, "end": end} for first, end in state.spans],
    }
