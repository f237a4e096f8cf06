"""Which log a result belongs to, and what its file is called."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.model.events import Kind, Trigger
from consumer.model.results import RunMarker
from consumer.sink.naming import LogKey, file_path, safe_name
from tests.sink.scene import marker, result


RUN_IDS = st.text(st.characters(codec="utf-8")) | st.text("aA.%/-_\\\0é", max_size=5)


def test_a_runs_file_tells_kind_start_trigger_and_run() -> None:
    """A run's file is named by its kind, start, trigger and id, in its company's folder."""
    path = file_path(LogKey.of(result(1)), marker(1, trigger=Trigger.REPLAY))

    assert str(path) == "4100/users-20261123T071500Z-replay-r1.txt"


def test_a_run_without_a_marker_has_a_name_for_the_time_being() -> None:
    """A run whose start is not known yet is named by its kind and id."""
    assert str(file_path(LogKey.of(result(1)), None)) == "4100/users-run-r1.txt"


def test_a_day_is_the_utc_day_of_handling() -> None:
    """A result outside any run belongs to the UTC day of its handling, whatever zone it is told in."""
    late = datetime.fromisoformat("2026-11-23T20:00:00-08:00")
    outside = result(1, run_id=None, company_id=None, kind=Kind.TIMESHEETS, handled_at=late)

    assert str(file_path(LogKey.of(outside), None)) == "unknown/timesheets-20261124.txt"


@pytest.mark.parametrize(
    ("run_id", "expected"),
    [
        ("0193-Ab.c_9", "0193-Ab.c_9"),
        ("", "%"),
        ("..", "%2E%2E"),
        (".hidden", "%2Ehidden"),
        ("../../etc/passwd", "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"),
        ("a\\b:c\0d\n", "a%5Cb%3Ac%00d%0A"),
        ("día", "d%C3%ADa"),
        ("100%", "100%25"),
    ],
)
def test_harmless_ids_stay_and_others_are_encoded(run_id: str, expected: str) -> None:
    """A harmless id names its file as it is; every other character is percent-encoded."""
    assert safe_name(run_id) == expected


def test_an_overlong_id_becomes_a_hash() -> None:
    """An id that would not fit into a file name is replaced by its SHA-256."""
    assert re.fullmatch(r"sha256-[0-9a-f]{64}", safe_name("x" * 65))
    assert re.fullmatch(r"sha256-[0-9a-f]{64}", safe_name("é" * 60))


@given(RUN_IDS, RUN_IDS)
@example("%", "")
@example("%2E", ".")
@example("é" * 60, safe_name("é" * 60))
def test_different_ids_never_share_a_file_and_none_leaves_the_directory(one: str, other: str) -> None:
    """Any id gives a name within its folder that the file system takes, and no other id gives the same."""
    name = safe_name(one)

    assert re.fullmatch(r"[A-Za-z0-9._%-]{1,120}", name)
    assert not name.startswith(".")
    assert (safe_name(other) == name) == (one == other)


@given(st.none() | st.integers(0, 2**63 - 1), st.sampled_from(Kind), RUN_IDS)
def test_a_log_key_survives_as_text(company_id: int | None, kind: Kind, run_id: str) -> None:
    """A key read back from its text is the same key."""
    for key in (LogKey(company_id, kind, run_id=run_id), LogKey(company_id, kind, day=date(2026, 11, 23))):
        assert LogKey.parse(str(key)) == key


@given(RUN_IDS)
def test_the_longest_file_name_fits(run_id: str) -> None:
    """A file name stays within the 255 bytes that file systems allow."""
    started = datetime(2026, 11, 23, tzinfo=UTC)
    announced = RunMarker(1, Kind.TIMESHEETS, run_id, Trigger.AUTOMATIC, "Dana", started, 1)
    path = Path(file_path(LogKey.of(announced), announced))

    assert path.parent == Path("1")
    assert len(path.name.encode()) <= 255
