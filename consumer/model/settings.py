"""What a company may choose."""

from dataclasses import dataclass
from enum import StrEnum


class TimeEntry(StrEnum):
    """Procore's Time Entry setting."""

    TOTAL_HOURS = "total_hours"
    START_STOP = "start_stop"


@dataclass(frozen=True, slots=True)
class ProjectTimeEntry:
    """One project's own Time Entry setting; ``project_id`` is Procore's."""

    project_id: int
    time_entry: TimeEntry


@dataclass(frozen=True, slots=True)
class CompanySettings:
    """The settings of one company; the defaults hold until it says otherwise."""

    company_id: int
    user_sync: bool = True
    sync_classifications: bool = False
    autosync_users: bool = False
    auto_sync_time_card: bool = False
    only_approved_shift: bool = True
    include_sub_workers: bool = False
    time_entry: TimeEntry = TimeEntry.TOTAL_HOURS
    default_region: str = "US"
    deactivate_workers: bool = False
    project_time_entry: tuple[ProjectTimeEntry, ...] = ()

    def time_entry_of(self, project_id: int) -> TimeEntry:
        """The project's own setting, else the company's."""
        own = (one.time_entry for one in self.project_time_entry if one.project_id == project_id)
        return next(own, self.time_entry)
