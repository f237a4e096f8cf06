"""The program at work is asked how it does."""

import re
import signal
import socket
from collections.abc import Mapping
from contextlib import closing

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.e2e.conftest import Demo
from tests.e2e.program import Place, Process


TOKEN = "token-5f4dcc3b5aa7"
SAID = re.compile(r"^Health and metrics: (http://\S+/)$", re.MULTILINE)


def url_of(process: Process) -> str:
    """Where a process says that it can be asked."""
    process.until(lambda: SAID.search(process.stdout) is not None)
    said = SAID.search(process.stdout)
    assert said is not None
    return said[1]


def get(url: str, **headers: str) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=10)


def values(text: str, name: str, *labels: str) -> Mapping[tuple[str, ...], float]:
    """The value of each series of a metric, by the values of some of its labels."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name == name
    }


def test_a_process_at_work_is_live_and_ready_and_tells_what_it_did(place: Place) -> None:
    """Until it is asked to stop: then nobody answers any more."""
    process = place.start("run")
    url = url_of(process)
    assert get(f"{url}live").json() == {"status": "live", "stuck_s": {}}
    process.until(place.finished)
    # What an engine tells of itself may be a second old.
    process.until(lambda: _done(get(f"{url}metrics").text) == (250, 411))
    assert get(f"{url}ready").json() == {"status": "ready", "because": [], "held": []}
    _check_metrics(get(f"{url}metrics").text)
    _check_state(get(f"{url}state").json())
    assert process.stop(signal.SIGINT) == 0
    assert "Traceback" not in process.stdout + process.stderr
    with pytest.raises(httpx.ConnectError):
        get(f"{url}live")


def _done(text: str) -> tuple[float, ...]:
    """The committed offsets of each flow, summed up."""
    committed = values(text, "crewsync_committed_offset", "handler", "partition")
    return tuple(
        sum(offset for (one, _), offset in committed.items() if one == handler)
        for handler in ("users", "timesheets")
    )


def _check_metrics(text: str) -> None:
    ended = values(text, "crewsync_records_total", "handler", "outcome")
    assert {key: count for key, count in ended.items() if count} == {
        ("users", "created"): 178,
        ("users", "updated"): 16,
        ("users", "unchanged"): 4,
        ("users", "skipped"): 52,
        ("timesheets", "created"): 300,
        ("timesheets", "skipped"): 111,
    }
    calls = values(text, "crewsync_http_requests_total", "system", "endpoint", "code_class")
    assert calls["procore", "createTimecardEntry", "2xx"] == 300
    assert calls["smartbarrel", "createWorker", "2xx"] == 178
    assert set(values(text, "crewsync_assigned_partitions", "handler").values()) == {8.0}
    assert set(values(text, "crewsync_consumer_lag_records", "handler", "partition").values()) == {0.0}
    assert set(values(text, "crewsync_breaker_state", "company").values()) == {0.0}
    assert set(values(text, "crewsync_loop_stuck", "loop").values()) == {0.0}


def _check_state(state: dict[str, object]) -> None:
    engines = state["engines"]
    assert isinstance(engines, dict)
    for name, records in (("users", 250), ("timesheets", 411)):
        partitions = engines[name]["partitions"]
        assert [one["partition"] for one in partitions] == list(range(8))
        assert sum(one["frontier"] for one in partitions) == records
        assert all(one["committed"] in {one["frontier"], None} for one in partitions)
        assert [one["company_id"] for one in engines[name]["companies"]] in ([], [4281001])
    turned = state["loops_turned_s_ago"]
    assert isinstance(turned, dict)
    loops = {
        "handlers",
        "users",
        "users-redrive",
        "settings",
        "runner",
        "timesheets",
        "timesheets-redrive",
        "console",
        "sink",
    }
    assert set(turned) == loops
    assert all(age is not None and age < 60 for age in turned.values())
    # Beside the results, how far the two runs are: at their start, after each page, and at their end.
    assert state["sink"] == {"taken": 250 + 411 + 4 + 5, "is_failing": False, "problem": None}
    assert state["not_ready"] == []


def test_beyond_this_machine_state_and_metrics_are_for_whoever_has_the_token(place: Place) -> None:
    process = place.start("run", CREWSYNC_METRICS_HOST="0.0.0.0", CREWSYNC_METRICS_TOKEN=TOKEN)  # noqa: S104
    url = url_of(process).replace("0.0.0.0", "127.0.0.1")  # noqa: S104
    assert get(f"{url}live").json() == {"status": "live"}
    for path in ("state", "metrics"):
        assert get(url + path).status_code == 401
        assert get(url + path, Authorization=f"Bearer {TOKEN}").status_code == 200
    assert process.stop(signal.SIGTERM) == 0
    assert TOKEN not in process.stdout + process.stderr


def test_a_port_that_is_taken_is_told_in_one_line_with_its_setting(place: Place) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        process = place.start("run", CREWSYNC_METRICS_PORT=str(port))
        assert process.end(10) == 2
    said = f"{port} is taken on 127.0.0.1; choose another, or 0 for any free one"
    assert process.stderr == f"crewsync: CREWSYNC_METRICS_PORT: {said}\n"
    assert not place.sandbox.exists()


def test_only_run_serves(demo: Demo) -> None:
    """Several demos and syncs may be made on one machine."""
    assert "Health and metrics" not in demo.second.stdout + demo.second.stderr
