"""What a delivery says, in every version of the payload."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from consumer.model.notices import WebhookNotice
from consumer.webhooks.payload import UnreadablePayload, is_own, notice_of
from tests.upstream.site import COMPANY
from tests.webhooks.deliveries import MARIA, as_body, v2, v3, v4


NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OLDER = WebhookNotice(
    COMPANY,
    MARIA,
    "0A1B2C3D4F5G6H7I8J9K8800101",
    "Company Users",
    "update",
    "v2.0",
    NOW,
    changed_at=datetime(2025, 2, 6, 23, 34, 12, 246562, UTC),
    changed_by="987654321",
)


def read(payload: object) -> WebhookNotice | None:
    return notice_of(as_body(payload), NOW)


def test_a_payload_of_version_2_is_read() -> None:
    assert read(v2()) == OLDER


def test_a_payload_of_version_3_is_read_as_one_of_version_2() -> None:
    assert read(v3()) == replace(OLDER, payload_version="v3.0")


def test_a_payload_of_version_4_is_read_with_its_texts_for_ids() -> None:
    assert read(v4()) == WebhookNotice(
        COMPANY,
        MARIA,
        "01JMYXMZRBVKK0PC6XS8SA4QRE",
        "Company Users",
        "update",
        "v4.0",
        NOW,
        changed_at=datetime(2025, 2, 25, 16, 4, 43, 619085, UTC),
        changed_by="5447",
    )


def test_a_delivery_without_a_ulid_is_known_by_its_id() -> None:
    payload = v2()
    del payload["ulid"]
    notice = read(payload)
    assert notice is not None
    assert notice.notice_id == "123456789"


def test_the_application_is_told_where_procore_names_it() -> None:
    notice = read(v2(metadata={"source_user_id": 7, "source_application_id": 31}))
    assert notice is not None
    assert (notice.changed_by, notice.application) == ("7", "31")


@pytest.mark.parametrize("payload", [v2(), v4()])
@pytest.mark.parametrize("missing", ["timestamp", "metadata", "user_id", "project_id", "api_version"])
def test_what_is_not_needed_may_be_missing(payload: dict[str, Any], missing: str) -> None:
    payload.pop(missing, None)
    assert read(payload) is not None


@pytest.mark.parametrize("resource", ["RFIs", "Timecard Entries", "Company Vendors"])
def test_what_is_not_about_people_is_of_no_interest(resource: str) -> None:
    assert read(v2(resource_name=resource)) is None
    assert read(v4(resource_type=resource, resource_id="no number")) is None


@pytest.mark.parametrize("resource", ["Project Users", "company users"])
def test_users_of_projects_and_other_letters_are_of_interest(resource: str) -> None:
    assert read(v3(resource_name=resource)) is not None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"null",
        b"{}",
        as_body(v2(resource_id=None)),
        as_body(v2(resource_id=0)),
        as_body(v2(resource_id=-4)),
        as_body(v2(resource_id=True)),
        as_body(v2(resource_id=2**63)),
        as_body(v2(resource_id=1.5)),
        as_body(v2(company_id="7 OR 1")),
        as_body(v2(company_id={})),
        as_body(v4(resource_id="²")),
        as_body(v4(id=None)),
        as_body(v4(reason="")),
        as_body(v4(resource_id="9" * 5000)),
        as_body(v4())[:-1],
    ],
)
def test_what_is_no_delivery_is_refused_without_its_values(body: bytes) -> None:
    with pytest.raises(UnreadablePayload) as caught:
        notice_of(body, NOW)
    assert len(str(caught.value)) < 40


def test_own_changes_are_known_by_user_and_by_application() -> None:
    assert is_own(OLDER, {"987654321"})
    assert is_own(replace(OLDER, application="31"), {"31"})
    assert not is_own(OLDER, {"1"})
    assert not is_own(replace(OLDER, changed_by=None), ())
