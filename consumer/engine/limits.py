"""How much is handled at the same time. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may run at the same time: in all, and of one company while the others have little to do."""

    in_flight: int = 200
    per_company: int = 100

    def allow(self, of_company: int, in_all: int) -> bool:
        """Whether one more may run of a company that has so many running, of so many in all.

        Where companies wait long for their upstreams, none may have so many places that two of them leave
        nothing to the others. So the part that each may have shrinks with what is free: one alone has its
        limit, several have equal shares, and with the default limits as much as each of them has stays free
        for whoever comes next. A company that runs nothing needs no more than one free place.
        """
        free, others = self.in_flight - in_all, self.in_flight - self.per_company
        return of_company < self.per_company and of_company * others < self.per_company * free
