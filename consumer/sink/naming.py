"""What log a result belongs to, and how that log's file is called. Pure."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import PurePosixPath
from typing import Self

from consumer.model.events import Kind
from consumer.model.results import Result, RunMarker


SAFE_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,64}")
LONGEST_ENCODED = 120
"""Leaves room for kind, time and trigger within the 255 bytes that file systems allow a name."""


@dataclass(frozen=True, slots=True)
class LogKey:
    """Identity of a log: a run of a company, or (without a run) a UTC day of a company."""

    company_id: int | None
    kind: Kind
    run_id: str | None = None
    day: date | None = None

    @classmethod
    def of(cls, record: Result | RunMarker) -> Self:
        """The log that a record of ``sync-log`` belongs to."""
        if record.run_id is not None:
            return cls(record.company_id, record.kind, run_id=record.run_id)
        return cls(record.company_id, record.kind, day=utc_day(record.handled_at))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``."""
        company, kind, scope, rest = text.split("/", 3)
        company_id = int(company) if company else None
        if scope == "run":
            return cls(company_id, Kind(kind), run_id=rest)
        return cls(company_id, Kind(kind), day=date.fromisoformat(rest))

    def __str__(self) -> str:
        company = "" if self.company_id is None else self.company_id
        rest = f"day/{self.day}" if self.run_id is None else f"run/{self.run_id}"
        return f"{company}/{self.kind}/{rest}"


def utc_day(moment: datetime) -> date:
    """The UTC day of a moment."""
    return moment.astimezone(UTC).date()


def file_path(key: LogKey, marker: RunMarker | None) -> PurePosixPath:
    """Path of a log below the log directory; a run whose start is not known yet gets a name of its own.

    Different keys never share a path.
    """
    folder = "unknown" if key.company_id is None else safe_name(str(key.company_id))
    if key.run_id is None:
        name = f"{key.kind}-{key.day:%Y%m%d}"
    elif marker is None:
        name = f"{key.kind}-run-{safe_name(key.run_id)}"
    else:
        started = marker.started_at.astimezone(UTC)
        name = f"{key.kind}-{started:%Y%m%dT%H%M%SZ}-{marker.trigger}-{safe_name(key.run_id)}"
    return PurePosixPath(folder, f"{name}.txt")


def safe_name(text: str) -> str:
    """Text from outside as a part of a file name: itself if harmless, else percent-encoded, else its hash.

    The three forms cannot meet: ``%`` is no harmless character, and ``sha256-`` with its digest is longer
    than a harmless name may be. So different texts keep different names.
    """
    if SAFE_NAME.fullmatch(text):
        return text
    data = text.encode("utf-8", "surrogatepass")
    encoded = "".join(
        chr(byte) if byte < 128 and (chr(byte).isalnum() or chr(byte) in "_-") else f"%{byte:02X}"  # noqa: PLR2004 - ASCII
        for byte in data
    )
    if not encoded:
        return "%"
    if len(encoded) > LONGEST_ENCODED or len(text) > 64:  # noqa: PLR2004 - as in SAFE_NAME
        return f"sha256-{hashlib.sha256(data).hexdigest()}"
    return encoded
