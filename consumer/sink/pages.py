"""A log's results page by page, and what was ever said of a person. No page costs more memory than it has."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from consumer.model.events import Kind
from consumer.sink.layout import name_order
from consumer.sink.listing import History, Page, Past, Show, Wanted
from consumer.sink.log_entry import LogEntry
from consumer.sink.naming import LogKey
from consumer.sink.reading import ENTRY_FIELDS, log_entry
from consumer.sink.tables import RESULT_FIELDS, reasons_of, result_of


_SHOWN = {
    Show.ALL: "",
    Show.SYNCED: " AND synced = 1",
    Show.NOT_SYNCED: " AND synced = 0",
    Show.WARNINGS: " AND warnings IS NOT NULL",
}
_ORDER = "ORDER BY synced, name_key, subject_id, subject_name, handled_at, part, offset"
"""Who is not synced first, each as the file has them."""
_ESCAPED_IN_JSON = re.compile(r'["\\\x00-\x1f]')


def page(db: sqlite3.Connection, entry: LogEntry, wanted: Wanted, limit: int, offset: int) -> Page:
    """The results that are wanted, but those that were superseded. Raises sqlite3.Error."""
    which = f"FROM results WHERE log = ? AND superseded = 0{_SHOWN[wanted.show]}"
    sought = name_order(wanted.search.strip())
    if sought:
        return _found(db, entry, which, sought, limit, offset)
    (total,) = db.execute(f"SELECT COUNT(*) {which}", (entry.id,)).fetchone()
    rows = db.execute(
        f"SELECT {RESULT_FIELDS} {which} {_ORDER} LIMIT ? OFFSET ?",
        (entry.id, max(limit, 0), max(offset, 0)),
    )
    return Page([result_of(entry.key, row) for row in rows], int(total))


def history(  # noqa: PLR0917 - all but the connection are the catalog's own arguments
    db: sqlite3.Connection,
    company_id: int,
    kind: Kind,
    subject_id: str | None,
    name: str | None,
    limit: int,
    offset: int,
) -> History:
    """What was ever said of a subject. Raises sqlite3.Error; ValueError if neither id nor name is given."""
    if subject_id is None and name is None:
        raise ValueError("a history is somebody's: an id or a name is needed")
    # The plus leaves the choice of the index to the subject, which few results have.
    which = "FROM results JOIN logs ON logs.id = log WHERE +company_id = ? AND +kind = ?"
    values: list[Any] = [company_id, kind]
    for column, value in (("subject_id", subject_id), ("subject_name", name)):
        if value is not None:
            which += f" AND {column} = ?"
            values.append(value)
    (total,) = db.execute(f"SELECT COUNT(*) {which}", values).fetchone()
    rows = db.execute(
        f"SELECT log, superseded, {RESULT_FIELDS} {which} "
        "ORDER BY handled_at DESC, part DESC, offset DESC LIMIT ? OFFSET ?",
        (*values, max(limit, 0), max(offset, 0)),
    ).fetchall()
    entries = {log: _entry(db, log) for log in {row[0] for row in rows}}
    return History(
        [Past(entries[row[0]], result_of(entries[row[0]].key, row[2:]), bool(row[1])) for row in rows],
        int(total),
    )


def _entry(db: sqlite3.Connection, log: int) -> LogEntry:
    row = db.execute(f"SELECT {ENTRY_FIELDS} FROM logs WHERE id = ?", (log,)).fetchone()  # noqa: S608 - constants
    return log_entry(db, *row)


def _found(  # noqa: PLR0917 - as above
    db: sqlite3.Connection, entry: LogEntry, which: str, sought: str, limit: int, offset: int
) -> Page:
    """In one pass: looked at row by row, kept only if on the page."""
    rows = db.execute(
        f"SELECT name_key, subject_id, detail, reasons, warnings, part, offset {which} {_ORDER}",
        (entry.id,),
    )
    total, places = 0, list[tuple[int, int]]()
    may_be_escaped = _ESCAPED_IN_JSON.search(sought) is not None
    for name_key, subject_id, detail, reasons, warnings, *place in rows:
        if (
            sought in name_key
            or sought in name_order(subject_id)
            or (detail is not None and sought in name_order(detail))
            or _in_reasons(sought, reasons, may_be_escaped)
            or _in_reasons(sought, warnings, may_be_escaped)
        ):
            if offset <= total < offset + limit:
                places.append((place[0], place[1]))
            total += 1
    return Page(list(_at(db, entry.key, places)), total)


def _at(db: sqlite3.Connection, key: LogKey, places: Sequence[tuple[int, int]]) -> Iterator[Any]:
    for place in places:
        row = db.execute(
            f"SELECT {RESULT_FIELDS} FROM results WHERE part = ? AND offset = ?",  # noqa: S608 - a constant
            place,
        ).fetchone()
        yield result_of(key, row)


def _in_reasons(sought: str, text: str | None, may_be_escaped: bool) -> bool:
    if text is None or not (may_be_escaped or sought in name_order(text)):
        # What the stored text does not have at all none of its sentences has.
        return False
    return any(
        sought in name_order(words)
        for reason in reasons_of(text)
        for words in (reason.message, reason.upstream or "")
    )
