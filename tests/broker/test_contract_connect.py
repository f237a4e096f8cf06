"""Which broker a URL means."""

from pathlib import Path

import pytest

from consumer.broker.connect import connect
from consumer.broker.embedded import EmbeddedBroker
from consumer.exceptions import BrokerUnavailable, ConfigurationError


def test_an_embedded_url_opens_the_file_and_makes_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "var" / "broker.db"
    with connect(f"embedded:{path}") as broker:
        assert isinstance(broker, EmbeddedBroker)
        assert path.is_file()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "broker.db",
        "embedded:",
        "embedded://broker.db",
        "redis://localhost:1",
        "kafka:localhost:9092",
        "kafka://",
        "kafka://localhost",
        "kafka://:9092",
        "kafka://localhost:port",
        "kafka://localhost:70000",
        "kafka://one:9092,two",
    ],
)
def test_any_other_url_is_refused_with_what_would_be_right(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"embedded:PATH|HOST:PORT"):
        connect(url)


@pytest.mark.parametrize("url", ["kafka://anna:s3cret@host:9092", "anna-s3cret@host", "s3cret:anna@host:1"])
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        connect(url)
    assert "anna" not in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_a_path_that_cannot_be_a_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnavailable, match=tmp_path.name):
        connect(f"embedded:{tmp_path}")
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(BrokerUnavailable, match="file"):
        connect(f"embedded:{tmp_path / 'file' / 'broker.db'}")
