"""What would be done for an event, in a form that can be shown and carried out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from consumer.engine.handler import Handled


@dataclass(frozen=True, slots=True)
class Step:
    """One call that changes something: what it is for, in words, and what it sends."""

    words: str
    fields: Mapping[str, object] = field(default_factory=dict)


class Plan(Protocol):
    """The calls to be made for an event, in order, and why."""

    @property
    def why(self) -> Sequence[str]:
        """How what is there was found, a sentence each."""

    @property
    def steps(self) -> Sequence[Step]:
        """The calls that change something; none if both systems agree."""

    @property
    def handled(self) -> Handled:
        """How the event ends once they are made."""
