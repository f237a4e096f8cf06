"""Every error that crosses a module's border, in one tree so that imports never loop.

CrewsyncError
├── ConfigurationError      the settings are wrong; the message is for the person who made them
├── BrokerError             the broker failed; the operation may be tried again
│   ├── BrokerUnavailable   it cannot be reached or opened
│   ├── BrokerInUse         another process has the embedded broker's file
│   ├── TopicMissing        a topic that the operation needs does not exist
│   └── Fenced              a newer owner has taken over; what was not committed must be dropped
├── SchemaError             a value does not fit its schema
│   ├── UndecodableValue    the bytes are not a value of any schema that may stand there
│   └── UnknownSchema       the framing is right, but nobody knows the schema it names
└── UpstreamError           see consumer.upstream.http, which raises its kinds
"""


class CrewsyncError(Exception):
    """Root of every error that this project raises on purpose."""


class ConfigurationError(CrewsyncError):
    """The settings are wrong. The message says which, and what would be right."""


class BrokerError(CrewsyncError):
    """The broker failed; what was asked may or may not have happened and may be tried again."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached or opened."""


class BrokerInUse(BrokerError):
    """Another process has the embedded broker's file open."""


class TopicMissing(BrokerError):
    """A topic that the operation needs does not exist."""


class Fenced(BrokerError):
    """A newer owner of the partitions or of the transactional id has taken over."""


class SchemaError(CrewsyncError):
    """A value does not fit its schema."""


class UndecodableValue(SchemaError):
    """The bytes are not a value of any schema that may stand there."""


class UnknownSchema(SchemaError):
    """The framing is right, but no known schema has the fingerprint or id it names."""


class UpstreamError(CrewsyncError):
    """A call to Procore or SmartBarrel did not do what was asked."""
