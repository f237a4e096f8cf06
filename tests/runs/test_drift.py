"""A link is held against what both systems say, and each contradiction has its code, sentence and remedy."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from consumer.engine.links import Links
from consumer.model.codec import Codec
from consumer.model.links import Link, LinkKey, LinkKind
from consumer.model.topics import link_key
from consumer.runs.drift import Drift, DriftCode, Held, drifts
from consumer.runs.drift_reading import weeks
from consumer.runs.linked import linked, read
from consumer.upstream.procore_answers import Person, Timecard
from consumer.upstream.smartbarrel import Worker


WORKER = Worker(
    "w1", "Ana", "Abel", "a@example.com", "+15125550101", "20301", "procore:7", None, "active", None
)
PERSON = Person(25, None, "Ana", "Abel", "20301", "sb:w1", is_employee=True)
ENTRY = Timecard(9, 1, 25, date(2026, 2, 24), Decimal(8), "pending", "sb:t1", None, None, None, None)
HELD = Held({"w1": WORKER}, {25: PERSON}, {7}, {9: ENTRY}, {57})


def link(kind: LinkKind, source: str, target: str) -> Link:
    return Link(4100, kind, source, target, 1, "f")


USER = link(LinkKind.USER, "7", "w1")
CONTACT = link(LinkKind.CONTACT, "w1", "25")
TIMESHEET = link(LinkKind.TIMESHEET, "t1", "9")
POSITION = link(LinkKind.POSITION, "p1", "57")
NOTHING = Held()


def found(which: Link, held: Held) -> list[Drift]:
    return list(drifts(which, held))


def codes(which: Link, held: Held) -> list[str]:
    return [drift.code for drift in drifts(which, held)]


@pytest.mark.parametrize("which", [USER, CONTACT, TIMESHEET, POSITION])
def test_a_link_that_both_systems_bear_out_is_no_drift(which: Link) -> None:
    assert found(which, HELD) == []


@pytest.mark.parametrize("which", [USER, CONTACT, TIMESHEET, POSITION])
def test_a_link_that_leads_nowhere_yet_is_no_drift(which: Link) -> None:
    assert found(replace(which, target_id=""), NOTHING) == []


def test_a_user_and_a_worker_may_both_be_gone_and_both_are_told() -> None:
    assert codes(USER, NOTHING) == [DriftCode.USER_GONE, DriftCode.WORKER_GONE]
    _, gone = found(USER, NOTHING)
    assert gone.message == "SmartBarrel has no worker w1 any more, whom Procore user 7 is linked to"
    assert gone.remedy == "replay with --force for user 7"


@pytest.mark.parametrize(
    ("external_id", "code"),
    [
        (None, DriftCode.WORKER_NOT_LINKED),
        ("procore:8", DriftCode.WORKER_OF_ANOTHER),
        ("procore:07", DriftCode.WORKER_OF_ANOTHER),
        ("other:7", DriftCode.WORKER_OF_ANOTHER),
    ],
)
def test_a_worker_must_have_the_user_s_external_id(external_id: str | None, code: DriftCode) -> None:
    held = replace(HELD, workers={"w1": replace(WORKER, external_id=external_id)})
    (drift,) = found(USER, held)
    assert drift.code is code
    assert "Ana Abel" in drift.message
    assert "replay with --force for user 7" in drift.remedy


@pytest.mark.parametrize(
    ("person", "worker", "is_drift"),
    [
        (PERSON, None, False),
        (replace(PERSON, origin_id=None), WORKER, False),
        (replace(PERSON, origin_id=None), None, True),
        (replace(PERSON, origin_id="sb:w2", employee_id=None), WORKER, True),
        (replace(PERSON, origin_id=None, employee_id=None), replace(WORKER, payroll_id=None), True),
    ],
)
def test_a_contact_has_our_origin_id_or_the_worker_s_employee_id(
    person: Person, worker: Worker | None, is_drift: bool
) -> None:
    held = Held({} if worker is None else {"w1": worker}, {25: person})
    assert codes(CONTACT, held) == ([DriftCode.CONTACT_OF_ANOTHER] if is_drift else [])


def test_a_contact_that_is_gone_is_told_with_what_makes_it_anew() -> None:
    (drift,) = found(CONTACT, NOTHING)
    assert drift.code is DriftCode.CONTACT_GONE
    assert "next shift" in drift.remedy


@pytest.mark.parametrize("origin_id", [None, "sb:t2", "t1"])
def test_a_timecard_must_carry_its_timesheet_s_origin_id(origin_id: str | None) -> None:
    held = Held(timecards={9: replace(ENTRY, origin_id=origin_id)})
    (drift,) = found(TIMESHEET, held)
    assert drift.code is DriftCode.TIMECARD_OF_ANOTHER
    assert "should have sb:t1" in drift.message
    assert codes(TIMESHEET, NOTHING) == [DriftCode.TIMECARD_GONE]


def test_a_classification_that_is_gone_is_told() -> None:
    assert codes(POSITION, Held(classifications={58})) == [DriftCode.CLASSIFICATION_GONE]


@pytest.mark.parametrize("which", [USER, CONTACT, TIMESHEET, POSITION])
def test_an_id_that_is_no_procore_id_is_nothing_that_procore_has(which: Link) -> None:
    source, target = ("x", "w1") if which.kind is LinkKind.USER else (which.source_id, "²")
    assert len(found(replace(which, source_id=source, target_id=target), HELD)) >= 1


def test_days_are_asked_for_in_the_fewest_weeks() -> None:
    monday = date(2026, 2, 23)
    days = {monday + timedelta(days=number) for number in (0, 6, 7, 30)}
    assert weeks(days) == [
        (monday, monday + timedelta(days=6)),
        (monday + timedelta(days=7), monday + timedelta(days=13)),
        (monday + timedelta(days=30), monday + timedelta(days=36)),
    ]
    assert weeks(set()) == []


def test_links_are_listed_by_company_kind_and_id_numbers_by_their_size() -> None:
    codec, links = Codec(), Links(Codec())
    made = [
        link(LinkKind.USER, "10", "w10"),
        link(LinkKind.USER, "9", "w9"),
        link(LinkKind.CONTACT, "b", "2"),
        link(LinkKind.CONTACT, "a:b", "1"),
        replace(link(LinkKind.USER, "1", "w"), company_id=41),
    ]
    for one in made:
        links.apply(link_key(one.key), codec.encode(one))
    links.apply(b"no key of ours", codec.encode(USER))

    assert [str(key) for key in linked(links)] == [
        *("41:user:1", "4100:user:9", "4100:user:10", "4100:contact:a:b", "4100:contact:b")
    ]
    assert linked(links, company_id=4100, kinds=[LinkKind.CONTACT], source_id="b") == [
        LinkKey(4100, LinkKind.CONTACT, "b")
    ]
    assert list(read(links, linked(links, company_id=41))) == [made[-1]]
