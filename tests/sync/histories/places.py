"""Where something goes in the other system."""

from enum import Enum, auto


class Place(Enum):
    """Where something goes if it is at no id that is there already."""

    NEW = auto()
    """To be made."""
    REFUSED = auto()
    """Nowhere: somebody is in the way, or nobody can tell who is meant."""
