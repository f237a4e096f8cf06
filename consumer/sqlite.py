"""What every SQLite file of ours needs."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Everything inside happens, or nothing of it. Writers of all processes queue here.

    The connection must be one without transactions of its own (``isolation_level=None``).
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        # SQLite itself rolls back after some errors, for example when the disk is full.
        if db.in_transaction:
            db.execute("ROLLBACK")
