"""Phone numbers as people type them, in E.164."""

from functools import lru_cache

import phonenumbers


class UnusablePhoneError(ValueError):
    """The text is no phone number that can be called; the message says why, without the number."""


_WHY = {
    phonenumbers.NumberParseException.INVALID_COUNTRY_CODE: "its country code does not exist",
    phonenumbers.NumberParseException.NOT_A_NUMBER: "it is not a number",
    phonenumbers.NumberParseException.TOO_SHORT_AFTER_IDD: "it is too short",
    phonenumbers.NumberParseException.TOO_SHORT_NSN: "it is too short",
    phonenumbers.NumberParseException.TOO_LONG: "it is too long",
}
_LONGEST = 64


# Parsing costs some 80 µs, and a resync sees the same numbers again.
@lru_cache(maxsize=65_536)
def to_e164(typed: str, region: str) -> str:
    """Give the number in E.164, read as somebody in ``region`` (ISO 3166-1 alpha-2) would dial it.

    Raises UnusablePhoneError.
    """
    if len(typed) > _LONGEST:
        raise UnusablePhoneError("it is too long")
    try:
        number = phonenumbers.parse(typed, region)
    except phonenumbers.NumberParseException as error:
        raise UnusablePhoneError(_WHY.get(error.error_type, "it is not a number")) from None
    if not phonenumbers.is_valid_number(number):
        raise UnusablePhoneError("no such number exists")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def known_region(country: str | None, default: str) -> str:
    """The user's own country if phonenumbers knows it, else the default region."""
    code = (country or "").upper()
    return code if code in phonenumbers.SUPPORTED_REGIONS else default
