"""Phone numbers as people type them become E.164, or a reason without the number."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.sync.phones import UnusablePhoneError, known_region, to_e164


@pytest.mark.parametrize(
    ("typed", "region", "e164"),
    [
        ("(512) 555-0101", "US", "+15125550101"),
        ("512.555.0101", "US", "+15125550101"),
        ("1 512 555 0101", "US", "+15125550101"),
        ("+1 512 555 0101", "GB", "+15125550101"),
        ("001 512 555 0101", "DE", "+15125550101"),
        ("020 7946 0123", "GB", "+442079460123"),
        ("+44 (0)20 7946 0123", "US", "+442079460123"),
        ("512-555-0101 ext. 7", "US", "+15125550101"),
        ("  512 555 0101 ", "US", "+15125550101"),
        ("５１２ ５５５ ０１０１", "US", "+15125550101"),  # noqa: RUF001 - as some keyboards type it
        ("613-555-0142", "CA", "+16135550142"),
    ],
)
def test_a_number_is_read_as_somebody_in_the_region_would_dial_it(typed: str, region: str, e164: str) -> None:
    assert to_e164(typed, region) == e164


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "n/a",
        "call Maria",
        "555-0101",
        "512 555",
        "1",
        "+999 512 555 0101",
        "+1 512 555 0101 0101",
        "+1 000 555 0101",
        "00",
        "+800 1234",
        "5" * 65,
        "\x00",
    ],
)
def test_a_number_that_nobody_can_be_called_at_is_refused_with_a_reason_without_digits(typed: str) -> None:
    with pytest.raises(UnusablePhoneError) as caught:
        to_e164(typed, "US")
    reason = str(caught.value)
    assert reason
    assert not any(character.isdigit() for character in reason)


def test_the_reason_names_no_region_but_the_one_in_which_the_number_was_read() -> None:
    """Canada shares its country code with the United States."""
    with pytest.raises(UnusablePhoneError) as caught:
        to_e164("613-055-0142", "CA")
    assert "US" not in str(caught.value)


@given(
    st.text(max_size=70) | st.text(alphabet="0123456789+-() .", max_size=20),
    st.sampled_from(["US", "CA", "GB", "DE", "MX", "AU", "IN"]),
)
def test_whatever_is_typed_gives_a_valid_e164_number_or_a_reason_without_digits(
    typed: str, region: str
) -> None:
    e164, reason = "", ""
    try:
        e164 = to_e164(typed, region)
    except UnusablePhoneError as error:
        reason = str(error)
    assert bool(e164) != bool(reason)
    assert not any(character.isdigit() for character in reason)
    if e164:
        assert phonenumbers.is_valid_number(phonenumbers.parse(e164))
        assert to_e164(e164, "US") == e164, "an E.164 number stays as it is, wherever it is read"


@pytest.mark.parametrize(
    ("country", "region"),
    [("GB", "GB"), ("gb", "GB"), (None, "US"), ("", "US"), ("XX", "US"), ("Germany", "US"), ("001", "US")],
)
def test_the_persons_own_country_counts_if_it_is_one(country: str | None, region: str) -> None:
    assert known_region(country, "US") == region
