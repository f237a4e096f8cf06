"""An Apache Kafka with a listener for each way to secure it, and an authority that signs what it shows."""

import base64
import json
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import trustme
from cryptography.hazmat.primitives import serialization

from consumer.broker.kafka_library import kafka


ROOT = Path(__file__).parents[2] / "deploy" / "kafka"
LISTENERS = ("PLAINTEXT", "TLS", "MUTUAL", "SASL", "OAUTH", "EXPIRED", "STRANGER", "READABLE")
USER, PASSWORD = "site-office", "correct horse, battery=staple"
CLIENT_ID, CLIENT_SECRET = "crewsync-client", "invented-oauth-secret"
_JAAS = "org.apache.kafka.common.security"
START_S = 120


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """A running broker: the address of each listener, and the files of those who may talk to it."""

    folder: Path
    ports: dict[str, int]

    def server(self, listener: str, host: str = "localhost") -> str:
        """The address of a listener."""
        return f"{host}:{self.ports[listener]}"

    @property
    def ca(self) -> Path:
        """The certificate of the authority that has signed the servers'."""
        return self.folder / "ca.pem"

    @property
    def client(self) -> Path:
        """A client's certificate with its key."""
        return self.folder / "client.pem"

    def set_password(self, password: str, user: str = USER) -> None:
        """Give the user this password, for both mechanisms of SCRAM."""
        admin = kafka.KafkaAdminClient(bootstrap_servers=[self.server("PLAINTEXT", "127.0.0.1")])
        try:
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                change = kafka.admin.UserScramCredentialUpsertion(user, mechanism, password)
                assert admin.alter_user_scram_credentials([change]) == {user: None}
        finally:
            admin.close()


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Start it, and kill it at the end."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    trustme.CA().cert_pem.write_to_path(folder / "other-ca.pem")
    _write(authority.issue_cert("localhost", "127.0.0.1"), folder / "server.pem")
    _write(authority.issue_cert("kafka.example"), folder / "stranger.pem")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    _write(authority.issue_cert("localhost", not_after=yesterday), folder / "expired.pem")
    _write(authority.issue_cert("client@example.com"), folder / "client.pem")
    ports = dict(zip((*LISTENERS, "CONTROLLER"), _free_ports(len(LISTENERS) + 1), strict=True))
    (folder / "server.properties").write_text(_properties(folder, ports))
    script = str(ROOT / "kafka.sh")
    try:
        subprocess.run([script, "start", str(folder)], check=True, timeout=START_S)  # noqa: S603 - our own
        made = SecureKafka(folder, ports)
        made.set_password(PASSWORD)
        yield made
    finally:
        subprocess.run([script, "kill", str(folder)], check=True, timeout=START_S)  # noqa: S603 - our own


def _write(certificate: trustme.LeafCert, path: Path) -> None:
    """A PEM file as Kafka reads it: the key in PKCS#8, and after it the certificates."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(text + b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def _free_ports(count: int) -> list[int]:
    """Free ports below those from which systems take outgoing ones, as the script has them."""
    found: set[int] = set()
    chance = random.Random()
    while len(found) < count:
        port = chance.randrange(20_000, 30_000)
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)


def _properties(folder: Path, ports: dict[str, int]) -> str:
    kinds = {
        "TLS": "SSL",
        "MUTUAL": "SSL",
        "EXPIRED": "SSL",
        "STRANGER": "SSL",
        "SASL": "SASL_SSL",
        "OAUTH": "SASL_SSL",
        "READABLE": "SASL_PLAINTEXT",
    }
    host = {name: "127.0.0.1" if name in {"PLAINTEXT", "CONTROLLER"} else "localhost" for name in ports}
    addresses = ",".join(f"{name}://{host[name]}:{port}" for name, port in ports.items())
    replaced = {
        "listeners": addresses,
        "advertised.listeners": addresses,
        "listener.security.protocol.map": ",".join(
            f"{name}:{kinds.get(name, 'PLAINTEXT')}" for name in ports
        ),
    }
    lines = []
    for line in (ROOT / "server.properties").read_text().splitlines():
        name = line.partition("=")[0]
        text = f"{name}={replaced[name]}" if name in replaced else line
        lines.append(text.replace("@CONTROLLER_PORT@", str(ports["CONTROLLER"])))
    scram = f"{_JAAS}.scram.ScramLoginModule required;"
    bearer = f"{_JAAS}.oauthbearer.OAuthBearerLoginModule required;"
    plain = f'{_JAAS}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
    lines += [
        "ssl.keystore.type=PEM",
        f"ssl.keystore.location={folder / 'server.pem'}",
        "ssl.truststore.type=PEM",
        f"ssl.truststore.location={folder / 'ca.pem'}",
        f"listener.name.expired.ssl.keystore.location={folder / 'expired.pem'}",
        f"listener.name.stranger.ssl.keystore.location={folder / 'stranger.pem'}",
        "listener.name.mutual.ssl.client.auth=required",
        "listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER",
        f"listener.name.oauth.oauthbearer.sasl.jaas.config={bearer}",
        f"listener.name.readable.plain.sasl.jaas.config={plain}",
        "listener.name.readable.sasl.enabled.mechanisms=PLAIN",
        "listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN",
        f"listener.name.sasl.scram-sha-512.sasl.jaas.config={scram}",
        f"listener.name.sasl.scram-sha-256.sasl.jaas.config={scram}",
        f"listener.name.sasl.plain.sasl.jaas.config={plain}",
    ]
    return "\n".join([*lines, ""])


@dataclass
class TokenEndpoint:
    """A token endpoint that gives unsecured tokens to one client, and counts them."""

    url: str
    life_s: float = 3600.0
    is_failing: bool = False
    failures: int = 0
    forms: list[dict[str, list[str]]] = field(default_factory=list)


@contextmanager
def token_endpoint() -> Iterator[TokenEndpoint]:
    """Serve tokens on loopback."""
    right = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            if made.is_failing:
                made.failures += 1
                self.send_error(503)
                return
            is_right = self.headers["Authorization"] == f"Basic {right}"
            body: dict[str, object] = {"error": "invalid_client"}
            if is_right:
                made.forms.append(form)
                body = {"access_token": unsecured(made.life_s), "expires_in": made.life_s}
            self.send_response(200 if is_right else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = TokenEndpoint(f"http://127.0.0.1:{server.server_address[1]}/token")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def unsecured(life_s: float) -> str:
    """A token as Kafka's validator for trials takes it: signed by nobody."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": "crewsync", "iat": now, "exp": now + life_s})
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, ""])
