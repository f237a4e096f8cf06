"""Settings that cannot work: one message that says which and why, an exit code, and no secret."""

import socket
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.program import Place, Process


SECRET = "hunter2-7d1f"
REAL = {
    "CREWSYNC_PROCORE_CLIENT_ID": "client",
    "CREWSYNC_PROCORE_CLIENT_SECRET": SECRET,
    "CREWSYNC_SMARTBARREL_URL": "http://127.0.0.1:9",
    "CREWSYNC_SMARTBARREL_API_KEY": SECRET,
    "CREWSYNC_COMPANIES": '[{"company_id": 1, "name": "One", "smartbarrel_company_id": "one"}]',
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in REAL.items() if name not in names}


def refused(process: Process, code: int) -> str:
    """The one message of a process that ended with this code at once."""
    assert process.end(10) == code, process.stdout + process.stderr
    message = process.stderr
    assert message.startswith("crewsync: ")
    assert message.count("crewsync: ") == 1
    assert "Traceback" not in message + process.stdout
    assert SECRET not in message + process.stdout
    return message


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"CREWSYNC_BROKER_ULR": f"kafka://{SECRET}"},
            "CREWSYNC_BROKER_ULR: no such setting; did you mean CREWSYNC_BROKER_URL?",
        ),
        ({"CREWSYNC_LOG_LEVEL": SECRET}, "CREWSYNC_LOG_LEVEL: "),
        ({"CREWSYNC_TOPIC_PREFIX": f"{SECRET} and blanks"}, "CREWSYNC_TOPIC_PREFIX: "),
        (without("CREWSYNC_PROCORE_CLIENT_SECRET"), "CREWSYNC_PROCORE_CLIENT_SECRET"),
        (without("CREWSYNC_SMARTBARREL_API_KEY"), "CREWSYNC_SMARTBARREL_API_KEY_FILE"),
        (without("CREWSYNC_COMPANIES"), "CREWSYNC_COMPANIES"),
        ({**REAL, "CREWSYNC_COMPANIES": f'[{{"procore_client_secret": "{SECRET}",'}, "CREWSYNC_COMPANIES: "),
        (
            {**REAL, "CREWSYNC_COMPANIES": f'[{{"procore_client_secret": "{SECRET}"}}]'},
            "CREWSYNC_COMPANIES (0.name): ",
        ),
        (
            without("CREWSYNC_PROCORE_CLIENT_SECRET")
            | {"CREWSYNC_PROCORE_CLIENT_SECRET_FILE": "absent/secret"},
            "CREWSYNC_PROCORE_CLIENT_SECRET_FILE: the file cannot be read (No such file or directory)",
        ),
        (
            {**REAL, "CREWSYNC_PROCORE_CLIENT_SECRET_FILE": "absent/secret"},
            "CREWSYNC_PROCORE_CLIENT_SECRET_FILE: set together with CREWSYNC_PROCORE_CLIENT_SECRET",
        ),
        (
            {"CREWSYNC_METRICS_HOST": "0.0.0.0"},  # noqa: S104 - it is refused
            "CREWSYNC_METRICS_TOKEN (or CREWSYNC_METRICS_TOKEN_FILE): missing, though CREWSYNC_METRICS_HOST",
        ),
    ],
    ids=[
        "unknown name",
        "unknown level",
        "bad prefix",
        "no client secret",
        "no API key",
        "no companies",
        "broken JSON",
        "incomplete company",
        "absent file",
        "value and file",
        "no token",
    ],
)
def test_a_wrong_setting_is_named(place: Place, settings: Mapping[str, str], problem: str) -> None:
    assert problem in refused(place.start("run", **settings), 2)
    assert not place.broker.exists()


def test_all_problems_come_in_one_message(place: Place) -> None:
    message = refused(place.start("run", CREWSYNC_BROKER_ULR="x", CREWSYNC_LOG_LEVEL="loud"), 2)
    assert [line.partition(":")[0].strip() for line in message.splitlines()] == [
        "crewsync",
        "CREWSYNC_BROKER_ULR",
        "CREWSYNC_LOG_LEVEL",
    ]


def test_a_secret_s_file_that_is_a_directory_is_named(place: Place) -> None:
    settings = without("CREWSYNC_SMARTBARREL_API_KEY") | {"CREWSYNC_SMARTBARREL_API_KEY_FILE": "."}
    assert "CREWSYNC_SMARTBARREL_API_KEY_FILE: " in refused(place.start("run", **settings), 2)


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://crew:{SECRET}@host/db",
        "embedded:",
        f"embedded://{SECRET}",
        f"kafka://crew:{SECRET}@host:9092",
        "kafka://host",
        "nonsense",
    ],
)
def test_a_bad_broker_url_is_named_and_not_repeated(place: Place, url: str) -> None:
    assert "CREWSYNC_BROKER_URL" in refused(place.start("run", CREWSYNC_BROKER_URL=url), 2)


def test_a_mistake_in_the_env_file_counts_as_well(place: Place) -> None:
    (place.folder / ".env").write_text(f"CREWSYNC_SMARTBARREL_API_KEI={SECRET}\n")
    message = refused(place.start("run"), 2)
    assert (
        "CREWSYNC_SMARTBARREL_API_KEI: no such setting; did you mean CREWSYNC_SMARTBARREL_API_KEY?" in message
    )


def test_a_kafka_broker_that_does_not_answer_is_named(place: Place) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: whoever connects is refused
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        message = refused(place.start("run", CREWSYNC_BROKER_URL=f"kafka://{address}"), 3)
    assert address in message
    assert len(message.splitlines()) == 1


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE somebody_elses (thing TEXT)")
        db.commit()


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, foreign_database, lambda path: path.write_text("no database, but a diary\n" * 100)],
    ids=["directory", "foreign database", "text file"],
)
def test_a_broker_s_file_that_is_not_ours_is_named_and_left_alone(
    place: Place, make: Callable[[Path], object]
) -> None:
    path = place.folder / "mine"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    message = refused(place.start("run", CREWSYNC_BROKER_URL="embedded:mine"), 3)
    assert str(path) in message
    assert len(message.splitlines()) == 1
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("arguments", [["run"], ["demo", "--json"], ["sync", "users"]], ids=" ".join)
def test_a_log_directory_that_cannot_be_used_is_named(place: Place, arguments: list[str]) -> None:
    (place.folder / "file").write_text("no directory")
    process = place.start(*arguments, CREWSYNC_LOG_DIR="file")
    assert process.end(10) in {1, 2, 3}
    (said,) = (line for line in process.stderr.splitlines() if line.startswith("crewsync: "))
    assert "file" in said
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    "make",
    [Path.mkdir, foreign_database, lambda path: path.write_text("no database, but a diary\n" * 100)],
    ids=["directory", "foreign database", "text file"],
)
def test_a_sandbox_s_file_that_is_not_ours_is_named_and_left_alone(
    place: Place, make: Callable[[Path], object]
) -> None:
    path = place.folder / "mine"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    assert "mine" in refused(place.start("run", CREWSYNC_SANDBOX_STATE="mine"), 2)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_faults_that_cannot_be_read_are_named_and_leave_no_sandbox(place: Place) -> None:
    (place.folder / "faults.toml").write_text("[[rules]]\nfault = 'rest'\n")
    message = refused(place.start("demo", CREWSYNC_SANDBOX_FAULTS="faults.toml"), 2)
    assert "faults.toml" in message
    assert "rules.1.fault" in message
    assert not place.sandbox.exists()


def test_an_env_file_that_is_no_text_is_named(place: Place) -> None:
    (place.folder / ".env").write_bytes(b"CREWSYNC_LOG_LEVEL=info\xff\xfe\n")
    assert ".env" in refused(place.start("run"), 2)
