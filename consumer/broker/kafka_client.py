"""What all Kafka clients here share: how they are opened, how long they wait, what their errors mean.

The library is kafka-python 3.0, https://github.com/dpkp/kafka-python. Every import of it goes through this
module.
"""

import logging
import socket
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from consumer.broker.port import Position, TopicPartition
from consumer.exceptions import BrokerError, BrokerUnavailable, ConfigurationError, Fenced, TopicMissing


with warnings.catch_warnings():
    # The library reads its schemas with functions that Python 3.11 calls deprecated.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka
    from kafka import errors
    from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
    from kafka.future import Future
    from kafka.net.compat import KafkaNetClient
    from kafka.net.inet import KafkaNetSocket
    from kafka.partitioner.default import murmur2


__all__ = [
    "LIBRARY_ERRORS",
    "CooperativeStickyAssignor",
    "Future",
    "KafkaTimes",
    "NetClient",
    "Opened",
    "as_broker_error",
    "checked_security",
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

SECURITY_PREFIXES = ("security_", "ssl_", "sasl_")

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

UNREACHABLE_ERRORS = (errors.KafkaConnectionError, errors.NodeNotReadyError)


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


class DirectSocket(KafkaNetSocket):  # type: ignore[misc] # kafka-python has no types
    """Connects without a proxy, as the library does, but closes the socket when that fails.

    kafka-python 3.0.12 leaves it to the garbage collector. A "proxy" with a scheme of its own is how another
    way to connect is given to the library.
    """

    SCHEMES = ("direct",)

    async def sock_connect(
        self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: float | None = None
    ) -> socket.socket:
        """Connect the socket, or close it."""
        try:
            await super().sock_connect(net, sock, sockaddr, timeout_at)
        except BaseException:
            sock.close()
            raise
        return sock


class NetClient(KafkaNetClient):  # type: ignore[misc] # kafka-python has no types
    """The library's network client with three of its faults (in 3.0.12) put right.

    It passes ``allow_auto_create_topics`` on to nobody, so that asking for a topic creates it. And where
    its producer's thread expects False, ``await_ready`` raises, so that a transactional request is dropped
    without an answer when the connection is lost at that moment. And there is no way to hand a call to the
    network thread.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.cluster.config["allow_auto_create_topics"] = False

    def await_ready(self, node_id: int, timeout_ms: float = 30_000) -> bool:
        """Wait until the node can be sent to; False if it cannot."""
        try:
            return bool(super().await_ready(node_id, timeout_ms))
        except errors.KafkaConnectionError:
            return False

    def on_network_thread(self, call: Callable[[], None]) -> None:
        """Have the network thread make a call."""
        self._net.call_soon_threadsafe(call)


@dataclass(frozen=True, slots=True)
class Opened:
    """A consumer, producer or admin client of the library, and the network client below it."""

    client: Any
    net: NetClient


def opened(kind: Callable[..., Any], settings: Mapping[str, Any]) -> Opened:
    """Make a client of the library.

    Raises BrokerUnavailable if Kafka cannot be reached; then nothing stays open.
    """
    made: list[NetClient] = []

    def net_client(**configs: Any) -> NetClient:
        made.append(NetClient(**configs))
        return made[-1]

    try:
        return Opened(kind(**settings, proxy_url="direct://", kafka_client=net_client), made[0])
    except errors.KafkaError as error:
        for client in made:
            client.close()
        if isinstance(error, errors.KafkaConfigurationError | errors.KafkaConnectionError):
            raise BrokerUnavailable(f"Kafka cannot be used: {error}") from error
        raise BrokerUnavailable(f"Kafka does not answer: {error}") from error


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


def checked_security(security: Mapping[str, object]) -> dict[str, object]:
    """The TLS and SASL settings, under kafka-python's names, such as ``ssl_cafile`` or ``sasl_mechanism``.

    Raises ConfigurationError for names that are none; values are never repeated, since they may be secret.
    """
    known = {name for name in kafka.KafkaAdminClient.DEFAULT_CONFIG if name.startswith(SECURITY_PREFIXES)}
    if unknown := sorted(set(security) - known):
        raise ConfigurationError(f"no security settings of Kafka: {', '.join(unknown)}")
    return dict(security)


def quieten() -> None:
    """Let the library log what is worth it, but leave a level alone that somebody has set."""
    for name, level in LOG_LEVELS.items():
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)


def as_broker_error(error: BaseException, doing: str) -> BrokerError:
    """What an error of the library means to the engine."""
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
