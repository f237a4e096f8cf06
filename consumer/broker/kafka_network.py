"""The connections below every client of the library: how they are opened, secured and tried again."""

import socket
import ssl
from collections.abc import Callable
from typing import Any

from consumer.broker.kafka_access import Access, tls_context
from consumer.broker.kafka_library import (
    KafkaConnectionManager,
    KafkaNetClient,
    KafkaNetSocket,
    KafkaSSLTransport,
    KafkaTCPTransport,
    NetworkSelector,
    create_connection,
    errors,
)
from consumer.broker.kafka_refusal import Refusal, refusal_of, tls_refusal
from consumer.exceptions import BrokerRefused


class DirectSocket(KafkaNetSocket):  # type: ignore[misc] # kafka-python has no types
    """Connects without a proxy, as the library does, but closes the socket when that fails.

    kafka-python 3.0.12 leaves it to the garbage collector. A "proxy" with a scheme of its own is how another
    way to connect is given to the library.
    """

    SCHEMES = ("direct",)

    async def sock_connect(
        self, net: Any, sock: socket.socket, sockaddr: Any, timeout_at: float | None = None
    ) -> socket.socket:
        """Connect the socket, or close it."""
        try:
            await super().sock_connect(net, sock, sockaddr, timeout_at)
        except BaseException:
            sock.close()
            raise
        return sock


class PlainTransport(KafkaTCPTransport):  # type: ignore[misc] # kafka-python has no types
    """A connection that hands on what came right before its end.

    kafka-python 3.0.12 drops that: among it is Kafka's answer to wrong credentials.
    """

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        data, error = super()._sock_recv()
        return data, None if data else error


class TlsTransport(KafkaSSLTransport):  # type: ignore[misc] # kafka-python has no types
    """The same in TLS, with a handshake that has an end; kafka-python 3.0.12 waits for ever."""

    async def shake_hands(self, timeout_at: float | None) -> None:
        """Agree on TLS. Raises ssl.SSLError, OSError or the library's KafkaTimeoutError."""
        while True:
            try:
                self._sock.do_handshake()
            except ssl.SSLWantReadError:
                await self._net.wait_read(self._sock, timeout_at=timeout_at)
            except ssl.SSLWantWriteError:
                await self._net.wait_write(self._sock, timeout_at=timeout_at)
            else:
                return

    def _sock_recv(self) -> tuple[bytes, Exception | None]:
        data, error = super()._sock_recv()
        return data, None if data else error


class ConnectionManager(KafkaConnectionManager):  # type: ignore[misc] # kafka-python has no types
    """Secures each new connection with files and secrets as they are now, and knows why it was refused.

    kafka-python 3.0.12 takes a password once and for all; it forgets how often it was refused, and so would
    knock without a pause; and of a handshake that fails it leaves the socket open. Until ``is_patient`` is
    set, the refusal of every bootstrap server is an error, where the library tries on and on.
    """

    def __init__(self, net: Any, access: Access, **settings: Any) -> None:
        self._access = access
        self._refusals: dict[Any, BrokerRefused] = {}
        self.is_patient = False
        super().__init__(net, **settings)
        self.config.update(security_protocol=access.settings()["security_protocol"])

    @property
    def refusal(self) -> BrokerRefused | None:
        """Why the last connection was refused, unless one was let in since."""
        return next(reversed(self._refusals.values()), None)

    def get_connection(self, node_id: Any, *arguments: Any, **named: Any) -> Any:
        """The connection to a server, perhaps a new one. Raises Refusal, and what the library does."""
        refusal = self.refusal
        if refusal is not None and not self.is_patient:
            servers = {server.node_id for server in self.cluster.bootstrap_brokers()}
            if servers <= self._refusals.keys():
                raise Refusal(refusal)
        if node_id not in self._conns:
            self.config.update(self._access.settings())
        return super().get_connection(node_id, *arguments, **named)

    async def _build_transport(self, node: Any, timeout_at: float | None = None) -> Any:
        tls = self._access.security.tls
        try:
            context = None if tls is None else tls_context(tls)
            sock = await create_connection(
                self._net,
                node.host,
                node.port,
                self.config["socket_options"],
                proxy_url=self.config["proxy_url"],
                timeout_at=timeout_at,
            )
            if context is None:
                return PlainTransport(self._net, sock, host=node.host)
            return await self._in_tls(context, sock, node, timeout_at)
        except BrokerRefused as refused:
            raise Refusal(refused) from None

    async def _in_tls(
        self, context: ssl.SSLContext, sock: socket.socket, node: Any, timeout_at: float | None
    ) -> TlsTransport:
        transport = None
        try:
            transport = TlsTransport(self._net, sock, host=node.host, ssl_context=context)
            await transport.shake_hands(timeout_at)
        except BaseException as error:
            (sock if transport is None else transport).close()
            if isinstance(error, errors.KafkaTimeoutError):
                raise tls_refusal(TimeoutError(), _server(node)) from None
            if isinstance(error, OSError):
                raise tls_refusal(error, _server(node)) from None
            raise
        return transport

    async def _connect(
        self, node: Any, conn: Any, reset_backoff_on_connect: bool = True, timeout_at: float | None = None
    ) -> None:
        before = self._backoff.get(node.node_id)
        await super()._connect(node, conn, reset_backoff_on_connect=False, timeout_at=timeout_at)
        self._auth_failures.pop(node.node_id, None)
        if conn.init_future.succeeded():
            self._refusals.clear()
            if reset_backoff_on_connect:
                self.reset_backoff(node.node_id)
        elif conn.init_future.failed():
            refused = refusal_of(conn.init_future.exception, _server(node), self._access.security)
            if refused is not None:
                self._refusals.pop(node.node_id, None)
                self._refusals[node.node_id] = refused
            if self._backoff.get(node.node_id) == before and not self.cluster.is_bootstrap(node.node_id):
                self.update_backoff(node.node_id)


class NetClient(KafkaNetClient):  # type: ignore[misc] # kafka-python has no types
    """The library's network client with three of its faults (in 3.0.12) put right.

    It passes ``allow_auto_create_topics`` on to nobody, so that asking for a topic creates it. And where
    its producer's thread expects False, ``await_ready`` raises, so that a transactional request is dropped
    without an answer when the connection is lost at that moment. And there is no way to hand a call to the
    network thread.
    """

    def __init__(self, access: Access, **settings: Any) -> None:
        net = NetworkSelector(**settings)
        super().__init__(net, ConnectionManager(net, access, **settings))
        self.cluster.config["allow_auto_create_topics"] = False

    @property
    def refusal(self) -> BrokerRefused | None:
        """Why TLS or SASL keeps this client out, if it does."""
        refusal: BrokerRefused | None = self._manager.refusal
        return refusal

    def be_patient(self) -> None:
        """Ride out refusals from now on, as lost connections are."""
        self._manager.is_patient = True

    def await_ready(self, node_id: int, timeout_ms: float = 30_000) -> bool:
        """Wait until the node can be sent to; False if it cannot."""
        try:
            return bool(super().await_ready(node_id, timeout_ms))
        except errors.KafkaConnectionError:
            return False

    def on_network_thread(self, call: Callable[[], None]) -> None:
        """Have the network thread make a call."""
        self._net.call_soon_threadsafe(call)


def _server(node: Any) -> str:
    return f"{node.host}:{node.port}"
