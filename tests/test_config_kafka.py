"""The settings of Kafka's TLS and SASL: what goes together, and that no secret is shown."""

from collections.abc import Callable
from pathlib import Path

import pytest

from consumer import config
from consumer.broker.security import PLAINTEXT, OAuth, Password, Security, Tls
from consumer.config import Config
from consumer.exceptions import ConfigurationError
from consumer.secret import Secret


KAFKA = {"CREWSYNC_BROKER_URL": "kafka://localhost:9092"}
PASSWORD = "correct horse, battery=staple"
SCRAM = {
    **KAFKA,
    "CREWSYNC_KAFKA_SECURITY": "sasl_tls",
    "CREWSYNC_KAFKA_USERNAME": "site-office",
    "CREWSYNC_KAFKA_PASSWORD": PASSWORD,
}
OAUTH = {
    **KAFKA,
    "CREWSYNC_KAFKA_SECURITY": "sasl_tls",
    "CREWSYNC_KAFKA_SASL_MECHANISM": "OAUTHBEARER",
    "CREWSYNC_KAFKA_OAUTH_URL": "https://login.example/token",
    "CREWSYNC_KAFKA_OAUTH_CLIENT_ID": "crewsync",
    "CREWSYNC_KAFKA_OAUTH_CLIENT_SECRET": PASSWORD,
}
Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads these settings and no others."""
    return lambda variables: config.load(variables, tmp_path / "nothing")


@pytest.fixture
def problems(load: Load) -> Callable[[dict[str, str]], list[str]]:
    """The lines with which settings are refused, in order."""

    def told(variables: dict[str, str]) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            load(variables)
        assert PASSWORD not in str(caught.value)
        return [line.strip() for line in str(caught.value).splitlines()[1:]]

    return told


@pytest.fixture
def pem(tmp_path: Path) -> str:
    """A file that can be read."""
    path = tmp_path / "file.pem"
    path.write_text("a certificate")
    return str(path)


def test_without_settings_kafka_is_spoken_to_in_plain_text(load: Load) -> None:
    assert load(KAFKA).security == PLAINTEXT


def test_tls_has_its_files(load: Load, pem: str, tmp_path: Path) -> None:
    (tmp_path / "key-password").write_text(f"{PASSWORD}\n")
    files = {f"CREWSYNC_KAFKA_{name}_FILE": pem for name in ("CA", "CERT", "KEY")}
    password = {"CREWSYNC_KAFKA_KEY_PASSWORD_FILE": str(tmp_path / "key-password")}
    security = load({**KAFKA, "CREWSYNC_KAFKA_SECURITY": "tls", **files, **password}).security
    key_password = Secret(PASSWORD, tmp_path / "key-password")
    assert security == Security(Tls(Path(pem), Path(pem), Path(pem), key_password))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_a_password_goes_with_each_of_its_mechanisms(load: Load, mechanism: str) -> None:
    security = load({**SCRAM, "CREWSYNC_KAFKA_SASL_MECHANISM": mechanism}).security
    assert security == Security(Tls(), Password("site-office", Secret(PASSWORD), mechanism))  # type: ignore[arg-type] # one of the three


def test_scram_sha_512_is_the_default_mechanism(load: Load) -> None:
    assert load(SCRAM).security.sasl == Password("site-office", Secret(PASSWORD), "SCRAM-SHA-512")


def test_oauth_has_its_endpoint_and_scope(load: Load) -> None:
    security = load({**OAUTH, "CREWSYNC_KAFKA_OAUTH_SCOPE": "kafka"}).security
    assert security.sasl == OAuth("https://login.example/token", "crewsync", Secret(PASSWORD), "kafka")


def test_a_secret_that_is_a_file_is_known_by_its_file(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("before")
    given = {name: value for name, value in SCRAM.items() if name != "CREWSYNC_KAFKA_PASSWORD"}
    sasl = load({**given, "CREWSYNC_KAFKA_PASSWORD_FILE": str(path)}).security.sasl
    assert isinstance(sasl, Password)
    path.write_text("after\n")
    assert sasl.password.read() == "after"
    path.unlink()
    assert sasl.password.read() == "before"


@pytest.mark.parametrize("settings", [SCRAM, OAUTH])
def test_no_secret_is_in_a_repr(load: Load, settings: dict[str, str]) -> None:
    loaded = load(settings)
    assert PASSWORD not in f"{loaded!r} {loaded} {loaded.security!r} {loaded.security}"


@pytest.mark.parametrize("settings", [SCRAM, OAUTH])
def test_credentials_are_not_sent_over_plain_text_unless_that_is_forced(
    load: Load, problems: Callable[[dict[str, str]], list[str]], settings: dict[str, str]
) -> None:
    readable = {**settings, "CREWSYNC_KAFKA_SECURITY": "sasl_plaintext"}
    (line,) = problems(readable)
    assert line.startswith("CREWSYNC_KAFKA_SECURITY: sends credentials unencrypted")
    assert "CREWSYNC_KAFKA_ALLOW_PLAINTEXT_CREDENTIALS=true" in line
    assert problems({**readable, "CREWSYNC_KAFKA_ALLOW_PLAINTEXT_CREDENTIALS": "false"}) == [line]
    security = load({**readable, "CREWSYNC_KAFKA_ALLOW_PLAINTEXT_CREDENTIALS": "true"}).security
    assert security.tls is None
    assert security.sasl is not None


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("http://login.example/token", True),
        ("HTTP://10.0.0.7/token", True),
        ("http://127.0.0.1:8080/token", False),
        ("http://localhost/token", False),
    ],
)
def test_a_client_secret_is_not_sent_over_plain_text_beyond_this_machine(
    load: Load, problems: Callable[[dict[str, str]], list[str]], url: str, is_refused: bool
) -> None:
    given = {**OAUTH, "CREWSYNC_KAFKA_OAUTH_URL": url}
    if is_refused:
        (line,) = problems(given)
        assert line.startswith("CREWSYNC_KAFKA_OAUTH_URL: sends credentials unencrypted")
        given["CREWSYNC_KAFKA_ALLOW_PLAINTEXT_CREDENTIALS"] = "true"
    assert load(given).security.sasl is not None


def test_all_that_does_not_go_with_the_mode_or_is_missing_is_told_at_once(
    problems: Callable[[dict[str, str]], list[str]], pem: str
) -> None:
    def names(variables: dict[str, str]) -> list[str]:
        return [line.partition(":")[0].removeprefix("CREWSYNC_KAFKA_") for line in problems(variables)]

    user, secret = {"CREWSYNC_KAFKA_USERNAME": "anna"}, {"CREWSYNC_KAFKA_PASSWORD": PASSWORD}
    tls = {**KAFKA, "CREWSYNC_KAFKA_SECURITY": "tls"}
    assert names({**tls, **user, **secret}) == ["PASSWORD", "USERNAME"]
    assert names({**KAFKA, "CREWSYNC_KAFKA_CA_FILE": pem, **user}) == ["CA_FILE", "USERNAME"]
    assert names({**tls, "CREWSYNC_KAFKA_KEY_FILE": pem}) == ["KEY_FILE"]
    sasl = {**KAFKA, "CREWSYNC_KAFKA_SECURITY": "sasl_tls"}
    assert names(sasl) == ["PASSWORD (or CREWSYNC_KAFKA_PASSWORD_FILE)", "USERNAME"]
    assert names({**SCRAM, "CREWSYNC_KAFKA_OAUTH_SCOPE": "kafka"}) == ["OAUTH_SCOPE"]
    assert names({**OAUTH, **user}) == ["USERNAME"]
    assert names({**tls, "CREWSYNC_KAFKA_CA_FILE": f"{pem}.not"}) == ["CA_FILE"]
    assert names({**KAFKA, "CREWSYNC_KAFKA_SECURITY": "ssl", **user}) == ["SECURITY"]
    assert names({**SCRAM, "CREWSYNC_KAFKA_SASL_MECHANISM": "GSSAPI"}) == ["SASL_MECHANISM"]


def test_an_oauth_address_with_credentials_in_it_is_refused(
    problems: Callable[[dict[str, str]], list[str]],
) -> None:
    (line,) = problems({**OAUTH, "CREWSYNC_KAFKA_OAUTH_URL": "https://anna:s3cret@login.example/token"})
    assert line.startswith("CREWSYNC_KAFKA_OAUTH_URL: must hold no credentials")
    assert "s3cret" not in line


def test_nothing_of_kafka_s_is_set_for_an_embedded_broker(
    problems: Callable[[dict[str, str]], list[str]],
) -> None:
    lines = problems({name: value for name, value in SCRAM.items() if name != "CREWSYNC_BROKER_URL"})
    assert [line.partition(": ")[2] for line in lines] == ["for Kafka only, but the broker is embedded"] * 3
