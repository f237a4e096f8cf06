"""Files that are whole or absent, and the lock on the log directory."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from consumer.sink.errors import SinkInUse


LineEnds = Literal["lf", "crlf"]
"""How lines end in files: as on Unix, or as Windows' older editors want it."""
UNFINISHED = ".sink.tmp"
LOCK = ".sink.lock"
REBUILD_FOLDER = ".sink.rebuild"
"""Where a rebuild works; one that is found there was left by a process that was killed."""


def lock_directory(directory: Path) -> IO[str]:
    """Take the directory for this process until the returned file is closed or the process ends.

    Raises SinkInUse if another process has it, OSError if it cannot be used at all.
    """
    handle = (directory / LOCK).open("a", encoding="ascii")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise SinkInUse(f"another sink is writing to {directory}; only one may") from error
    except OSError:
        handle.close()
        raise
    return handle


def as_bytes(text: str, line_ends: LineEnds) -> bytes:
    """A text, whose lines end as on Unix, as a file has it."""
    return (text if line_ends == "lf" else text.replace("\n", "\r\n")).encode()


def replace_file(path: Path, content: bytes) -> None:
    """Put the content at the path, durably; a reader sees the former file or this one, never a part.

    Raises OSError; the former file is then still there, and nothing unfinished is left behind.
    """
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _sync_directory(path.parent.parent)
    unfinished = path.parent / UNFINISHED
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file, durably, if it is there. Raises OSError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _sync_directory(path.parent)


def remove_unfinished(directory: Path) -> None:
    """Remove what a process that was killed while writing has left behind. Raises OSError."""
    for unfinished in directory.glob(f"*/{UNFINISHED}"):
        unfinished.unlink()


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
