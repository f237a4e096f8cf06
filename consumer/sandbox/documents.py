"""JSON documents in SQLite tables, with columns derived from them to find and sort them by."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


Body = dict[str, Any]
SqlValue = str | int | float | None
Clause = tuple[str, tuple[SqlValue, ...]]
"""A condition for WHERE, and the values of its question marks."""


@dataclass(frozen=True, slots=True)
class Column:
    """A value derived from a document, by which the document is found."""

    name: str
    derive: Callable[[Body], SqlValue]
    unique: bool = False
    indexed: bool = True


@dataclass(frozen=True, slots=True)
class Collection:
    """A table of documents with ``key``, INTEGER or TEXT, as the type of their ids.

    ``order`` is the order in which its lists come, and must be total.
    """

    name: str
    columns: tuple[Column, ...]
    key: str = "INTEGER"
    order: str = "id"

    def definition(self) -> list[str]:
        """The statements that create the table and its indexes."""
        columns = "".join(f", {column.name}" for column in self.columns)
        statements = [f"CREATE TABLE {self.name} (id {self.key} PRIMARY KEY, body TEXT NOT NULL{columns})"]
        for column in self.columns:
            index = f"INDEX {self.name}_{column.name} ON {self.name}"
            if column.unique:
                statements.append(f"CREATE UNIQUE {index} ({column.name})")
            elif column.indexed:
                statements.append(f"CREATE {index} ({column.name}, id)")
        return statements


def put(db: sqlite3.Connection, collection: Collection, body: Mapping[str, Any]) -> None:
    """Store a document under its ``id``, in place of an earlier one.

    Raises sqlite3.IntegrityError if another document has the value of a unique column.
    """
    document = dict(body)
    names = ["id", "body", *(column.name for column in collection.columns)]
    values = [
        document["id"],
        json.dumps(document),
        *(column.derive(document) for column in collection.columns),
    ]
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
    db.execute(
        f"INSERT INTO {collection.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - names are constants
        f" ON CONFLICT (id) DO UPDATE SET {changes}",
        values,
    )


def get(db: sqlite3.Connection, collection: Collection, key: SqlValue) -> Body | None:
    """The document with this id, or None."""
    if key is None:
        return None
    return first(db, collection, ("id = ?", (key,)))


def first(db: sqlite3.Connection, collection: Collection, *where: Clause) -> Body | None:
    """The first document for which all conditions hold, or None."""
    found = select(db, collection, where, limit=1)
    return found[0] if found else None


def select(
    db: sqlite3.Connection,
    collection: Collection,
    where: Sequence[Clause] = (),
    *,
    order: str | None = None,
    limit: int = -1,
    offset: int = 0,
) -> list[Body]:
    """The documents for which all conditions hold, in order. A negative ``limit`` means all."""
    condition, values = _joined(where)
    rows = db.execute(
        f"SELECT body FROM {collection.name}{condition}"  # noqa: S608 - names and clauses are constants
        f" ORDER BY {order or collection.order} LIMIT ? OFFSET ?",
        (*values, limit, offset),
    )
    return [json.loads(body) for (body,) in rows]


def count(db: sqlite3.Connection, collection: Collection, where: Sequence[Clause] = ()) -> int:
    """How many documents there are for which all conditions hold."""
    condition, values = _joined(where)
    statement = f"SELECT count(*) FROM {collection.name}{condition}"  # noqa: S608 - names and clauses are constants
    (number,) = db.execute(statement, values).fetchone()
    return int(number)


def one_of(expression: str, values: Sequence[SqlValue]) -> Clause:
    """The condition that the expression has one of the values."""
    return f"{expression} IN ({', '.join('?' * len(values))})", tuple(values)


def _joined(where: Sequence[Clause]) -> Clause:
    if not where:
        return "", ()
    conditions = " AND ".join(f"({condition})" for condition, _ in where)
    return f" WHERE {conditions}", tuple(value for _, values in where for value in values)
