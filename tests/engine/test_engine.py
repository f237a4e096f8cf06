"""The engine: every event gets one result, committed together with its links and its offset."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumer.broker.port import Message
from consumer.engine.deadletters import HEADER, REASON_HEADER
from consumer.engine.handler import Handled
from consumer.exceptions import Misconfigured, NotFound, RateLimited, Rejected, Transient
from consumer.metric_families import REGISTRY
from consumer.model import reasons
from consumer.model.codec import Codec
from consumer.model.deadletters import DeadLetter
from consumer.model.events import Kind, UserEvent
from consumer.model.links import LinkKey, LinkKind
from consumer.model.results import Outcome
from consumer.model.topics import link_key, user_key
from tests.engine.test_engine_stage import (
    ASKED_AT,
    TOPICS,
    Script,
    Stage,
    a_stage,
    create,
    link,
    until,
    user,
)


NEVER = 3600.0
LETTER_AT = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with a_stage(tmp_path) as made:
        yield made


def letters(stage: Stage) -> list[DeadLetter]:
    """The stories that the dead letters tell."""
    return [stage.codec.decode(dict(record.headers)[HEADER], DeadLetter) for record in stage.letters()]


# ------------------------------------------------------------------ results


def test_each_event_gets_one_result_that_says_whose_it_is_and_where_it_came_from(stage: Stage) -> None:
    stage.publish(user(1, run_id="run-1"), user(2, moment=5))
    running = stage.engine()
    stage.wait_for_results(2)
    running.stop()
    first, second = sorted(stage.results(), key=lambda result: result.source_offset)
    assert (first.company_id, first.kind, first.run_id) == (4281001, Kind.USERS, "run-1")
    assert (first.subject_id, first.subject_name, first.event_at) == ("1", "Maria Number1", ASKED_AT)
    assert (first.source_topic, first.source_partition, first.source_offset) == (TOPICS.events, 0, 0)
    assert (second.subject_id, second.run_id, second.source_offset) == ("2", None, 1)
    assert [result.outcome for result in (first, second)] == [Outcome.CREATED] * 2


def test_a_result_is_on_the_log_together_with_its_link_and_its_offset(stage: Stage) -> None:
    """They are written in one transaction: whoever sees one of them sees all."""
    running = stage.engine()
    for number in range(1, 30):
        stage.publish(user(number))
        stage.wait_for_results(number)
        assert str(link(user(number)).key) in stage.links()
        position = stage.committed()
        assert position is not None
        assert position.offset == number
    running.stop()


def test_reasons_warnings_and_details_of_the_handler_are_on_the_log(stage: Stage) -> None:
    warning = reasons.location_not_in_project("Basement")

    async def act(_: UserEvent) -> Handled:
        return Handled(
            Outcome.SKIPPED, (reasons.MISSING_EMAIL, reasons.MISSING_PHONE), (warning,), "a detail"
        )

    stage.publish(user(1))
    running = stage.engine(Script(act))
    stage.wait_for_results(1)
    running.stop()
    (result,) = stage.results()
    assert result.reasons == (reasons.MISSING_EMAIL, reasons.MISSING_PHONE)
    assert (result.warnings, result.detail) == ((warning,), "a detail")
    assert letters(stage) == []


# ------------------------------------------------------------------ order and links


def test_the_events_of_a_key_are_handled_in_order_and_see_each_others_links_before_the_commit(
    stage: Stage,
) -> None:
    gate = stage.gate()
    seen: list[int | None] = []

    async def act(event: UserEvent) -> Handled:
        if event.user_id == 99:
            await gate.wait(99)
            return await create(event)
        known = running.links.get(LinkKey(event.company_id, LinkKind.USER, str(event.user_id)))
        seen.append(known.revision if known else None)
        return await create(event)

    # While one event waits, nothing is committed.
    running = stage.engine(Script(act), commit_every_s=NEVER)
    stage.publish(user(99), *(user(1, moment) for moment in range(6)))
    until(lambda: len(seen) == 6)
    assert seen == [None, 0, 1, 2, 3, 4]
    assert stage.results() == []
    gate.let_all()
    assert set(stage.wait_for_results(7).values()) == {Outcome.CREATED}
    running.stop()
    assert [call for call in running.handler.calls if call[0] == 1] == [(1, moment) for moment in range(6)]


def test_links_of_the_last_owner_are_known_before_the_first_event_is_handled(stage: Stage) -> None:
    known = [link(user(number, moment=7)) for number in range(3000)]
    stage.write(*(Message(TOPICS.links, link_key(one.key), stage.codec.encode(one)) for one in known))
    seen = []

    async def act(event: UserEvent) -> Handled:
        seen.append(running.links.get(link(event).key))
        return await create(event)

    stage.publish(*(user(number, moment=8) for number in range(2900, 3000)))
    running = stage.engine(Script(act))
    stage.wait_for_results(100)
    running.stop()
    assert sorted(map(str, seen)) == sorted(map(str, known[2900:]))
    assert running.handler.renewals >= 1, "and what was read from upstream is read anew"


def test_a_link_that_cannot_be_read_is_left_out_and_the_others_are_known(stage: Stage) -> None:
    good = link(user(2))
    stage.write(
        Message(TOPICS.links, link_key(link(user(1)).key), b"no link"),
        Message(TOPICS.links, link_key(good.key), stage.codec.encode(good)),
    )
    stage.publish(user(3))
    running = stage.engine()
    stage.wait_for_results(1)
    assert running.links.get(good.key) == good
    assert running.links.get(link(user(1)).key) is None
    running.stop()


def test_links_that_another_process_commits_become_known(stage: Stage) -> None:
    running = stage.engine()
    stage.publish(user(1))
    stage.wait_for_results(1)
    theirs = link(user(7, moment=3))
    stage.write(Message(TOPICS.links, link_key(theirs.key), stage.codec.encode(theirs)))
    until(lambda: running.links.get(theirs.key) == theirs)
    stage.write(Message(TOPICS.links, link_key(theirs.key), None))
    until(lambda: running.links.get(theirs.key) is None)
    running.stop()


# ------------------------------------------------------------------ slow records and restarts


def test_a_slow_event_does_not_hold_back_the_results_of_others(stage: Stage) -> None:
    gate = stage.gate()

    async def act(event: UserEvent) -> Handled:
        if event.user_id == 0:
            await gate.wait(0)
        return await create(event)

    stage.publish(*(user(number) for number in range(20)))
    running = stage.engine(Script(act))
    found = stage.wait_for_results(19)
    assert set(found) == {(0, offset) for offset in range(1, 20)}
    position = stage.committed()
    assert position is not None
    assert position.offset == 0, "the frontier waits for the slow one"
    gate.let_all()
    stage.wait_for_results(20)
    until(lambda: (position := stage.committed()) is not None and position.offset == 20)
    running.stop()


def test_after_a_restart_only_what_has_no_result_is_handled(stage: Stage) -> None:
    """What was completed above the frontier is known from the commit."""
    gate = stage.gate()
    slow = {3, 11, 12}

    async def act(event: UserEvent) -> Handled:
        if event.user_id in slow:
            await gate.wait(event.user_id)
        return await create(event)

    stage.publish(*(user(number) for number in range(20)))
    first = stage.engine(Script(act), drain_s=0.05)
    stage.wait_for_results(17)
    first.stop()
    assert set(stage.outcomes()) == {(0, offset) for offset in range(20)} - {(0, offset) for offset in slow}
    second = stage.engine()
    stage.publish(user(20))
    found = stage.wait_for_results(21)
    second.stop()
    assert set(found) == {(0, offset) for offset in range(21)}
    assert {number for number, _ in second.handler.calls} == {*slow, 20}


def test_what_a_stopped_engine_did_not_finish_leaves_no_link_behind(stage: Stage) -> None:
    gate = stage.gate()

    async def act(event: UserEvent) -> Handled:
        await gate.wait(event.user_id)
        return await create(event)

    stage.publish(user(1))
    first = stage.engine(Script(act), drain_s=0.05)
    until(lambda: gate.waiting == [1])
    first.stop()
    assert first.links.get(link(user(1)).key) is None
    assert stage.links() == {}


# ------------------------------------------------------------------ what is set aside


UNREADABLE = [
    b"",
    b"garbage",
    b"\xc3\x01" + b"\x00" * 8 + b"unknown schema",
    b"\xc3\x01",
    b"\x00\x00\x00\x00\x07a registry's id without a registry",
    Codec().encode(link(user(1))),
    Codec().encode(user(1))[:-5],
]


@pytest.mark.parametrize(
    "value",
    UNREADABLE,
    ids=["empty", "garbage", "unknown", "cut header", "registry", "another record", "cut off"],
)
def test_an_event_that_cannot_be_read_is_set_aside_untouched_and_the_next_are_handled(
    stage: Stage, value: bytes
) -> None:
    own_headers = (("trace", b"abc"), (REASON_HEADER, b"old"))
    record = Message(TOPICS.events, b"4281001:8800101", value, own_headers, timestamp_ms=1_772_452_800_000)
    stage.write(record)
    stage.publish(user(2))
    running = stage.engine()
    found = stage.wait_for_results(2)
    running.stop()
    assert found == {(0, 0): Outcome.FAILED, (0, 1): Outcome.CREATED}
    (dead,) = stage.letters()
    assert (dead.key, dead.value) == (record.key, value)
    headers = dict(dead.headers)
    assert len(headers) == len(dead.headers), "an earlier reason is replaced"
    assert headers["trace"] == b"abc"
    assert headers[REASON_HEADER] == b"undecodable"
    (letter,) = letters(stage)
    assert (letter.stage, letter.reason_code, letter.company_id) == ("decode", "undecodable", 4281001)
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == (TOPICS.events, 0, 0)
    assert letter.source_timestamp.timestamp() == 1_772_452_800
    failed = next(result for result in stage.results() if result.outcome is Outcome.FAILED)
    assert (failed.company_id, failed.subject_id) == (4281001, "4281001:8800101")
    assert [reason.code for reason in failed.reasons] == ["undecodable"]


@pytest.mark.parametrize("key", [None, b"", b"\xff\xfe", b"no company", b"12345678901234567890:1"])
def test_an_unreadable_event_with_an_unreadable_key_gets_its_result_too(
    stage: Stage, key: bytes | None
) -> None:
    stage.write(Message(TOPICS.events, key, b"garbage"))
    running = stage.engine()
    stage.wait_for_results(1)
    running.stop()
    (result,) = stage.results()
    assert (result.outcome, result.company_id) == (Outcome.FAILED, None)


def test_a_deletion_is_no_event_and_is_passed_over(stage: Stage) -> None:
    stage.publish(user(1))
    stage.write(Message(TOPICS.events, user_key(user(1)), None))
    stage.publish(user(2))
    running = stage.engine()
    assert set(stage.wait_for_results(2)) == {(0, 0), (0, 2)}
    until(lambda: (position := stage.committed()) is not None and position.offset == 3)
    running.stop()
    assert stage.letters() == []


PERSONAL = "Maria Delgado +15125550143 maria.delgado@example.com"


def test_a_fault_of_the_handler_sets_its_event_aside_and_shows_nothing_personal(stage: Stage) -> None:
    async def act(event: UserEvent) -> Handled:
        if event.user_id == 1:
            raise ValueError(PERSONAL)
        return await create(event)

    stage.publish(user(1), user(2), user(1, moment=1))
    with capture_logs() as logs:
        running = stage.engine(Script(act))
        found = stage.wait_for_results(3)
        running.stop()
    assert found == {(0, 0): Outcome.FAILED, (0, 1): Outcome.CREATED, (0, 2): Outcome.FAILED}
    assert [letter.reason_code for letter in letters(stage)] == ["internal_error"] * 2
    dead = stage.letters()
    assert [record.value for record in dead] == [stage.codec.encode(user(1)), stage.codec.encode(user(1, 1))]
    shown = f"{logs} {stage.results()} {letters(stage)}"
    assert not any(word in shown for word in PERSONAL.split() if word != "Maria")
    (fault, _) = [entry for entry in logs if entry["event"] == "handler.fault"]
    assert (fault["kind"], fault["topic"], fault["offset"]) == ("ValueError", TOPICS.events, 0)
    assert any("test_engine.py" in frame for frame in fault["frames"])


# ------------------------------------------------------------------ failures upstream


def failing_once_for(number: int, error: Exception, times: int = 1) -> Script:
    """A handler that fails so many times for one user, and then works."""
    left = [error] * times

    async def act(event: UserEvent) -> Handled:
        if event.user_id == number and left:
            raise left.pop()
        return await create(event)

    return Script(act)


def test_a_failure_that_passes_is_one_result(stage: Stage) -> None:
    stage.publish(user(1), user(1, moment=1), user(2))
    running = stage.engine(failing_once_for(1, Transient("procore", "createTimecardEntry", 503), times=3))
    found = stage.wait_for_results(3)
    running.stop()
    assert set(found.values()) == {Outcome.CREATED}
    assert [call for call in running.handler.calls if call[0] == 1] == [(1, 0)] * 4 + [(1, 1)]


def test_a_failure_that_does_not_pass_parks_the_event_with_the_upstreams_words(stage: Stage) -> None:
    async def act(event: UserEvent) -> Handled:
        if event.user_id == 1:
            raise Transient("smartbarrel", "createWorker", 503, ("Down for repair",))
        return await create(event)

    stage.publish(user(1, run_id="run-1"), user(2))
    running = stage.engine(Script(act))
    found = stage.wait_for_results(2)
    running.stop()
    assert found == {(0, 0): Outcome.PARKED, (0, 1): Outcome.CREATED}
    (result,) = [one for one in stage.results() if one.outcome is Outcome.PARKED]
    (reason,) = result.reasons
    assert (reason.code, reason.upstream) == ("upstream_unavailable", "Down for repair")
    assert "SmartBarrel" in reason.message
    (letter,) = letters(stage)
    assert (letter.stage, letter.reason_code, letter.run_id) == ("handle", "upstream_unavailable", "run-1")
    assert len(running.handler.calls) > 2, "it was tried more than once"


@pytest.mark.parametrize("kind", [Rejected, NotFound])
def test_a_refusal_is_a_failed_result_with_the_upstreams_words_and_no_dead_letter(
    stage: Stage, kind: type[Rejected]
) -> None:
    stage.publish(user(1), user(2))
    words = ("Email is not valid", "Phone number is not valid")
    running = stage.engine(failing_once_for(1, kind("smartbarrel", "createWorker", 422, words)))
    found = stage.wait_for_results(2)
    running.stop()
    assert found == {(0, 0): Outcome.FAILED, (0, 1): Outcome.CREATED}
    (result,) = [one for one in stage.results() if one.outcome is Outcome.FAILED]
    assert [reason.upstream for reason in result.reasons] == ["Email is not valid; Phone number is not valid"]
    assert stage.letters() == []


def test_a_rate_limit_is_waited_out(stage: Stage) -> None:
    limited = RateLimited("procore", "createTimecardEntry", 429)
    limited.retry_after_s = 0.02
    stage.publish(user(1))
    running = stage.engine(failing_once_for(1, limited, times=5))
    assert stage.wait_for_results(1) == {(0, 0): Outcome.CREATED}
    running.stop()
    assert len(running.handler.calls) == 6


def test_while_credentials_are_wrong_nothing_is_set_aside_and_others_go_on(stage: Stage) -> None:
    """Never is a topic drained into the dead letters because a token expired."""
    mended: list[bool] = []

    async def health(company_id: int) -> None:
        if company_id == 1 and not mended:
            raise Misconfigured("procore", "createAccessToken", 401)

    async def act(event: UserEvent) -> Handled:
        await health(event.company_id)
        return await create(event)

    stage.publish(*(user(number, company_id=1 + number % 2) for number in range(10)))
    running = stage.engine(Script(act, health=health))
    found = stage.wait_for_results(5)
    until(lambda: len(running.handler.probes) > 10, "for the company to be probed again and again")
    assert sum(number % 2 == 0 for number, _ in running.handler.calls) <= 5, "no record is tried again"
    assert set(found) == {(0, offset) for offset in (1, 3, 5, 7, 9)}
    assert stage.outcomes() == found
    assert stage.letters() == []
    mended.append(True)
    stage.wait_for_results(10)
    running.stop()


def test_an_event_that_the_handler_parks_is_set_aside_with_its_reason(stage: Stage) -> None:
    async def act(_: UserEvent) -> Handled:
        return Handled(Outcome.PARKED, (reasons.COMPANY_UNKNOWN,))

    event = replace(user(1), company_id=99)
    stage.publish(event)
    running = stage.engine(Script(act))
    assert stage.wait_for_results(1) == {(0, 0): Outcome.PARKED}
    running.stop()
    (dead,) = stage.letters()
    assert dead.value == stage.codec.encode(event)
    (letter,) = letters(stage)
    assert (letter.reason_code, letter.company_id) == ("company_unknown", 99)
    assert letter.reason == reasons.COMPANY_UNKNOWN.message
    assert letter.failed_at > LETTER_AT


def test_what_is_committed_is_counted_by_outcome_with_its_delay_and_its_dead_letter(stage: Stage) -> None:
    def count(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"handler": "users", **labels}) or 0.0

    def counts() -> list[float]:
        return [
            count("crewsync_records_total", outcome="created"),
            count("crewsync_records_total", outcome="failed"),
            count("crewsync_end_to_end_latency_seconds_count"),
            count("crewsync_dlq_total", stage="decode", reason="undecodable"),
            count("crewsync_decode_errors_total"),
            count("crewsync_records_consumed_total"),
        ]

    before = counts()
    stage.write(Message(TOPICS.events, b"1:1", b"no event"))
    stage.publish(*(user(number) for number in range(5)))
    running = stage.engine()
    stage.wait_for_results(6)
    running.stop()
    assert [after - then for after, then in zip(counts(), before, strict=True)] == [5, 1, 6, 1, 1, 6]
