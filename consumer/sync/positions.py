"""A Procore work classification as a SmartBarrel position: *Sync Classifications*."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from consumer.exceptions import Duplicate, NotFound, Rejected, UpstreamError
from consumer.sync.classifications import Classifications, folded
from consumer.sync.fingerprint import fingerprint
from consumer.sync.mapping import external_id, procore_id
from consumer.sync.readthrough import FRESH_S, ReadThrough
from consumer.upstream.procore_answers import Classification
from consumer.upstream.smartbarrel import ACTIVE, Position, SmartBarrel


log = structlog.get_logger(__name__)

_KEEP_S = 600.0


@dataclass(frozen=True, slots=True)
class PositionPlan:
    """The position that a classification should be: ``fields`` are what is to be sent, all for a new one.

    ``holder`` is another position that has the name which this one should have.
    """

    classification: Classification
    position: Position | None
    fields: Mapping[str, object]
    holder: Position | None = None


@dataclass(frozen=True, slots=True)
class _Index:
    by_id: dict[str, Position] = field(default_factory=dict)
    by_classification: dict[int, Position] = field(default_factory=dict)
    by_name: dict[str, Position] = field(default_factory=dict)

    @classmethod
    def of(cls, positions: Iterable[Position]) -> "_Index":
        index = cls()
        for position in positions:
            index.add(position)
        return index

    def add(self, position: Position) -> None:
        """Take over a position, which has left what it was called and stood for before, if it was known."""
        before = self.by_id.get(position.id)
        if before is not None:
            self._remove(before)
        self.by_id[position.id] = position
        self.by_name[folded(position.name)] = position
        classification_id = procore_id(position.external_id)
        if classification_id is not None:
            self.by_classification[classification_id] = position

    def _remove(self, position: Position) -> None:
        # Another may have taken the name or the classification over by now.
        if self.by_name.get(folded(position.name)) is position:
            del self.by_name[folded(position.name)]
        classification_id = procore_id(position.external_id) or 0
        if self.by_classification.get(classification_id) is position:
            del self.by_classification[classification_id]


class Positions:
    """The positions of one company."""

    def __init__(
        self,
        smartbarrel: SmartBarrel,
        classifications: Classifications,
        company_id: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        async def read(_: None) -> _Index:
            return _Index.of(await smartbarrel.positions())

        self._smartbarrel = smartbarrel
        self._classifications = classifications
        self._company_id = company_id
        self._clock = clock
        self._index: ReadThrough[None, _Index] = ReadThrough(read, keep_s=_KEEP_S, clock=clock)
        self._changing = asyncio.Lock()
        self._seen: dict[int, tuple[float, str]] = {}
        self._refused: dict[tuple[int, str], tuple[float, UpstreamError]] = {}

    async def plan(self, classification_id: int, *, is_fresh: bool = False) -> PositionPlan | None:
        """The position of a classification; None if Procore does not list the classification.

        What a fresh one is made of was read within the last minute.
        """
        if is_fresh:
            classification = (await self._classifications.all()).get(classification_id)
        else:
            classification = await self._classifications.get(classification_id)
        if classification is None:
            return None
        plan = await self._planned(classification, FRESH_S if is_fresh else None)
        if plan.position is None and not is_fresh:
            plan = await self._planned(classification, FRESH_S)
        if plan.position is not None and is_fresh:
            self._seen[classification_id] = (self._clock(), plan.position.id)
        return plan

    def seen(self, classification_id: int) -> str | None:
        """The position's id, if a fresh plan of the last minute says it."""
        at, position_id = self._seen.get(classification_id, (float("-inf"), ""))
        return position_id if self._clock() - at < FRESH_S else None

    async def carry_out(self, plan: PositionPlan) -> Position:
        """Make or change the position, unless it is as it should be by now.

        Raises Rejected or NotFound, and does so for some minutes without a call: many may have it.
        """
        if plan.position is not None and not plan.fields:
            return plan.position
        async with self._changing:
            plan = await self._planned(plan.classification, None)
            what = (plan.classification.id, fingerprint(dict(plan.fields)))
            at, refusal = self._refused.get(what, (float("-inf"), None))
            if refusal is not None and self._clock() - at < _KEEP_S:
                raise refusal.with_traceback(None)
            try:
                return await self._sent_or_found(plan)
            except (Rejected, NotFound) as error:
                self._refused[what] = (self._clock(), error)
                raise

    async def sync_all(self) -> int:
        """Make every classification a position, and say how many had to be made or changed."""
        changed, held = set[int](), []
        for classification_id in sorted(await self._classifications.all()):
            plan = await self.plan(classification_id)
            if plan is not None and plan.holder is not None:
                held.append(plan.classification)
            if plan is None or (plan.position is not None and not plan.fields):
                continue
            try:
                await self.carry_out(plan)
            except Rejected as error:
                # Whoever has this classification is told by their own result.
                log.warning("position.refused", error=str(error), classification=classification_id)
            else:
                changed.add(classification_id)
        # By now those names are free whose holders had a free one to go to.
        for classification in held:
            changed |= await self._renamed(classification)
        if changed:
            log.info("positions.synced", company=self._company_id, changed=len(changed))
        return len(changed)

    async def link(self, position_id: str, classification_id: int) -> None:
        """Note on a position which classification was made of it."""
        fields = {"external_id": external_id(classification_id)}
        (await self._index.get(None)).add(await self._smartbarrel.update_position(position_id, fields))

    def renew(self) -> None:
        """Read the positions anew before they are used again. May be called from any thread."""
        self._index.renew()
        self._seen, self._refused = {}, {}

    async def _renamed(self, classification: Classification) -> set[int]:
        """Give a position the name that another one had, and say which classifications' changed."""
        try:
            async with self._changing:
                return await self._taken_over(classification)
        except (Rejected, NotFound) as error:
            log.warning("position.refused", error=str(error), classification=classification.id)
            return set()

    async def _taken_over(self, classification: Classification) -> set[int]:
        """Where several should swap their names, each waits for another; so one makes room first.

        Its passing name is none that its classification has, so the next sync renames it at the latest.
        """
        plan = await self._planned(classification, None)
        if plan.holder is None:
            await self._sent(plan)
            return {classification.id}
        other = await self._outgrown(plan.holder)
        if other is None:
            log.warning("position.name_taken", classification=classification.id)
            return set()
        passing = {"name": f"{plan.holder.name} ({other.id})"}
        await self._sent(PositionPlan(other, plan.holder, passing))
        await self._sent(await self._planned(classification, None))
        await self._sent(await self._planned(other, None))
        return {classification.id, other.id}

    async def _outgrown(self, position: Position) -> Classification | None:
        """The classification of a position that is called something else by now."""
        classification_id = procore_id(position.external_id)
        found = None if classification_id is None else await self._classifications.get(classification_id)
        return None if found is None or folded(found.name) == folded(position.name) else found

    async def _sent_or_found(self, plan: PositionPlan) -> Position:
        try:
            return await self._sent(plan)
        except (Duplicate, NotFound):
            # Somebody else was quicker: what is there now decides.
            return await self._sent(await self._planned(plan.classification, None))

    async def _sent(self, plan: PositionPlan) -> Position:
        if plan.position is not None and not plan.fields:
            return plan.position
        try:
            position = await self._put(plan)
        except BaseException:
            self._index.renew()
            raise
        (await self._index.get(None)).add(position)
        return position

    async def _put(self, plan: PositionPlan) -> Position:
        if plan.position is not None:
            return await self._smartbarrel.update_position(plan.position.id, plan.fields)
        key = f"position-{self._company_id}-{plan.classification.id}-{fingerprint(dict(plan.fields))}"
        return await self._smartbarrel.create_position(plan.fields, key)

    async def _planned(self, classification: Classification, younger_than_s: float | None) -> PositionPlan:
        index = await self._index.get(None, younger_than_s)
        wanted: dict[str, object] = {"external_id": external_id(classification.id), "status": ACTIVE}
        linked = index.by_classification.get(classification.id)
        named = index.by_name.get(folded(classification.name))
        position = linked or named
        if position is None:
            code = {"code": classification.abbreviation} if classification.abbreviation else {}
            new = {"name": classification.name, "external_id": wanted["external_id"], **code}
            return PositionPlan(classification, None, new)
        if named is None:
            # Renamed in Procore. As long as the new name belongs to another position, the old one stays.
            wanted["name"] = classification.name
        holder = None if named is None or named.id == position.id else named
        if linked is None and await self._is_anothers(position):
            # A second classification of the same name shares the position of the first.
            del wanted["external_id"]
        changes = {name: value for name, value in wanted.items() if getattr(position, name) != value}
        return PositionPlan(classification, position, changes, holder)

    async def _is_anothers(self, position: Position) -> bool:
        """Whether the position stands for another classification that is there, or for something else."""
        if position.external_id is None:
            return False
        classification_id = procore_id(position.external_id)
        return classification_id is None or await self._classifications.get(classification_id) is not None
