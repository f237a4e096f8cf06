"""A call whose effect is not known, or an event that was refused, leaves no deceiving fingerprint."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from consumer.broker.port import Record, TopicPartition
from consumer.engine.process import attempt
from consumer.engine.work import Completion, Work
from consumer.exceptions import Rejected, Transient
from consumer.model.events import UserEvent
from consumer.model.results import Outcome
from tests.sync.conftest import Office
from tests.sync.people import MARIA, maria
from tests.sync.test_users import link_of
from tests.upstream.site import Mishap, worker, worker_id


def work(event: UserEvent) -> Work:
    record = Record("events", 0, 1, 0, b"key", b"")
    return Work(record, TopicPartition("events", 0), 1, event.company_id, event)


def test_a_change_whose_answer_was_lost_and_that_failed_then_is_compared_by_the_next_event(
    open_office: Callable[..., Office],
) -> None:
    """Even by an event that says what was sent before the lost one."""
    office = open_office(workers=[worker(8, "Tomas", "Okafor", phone_number="+15125550188")])
    assert office.sync(maria()).outcome is Outcome.CREATED
    linked = link_of(office).target_id
    newer = maria(minutes=1, email="new@example.com", employee_id="20399")
    office.site.wire.mishaps.append(Mishap(lambda request: request.method == "PATCH"))
    with pytest.raises(Transient):
        office.sync(newer)
    state = office.site.state
    state.edit_worker(linked, payroll_id="20301")
    state.edit_worker(worker_id(8), payroll_id="20399")
    assert office.sync(newer).outcome is Outcome.FAILED
    assert office.sync(maria(minutes=2)).outcome is Outcome.UPDATED
    (found,) = [one for one in state.workers() if one["id"] == linked]
    assert found["email"] == MARIA.email


@pytest.mark.parametrize(
    "error", [Rejected("smartbarrel", "updateWorker", 422, ("no",)), ZeroDivisionError()]
)
def test_an_older_event_is_stale_after_a_newer_one_that_was_refused_or_that_we_failed_on(
    office: Office, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.sync(maria())

    async def refuse(*_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(type(office.company.smartbarrel), "update_worker", refuse)
        newer = maria(minutes=5, email="newer@example.com")
        ended = office.site.run(attempt(work(newer), office.users))
    assert isinstance(ended, Completion)
    assert ended.handled is not None
    assert ended.handled.outcome is Outcome.FAILED
    office.links.add_pending(ended.handled.links)
    assert office.sync(maria(minutes=3, email="older@example.com")).outcome is Outcome.STALE
    assert office.sync(maria(minutes=6)).outcome is Outcome.UPDATED, "what is there now is not known"
