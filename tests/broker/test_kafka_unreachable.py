"""What the Kafka adapter does without a Kafka: it says so, soon, and leaves nothing behind."""

import gc
import logging
import socket
import threading
import time
import warnings

import pytest

from consumer.broker.kafka import KafkaBroker
from consumer.broker.kafka_client import KafkaTimes, as_broker_error, errors, kafka, opened
from consumer.broker.security import Password, Security
from consumer.exceptions import (
    BrokerError,
    BrokerUnavailable,
    CrewsyncError,
    Fenced,
    TopicMissing,
)
from consumer.secret import Secret


def test_a_closed_port_is_reported_at_once_by_name_and_nothing_is_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    with pytest.raises(BrokerUnavailable, match=f"127.0.0.1:{port}"):
        KafkaBroker([f"127.0.0.1:{port}", f"localhost:{port}"])
    assert time.monotonic() - started < 5
    assert capfd.readouterr() == ("", "")


def test_a_server_that_takes_connections_but_never_answers_is_given_up_in_time() -> None:
    """Nothing stays open: a socket that is left to the garbage collector fails the suite."""
    before = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(BrokerUnavailable, match=address):
            KafkaBroker([address], times=KafkaTimes(connect_s=0.5))
        assert time.monotonic() - started < 5
    assert threading.active_count() <= before


def test_a_server_that_went_away_costs_no_sockets() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(BrokerUnavailable, match=address):
        opened(kafka.KafkaAdminClient, {"bootstrap_servers": [address], "bootstrap_timeout_ms": 500})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_secrets_stay_out_of_the_message_when_nobody_answers() -> None:
    security = Security(sasl=Password("anna", Secret("an invented secret"), "PLAIN"))
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(BrokerUnavailable) as caught:
        KafkaBroker(
            [f"127.0.0.1:{silent.getsockname()[1]}"], security=security, times=KafkaTimes(connect_s=0.5)
        )
    assert "an invented secret" not in str(caught.value)


def test_the_library_logs_from_warning_on() -> None:
    with pytest.raises(BrokerUnavailable):
        KafkaBroker(["127.0.0.1:1"])
    assert logging.getLogger("kafka").level == logging.WARNING


def test_checksums_are_computed_by_the_c_library() -> None:
    """In pure Python they cost more than all the rest of reading a record."""
    import crc32c  # noqa: PLC0415 - only after the adapter has imported kafka
    from kafka.record import util  # noqa: PLC0415 - likewise

    assert util._crc32c is crc32c.crc32c


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (errors.ProducerFencedError(), Fenced),
        (errors.InvalidProducerEpochError(), Fenced),
        (errors.IllegalGenerationError(), Fenced),
        (errors.UnknownMemberIdError(), Fenced),
        (errors.FencedInstanceIdError(), Fenced),
        (errors.CommitFailedError("kicked out"), Fenced),
        (errors.CommitFailedError(errors.RebalanceInProgressError()), BrokerError),
        (errors.RebalanceInProgressError(), BrokerError),
        (errors.UnknownTopicOrPartitionError(), TopicMissing),
        (errors.KafkaConnectionError(), BrokerUnavailable),
        (errors.KafkaTimeoutError(), BrokerError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_errors_of_the_library_have_one_meaning_each(error: Exception, meaning: type[CrewsyncError]) -> None:
    """Only who has lost its place or its id is fenced, not who meets a rebalance."""
    assert type(as_broker_error(error, "commit")) is meaning
