"""Which adapter a broker's URL means."""

from collections.abc import Collection, Mapping
from pathlib import Path

from consumer.broker.port import Broker, TopicState
from consumer.broker.security import PLAINTEXT, Security
from consumer.exceptions import ConfigurationError


FORMS = "embedded:PATH or kafka://HOST:PORT,HOST:PORT"


def connect(url: str, security: Security = PLAINTEXT) -> Broker:
    """Open the broker at ``embedded:PATH`` or ``kafka://HOST:PORT,HOST:PORT``; ``security`` is Kafka's.

    Raises ConfigurationError as ``check`` does; BrokerUnavailable or BrokerInUse if it cannot be opened,
    BrokerRefused if TLS or SASL fails.
    """
    place = check(url)
    # Imported here, so that the embedded broker needs no Kafka client and the other way round.
    if isinstance(place, Path):
        from consumer.broker.embedded import EmbeddedBroker  # noqa: PLC0415

        return EmbeddedBroker(place)
    from consumer.broker.kafka import KafkaBroker  # noqa: PLC0415

    return KafkaBroker(place, security=security)


def describe(
    url: str, topics: Collection[str], security: Security = PLAINTEXT
) -> Mapping[str, TopicState | None]:
    """How each topic is kept on the broker; None for one that does not exist. Nothing is created or written.

    An embedded broker is read beside the process that has it, if there is one, and nothing is there of one
    that has no file yet. Raises as ``connect`` does, but never BrokerInUse.
    """
    place = check(url)
    if isinstance(place, Path):
        from consumer.broker.embedded_look import look  # noqa: PLC0415 - as above

        return look(place, topics)
    with connect(url, security) as broker:
        return broker.describe(topics)


def check(url: str) -> Path | list[str]:
    """What the URL names: the embedded broker's file, or Kafka's servers.

    Raises ConfigurationError if it is of neither form; its message repeats no part of the URL, since people
    put credentials there.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "embedded":
        return _path(rest)
    if scheme == "kafka":
        return _bootstrap(rest)
    raise ConfigurationError(f"the broker's URL must be {FORMS}")


def _path(rest: str) -> Path:
    if not rest or rest.startswith("//"):
        raise ConfigurationError(
            "the broker's URL must name a file: embedded:PATH, as in embedded:var/broker.db"
        )
    return Path(rest)


def _bootstrap(rest: str) -> list[str]:
    if "@" in rest:
        raise ConfigurationError(
            "the broker's URL must hold no credentials: Kafka's are settings of their own"
        )
    if not rest.startswith("//"):
        raise ConfigurationError("the broker's URL must look like kafka://HOST:PORT,HOST:PORT")
    servers = rest.removeprefix("//").rstrip("/").split(",")
    for server in servers:
        host, colon, port = server.strip().rpartition(":")
        if not (host and colon and port.isascii() and port.isdigit() and 0 < int(port) < 65536):  # noqa: PLR2004 - TCP ports
            raise ConfigurationError(
                "the broker's URL must name each Kafka server as HOST:PORT, parted by commas"
            )
    return [server.strip() for server in servers]
