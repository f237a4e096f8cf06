"""Folders that cannot be used, and secrets that anybody can read."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from consumer.doctor import files
from consumer.doctor.files import folder_findings, secret_findings
from consumer.doctor.findings import Level


MIB = 2**20


class Usage(NamedTuple):
    """What ``shutil.disk_usage`` gives, as far as it is looked at."""

    free: int


@pytest.mark.parametrize(
    ("free", "level"), [(600 * MIB, Level.OK), (500 * MIB, Level.WARN), (15 * MIB, Level.FAIL)]
)
def test_a_disk_that_is_nearly_full_warns_and_a_full_one_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, level: Level
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free))
    (finding,) = folder_findings("log directory", tmp_path)
    assert finding.level is level
    assert bool(finding.remedy) == (level is not Level.OK)


def test_a_folder_that_refuses_a_file_fails_with_the_system_s_own_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Permissions allow root everything, so the file system refuses here as a read-only one does."""

    def refuse(**_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "TemporaryFile", refuse)
    (finding,) = folder_findings("log directory", tmp_path)
    assert finding.level is Level.FAIL
    assert "(Read-only file system)" in finding.what


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    (finding,) = folder_findings("log directory", tmp_path / "a" / "b")
    assert finding.level is Level.OK
    assert list(tmp_path.iterdir()) == []


def test_looking_at_a_folder_leaves_nothing_in_it(tmp_path: Path) -> None:
    (finding,) = folder_findings("log directory", tmp_path)
    assert finding.level is Level.OK
    assert list(tmp_path.iterdir()) == []


def written(path: Path, text: str, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


SECRET = "CREWSYNC_SMARTBARREL_API_KEY"


def in_env_file(folder: Path) -> dict[str, str]:
    written(folder / ".env", f"{SECRET}=hush\n")
    return {}


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda folder: {f"{SECRET}_FILE": str(written(folder / "key", "hush"))}, "key"),
        (in_env_file, ".env"),
        (
            lambda folder: {
                "CREWSYNC_COMPANIES": str(
                    written(folder / "companies.toml", 'procore_client_secret = "hush"\n')
                )
            },
            "companies.toml",
        ),
    ],
    ids=["a secret's file", "the settings' file", "the companies' file"],
)
def test_whatever_file_holds_a_secret_must_be_closed_to_others(
    tmp_path: Path, make: Callable[[Path], dict[str, str]], name: str
) -> None:
    given = make(tmp_path)
    (finding,) = secret_findings(given, tmp_path / ".env")
    assert finding.level is Level.WARN
    assert finding.remedy == f"chmod o= {tmp_path / name}"
    (tmp_path / name).chmod(0o640)
    assert [one.level for one in secret_findings(given, tmp_path / ".env")] == [Level.OK]
    assert "hush" not in finding.what


@pytest.mark.parametrize(
    "companies", ["", "absent.toml", '[{"procore_client_secret": "hush"}]', "[" + "x" * 10_000]
)
def test_without_a_secret_in_a_file_there_is_nothing_to_say(tmp_path: Path, companies: str) -> None:
    written(tmp_path / ".env", "CREWSYNC_LOG_LEVEL=info\n")
    given = {"CREWSYNC_COMPANIES": companies, "OTHER_FILE": "/etc/hostname"}
    assert list(secret_findings(given, tmp_path / ".env")) == []


def test_certificates_are_no_secrets_but_a_key_in_their_file_is(tmp_path: Path) -> None:
    path = str(written(tmp_path / "file.pem", "a certificate"))
    key = str(written(tmp_path / "key.pem", "a key", 0o600))
    certificates = {"CREWSYNC_KAFKA_CA_FILE": path, "CREWSYNC_KAFKA_CERT_FILE": path}
    with_key = [one.level for one in secret_findings(certificates, tmp_path / ".env")]
    assert with_key == [Level.WARN]
    apart = {**certificates, "CREWSYNC_KAFKA_KEY_FILE": key}
    assert [one.level for one in secret_findings(apart, tmp_path / ".env")] == [Level.OK]
