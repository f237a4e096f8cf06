"""What SmartBarrel should hold of Procore's classifications: *Sync Classifications* as a plain function.

Written from the README's assumptions.
"""

from collections.abc import Mapping

from tests.sync.histories.places import Place
from tests.upstream.site import Json


POSITION_FIELDS = ("name", "external_id", "status")

Positions = dict[str | Place, Json]
"""SmartBarrel's positions by id, or by where they go, with ``POSITION_FIELDS``."""
Classifications = Mapping[int, str]
"""The names of Procore's classifications by id."""


def position_of(one: int, classifications: Classifications, positions: Positions) -> str | Place:
    """The id of the classification's position: by id, else by name without regard to case."""
    external_id = f"procore:{one}"
    own = next((key for key, body in positions.items() if body["external_id"] == external_id), None)
    return own or holder_of(classifications[one], positions) or Place.NEW


def positions_after(one: int, classifications: Classifications, positions: Positions) -> Positions:
    """The positions once the classification has one, which is active and follows a new name.

    As long as another one has the new name, the old one stays. Of several of one name, the position stands
    for the first, as long as that is there. An external id that is none of ours is kept.
    """
    place, name = position_of(one, classifications, positions), classifications[one]
    external_id = f"procore:{one}"
    if isinstance(place, Place):
        return {**positions, place: {"name": name, "external_id": external_id, "status": "active"}}
    before = positions[place]
    stands_for = before["external_id"] or ""
    is_kept = stands_for and not stands_for.startswith("procore:")
    is_anothers = is_kept or stands_for in {f"procore:{other}" for other in classifications}
    return {
        **positions,
        place: {
            "name": before["name"] if holder_of(name, positions) else name,
            "external_id": before["external_id"] if is_anothers else external_id,
            "status": "active",
        },
    }


def holder_of(name: str, positions: Positions) -> str | Place | None:
    """The position with the name."""
    return next((key for key, body in positions.items() if _is_same(body["name"], name)), None)


def is_settled(one: int, classifications: Classifications, positions: Positions) -> bool:
    """Whether nothing is left to do for the classification, when all were brought in step.

    Its position has another name only if the one that has the name keeps it: that is no classification's,
    or is called so for good.
    """
    name = classifications[one]
    place, holder = position_of(one, classifications, positions), holder_of(name, positions)
    if positions_after(one, classifications, positions) != positions or holder is None:
        return False
    names = {f"procore:{other}": called for other, called in classifications.items()}
    its_name = names.get(positions[holder]["external_id"])
    return holder == place or its_name is None or _is_same(its_name, name)


def _is_same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()
