"""What is there after a sync, and whether it is what must be there."""

import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from consumer.broker.connect import connect
from consumer.broker.port import Broker, Record
from consumer.model.codec import Codec
from consumer.model.results import Phase, Result, RunMarker
from consumer.sandbox.store import SandboxState
from consumer.topics import TopicNames
from tests.e2e.expected import (
    PROCORE,
    SMARTBARREL,
    Body,
    Ending,
    Expected,
    code_of,
)
from tests.e2e.program import PATIENCE_S


Identity = tuple[str, int, int]
"""Topic, partition and offset of an event."""

_ENTRY = re.compile(r"- (?P<name>.*) \(id (?P<id>[^()]+)\)(: (?P<outcome>[a-z]+))?")
_SECTION = re.compile(r"(Synced|Not synced|Warnings) \(([0-9]+)\)")
_COUNT = re.compile(r" *([A-Za-z ]+?) +([0-9]+)(?: people| shifts)?")


@dataclass(frozen=True)
class Logged:
    """What one entry of a log says."""

    name: str
    subject_id: str
    outcome: str | None
    lines: tuple[str, ...]

    @property
    def codes(self) -> frozenset[str]:
        """The codes of its reasons; the line before them says what was synced, and where."""
        known = []
        for line in self.lines:
            try:
                known.append(code_of(line))
            except ValueError:
                assert not known, f"{line!r} stands among the reasons of {self.subject_id}"
        assert len(known) == len(set(known)), f"{self.subject_id} has a reason twice"
        return frozenset(known)


@dataclass(frozen=True)
class LogFile:
    """A log file's head, counts and sections."""

    head: Mapping[str, str]
    counts: Mapping[str, int]
    sections: Mapping[str, list[Logged]]

    @property
    def subjects(self) -> list[Logged]:
        """Everybody whom it names as synced or not synced."""
        return [*self.sections["Synced"], *self.sections["Not synced"]]


@dataclass
class SyncLog:
    """All records of the events' topics and of ``sync-log``."""

    events: dict[Identity, str] = field(default_factory=dict)
    """Each event's key."""
    results: list[Result] = field(default_factory=list)
    markers: list[RunMarker] = field(default_factory=list)
    """How far each run is in the end, but for those that joined another."""

    def of_run(self, number: int, kind: str) -> dict[str, Result]:
        """The results of the kind's first (0), second (1), … run, by subject."""
        runs = sorted((marker for marker in self.markers if marker.kind == kind), key=lambda m: m.started_at)
        found = [result for result in self.results if result.run_id == runs[number].run_id]
        assert len(found) == runs[number].expected
        by_subject = {result.subject_id: result for result in found}
        assert len(by_subject) == len(found), "somebody has two results in one run"
        return by_subject


def read_sync_log(url: str, prefix: str = "") -> SyncLog:
    """Read the topics of a broker that no process has open, as a read-committed reader sees them."""
    names, codec, log = TopicNames(prefix), Codec(), SyncLog()
    latest: dict[str, RunMarker] = {}
    with connect(url) as broker:
        for topic in (names.user_events, names.timesheet_events):
            for record in _records(broker, topic):
                log.events[(topic, record.partition, record.offset)] = (record.key or b"").decode()
        for record in _records(broker, names.sync_log):
            value = codec.decode(record.value or b"", Result, RunMarker)
            if isinstance(value, Result):
                log.results.append(value)
            else:
                latest[value.run_id] = value
    log.markers = [marker for marker in latest.values() if marker.phase is not Phase.JOINED]
    return log


def read_log_file(path: Path) -> LogFile:
    """Read a log file as people do."""
    head: dict[str, str] = {}
    counts: dict[str, int] = {}
    sections: dict[str, list[Logged]] = {}
    announced: dict[str, int] = {}
    section = "head"
    for line in path.read_text("utf-8").splitlines():
        if found := _SECTION.fullmatch(line):
            section, announced[found[1]] = found[1], int(found[2])
            sections[section] = []
        elif section != "head" and (entry := _ENTRY.fullmatch(line)):
            sections[section].append(Logged(entry["name"], entry["id"], entry["outcome"], ()))
        elif section != "head" and line.startswith("    "):
            last = sections[section].pop()
            lines = (*last.lines, line.strip())
            sections[section].append(Logged(last.name, last.subject_id, last.outcome, lines))
        elif section == "head" and (label := re.fullmatch(r"([A-Z][a-z ]+): +(.*)", line)):
            head[label[1]] = label[2]
        elif section == "head" and (count := _COUNT.fullmatch(line)):
            counts[count[1]] = int(count[2])
    assert {name: len(entries) for name, entries in sections.items()} == announced
    return LogFile(head, counts, sections)


def name_order(name: str) -> str:
    """A name without case and accents, by which people look for it."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return bare.casefold()


def endings(results: Mapping[str, Result]) -> dict[str, Ending]:
    """How the events ended, as ``sync-log`` says."""
    return {
        subject: Ending(str(result.outcome), _codes(result.reasons), _codes(result.warnings))
        for subject, result in results.items()
    }


def logged_endings(log: LogFile) -> dict[str, Ending]:
    """How the events ended, as a log file says."""
    warned = {entry.subject_id: entry.codes for entry in log.sections["Warnings"]}
    return {
        entry.subject_id: Ending(entry.outcome or "", entry.codes, warned.get(entry.subject_id, frozenset()))
        for entry in log.subjects
    }


def check_one_result_each(log: SyncLog) -> None:
    """Every event has exactly one result, which names the event's own subject, and no result has no event."""
    sources = [(r.source_topic, r.source_partition, r.source_offset) for r in log.results]
    assert [source for source, count in Counter(sources).items() if count > 1] == []
    assert set(sources) == set(log.events)
    for result, source in zip(log.results, sources, strict=True):
        if result.kind == "users":
            assert log.events[source] == f"{PROCORE['company']['id']}:{result.subject_id}"


def check_workers(found: Iterable[Body], expected: Expected) -> None:
    """SmartBarrel has exactly the expected workers: those of before, changed or untouched, and the new."""
    old, new = expected.workers
    created: dict[str, Body] = {}
    kept: dict[str, Body] = {}
    for worker in found:
        if worker["id"] in old:
            kept[worker["id"]] = {name: worker[name] for name in old[worker["id"]]}
        else:
            made = {k: v for k, v in worker.items() if k not in {"id", "created_at", "updated_at"}}
            assert made["external_id"] not in created, f"{made['external_id']} was created twice"
            created[made["external_id"]] = made
    assert kept == old
    assert created == new


def check_procore(state: SandboxState, expected: Expected) -> None:
    """Procore has exactly the expected people and timecard entries, and nothing else was touched."""
    people = state.people()
    before = {person["id"]: person for person in PROCORE["people"]}
    created = [person for person in people if person["id"] not in before]
    assert _as_before(people, before) == before
    assert _as_before(state.users(), users := {user["id"]: user for user in PROCORE["users"]}) == users
    _check_classifications(state, expected)

    contacts = _by_origin_id(created)
    shown = {
        origin_id: {name: contacts[origin_id][name] for name in contact} if origin_id in contacts else None
        for origin_id, contact in expected.contacts.items()
    }
    assert shown == expected.contacts
    assert contacts.keys() == expected.contacts.keys()

    entries = _by_origin_id(state.timecard_entries())
    wanted = {
        origin_id: {**entry, "party_id": _id_of(entry["party_id"], contacts)}
        for origin_id, entry in expected.entries.items()
    }
    assert {
        origin_id: {name: entry[name] for name in wanted.get(origin_id, entry)}
        | {"hours": Decimal(entry["hours"])}
        for origin_id, entry in entries.items()
    } == wanted


def _check_classifications(state: SandboxState, expected: Expected) -> None:
    """Each position of a contact is one classification, and a new one is linked from its position."""
    classifications = {one["id"]: one for one in state.work_classifications()}
    names = {key: one["name"].casefold() for key, one in classifications.items()}
    assert sorted(names.values()) == sorted(expected.classifications)
    assert {
        entry["origin_id"]: names[entry["work_classification_id"]]
        for entry in state.timecard_entries()
        if entry["work_classification_id"] is not None
    } == expected.classified
    for entry in state.timecard_entries():
        known = classifications.get(entry["work_classification_id"])
        assert known is None or entry["project_id"] in known["active_project_ids"]
    before = {one["id"] for one in PROCORE["work_classifications"]}
    made = {names[key]: f"procore:{key}" for key in classifications.keys() - before}
    for now, was in zip(state.positions(), SMARTBARREL["positions"], strict=True):
        # A kill right after the classification was made leaves its position without a link.
        assert now["external_id"] in {was["external_id"], made.get(was["name"].casefold())}
        assert {**now, "external_id": was["external_id"]} == {"created_at": now["created_at"], **was}


def check_all(url: str, folder: Path, prefix: str = "", *, to_the_letter: bool) -> Expected:
    """After one run of users and one of timesheets, all is there, and nothing is there twice.

    ``to_the_letter`` also asks for the very outcomes; a killed process may have done what the next one then
    finds unchanged.
    """
    state = SandboxState(folder / "var" / "sandbox.db")
    expected = Expected.seen(state.workers())
    check_workers(state.workers(), expected)
    check_procore(state, expected)

    log = read_sync_log(url, prefix)
    check_one_result_each(log)
    assert sorted(str(marker.kind) for marker in log.markers) == ["timesheets", "users"]
    for kind, wanted in (("users", expected.users), ("timesheets", expected.timesheets)):
        (path,) = (folder / "var" / "sync-logs").glob(f"*/{kind}-*.txt")
        written = read_log_file(path)
        assert written.head["Status"] == "complete"
        assert len(written.subjects) == len({entry.subject_id for entry in written.subjects})
        for seen in (endings(log.of_run(0, kind)), logged_endings(written)):
            if to_the_letter:
                assert seen == wanted
            else:
                assert loosely(seen) == loosely(wanted)
    return expected


def loosely(all_endings: Mapping[str, Ending]) -> dict[str, Ending]:
    """All endings, with every way of being synced alike."""
    return {subject: ending.loosely for subject, ending in all_endings.items()}


def _records(broker: Broker, topic: str) -> list[Record]:
    partitions = broker.partitions(topic)
    reader = broker.reader(partitions)
    records: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    try:
        ends = reader.end_offsets(partitions)
        while any(reader.position(partition) < end for partition, end in ends.items()):
            assert time.monotonic() < deadline, f"{topic} cannot be read to its end"
            records += reader.poll(0.2)
    finally:
        reader.close()
    return records


def _codes(reasons: Iterable[Any]) -> frozenset[str]:
    for reason in reasons:
        # The code and the sentence of a reason belong together, whoever reads which.
        assert code_of(reason.message) == reason.code
    return frozenset(reason.code for reason in reasons)


def _as_before(found: Iterable[Body], before: Mapping[Any, Body]) -> dict[Any, Body]:
    """Those that were there before, with the fields that they had."""
    return {
        body["id"]: {name: body.get(name) for name in before[body["id"]]}
        for body in found
        if body["id"] in before
    }


def _by_origin_id(bodies: Iterable[Body]) -> dict[str, Body]:
    listed = list(bodies)
    by_origin_id = {str(body["origin_id"]): body for body in listed}
    assert len(by_origin_id) == len(listed), "two have one origin id"
    return by_origin_id


def _id_of(party: int | str, contacts: Mapping[str, Body]) -> int:
    return party if isinstance(party, int) else int(contacts[party]["id"])
