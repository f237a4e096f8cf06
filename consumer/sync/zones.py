"""Time zones as Procore names them: an IANA name, or a name of Rails such as "Central Time (US & Canada)"."""

from collections.abc import Mapping
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


_REGIONS: Mapping[str, str] = {
    "Alaska": "America/Juneau",
    "American Samoa": "Pacific/Pago_Pago",
    "Arizona": "America/Phoenix",
    "Atlantic Time (Canada)": "America/Halifax",
    "Canberra": "Australia/Sydney",
    "Central America": "America/Guatemala",
    "Central Time (US & Canada)": "America/Chicago",
    "Eastern Time (US & Canada)": "America/New_York",
    "Edinburgh": "Europe/London",
    "Greenland": "America/Nuuk",
    "Guadalajara": "America/Mexico_City",
    "Hawaii": "Pacific/Honolulu",
    "Indiana (East)": "America/Indiana/Indianapolis",
    "Midway Island": "Pacific/Midway",
    "Mountain Time (US & Canada)": "America/Denver",
    "New Delhi": "Asia/Kolkata",
    "Newfoundland": "America/St_Johns",
    "Pacific Time (US & Canada)": "America/Los_Angeles",
    "Quito": "America/Guayaquil",
    "Saskatchewan": "America/Regina",
    "Wellington": "Pacific/Auckland",
}
"""Rails's names that are no city of the IANA database, where construction companies are likely to build."""


@cache
def zone_of(name: str | None) -> ZoneInfo | None:
    """The zone of this name; None if nobody knows it."""
    if not name:
        return None
    try:
        return ZoneInfo(_REGIONS.get(name) or _by_city().get(name) or name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@cache
def _by_city() -> Mapping[str, str]:
    """IANA's names by their cities, as Rails has them."""
    regions = ("America/", "Europe/", "Africa/", "Asia/", "Australia/", "Pacific/", "Atlantic/")
    zones = (zone for zone in sorted(available_timezones()) if zone.startswith(regions))
    return {zone.rpartition("/")[2].replace("_", " "): zone for zone in zones}
