"""TLS and SASL on a real Kafka: each way works, each refusal is told at once, what rotates is followed."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import uuid4

import pytest

from consumer.broker.connect import connect
from consumer.broker.kafka import KafkaBroker
from consumer.broker.kafka_client import KafkaTimes
from consumer.broker.port import Broker, Message, Position, Reader, Record, TopicPartition, TopicSpec
from consumer.broker.security import OAuth, Password, Security, Tls
from consumer.exceptions import BrokerRefused, BrokerUnavailable, Fenced
from consumer.secret import Secret
from tests.broker.secure_kafka import (
    CLIENT_ID,
    CLIENT_SECRET,
    PASSWORD,
    USER,
    SecureKafka,
    TokenEndpoint,
    secure_kafka,
    token_endpoint,
)
from tests.e2e.program import Place


pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

SOON_S = 9.0
"""Less than the ten seconds for which a broker that does not answer is waited for."""

Take = Callable[[Reader, int], list[Record]]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """The broker."""
    with secure_kafka(tmp_path_factory.mktemp("kafka")) as made:
        yield made


@pytest.fixture
def endpoint() -> Iterator[TokenEndpoint]:
    """A token endpoint."""
    with token_endpoint() as made:
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty folder to start the program in."""
    made = Place(tmp_path)
    yield made
    made.close()


def password(mechanism: str = "SCRAM-SHA-512", secret: str = PASSWORD) -> Password:
    return Password(USER, Secret(secret), mechanism)  # type: ignore[arg-type] # one of the three


def oauth(url: str, secret: str = CLIENT_SECRET) -> OAuth:
    return OAuth(url, CLIENT_ID, Secret(secret), "kafka")


def way(kafka: SecureKafka, name: str, url: str) -> tuple[str, Security]:
    """The listener for a way to be secure, and the security that it asks for."""
    tls = Tls(kafka.ca)
    return {
        "tls": ("TLS", Security(tls)),
        "mutual": ("MUTUAL", Security(Tls(kafka.ca, kafka.client))),
        "scram-512": ("SASL", Security(tls, password())),
        "scram-256": ("SASL", Security(tls, password("SCRAM-SHA-256"))),
        "plain": ("SASL", Security(tls, password("PLAIN"))),
        "oauth": ("OAUTH", Security(tls, oauth(url))),
        "forced": ("READABLE", Security(None, password("PLAIN"))),
    }[name]


def new_topic(broker: Broker) -> TopicPartition:
    name = f"secure-{uuid4().hex}"
    broker.ensure_topics([TopicSpec(name, 1)])
    return TopicPartition(name, 0)


@pytest.mark.parametrize("name", ["tls", "mutual", "scram-512", "scram-256", "plain", "oauth", "forced"])
def test_each_way_carries_transactions_groups_notes_and_fencing(
    kafka: SecureKafka, endpoint: TokenEndpoint, take: Take, name: str
) -> None:
    listener, security = way(kafka, name, endpoint.url)
    with ExitStack() as stack:
        broker = stack.enter_context(connect(f"kafka://{kafka.server(listener)}", security))
        place = new_topic(broker)
        first = stack.enter_context(closing(broker.transactional_producer(place.topic)))
        consumer = stack.enter_context(closing(broker.consumer(place.topic, [place.topic])))
        first.begin()
        first.send(Message(place.topic, b"key", b"dropped"))
        first.abort()
        first.begin()
        first.send(Message(place.topic, b"key", b"kept"))
        first.commit()
        (record,) = take(consumer, 1)
        assert record.value == b"kept"
        first.begin()
        first.send_offsets(consumer, {place: Position(record.offset + 1, "a note")})
        first.commit()
        assert consumer.committed(place) == Position(record.offset + 1, "a note")
        second = stack.enter_context(closing(broker.transactional_producer(place.topic)))
        second.begin()
        second.abort()
        first.begin()
        first.send(Message(place.topic, b"key", b"too late"))
        with pytest.raises(Fenced):
            first.commit()


REFUSALS: dict[str, tuple[str, Callable[[SecureKafka, str], Security], str]] = {
    "wrong password": (
        "SASL",
        lambda kafka, _: Security(Tls(kafka.ca), password(secret="wrong-and-secret")),
        "refuses the credentials",
    ),
    "wrong plain password": (
        "SASL",
        lambda kafka, _: Security(Tls(kafka.ca), password("PLAIN", "wrong-and-secret")),
        "refuses the credentials",
    ),
    "untrusted": ("TLS", lambda kafka, _: Security(Tls(kafka.folder / "other-ca.pem")), "is not trusted"),
    "trusted by no system": ("TLS", lambda *_: Security(Tls()), "is not trusted"),
    "other host": ("STRANGER", lambda kafka, _: Security(Tls(kafka.ca)), "is for another host name"),
    "expired": ("EXPIRED", lambda kafka, _: Security(Tls(kafka.ca)), "has expired"),
    "no client certificate": (
        "MUTUAL",
        lambda kafka, _: Security(Tls(kafka.ca)),
        "does not accept this client",
    ),
    "no TLS there": ("PLAINTEXT", lambda kafka, _: Security(Tls(kafka.ca)), "nobody answers in TLS"),
    "no SASL there": ("TLS", lambda kafka, _: Security(Tls(kafka.ca), password()), "does not ask who"),
    "no such mechanism": (
        "READABLE",
        lambda *_: Security(None, password("SCRAM-SHA-512")),
        "does not offer this SASL mechanism",
    ),
    "OAuth secret": (
        "OAUTH",
        lambda kafka, url: Security(Tls(kafka.ca), oauth(url, "wrong-and-secret")),
        "gives no token (HTTP 401, invalid_client)",
    ),
    "no endpoint": (
        "OAUTH",
        lambda kafka, _: Security(Tls(kafka.ca), oauth("http://127.0.0.1:1/token", "wrong-and-secret")),
        "the token endpoint at 127.0.0.1:1 cannot be reached",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_is_one_sentence_at_once_with_a_remedy_and_no_secret(
    kafka: SecureKafka, endpoint: TokenEndpoint, name: str
) -> None:
    listener, make, words = REFUSALS[name]
    server = kafka.server(listener, "127.0.0.1" if listener == "PLAINTEXT" else "localhost")
    began = time.monotonic()
    with pytest.raises(BrokerRefused) as caught:
        connect(f"kafka://{server}", make(kafka, endpoint.url))
    assert time.monotonic() - began < SOON_S
    assert words in str(caught.value)
    assert caught.value.remedy
    told = f"{caught.value!r} {caught.value.remedy} {caught.value.__cause__!r}"
    assert not any(secret in told for secret in (PASSWORD, "wrong-and-secret", CLIENT_SECRET, USER))


@pytest.mark.parametrize("listener", ["TLS", "SASL"])
def test_who_speaks_in_plain_text_where_tls_is_expected_is_told_of_the_setting(
    kafka: SecureKafka, listener: str
) -> None:
    with pytest.raises(BrokerUnavailable, match="CREWSYNC_KAFKA_SECURITY"):
        KafkaBroker([kafka.server(listener)], times=KafkaTimes(connect_s=1.0))


def test_one_server_that_refuses_is_no_matter_while_another_lets_in(kafka: SecureKafka) -> None:
    servers = f"{kafka.server('EXPIRED')},{kafka.server('TLS')}"
    with connect(f"kafka://{servers}", Security(Tls(kafka.ca))) as broker:
        assert broker.describe(["absent"]) == {"absent": None}


def drop_connections(broker: KafkaBroker, *clients: object) -> None:
    """Lose every connection of the broker's admin client, and of consumers, as a network does."""
    for opened in (broker._opened, *(client._opened for client in clients)):  # type: ignore[attr-defined] # ours
        manager = opened.net._manager

        def drop(manager: object = manager) -> None:
            for connection in list(manager._conns.values()):  # type: ignore[attr-defined] # the library's
                connection.close()

        opened.net.on_network_thread(drop)


def test_a_rotated_password_is_taken_from_its_file_by_those_who_are_at_work(
    kafka: SecureKafka, take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.broker.kafka.ADMIN_TRIES_S", 1.0)
    user, path = f"rotating-{uuid4().hex}", tmp_path / "password"
    path.write_text("before\n")
    kafka.set_password("before", user)
    security = Security(Tls(kafka.ca), Password(user, Secret("before", path)))
    with ExitStack() as stack:
        broker = stack.enter_context(KafkaBroker([kafka.server("SASL")], security=security))
        place = new_topic(broker)
        consumer = stack.enter_context(closing(broker.consumer(place.topic, [place.topic])))
        producer = stack.enter_context(closing(broker.producer()))
        producer.send(Message(place.topic, b"key", b"one"))
        producer.flush()
        assert [record.value for record in take(consumer, 1)] == [b"one"]
        kafka.set_password("after", user)
        drop_connections(broker, consumer)
        with pytest.raises(BrokerRefused, match="refuses the credentials"):
            broker.describe([place.topic])
        path.write_text("after\n")
        after = stack.enter_context(closing(broker.producer()))
        after.send(Message(place.topic, b"key", b"two"))
        after.flush()
        assert [record.value for record in take(consumer, 1)] == [b"two"]
        monkeypatch.undo()
        assert broker.describe([place.topic])[place.topic] is not None


def test_a_client_certificate_is_read_again_for_each_connection(kafka: SecureKafka, tmp_path: Path) -> None:
    path = tmp_path / "client.pem"
    path.write_bytes(kafka.client.read_bytes())
    security = Security(Tls(kafka.ca, path))
    with connect(f"kafka://{kafka.server('MUTUAL')}", security) as broker:
        place = new_topic(broker)
        path.write_text("no certificate")
        with pytest.raises(BrokerRefused, match="client certificate or its key cannot be used"):
            broker.producer()
        path.write_bytes(kafka.client.read_bytes())
        with closing(broker.producer()) as producer:
            producer.send(Message(place.topic, b"key", b"value"))
            producer.flush()


def test_all_connections_share_one_token(kafka: SecureKafka, endpoint: TokenEndpoint) -> None:
    security = Security(Tls(kafka.ca), oauth(endpoint.url))
    with connect(f"kafka://{kafka.server('OAUTH')}", security) as broker:
        place = new_topic(broker)
        with closing(broker.producer()), closing(broker.reader([place])) as reader:
            reader.end_offsets([place])
    assert endpoint.forms == [{"grant_type": ["client_credentials"], "scope": ["kafka"]}]


def test_a_session_outlives_its_token_by_a_new_one(
    kafka: SecureKafka, endpoint: TokenEndpoint, take: Take
) -> None:
    """Kafka ends the connections of a client whose token has run out."""
    endpoint.life_s = 3.0
    security = Security(Tls(kafka.ca), oauth(endpoint.url))
    with connect(f"kafka://{kafka.server('OAUTH')}", security) as broker:
        place = new_topic(broker)
        with closing(broker.producer()) as producer, closing(broker.reader([place])) as reader:
            ends = time.monotonic() + 2 * endpoint.life_s
            while time.monotonic() < ends:
                producer.send(Message(place.topic, b"key", b"value"))
                producer.flush()
                take(reader, 1)
    assert len(endpoint.forms) > 1


def settings(kafka: SecureKafka, listener: str, **others: str) -> dict[str, str]:
    """The program's settings for SCRAM in TLS at a listener."""
    return {
        "CREWSYNC_BROKER_URL": f"kafka://{kafka.server(listener)}",
        "CREWSYNC_TOPIC_PREFIX": f"secure-{uuid4().hex[:8]}.",
        "CREWSYNC_KAFKA_SECURITY": "sasl_tls",
        "CREWSYNC_KAFKA_CA_FILE": str(kafka.ca),
        "CREWSYNC_KAFKA_USERNAME": USER,
        "CREWSYNC_KAFKA_PASSWORD": PASSWORD,
        **others,
    }


def test_the_demo_runs_and_the_doctor_is_content_with_scram_in_tls(place: Place, kafka: SecureKafka) -> None:
    given = settings(kafka, "SASL")
    place.run("demo", "--json", **given)
    assert place.finished()
    found = json.loads(place.run("doctor", "--json", **given).stdout)["findings"]
    assert f"broker: Kafka answers at {kafka.server('SASL')}, in TLS and with SASL" in {
        finding["what"] for finding in found
    }


@pytest.mark.parametrize(
    ("listener", "others", "what", "remedy"),
    [
        ("SASL", {"CREWSYNC_KAFKA_PASSWORD": "wrong-and-secret"}, "refuses the credentials", "user name"),
        ("EXPIRED", {}, "has expired", "renew the server's certificate"),
        ("STRANGER", {}, "is for another host name", "use a name that is in the certificate"),
        ("PLAINTEXT", {}, "nobody answers in TLS", "CREWSYNC_KAFKA_SECURITY"),
    ],
)
def test_the_doctor_names_the_remedy_and_the_program_ends_at_once(  # noqa: PLR0917 - two fixtures, four values
    place: Place, kafka: SecureKafka, listener: str, others: dict[str, str], what: str, remedy: str
) -> None:
    given = settings(kafka, listener, **others)
    doctor = place.start("doctor", "--json", **given)
    assert doctor.end() == 1
    failed = [each for each in json.loads(doctor.stdout)["findings"] if each["level"] == "FAIL"]
    assert [what in each["what"] and remedy in each["remedy"] for each in failed] == [True]
    run = place.start("run", **given)
    assert run.end() == 3
    assert run.stderr.count(what) >= 1
    assert "Traceback" not in run.stderr
    told = doctor.stdout + doctor.stderr + run.stdout + run.stderr
    assert "wrong-and-secret" not in told
    assert PASSWORD not in told
