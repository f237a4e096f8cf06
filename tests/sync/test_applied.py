"""What a link tells of the last sync is read as it was written, and says whether anything is to be sent."""

import pytest

from consumer.sync.applied import LEFT, NO_POSITION, NOT_KNOWN, Applied
from tests.upstream.site import position_id


ALL = [
    Applied("f1", position, is_inactive)
    for position in (None, NO_POSITION, LEFT, position_id(7))
    for is_inactive in (False, True)
]


@pytest.mark.parametrize("applied", ALL, ids=str)
def test_what_was_applied_is_read_as_it_was_written(applied: Applied) -> None:
    assert Applied.of(str(applied)) == applied


def test_fields_alone_are_a_plain_digest() -> None:
    assert str(Applied("f1")) == "f1"
    assert Applied.of("") == Applied("")


@pytest.mark.parametrize("noted", ALL, ids=str)
@pytest.mark.parametrize("wanted", ALL, ids=str)
def test_nothing_is_to_be_sent_if_the_fields_are_the_same_and_the_position_is_or_is_nothing_to_us(
    noted: Applied, wanted: Applied
) -> None:
    assert noted.covers(wanted) == (wanted.position in {None, noted.position})
    assert not noted.covers(Applied("f2", wanted.position))


def test_a_position_that_is_yet_to_be_made_is_never_applied() -> None:
    assert not any(noted.covers(Applied("f1", NOT_KNOWN)) for noted in ALL)
