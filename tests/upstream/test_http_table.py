"""What an answer means: the classification table row by row, and the words that are kept of it."""

import json
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.exceptions import (
    Duplicate,
    Misconfigured,
    NotFound,
    RateLimited,
    Rejected,
    Transient,
    UpstreamError,
)
from consumer.upstream.error_words import error_words
from consumer.upstream.http import classify, retry_hint
from tests.contracts import contract


NOW = 1772452800.0  # 2026-03-02T12:00:00Z
OTHER_ID = "0f3e6c1a-5a70-4c1e-8a3d-9d2f4b7c6e21"
DUPLICATE = {
    "error": {
        "code": "duplicate",
        "message": "Phone number already in use",
        "field": "phone_number",
        "worker_id": OTHER_ID,
    }
}
KEY_REUSED = {"error": {"code": "idempotency_key_reused", "message": "Used with another request body"}}

TABLE: list[tuple[int, type[UpstreamError]]] = [
    *((status, Misconfigured) for status in (301, 302, 307, 308, 405)),
    *((status, Rejected) for status in (400, 402, 406, 409, 410, 413, 415, 422, 451)),
    *((status, Misconfigured) for status in (401, 403)),
    (404, NotFound),
    *((status, Transient) for status in (408, 425)),
    (429, RateLimited),
    *((status, Transient) for status in (500, 501, 502, 503, 504, 520, 599)),
]
BODIES: list[tuple[str, bytes]] = [
    ("no body", b""),
    ("json", b'{"message": "No"}'),
    ("a page", b"<html><body>Bad gateway</body></html>"),
    ("broken json", b'{"message": "No'),
    ("binary", b"\xff\xfe\x00\x9f"),
    ("null", b"null"),
    ("a list", b'["No"]'),
]


def meaning(status: int, body: object = None, headers: dict[str, str] | None = None) -> UpstreamError | None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = httpx.Response(status, headers=headers, content=content)
    return classify("procore", "createTimecardEntry", answer, NOW)


def error(status: int, body: object = None, headers: dict[str, str] | None = None) -> UpstreamError:
    found = meaning(status, body, headers)
    assert found is not None
    return found


@pytest.mark.parametrize("body", [body for _, body in BODIES], ids=[name for name, _ in BODIES])
@pytest.mark.parametrize(("status", "kind"), TABLE)
def test_the_status_decides_what_a_refusal_is_whatever_its_body(
    status: int, kind: type[UpstreamError], body: bytes
) -> None:
    refused = error(status, body)
    assert (type(refused), refused.status) == (kind, status)
    assert (refused.upstream, refused.operation) == ("procore", "createTimecardEntry")


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_a_success_is_no_error_whatever_its_body(status: int) -> None:
    assert meaning(status, {"error": {"code": "duplicate", "message": "No"}}) is None


def test_a_conflict_that_names_another_worker_is_a_duplicate_with_its_field() -> None:
    refused = error(409, DUPLICATE)
    assert isinstance(refused, Duplicate)
    assert (refused.field, refused.other_id) == ("phone_number", OTHER_ID)
    assert refused.words == ("Phone number already in use",)


def test_a_conflict_that_names_another_position_is_a_duplicate() -> None:
    body = {"error": {"code": "duplicate", "message": "In use", "field": "name", "position_id": "p-1"}}
    refused = error(409, body)
    assert isinstance(refused, Duplicate)
    assert (refused.field, refused.other_id) == ("name", "p-1")


@pytest.mark.parametrize(
    "body", [KEY_REUSED, {"errors": {"name": ["has already been taken"]}}, {"error": "duplicate"}]
)
def test_another_conflict_is_a_plain_refusal(body: object) -> None:
    assert type(error(409, body)) is Rejected


def test_only_a_conflict_can_be_a_duplicate() -> None:
    assert type(error(422, DUPLICATE)) is Rejected


# ------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "Not found"}, ("Not found",)),
        ({"errors": "The access token is invalid"}, ("The access token is invalid",)),
        ({"errors": ["Not connected.", "Ask an admin."]}, ("Not connected.", "Ask an admin.")),
        (
            {"errors": {"last_name": ["can't be blank", "is too short"], "origin_id": ["has been taken"]}},
            ("last_name can't be blank", "last_name is too short", "origin_id has been taken"),
        ),
        ({"errors": {"last_name": "can't be blank"}}, ("last_name can't be blank",)),
        ({"error": {"reason": "Cost code not found"}}, ("Cost code not found",)),
        ({"error": {"code": "500", "message": "Internal Server Error"}}, ("Internal Server Error",)),
        (
            {"error": "invalid_client", "error_description": "Client authentication failed"},
            ("invalid_client", "Client authentication failed"),
        ),
        (
            {"code": 401, "message": "Unauthorized", "fields": "", "reason": "token_expired"},
            ("Unauthorized", "token_expired"),
        ),
        ({"code": 403, "message": "Forbidden", "fields": "", "reason": ""}, ("Forbidden",)),
        (
            {
                "error": {
                    "code": "invalid",
                    "message": "Missing email",
                    "fields": [
                        {"field": "email", "message": "Missing email"},
                        {"field": "phone_number", "message": "Phone number is not valid"},
                    ],
                }
            },
            ("Missing email", "Phone number is not valid"),
        ),
    ],
)
def test_every_message_of_a_known_shape_is_kept_word_for_word(body: object, words: tuple[str, ...]) -> None:
    assert error(422, body).words == words


def _messages(value: object, key: str = "") -> Iterator[str]:
    """The texts for people in an error body of a contract: all but codes and names of fields."""
    if isinstance(value, str) and key not in {
        "code",
        "field",
        "fields",
        "source",
        "worker_id",
        "position_id",
    }:
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _messages(inner, name if isinstance(inner, str) else key)
    elif isinstance(value, list):
        for inner in value:
            yield from _messages(inner, key)


def _contract_bodies() -> Iterator[tuple[str, Any]]:
    procore = contract("procore")["components"]
    for name, schema in procore["schemas"].items():
        if "Error" in name:
            yield from ((name, body) for body in schema.get("examples", ()))
    for system in ("procore", "smartbarrel"):
        parts = contract(system)["components"]
        for name, answer in parts["responses"].items():
            for content in answer.get("content", {}).values():
                for one, example in content.get("examples", {}).items():
                    body = example.get("value")
                    if isinstance(body, dict) and {"error", "errors", "message"} & body.keys():
                        yield f"{system}-{name}-{one}", body


CONTRACT_BODIES = list(_contract_bodies())


@pytest.mark.parametrize(
    "body", [body for _, body in CONTRACT_BODIES], ids=[name for name, _ in CONTRACT_BODIES]
)
def test_no_message_of_an_error_body_in_the_contracts_is_lost(body: Any) -> None:
    said = "\n".join(error(422, body).words)
    lost = [message for message in _messages(body) if message and message not in said]
    assert lost == []


@pytest.mark.parametrize("text", ["Upstream timed out", '{"detail": "Nope"}', '["a", "b"]', "{'message': 1}"])
def test_an_unknown_body_is_kept_as_it_is(text: str) -> None:
    assert error(422, text.encode()).words == (text,)


def test_of_an_endless_unknown_body_a_thousand_characters_are_kept() -> None:
    assert error(422, b"x" * 100_000).words == ("x" * 1000,)


def test_a_page_for_browsers_says_nothing() -> None:
    assert error(502, b"\n  <!DOCTYPE html><html></html>").words == ()


def test_a_body_nested_without_end_is_no_more_than_an_unknown_one() -> None:
    assert type(error(422, b"[" * 100_000)) is Rejected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["error", "errors", "message", "reason", "fields", "code", "field"])
                | st.text(),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_body_whatever_breaks_the_reading_of_words(body: Any) -> None:
    words = error_words(body)
    assert isinstance(words, tuple)
    assert all(isinstance(word, str) for word in words)
    assert len(set(words)) == len(words)


# ------------------------------------------------------------------ hints


def hint(**headers: str) -> float | None:
    return retry_hint(httpx.Headers({name.replace("_", "-"): value for name, value in headers.items()}), NOW)


def test_a_retry_after_in_seconds_is_the_wait() -> None:
    assert hint(Retry_After="30") == 30.0


def test_a_retry_after_as_a_date_is_the_time_until_then() -> None:
    assert hint(Retry_After=formatdate(NOW + 90, usegmt=True)) == 90.0


def test_a_rate_limit_reset_is_the_time_until_then() -> None:
    assert hint(X_Rate_Limit_Reset=str(int(NOW) + 12)) == 12.0


def test_a_retry_after_comes_before_a_rate_limit_reset() -> None:
    assert hint(Retry_After="5", X_Rate_Limit_Reset=str(int(NOW) + 12)) == 5.0


def test_a_moment_that_has_passed_means_no_wait() -> None:
    assert hint(Retry_After=formatdate(NOW - 90, usegmt=True)) == 0.0
    assert hint(X_Rate_Limit_Reset="1") == 0.0


def test_no_hint_is_longer_than_an_hour() -> None:
    assert hint(Retry_After="86400") == 3600.0
    assert hint(X_Rate_Limit_Reset=str(int(NOW) + 86_400)) == 3600.0
    assert hint(Retry_After="999999999") == 3600.0


@pytest.mark.parametrize(
    "garbage",
    [
        "soon",
        "-5",
        "9" * 400,
        "1.5",
        "",
        " ",
        "Mon, 32 Feb 2026 12:00:00 GMT",
        "\u00b2",
        "Mon, 02 Mar 2026 12:00:00 +99999999999999",
    ],
)
def test_a_hint_that_makes_no_sense_is_none_and_the_other_header_counts(garbage: str) -> None:
    raw = [(b"Retry-After", garbage.encode("latin-1"))]
    assert retry_hint(httpx.Headers(raw), NOW) is None
    both = [*raw, (b"X-Rate-Limit-Reset", str(int(NOW) + 7).encode())]
    assert retry_hint(httpx.Headers(both), NOW) == 7.0


@given(st.binary(max_size=40), st.binary(max_size=20))
def test_no_header_whatever_breaks_the_reading_of_hints(after: bytes, reset: bytes) -> None:
    found = retry_hint(httpx.Headers([(b"Retry-After", after), (b"X-Rate-Limit-Reset", reset)]), NOW)
    assert found is None or 0.0 <= found <= 3600.0


def test_the_old_form_of_an_http_date_is_universal_time_wherever_the_machine_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RFC 9110, 5.6.7: a recipient accepts the obsolete forms too, and all are in UTC."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "America/Chicago")
        time.tzset()
        found = hint(Retry_After="Mon Mar  2 12:01:30 2026")
    time.tzset()
    assert found == 90.0


def test_a_rate_limit_waits_until_its_reset() -> None:
    refused = error(429, {"message": "Limit"}, {"X-Rate-Limit-Reset": str(int(NOW) + 8)})
    assert isinstance(refused, RateLimited)
    assert refused.retry_after_s == 8.0


def test_a_rate_limit_without_a_hint_waits_a_second() -> None:
    refused = error(429)
    assert isinstance(refused, RateLimited)
    assert refused.retry_after_s == 1.0


def test_an_overloaded_upstream_says_when_to_come_back() -> None:
    """However long that is: a maintenance window must not fill the dead letters."""
    refused = error(503, {"message": "Service Unavailable"}, {"Retry-After": "900"})
    assert isinstance(refused, RateLimited)
    assert refused.retry_after_s == 900.0


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_the_state_of_the_budget_that_every_answer_carries_delays_nothing_but_a_rate_limited_call(
    status: int,
) -> None:
    """Procore sends its limit headers with every answer: the hour's end is no advice about a fault."""
    budget = {"X-Rate-Limit-Limit": "600", "X-Rate-Limit-Remaining": "589"}
    refused = error(status, {"message": "Oops"}, {**budget, "X-Rate-Limit-Reset": str(int(NOW) + 3000)})
    assert isinstance(refused, Transient)
    assert refused.retry_after_s is None


# ------------------------------------------------------------------ what never shows


@given(st.text(min_size=8, max_size=40, alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E)))
def test_the_words_of_the_upstream_are_not_in_the_text_of_an_error(words: str) -> None:
    refused = error(422, {"message": f"#{words}#"})
    assert refused.words == (f"#{words}#",)
    assert f"#{words}#" not in f"{refused} {refused!r}"
    assert str(refused) == "procore createTimecardEntry: HTTP 422"
