"""Time zones by the names that Procore gives them."""

import pytest

from consumer.sync.zones import zone_of


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("Central Time (US & Canada)", "America/Chicago"),
        ("Pacific Time (US & Canada)", "America/Los_Angeles"),
        ("Newfoundland", "America/St_Johns"),
        ("US/Pacific", "US/Pacific"),
        ("America/Denver", "America/Denver"),
        ("Mexico City", "America/Mexico_City"),
        ("London", "Europe/London"),
        ("Brisbane", "Australia/Brisbane"),
    ],
)
def test_a_zone_is_found_by_the_name_of_rails_or_of_iana(name: str, zone: str) -> None:
    found = zone_of(name)
    assert found is not None
    assert found.key == zone


@pytest.mark.parametrize("name", [None, "", "Nowhere", "../../etc/passwd", "/etc/localtime", "a\0b"])
def test_a_name_that_nobody_knows_is_no_zone(name: str | None) -> None:
    assert zone_of(name) is None


def test_every_region_of_the_table_exists() -> None:
    from consumer.sync import zones  # noqa: PLC0415 - its table is nobody else's business

    assert all(zone_of(name) is not None for name in zones._REGIONS)
