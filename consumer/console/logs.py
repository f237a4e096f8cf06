"""The logs as pages and API find them: opened for one answer, and looked up by what identifies them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus

from starlette.exceptions import HTTPException

from consumer.console.sources import Sources
from consumer.model.events import Kind
from consumer.sink.catalog import Catalog
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey
from consumer.sink.sink import STATE_FILE


_LONGEST_ID = 200


@contextmanager
def catalog_of(sources: Sources) -> Iterator[Catalog | None]:
    """The catalog; None where no sink has written any log yet. Raises SinkError if it cannot be read."""
    if not (sources.log_dir / STATE_FILE).exists():
        yield None
        return
    with Catalog(sources.log_dir) as catalog:
        yield catalog


def key_of(company_id: int, kind: Kind, scope: str, name: str) -> LogKey:
    """Identity of the log at ``.../runs/ID`` or ``.../days/2026-11-28``. Raises HTTPException if none can be."""
    if scope == "runs" and 0 < len(name) <= _LONGEST_ID:
        return LogKey(company_id, kind, run_id=name)
    if scope == "days":
        try:
            return LogKey(company_id, kind, day=date.fromisoformat(name))
        except ValueError:
            pass
    raise no_log()


def entry_of(catalog: Catalog | None, key: LogKey) -> LogEntry:
    """The log with this identity. Raises HTTPException if there is none."""
    entry = None if catalog is None else catalog.find(key)
    if entry is None:
        raise no_log()
    return entry


def no_log() -> HTTPException:
    """The answer where no log is."""
    return HTTPException(HTTPStatus.NOT_FOUND, "There is no such log, or it was removed after its time.")


def with_line_ends(text: str, wanted: str | None) -> str:
    """The text with ``crlf`` or ``lf`` at the ends of lines; as it is for None."""
    if wanted is None:
        return text
    plain = text.replace("\r\n", "\n")
    return plain.replace("\n", "\r\n") if wanted == "crlf" else plain
