"""Every error that crosses a module's border, in one tree so that imports never loop.

CrewsyncError
├── ConfigurationError      the settings are wrong; the message is for the person who made them
├── BrokerError             the broker failed; the operation may be tried again
│   ├── BrokerUnavailable   it cannot be reached or opened
│   │   └── BrokerRefused   TLS or SASL does not let the two sides talk
│   ├── BrokerInUse         another process has the embedded broker's file
│   ├── TopicMissing        a topic that the operation needs does not exist
│   └── Fenced              a newer owner has taken over; what was not committed must be dropped
├── SchemaError             a value does not fit its schema
│   ├── UndecodableValue    the bytes are not a value of any schema that may stand there
│   └── UnknownSchema       the framing is right, but nobody knows the schema it names
├── SchemaRegistryError     see consumer.model.registry: nobody can tell now what a schema id means
└── UpstreamError           a call to Procore or SmartBarrel did not do what was asked
    ├── Transient           it may work later; after a POST the effect is unknown
    │   └── Unsure          no call was made, since somebody else may have to make it
    ├── RateLimited         it will work after a known time
    ├── Misconfigured       nothing will work for this company until somebody mends the set-up
    ├── NotFound            the thing is not there, or hidden from this account
    └── Rejected            the upstream says no to these data, and will again
        └── Duplicate       another record has a value that must be unique
"""


class CrewsyncError(Exception):
    """Root of every error that this project raises on purpose."""


class ConfigurationError(CrewsyncError):
    """The settings are wrong. The message says which, and what would be right."""


class BrokerError(CrewsyncError):
    """The broker failed; what was asked may or may not have happened and may be tried again."""


class BrokerUnavailable(BrokerError):
    """The broker cannot be reached or opened."""


class BrokerRefused(BrokerUnavailable):
    """One side does not take the other for who it should be; ``remedy`` says what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


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
    """A call to Procore or SmartBarrel did not do what was asked.

    ``words`` are the upstream's own, one string for each thing that it says; they may hold personal data
    and belong into results, not into the process log. The error's text has none of them.
    """

    def __init__(
        self, upstream: str, operation: str, status: int | None, words: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{upstream} {operation}: {'no answer' if status is None else f'HTTP {status}'}")
        self.upstream = upstream
        self.operation = operation
        self.status = status
        self.words = words


class Transient(UpstreamError):
    """It may work later. After a POST the effect is unknown: look before creating again."""

    retry_after_s: float | None = None


class Unsure(Transient):
    """No call was made: this process was paused, and may have lost what it works on to another."""


class RateLimited(UpstreamError):
    """The budget is spent; ``retry_after_s`` says when to come back."""

    retry_after_s: float = 1.0


class Misconfigured(UpstreamError):
    """Credentials, permissions or the app's connection are wrong: nothing works until that is mended."""


class NotFound(UpstreamError):
    """The thing is not there, or hidden from this account."""


class Rejected(UpstreamError):
    """The upstream says no to these data, and will again."""


class Duplicate(Rejected):
    """Another record, ``other_id``, has the value of ``field``, which must be unique."""

    field: str = ""
    other_id: str = ""
