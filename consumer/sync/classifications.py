"""A worker's position as a Procore work classification: found or made, and enabled on the project."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog

from consumer.exceptions import Rejected
from consumer.sync.mapping import one_line
from consumer.sync.readthrough import FRESH_S, ReadThrough
from consumer.upstream.procore import Procore
from consumer.upstream.procore_answers import Classification


log = structlog.get_logger(__name__)

_KEEP_S = 600.0


class OnProject(StrEnum):
    """How a classification stands on a project; the value is for people."""

    ACTIVE = "active on the project"
    INACTIVE = "to be activated on the project"
    ABSENT = "to be put on the project"


@dataclass(frozen=True, slots=True)
class ClassificationPlan:
    """The classification that an entry should have, and what has to be done before.

    Without a ``classification``, one is to be made at the company. ``linked_id`` is the one that the
    position is linked to already.
    """

    name: str
    linked_id: int | None
    classification: Classification | None
    on_project: OnProject


class ClassificationMissingError(Exception):
    """The classification cannot be put on the project."""


def folded(name: str) -> str:
    """A name as it is compared: without regard to case and to runs of white space."""
    return one_line(name).casefold()


@dataclass(frozen=True, slots=True)
class _Index:
    by_id: Mapping[int, Classification]
    by_name: Mapping[str, Classification]

    @classmethod
    def of(cls, classifications: Iterable[Classification]) -> "_Index":
        # Names may repeat in Procore: the oldest of each, so that everybody takes the same.
        newest_first = sorted(classifications, key=lambda one: one.id, reverse=True)
        return cls({one.id: one for one in newest_first}, {folded(one.name): one for one in newest_first})


class Classifications:
    """The work classifications of one company, and of its projects."""

    def __init__(self, procore: Procore) -> None:
        async def of_company(_: None) -> _Index:
            return _Index.of(await procore.classifications())

        async def of_project(project_id: int) -> Mapping[int, Classification]:
            return {one.id: one for one in await procore.project_classifications(project_id)}

        self._procore = procore
        self._of_company: ReadThrough[None, _Index] = ReadThrough(of_company, keep_s=_KEEP_S)
        self._of_project: ReadThrough[int, Mapping[int, Classification]] = ReadThrough(
            of_project, keep_s=_KEEP_S
        )
        self._changing = asyncio.Lock()

    async def all(self) -> Mapping[int, Classification]:
        """The company's classifications by id, read within the last minute."""
        return (await self._of_company.get(None, younger_than_s=FRESH_S)).by_id

    async def get(self, classification_id: int) -> Classification | None:
        """The classification with this id."""
        return await self._of_company.find(None, lambda index: index.by_id.get(classification_id))

    async def named(self, name: str) -> Classification | None:
        """The classification with this name, without regard to case."""
        return await self._of_company.find(None, lambda index: index.by_name.get(folded(name)))

    async def plan(self, name: str, known_id: int | None, project_id: int) -> ClassificationPlan:
        """What has to be done for a position; ``known_id`` is the classification that it is linked to."""
        found = None if known_id is None else await self.get(known_id)
        found = found or await self.named(name)
        on_project = OnProject.ABSENT if found is None else await self._on_project(found.id, project_id)
        return ClassificationPlan(name, known_id, found, on_project)

    async def plan_known(self, classification_id: int, project_id: int) -> ClassificationPlan | None:
        """What has to be done for a classification that is there; None if it is there no more."""
        found = await self.get(classification_id)
        if found is None:
            return None
        on_project = await self._on_project(found.id, project_id)
        return ClassificationPlan(found.name, found.id, found, on_project)

    async def carry_out(self, plan: ClassificationPlan, project_id: int) -> tuple[Classification, bool]:
        """Do it, and say whether the classification is new; what was done meanwhile is not done again.

        Raises ClassificationMissingError if the project still has no such classification afterwards.
        """
        if plan.classification is not None and plan.on_project is OnProject.ACTIVE:
            return plan.classification, False
        async with self._changing:
            classification, is_new = plan.classification, False
            if classification is None:
                classification, is_new = await self._found_or_made(plan)
            on_project = await self._on_project(classification.id, project_id)
            if on_project is OnProject.ABSENT:
                on_project = await self._imported(classification.id, project_id)
            if on_project is OnProject.INACTIVE:
                await self._procore.activate_classification(project_id, classification.id)
                self._of_project.renew()
            if on_project is OnProject.ABSENT:
                raise ClassificationMissingError(classification.name)
            return classification, is_new

    def renew(self) -> None:
        """Read everything anew before it is used again."""
        self._of_company.renew()
        self._of_project.renew()

    async def _on_project(self, classification_id: int, project_id: int) -> OnProject:
        found = await self._of_project.find(project_id, lambda known: known.get(classification_id))
        if found is None:
            return OnProject.ABSENT
        return OnProject.ACTIVE if project_id in found.project_ids else OnProject.INACTIVE

    async def _found_or_made(self, plan: ClassificationPlan) -> tuple[Classification, bool]:
        found = await self.named(plan.name)
        if found is not None:
            return found, False
        # A call whose answer is lost may have had effect, so the next look must be a fresh one either way.
        self._of_company.renew()
        found = await self.named(plan.name)
        if found is not None:
            return found, False
        try:
            made = await self._procore.create_classification({"name": plan.name})
        finally:
            self._of_company.renew()
        # Another process may have had the same wish at the same moment: everybody takes the oldest.
        oldest = await self.named(plan.name) or made
        if oldest.id != made.id:
            log.warning("classification.twice", company=self._procore.company_id, extra=made.id)
        return oldest, True

    async def _imported(self, classification_id: int, project_id: int) -> OnProject:
        try:
            await self._procore.import_classifications(project_id)
        except Rejected:
            # No source says what happens when some are there already; the list tells what came of it.
            log.info("classification.import_refused", company=self._procore.company_id, project=project_id)
        self._of_project.renew()
        return await self._on_project(classification_id, project_id)
