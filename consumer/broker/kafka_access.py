"""What a new connection to Kafka needs to be let in, read anew for each."""

import ssl
from collections.abc import Mapping

from consumer.broker.kafka_tokens import Tokens
from consumer.broker.security import OAuth, Security, Tls
from consumer.exceptions import BrokerRefused


class Access:
    """The security of a broker at work. It shows no secret in its repr; may be used from any thread."""

    def __init__(self, security: Security) -> None:
        self.security = security
        sasl = security.sasl
        self._tokens = Tokens(sasl, security.tls) if isinstance(sasl, OAuth) else None

    def settings(self) -> Mapping[str, object]:
        """The library's settings for a new connection, but for TLS's."""
        sasl = self.security.sasl
        transport = "PLAINTEXT" if self.security.tls is None else "SSL"
        if sasl is None:
            return {"security_protocol": transport}
        protocol = {"security_protocol": f"SASL_{transport}"}
        if isinstance(sasl, OAuth):
            return {**protocol, "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": self._tokens}
        # RFC 5802, 5.1, which the library leaves to whoever uses it.
        escaped = sasl.username.replace("=", "=3D").replace(",", "=2C")
        return {
            **protocol,
            "sasl_mechanism": sasl.mechanism,
            "sasl_plain_username": sasl.username if sasl.mechanism == "PLAIN" else escaped,
            "sasl_plain_password": sasl.password.read(),
        }


def tls_context(tls: Tls) -> ssl.SSLContext:
    """TLS with the files as they are now; names and certificates are always verified.

    Raises BrokerRefused for files that cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.ca_file is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(tls.ca_file)
        except OSError as error:
            raise BrokerRefused(
                f"CREWSYNC_KAFKA_CA_FILE cannot be used ({error.strerror or 'no certificates in PEM'})",
                "let CREWSYNC_KAFKA_CA_FILE name a readable file of certificates in PEM",
            ) from None
    if tls.cert_file is not None:
        # A function, since without one OpenSSL would ask at the terminal.
        password = tls.key_password.read() if tls.key_password is not None else ""
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, lambda: password)
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) and error.strerror else "not in PEM"
            if isinstance(error, ssl.SSLError):
                words = "no PEM, another certificate's key, or a wrong password for the key"
            raise BrokerRefused(
                f"the client certificate or its key cannot be used ({words})",
                "see that CREWSYNC_KAFKA_CERT_FILE, CREWSYNC_KAFKA_KEY_FILE and CREWSYNC_KAFKA_KEY_PASSWORD "
                "belong together",
            ) from None
    return context
