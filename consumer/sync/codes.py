"""Where hours are booked: a shift's cost code segments and location as Procore's ids."""

from dataclasses import dataclass
from typing import TypeVar

from consumer.model import reasons
from consumer.model.events import TimesheetEvent
from consumer.model.results import Reason
from consumer.sync.mapping import Codes
from consumer.sync.readthrough import ReadThrough
from consumer.upstream.procore import Procore


K = TypeVar("K")
_KEEP_S = 600.0


@dataclass(frozen=True, slots=True)
class Resolved:
    """The ids, and a warning for what could be left out."""

    codes: Codes
    warnings: tuple[Reason, ...] = ()


class ProjectCodes:
    """Sub jobs, cost codes and locations of a company's projects."""

    def __init__(self, procore: Procore) -> None:
        async def sub_jobs(project_id: int) -> dict[str, int]:
            return {
                sub_job.code: sub_job.id for sub_job in await procore.sub_jobs(project_id) if sub_job.code
            }

        async def cost_codes(of: tuple[int, int | None]) -> dict[str, int]:
            # The project's list may hold the codes of its sub jobs too.
            return {
                code.full_code: code.id for code in await procore.cost_codes(*of) if code.sub_job_id == of[1]
            }

        async def locations(project_id: int) -> dict[str, int]:
            return {location.name: location.id for location in await procore.locations(project_id)}

        self._sub_jobs: ReadThrough[int, dict[str, int]] = ReadThrough(sub_jobs, keep_s=_KEEP_S)
        self._cost_codes: ReadThrough[tuple[int, int | None], dict[str, int]] = ReadThrough(
            cost_codes, keep_s=_KEEP_S
        )
        self._locations: ReadThrough[int, dict[str, int]] = ReadThrough(locations, keep_s=_KEEP_S)

    async def resolve(self, shift: TimesheetEvent, project_id: int) -> Resolved | Reason:
        """The ids of the shift's codes, or why it must not be booked: never on a wrong or empty code."""
        unknown = reasons.code_not_in_project(shift.cost_code_segment_1, shift.cost_code_segment_2)
        sub_job_id = cost_code_id = None
        if shift.cost_code_segment_1:
            sub_job_id = await _look_up(self._sub_jobs, project_id, shift.cost_code_segment_1)
            if sub_job_id is None:
                return unknown
        if shift.cost_code_segment_2:
            cost_code_id = await _look_up(
                self._cost_codes, (project_id, sub_job_id), shift.cost_code_segment_2
            )
            if cost_code_id is None:
                return unknown
        if not shift.location:
            return Resolved(Codes(sub_job_id, cost_code_id))
        location_id = await _look_up(self._locations, project_id, shift.location)
        warnings = () if location_id is not None else (reasons.location_not_in_project(shift.location),)
        return Resolved(Codes(sub_job_id, cost_code_id, location_id), warnings)

    def renew(self) -> None:
        """Read everything anew before it is used again."""
        for kept in (self._sub_jobs, self._cost_codes, self._locations):
            kept.renew()


async def _look_up(kept: ReadThrough[K, dict[str, int]], key: K, name: str) -> int | None:
    return await kept.find(key, lambda ids: ids.get(name))
