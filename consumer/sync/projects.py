"""Procore's projects, found by id."""

import time
from collections.abc import Callable, Mapping

from consumer.sync.readthrough import FRESH_S, ReadThrough
from consumer.upstream.procore import Procore
from consumer.upstream.procore_answers import Project


_KEEP_S = 600.0


class Projects:
    """The projects of one company that its account can see."""

    def __init__(self, procore: Procore, clock: Callable[[], float] = time.monotonic) -> None:
        async def read(_: None) -> Mapping[int, Project]:
            return {project.id: project for project in await procore.projects()}

        self._by_id: ReadThrough[None, Mapping[int, Project]] = ReadThrough(read, keep_s=_KEEP_S, clock=clock)

    async def get(self, project_id: int) -> Project | None:
        """The project; None if there is none, or the account cannot see it."""
        return await self._by_id.find(None, lambda projects: projects.get(project_id))

    async def is_gone(self, project_id: int) -> bool:
        """Whether the project is not among those that were read within the last minute."""
        return project_id not in await self._by_id.get(None, younger_than_s=FRESH_S)

    def renew(self) -> None:
        """Read the projects anew before they are used again."""
        self._by_id.renew()
