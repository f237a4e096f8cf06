"""The logs as pages and API find them: opened for one answer, and looked up by what identifies them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response

from consumer.console.sources import Sources
from consumer.model.events import Kind
from consumer.sink.catalog import Catalog
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey
from consumer.sink.state import STATE_FILE


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
    """The log at ``.../runs/ID`` or ``.../days/2026-11-28``. Raises HTTPException if there can be none."""
    if scope == "runs" and 0 < len(name) <= _LONGEST_ID:
        return LogKey(company_id, kind, run_id=name)
    if scope == "days":
        try:
            day = date.fromisoformat(name)
            if day.isoformat() == name:
                return LogKey(company_id, kind, day=day)
        except ValueError:
            pass
    raise no_log()


@contextmanager
def opened(sources: Sources, key: LogKey) -> Iterator[tuple[Catalog, LogEntry]]:
    """The log with this identity, and the catalog that has it. Raises HTTPException if there is none."""
    with catalog_of(sources) as catalog:
        entry = None if catalog is None else catalog.find(key)
        if catalog is None or entry is None:
            raise no_log()
        yield catalog, entry


def no_log() -> HTTPException:
    """The answer where no log is."""
    return HTTPException(HTTPStatus.NOT_FOUND, "There is no such log, or it was removed after its time.")


def content_of(catalog: Catalog, entry: LogEntry, line_ends: str | None) -> bytes:
    """What the log's file holds, with ``crlf`` or ``lf`` at the ends of lines, or as it is."""
    content = catalog.content(entry)
    if line_ends is None:
        return content
    plain = content.replace(b"\r\n", b"\n")
    return plain.replace(b"\n", b"\r\n") if line_ends == "crlf" else plain


def text_file(content: bytes, entry: LogEntry) -> Response:
    """A txt file to be saved. Its name is the sink's, which has harmless characters only."""
    name = entry.path.name if entry.path else "log.txt"
    return PlainTextResponse(content, headers={"Content-Disposition": f'attachment; filename="{name}"'})
