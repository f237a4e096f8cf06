"""Which version of the program this is."""

from importlib.metadata import PackageNotFoundError, version


def program_version() -> str:
    """The version as it is installed; "unknown" if the sources run without being installed."""
    try:
        return version("crewsync")
    except PackageNotFoundError:
        return "unknown"
