"""Faults by rules, in a file that may be changed while the sandbox runs.

::

    seed = 7                            # of everything that chance decides; 0 if left out

    [budget]                            # instead of the one that the sandbox was started with
    hourly = 600
    spike = 25                          # in ten seconds
    system = "procore"                  # left out, both systems have such a budget

    [[rules]]
    system = "procore"                  # procore or smartbarrel; and so on: what is left out always fits
    operation = "createTimecardEntry"   # as the contract names it
    method = "POST"
    path = "/rest/v1.0/companies/*"
    after = 10                          # not the first ten requests that fit
    times = 3                           # no more than three faults
    probability = 0.2                   # of a fault, for a request that fits
    fault = "latency=2"                 # see ``faults``; a list of them is one of them by chance

Of the rules that fit a request, the first that takes effect counts. A file that was changed is read anew
before the next request, and all counting starts again. If it cannot be read then, the rules that were in
force stay, and the log says why.
"""

import tomllib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal

import structlog
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from consumer.exceptions import ConfigurationError
from consumer.sandbox.faults import Fault, parse_fault
from consumer.sandbox.limits import RateBudget


log = structlog.get_logger(__name__)

System = Literal["procore", "smartbarrel"]

_GENEROUS = RateBudget()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as rules see it; ``operation`` is None if the contract has none at its address."""

    system: str
    operation: str | None
    method: str
    path: str


class FaultFile:
    """The rules that are in force.

    ``asked`` is how many requests there were since the start, ``counts`` how often each fault befell one.
    """

    def __init__(self, path: Path, operations: Collection[str]) -> None:
        """Read the file. Raises ConfigurationError that names every mistake."""
        self.asked = 0
        self.counts: Counter[str] = Counter()
        self._path = path
        self._operations = operations
        self._version = self._seen()
        self._rules = _Rules(_read(path, operations))

    def fault_for(self, asked: Asked) -> Fault | None:
        """The fault that befalls this request."""
        self.asked += 1
        fault = self._now().fault_for(asked)
        if fault is not None:
            self.counts[fault.text] += 1
        return fault

    def budget_of(self, system: str) -> RateBudget | None:
        """The budget that the file gives to a system."""
        budget = self._now().document.budget
        return None if budget is None or budget.system not in {None, system} else budget.made

    def _now(self) -> "_Rules":
        version = self._seen()
        if version != self._version:
            self._version = version
            try:
                self._rules = _Rules(_read(self._path, self._operations))
            except ConfigurationError as error:
                log.warning("earlier faults stay in force", because=str(error))
        return self._rules

    def _seen(self) -> tuple[int, ...]:
        try:
            found = self._path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino


def _faults(value: object) -> object:
    texts = value if isinstance(value, list) and value else [value]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a fault is a text, or a list of texts")
    return tuple(map(parse_fault, texts))


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, strict=True)


class _Budget(_Table):
    hourly: int = Field(_GENEROUS.hourly, ge=1)
    spike: int = Field(_GENEROUS.spike, ge=1)
    system: System | None = None

    @property
    def made(self) -> RateBudget:
        return RateBudget(self.hourly, self.spike)


class _Rule(_Table):
    fault: Annotated[tuple[Fault, ...], BeforeValidator(_faults)]
    system: System | None = None
    operation: str | None = None
    method: str | None = None
    path: str | None = None
    probability: float = Field(1.0, ge=0, le=1)
    times: int | None = Field(None, ge=1)
    after: int = Field(0, ge=0)

    @field_validator("operation")
    @classmethod
    def _check_operation(cls, value: str, info: ValidationInfo) -> str:
        if value not in (info.context or ()):
            raise ValueError(f"no contract has an operation {value!r}")
        return value

    def fits(self, asked: Asked) -> bool:
        return (
            self.system in {None, asked.system}
            and self.operation in {None, asked.operation}
            and (self.method is None or self.method.upper() == asked.method)
            and (self.path is None or fnmatchcase(asked.path, self.path))
        )


class _Document(_Table):
    seed: int = 0
    budget: _Budget | None = None
    rules: tuple[_Rule, ...] = Field((), strict=False)


class _Rules:
    """A document, and how often each of its rules has fitted and has taken effect."""

    def __init__(self, document: _Document) -> None:
        self.document = document
        self._chance = Random(document.seed)  # noqa: S311 - it has to be the same with every start
        self._fitted = [0] * len(document.rules)
        self._taken = [0] * len(document.rules)

    def fault_for(self, asked: Asked) -> Fault | None:
        for number, rule in enumerate(self.document.rules):
            if not rule.fits(asked):
                continue
            self._fitted[number] += 1
            if self._fitted[number] <= rule.after or self._taken[number] == rule.times:
                continue
            if self._chance.random() < rule.probability:
                self._taken[number] += 1
                return self._chance.choice(rule.fault).drawn(self._chance)
        return None


def _read(path: Path, operations: Collection[str]) -> _Document:
    try:
        with path.open("rb") as file:
            document = tomllib.load(file)
        return _Document.model_validate(document, context=operations)
    except OSError as error:
        raise ConfigurationError(f"the sandbox's faults {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the sandbox's faults {path} are no TOML: {error}") from None
    except ValidationError as error:
        problems = map(_problem, error.errors(include_url=False))
        raise ConfigurationError(
            "\n  ".join([f"the sandbox's faults {path} are wrong:", *problems])
        ) from None


def _problem(error: Mapping[str, Any]) -> str:
    where = [f"{part + 1}" if isinstance(part, int) else part for part in error["loc"]]
    return f"{'.'.join(where)}: {str(error['msg']).removeprefix('Value error, ')}"
