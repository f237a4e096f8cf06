"""Whether the broker can be used, and its topics are as they have to be."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from consumer.broker.connect import check, describe
from consumer.broker.embedded_look import holder
from consumer.broker.port import TopicSpec
from consumer.broker.security import PLAINTEXT, Security
from consumer.doctor.files import folder_findings
from consumer.doctor.findings import Finding, fail, ok
from consumer.doctor.topics import topic_findings
from consumer.exceptions import BrokerError, BrokerRefused, BrokerUnavailable


def broker_findings(
    url: str, specs: Sequence[TopicSpec], security: Security = PLAINTEXT
) -> Iterator[Finding]:
    """What is wrong with the broker at this URL, which must be a right one, and with its topics."""
    place = check(url)
    if isinstance(place, Path):
        yield from _embedded(url, place, specs)
    else:
        yield from _kafka(url, place, specs, security)


def _embedded(url: str, path: Path, specs: Sequence[TopicSpec]) -> Iterator[Finding]:
    try:
        states = describe(url, [spec.name for spec in specs])
        pid = holder(path)
    except BrokerUnavailable as error:
        yield fail(
            f"broker: {error}",
            f"let CREWSYNC_BROKER_URL name a file of crewsync's own that this user may read and write, "
            f"or move away what is at {path}",
        )
        return
    if pid is not None:
        yield fail(
            f"broker: {path} is in use by process {pid}, and there is room for one",
            f"stop process {pid} (kill {pid}) if it should not run; if it should, ask its /ready instead, "
            "or use Kafka for several processes",
        )
    elif path.exists() and not os.access(path, os.W_OK):
        yield fail(f"broker: {path} may only be read", f"let this user write to it: chmod u+w {path}")
    else:
        yield from folder_findings("broker", path.parent)
    if path.exists():
        yield from topic_findings(specs, states, on_kafka=False)
    else:
        yield ok(f"broker: {path} is not there yet; the first start makes it, with its topics")


def _kafka(
    url: str, servers: Sequence[str], specs: Sequence[TopicSpec], security: Security
) -> Iterator[Finding]:
    try:
        states = describe(url, [spec.name for spec in specs], security)
    except BrokerRefused as error:
        yield fail(f"broker: {error}", error.remedy)
        return
    except BrokerUnavailable as error:
        yield fail(
            f"broker: {error}",
            "see that Kafka runs, and that CREWSYNC_BROKER_URL has its servers' addresses as they are seen "
            "from this machine",
        )
        return
    except BrokerError as error:
        yield fail(
            f"broker: Kafka does not tell of its topics ({error})",
            "see that the cluster is well, and that crewsync may describe topics and their settings",
        )
        return
    yield ok(f"broker: Kafka answers at {', '.join(servers)}, {_words(security)}")
    yield from topic_findings(specs, states, on_kafka=True)


def _words(security: Security) -> str:
    encrypted = "in plain text" if security.tls is None else "in TLS"
    return encrypted if security.sasl is None else f"{encrypted} and with SASL"
