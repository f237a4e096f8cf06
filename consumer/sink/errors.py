"""What can go wrong in the sink."""

from consumer.exceptions import CrewsyncError


class SinkError(CrewsyncError):
    """The log directory could not be read or written. Nothing is lost; a later step continues."""


class SinkInUse(SinkError):
    """Another sink process has the log directory open."""


class StateUnreadable(SinkError):
    """The state file is damaged, or is none at all."""
