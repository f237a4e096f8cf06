"""No personal data where operators look: process log, answers about health, metrics, headers of records."""

import json
import re
import signal
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.expected import SMARTBARREL, USERS, Body
from tests.e2e.program import Place, Process
from tests.e2e.test_health import url_of


FAULTS = """
seed = 20261128

[[rules]]
system = "smartbarrel"
method = "POST"
after = 20
times = 400
fault = "status=503"

[[rules]]
system = "procore"
method = "POST"
probability = 0.05
fault = "status=422"
"""
ORDINARY = {"Young", "Long", "May", "Will", "Grant", "Mark", "Chance", "Page", "Black"}
"""Names that are words of English too; with the other part of the name they are looked for all the same."""
_WORDS = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")


def people() -> Iterable[tuple[str, str, str, str]]:
    """First and last name, e-mail and phone of everybody in both systems."""
    for user in USERS.values():
        yield tuple(
            user.get(name) or "" for name in ("first_name", "last_name", "email_address", "mobile_phone")
        )  # type: ignore[misc]
    for worker in SMARTBARREL["workers"]:
        yield _fields(worker, "first_name", "last_name", "email", "phone_number")


def _fields(body: Body, first: str, last: str, email: str, phone: str) -> tuple[str, str, str, str]:
    return body.get(first) or "", body.get(last) or "", body.get(email) or "", body.get(phone) or ""


@dataclass(frozen=True)
class Personal:
    """What must not be seen: as it is written, and the digits of phone numbers however they are written."""

    names: frozenset[str]
    whole_names: frozenset[str]
    emails: frozenset[str]
    digits: frozenset[str]

    def in_text(self, text: str) -> set[str]:
        """What of it stands in a text."""
        found = {one for one in self.emails | self.whole_names if one.lower() in text.lower()}
        found |= self.names & set(_WORDS.findall(text))
        bare = re.sub(r"(?<=\d)[ ().-]+(?=\d)", "", text)
        return found | {one for one in self.digits if one in bare}


@pytest.fixture(scope="module")
def personal() -> Personal:
    everybody = list(people())
    names = {part.strip() for person in everybody for part in person[:2]}
    found = Personal(
        names=frozenset(name for name in names if len(name) > 2) - ORDINARY,
        whole_names=frozenset(f"{first} {last}".strip() for first, last, _, _ in everybody if first and last),
        emails=frozenset(email.strip().lower() for _, _, email, _ in everybody if "@" in email),
        digits=frozenset(
            digits[-10:] for _, _, _, phone in everybody if len(digits := re.sub(r"\D", "", phone)) > 9
        ),
    )
    assert all(len(part) > 100 for part in (found.names, found.emails, found.digits))
    return found


def start(place: Place, **settings: str) -> Process:
    (place.folder / "faults.toml").write_text(FAULTS, "utf-8")
    return place.start(
        "run",
        CREWSYNC_LOG_LEVEL="debug",
        CREWSYNC_HOLD_S="2",
        CREWSYNC_SANDBOX_FAULTS="faults.toml",
        **settings,
    )


def headers_of_records(broker: Path) -> str:
    with closing(sqlite3.connect(f"file:{broker}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT headers FROM records WHERE headers IS NOT NULL").fetchall()
    assert rows, "faults were to lead to dead letters, whose headers tell why"
    # Latin-1 stands for bytes there; names would be UTF-8.
    values = [value for (row,) in rows for _, value in json.loads(row)]
    return "\n".join(value.encode("latin-1").decode("utf-8", "replace") for value in values)


def test_a_whole_demo_under_faults_shows_no_name_phone_or_email_to_operators(
    place: Place, personal: Personal
) -> None:
    process = start(place)
    url = url_of(process)
    process.until(place.finished)
    answers = [
        httpx.get(url + path, timeout=10) for path in ("", "live", "ready", "state", "metrics", "nothing")
    ]
    assert process.stop(signal.SIGINT) == 0
    seen = {
        "standard output": process.stdout,
        "process log": process.stderr,
        "headers of records": headers_of_records(place.broker),
        **{f"answer of {answer.url.path}": answer.text for answer in answers},
        **{f"headers of {answer.url.path}": str(answer.headers) for answer in answers},
    }
    assert len(seen["process log"] + seen["standard output"]) > 1000
    leaks = {where: sorted(found)[:5] for where, text in seen.items() if (found := personal.in_text(text))}
    assert leaks == {}


def test_a_phone_that_is_logged_on_purpose_is_seen(place: Place, personal: Personal) -> None:
    """So that the test above can fail: the same program, but for a line that logs what it must not."""
    (place.folder / "sitecustomize.py").write_text(
        "import structlog\n"
        "from consumer.sync.users import UserHandler\n"
        "subject = UserHandler.subject\n"
        "def telling(self, event):\n"
        "    structlog.get_logger('test').info('told', phone=event.mobile_phone)\n"
        "    return subject(self, event)\n"
        "UserHandler.subject = telling\n",
        "utf-8",
    )
    process = start(place, PYTHONPATH=str(place.folder))
    process.until(lambda: bool(personal.in_text(process.stdout + process.stderr)))


@pytest.mark.parametrize("text", ["tel (512) 555-0142", "+1 512.555.0142", "15125550142"])
def test_a_phone_is_seen_however_it_is_written(text: str) -> None:
    nobody = frozenset[str]()
    assert Personal(nobody, nobody, nobody, frozenset({"5125550142"})).in_text(text) == {"5125550142"}
