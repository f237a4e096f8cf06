"""What all Kafka clients here share: how they are opened, how long they wait, what their errors mean."""

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from consumer.broker.kafka_access import Access
from consumer.broker.kafka_library import CooperativeStickyAssignor, Future, errors, kafka, murmur2
from consumer.broker.kafka_network import NetClient
from consumer.broker.kafka_refusal import Refusal
from consumer.broker.port import Position, TopicPartition
from consumer.broker.security import PLAINTEXT
from consumer.exceptions import BrokerError, BrokerRefused, BrokerUnavailable, Fenced, TopicMissing


__all__ = [
    "LIBRARY_ERRORS",
    "CooperativeStickyAssignor",
    "Future",
    "KafkaTimes",
    "NetClient",
    "Opened",
    "as_broker_error",
    "committable",
    "errors",
    "kafka",
    "knock",
    "murmur2",
    "native",
    "opened",
    "quieten",
    "translated",
]

NOTE_BYTES = 4096
"""The longest note of a position; Kafka's own limit is ``offset.metadata.max.bytes``, 4,096 by default."""

DEFAULT_PORT = 9092

LOG_LEVELS: Mapping[str, int] = {
    "kafka": logging.WARNING,
    # Every slow step, and every listener that takes a second, are no faults here.
    "kafka.net.selector": logging.ERROR,
    "kafka.coordinator.consumer": logging.ERROR,
    # A lost connection is logged by ``kafka.net.connection``; these add a traceback and a line per retry.
    "kafka.net.transport": logging.CRITICAL,
    "kafka.net.manager": logging.CRITICAL,
    "kafka.cluster": logging.CRITICAL,
}

MEMBERSHIP_ERRORS = (
    errors.CommitFailedError,
    errors.FencedInstanceIdError,
    errors.IllegalGenerationError,
    errors.InvalidProducerEpochError,
    errors.ProducerFencedError,
    errors.UnknownMemberIdError,
)
"""A newer owner has taken over the transactional id, the partitions or the member's place."""

LIBRARY_ERRORS = (errors.KafkaError, RuntimeError, OSError)

UNREACHABLE_ERRORS = (
    errors.KafkaConnectionError,
    errors.NodeNotReadyError,
    errors.SaslAuthenticationFailedError,
)


@dataclass(frozen=True, slots=True)
class KafkaTimes:
    """How long things may take, in seconds.

    ``commit_s`` bounds each step of a transaction and a flush. A member that is silent for ``session_s``, or
    not polled for ``max_poll_interval_s``, loses its partitions.
    """

    connect_s: float = 10.0
    request_s: float = 30.0
    commit_s: float = 60.0
    session_s: float = 10.0
    heartbeat_s: float = 3.0
    max_poll_interval_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A consumer, producer or admin client of the library, and the network client below it."""

    client: Any
    net: NetClient


def opened(kind: Callable[..., Any], settings: Mapping[str, Any]) -> Opened:
    """Make a client of the library; its settings, and under ``access`` what lets it in, if Kafka asks for it.

    Raises BrokerRefused if TLS or SASL fails, BrokerUnavailable if Kafka cannot be reached; then nothing
    stays open.
    """
    made: list[NetClient] = []
    own = dict(settings)
    access = own.pop("access", None) or Access(PLAINTEXT)

    def net_client(**configs: Any) -> NetClient:
        made.append(NetClient(access, **configs))
        return made[-1]

    try:
        client = kind(**own, proxy_url="direct://", kafka_client=net_client)
    except errors.KafkaError as error:
        for client in made:
            client.close()
        if refusal := next((client.refusal for client in made), None):
            raise refusal from error
        if isinstance(error, errors.KafkaConfigurationError | errors.KafkaConnectionError):
            raise BrokerUnavailable(f"Kafka cannot be used: {error}") from error
        raise BrokerUnavailable(f"Kafka does not answer: {error}{_hint(access)}") from error
    made[0].be_patient()
    return Opened(client, made[0])


def _hint(access: Access) -> str:
    """A server that expects TLS or SASL only closes the connections of who knows nothing of it."""
    missing = " or ".join(
        word for word, used in (("TLS", access.security.tls), ("SASL", access.security.sasl)) if used is None
    )
    return f"; if it expects {missing}, set CREWSYNC_KAFKA_SECURITY" if missing else ""


def knock(bootstrap: Sequence[str], timeout_s: float) -> None:
    """See that at least one server takes connections: the library would try on and on, and not say why.

    Raises BrokerUnavailable, which names the servers.
    """
    deadline = time.monotonic() + timeout_s
    reasons = []
    for number, server in enumerate(bootstrap):
        host, _, port = server.rpartition(":") if ":" in server else (server, "", str(DEFAULT_PORT))
        share = max(0.1, (deadline - time.monotonic()) / (len(bootstrap) - number))
        try:
            socket.create_connection((host.strip("[]"), int(port)), share).close()
        except (OSError, ValueError) as error:
            reasons.append(f"{server} ({error})")
        else:
            return
    raise BrokerUnavailable(f"no Kafka server can be reached: {', '.join(reasons)}")


def quieten() -> None:
    """Let the library log what is worth it, but leave a level alone that somebody has set."""
    for name, level in LOG_LEVELS.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


def as_broker_error(error: BaseException, doing: str) -> BrokerError:
    """What an error of the library means to the engine."""
    if isinstance(error, Refusal):
        return BrokerRefused(f"{doing}: {error}", error.refused.remedy)
    text = f"{doing}: {str(error) or type(error).__name__}"
    if isinstance(error, errors.CommitFailedError) and any(
        isinstance(cause, errors.RebalanceInProgressError) for cause in error.args
    ):
        return BrokerError(text)
    if isinstance(error, MEMBERSHIP_ERRORS):
        return Fenced(text)
    if isinstance(error, errors.UnknownTopicOrPartitionError):
        return TopicMissing(text)
    if isinstance(error, UNREACHABLE_ERRORS):
        return BrokerUnavailable(text)
    return BrokerError(text)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the library's errors into the port's. It raises RuntimeError once its network thread has ended."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise as_broker_error(error, doing) from error


def native(partition: TopicPartition) -> Any:
    """The library's own kind of partition, which it insists on."""
    return kafka.TopicPartition(*partition)


def committable(positions: Mapping[TopicPartition, Position]) -> dict[Any, Any]:
    """Positions as the library commits them.

    Raises BrokerError for a note that is too long: in a transaction, Kafka's refusal of it would end the
    producer.
    """
    for partition, position in positions.items():
        if len(position.metadata.encode()) > NOTE_BYTES:
            raise BrokerError(f"the note for {partition} is longer than {NOTE_BYTES} bytes")
    return {
        native(partition): kafka.OffsetAndMetadata(position.offset, position.metadata, -1)
        for partition, position in positions.items()
    }
