"""Whether folders can be written to, and secrets can be read by those only who should."""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryFile

from consumer.doctor.findings import Finding, fail, ok, warn


_MIB = 2**20
_LOW_BYTES = 512 * _MIB
_FULL_BYTES = 16 * _MIB
_SAID_SECRET = ("SECRET", "TOKEN", "API_KEY", "PASSWORD")


def folder_findings(name: str, folder: Path) -> Iterator[Finding]:
    """Whether files can be made in the folder, or it can be made itself, and how much room there is."""
    there = _nearest(folder)
    if there is None or not there.is_dir():
        yield fail(
            f"{name}: {folder} cannot be made, since {there or folder} is no folder",
            f"move {there or folder} away, or set another place",
        )
        return
    try:
        if there == folder:
            # More than the permissions decide: a file system may be mounted read-only, or its quota be spent.
            with TemporaryFile(dir=folder) as file:
                file.write(b"crewsync")
        elif not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(None, "Permission denied")
        free = shutil.disk_usage(there).free
    except OSError as error:
        yield fail(
            f"{name}: {there} cannot be written to ({error.strerror})",
            f"let crewsync's user write there (chown, or chmod u+rwx {there}), or set another place",
        )
        return
    yield _room(name, folder, free)


def _room(name: str, folder: Path, free: int) -> Finding:
    what = f"{name}: {folder} can be written to, {free // _MIB} MiB are free"
    remedy = "make room on its disk, or set a place on another one"
    if free < _FULL_BYTES:
        return fail(what, remedy)
    return warn(what, remedy) if free < _LOW_BYTES else ok(what)


def secret_findings(given: Mapping[str, str], env_file: Path) -> Iterator[Finding]:
    """Which files with secrets in them everybody on this machine can read. ``given`` are all variables."""
    paths = {
        Path(value): name for name, value in given.items() if _holds_secret(name, given) and value.strip()
    }
    if any(_is_secret(name) for name in _lines(env_file)):
        paths[env_file] = "the settings' file"
    told = given.get("CREWSYNC_COMPANIES", "").strip()
    companies = Path(told)
    if told and not told.startswith("[") and any(_is_secret(name) for name in _lines(companies)):
        paths[companies] = "CREWSYNC_COMPANIES"
    open_to_all = {path: name for path, name in paths.items() if _is_open(path)}
    for path, name in sorted(open_to_all.items()):
        yield warn(f"secrets: everybody on this machine can read {path} ({name})", f"chmod o= {path}")
    if paths and not open_to_all:
        yield ok(f"secrets: {', '.join(map(str, sorted(paths)))} can be read by no others")


def _holds_secret(name: str, given: Mapping[str, str]) -> bool:
    """Whether it names a file with a secret. Certificates are none, but a key may be in their file."""
    told = name.upper()
    if told == "CREWSYNC_KAFKA_CA_FILE":
        return False
    if told == "CREWSYNC_KAFKA_CERT_FILE":
        return not any(other.upper() == "CREWSYNC_KAFKA_KEY_FILE" for other in given)
    return told.startswith("CREWSYNC_") and told.endswith("_FILE")


def _is_secret(name: str) -> bool:
    return name.upper().endswith(_SAID_SECRET)


def _lines(path: Path) -> list[str]:
    """The names that a file gives values to, whatever its format is."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.partition("=")[0].strip() for line in text.splitlines() if "=" in line]


def _is_open(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH))
    except OSError:
        return False


def _nearest(folder: Path) -> Path | None:
    """The folder, or the nearest one above it that is there."""
    for each in (folder, *folder.parents):
        try:
            if each.exists():
                return each
        except OSError:
            return None
    return None
