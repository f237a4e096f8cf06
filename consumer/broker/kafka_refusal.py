"""Why TLS or SASL with Kafka fails, in one sentence, and what to do about it."""

import ssl

from consumer.broker.kafka_library import errors
from consumer.broker.security import Security
from consumer.exceptions import BrokerRefused


X509_NOT_YET_VALID = 9
X509_EXPIRED = 10
X509_OTHER_HOST = (62, 64)
"""What OpenSSL calls a certificate for another name, and for another IP address."""

SEE_SECURITY = (
    "see that CREWSYNC_KAFKA_SECURITY says what the listener at that port expects, or that "
    "CREWSYNC_BROKER_URL names the right port"
)

CREDENTIAL_ERRORS = (errors.SaslAuthenticationFailedError, ValueError, KeyError)
"""The library raises the last two when a server does not prove, in SCRAM, that it knows the password."""


class Refusal(errors.KafkaConnectionError):  # type: ignore[misc] # kafka-python has no types
    """A refusal that the library takes for a lost connection, so that it tries again later."""

    def __init__(self, refused: BrokerRefused) -> None:
        super().__init__(str(refused))
        self.refused = refused

    def __str__(self) -> str:
        """The sentence alone."""
        return str(self.refused)


def refusal_of(error: BaseException, server: str, security: Security) -> BrokerRefused | None:
    """What the error of a new connection means, if TLS or SASL is the reason."""
    if isinstance(error, Refusal):
        return error.refused
    if security.sasl is not None and (refused := _sasl(error, server)):
        return refused
    if security.tls is not None and isinstance(alert := _cause(error), ssl.SSLError):
        # With TLS 1.3 a server refuses a client's certificate only after the handshake.
        return tls_refusal(alert, server)
    return None


def tls_refusal(error: OSError, server: str) -> BrokerRefused:
    """What a failed handshake means. An error of the connection itself means that nobody speaks TLS there."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _untrusted(error, server)
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "ALERT" in reason and "VERSION" not in reason:
        words = reason.rpartition("ALERT_")[2].lower().replace("_", " ")
        return BrokerRefused(
            f"Kafka at {server} does not accept this client in TLS: {words}",
            "let CREWSYNC_KAFKA_CERT_FILE and CREWSYNC_KAFKA_KEY_FILE name a client certificate that is "
            "valid and that the servers trust",
        )
    return BrokerRefused(f"at {server} nobody answers in TLS as this client does", SEE_SECURITY)


def _untrusted(error: ssl.SSLCertVerificationError, server: str) -> BrokerRefused:
    if error.verify_code in X509_OTHER_HOST:
        return BrokerRefused(
            f"the certificate of Kafka at {server} is for another host name",
            "let CREWSYNC_BROKER_URL, and the listeners that the servers advertise, use a name that is in "
            "the certificate",
        )
    if error.verify_code == X509_EXPIRED:
        return BrokerRefused(
            f"the certificate of Kafka at {server} has expired",
            "renew the server's certificate; if it is in order, set this machine's clock right",
        )
    if error.verify_code == X509_NOT_YET_VALID:
        return BrokerRefused(
            f"the certificate of Kafka at {server} is not valid yet",
            "set this machine's clock right, or wait",
        )
    return BrokerRefused(
        f"the certificate of Kafka at {server} is not trusted ({error.verify_message})",
        "let CREWSYNC_KAFKA_CA_FILE name the certificate of the authority that has signed the server's",
    )


def _sasl(error: BaseException, server: str) -> BrokerRefused | None:
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return BrokerRefused(
            f"Kafka at {server} does not offer this SASL mechanism",
            "let CREWSYNC_KAFKA_SASL_MECHANISM name one that the listener offers",
        )
    if isinstance(error, errors.IllegalSaslStateError):
        return BrokerRefused(f"Kafka at {server} does not ask who its clients are", SEE_SECURITY)
    if isinstance(error, CREDENTIAL_ERRORS):
        # Nothing of the server's own words: they may name the user.
        return BrokerRefused(
            f"Kafka at {server} refuses the credentials",
            "see that user name, password and mechanism (or the OAuth client's) are what the cluster knows",
        )
    return None


def _cause(error: BaseException) -> object:
    """The error of the socket in the one that the library makes of it."""
    return error.args[0] if isinstance(error, errors.KafkaConnectionError) and error.args else error
