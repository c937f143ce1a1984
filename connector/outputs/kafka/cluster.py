"""Reaching a cluster: one connection that finds out what the producer would not say.

The client's producer swallows why it cannot connect, and it asks brokers to create topics.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiokafka import errors
from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.metadata import MetadataRequest

from connector.errors import ConfigurationError, DeliveryError, Hold, Retryable
from connector.net.clock import utc_now
from connector.net.failures import classify_error
from connector.net.tls import client_context
from connector.net.transport import TransportError
from connector.outputs.http.oauth import ClientCredentials, OAuth2Settings
from connector.outputs.http.output import HttpSettings
from connector.outputs.kafka.failures import delivery_error
from connector.outputs.kafka.settings import Broker, KafkaSettings
from connector.outputs.shared import http_client
from connector.outputs.shared.sockets import peer_name
from connector.outputs.shared.tokens import TokenSource

_TOPIC = 2
"""Resource type of a topic in ``DescribeConfigs``."""

_MAX_MESSAGE_BYTES = "max.message.bytes"


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """What a broker said.

    Args:
        broker: which one.
        partitions: of the topic.
        advertised: addresses of all brokers, as clients are told them.
        max_message_bytes: the most a batch of the topic may have; ``None`` where the user may not read it.
        metadata: the answer itself, for the client.
    """

    broker: str
    partitions: int
    advertised: tuple[str, ...]
    max_message_bytes: int | None
    metadata: Any = field(repr=False)


class Tokens(AbstractTokenProvider):  # type: ignore[misc] # the library has no types
    """Access tokens for OAUTHBEARER, by the client credentials grant."""

    def __init__(self, settings: KafkaSettings, oauth2: OAuth2Settings) -> None:
        wire = HttpSettings(url=oauth2.token_url, timeout=settings.timeout, proxy=settings.proxy)
        self._source = TokenSource(ClientCredentials(oauth2, wire, utc_now))
        self.failure: DeliveryError | None = None
        """Why there was no token the last time."""

    async def token(self) -> str:
        """A valid token, as the client asks for it."""
        try:
            token = await self._source.get()
        except DeliveryError as error:
            self.failure = error
            raise errors.AuthenticationFailedError("no access token") from None
        self.failure = None
        return token.text

    async def open(self) -> None:
        """Read rotated credentials again."""
        await self._source.open()

    async def close(self) -> None:
        """Close all connections."""
        await self._source.close()


class Cluster:
    """How to connect to the brokers of *settings*. Reads certificates and secrets when it is made.

    Raises:
        Hold: a certificate cannot be used.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._tls: ssl.SSLContext | None = None
        if settings.secure:
            try:
                self._tls = client_context(settings.tls)
            except ConfigurationError as error:
                raise http_client.delivery_error(error) from None
        sasl = settings.sasl
        self.tokens = Tokens(settings, sasl.oauth2) if sasl is not None and sasl.oauth2 is not None else None
        self._password = sasl.login.password.reveal() if sasl is not None and sasl.login is not None else None

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of the client's connections and of its producer."""
        sasl = self._settings.sasl
        options: dict[str, Any] = {
            "client_id": self._settings.client_id,
            "request_timeout_ms": int(self._settings.request_timeout.total_seconds() * 1000),
            "security_protocol": ("SASL_" if sasl else "") + ("SSL" if self._tls else "PLAINTEXT"),
            "ssl_context": self._tls,
        }
        if sasl is not None:
            options["sasl_mechanism"] = sasl.mechanism
            options["sasl_oauth_token_provider"] = self.tokens
        if self._password is not None:
            options["sasl_plain_username"] = self._settings.username
            options["sasl_plain_password"] = self._password
        return options

    async def facts(self) -> TopicFacts:
        """Ask one broker about the topic. Raises ``Hold`` or ``Retryable``, which name every broker tried."""
        failures: list[DeliveryError] = []
        for broker in self._settings.brokers:
            try:
                async with self._connection(broker) as connection:
                    return await self._ask(broker, connection)
            except (OSError, EOFError, errors.KafkaError, AssertionError, ValueError) as error:
                failure = self._failure(broker, error)
            if isinstance(failure, Hold) and failure.reason not in {one.reason for one in failures}:
                raise failure
            failures.append(failure)
        raise Retryable("; ".join(one.reason for one in failures))

    async def close(self) -> None:
        """Close what fetches tokens."""
        if self.tokens is not None:
            await self.tokens.close()

    @contextlib.asynccontextmanager
    async def _connection(self, broker: Broker) -> AsyncIterator[AIOKafkaConnection]:
        if self.tokens is not None:
            await self.tokens.open()
        connection = await create_conn(broker.host, broker.port, **self.options)
        try:
            yield connection
        finally:
            connection.close()

    async def _ask(self, broker: Broker, connection: AIOKafkaConnection) -> TopicFacts:
        topic = self._settings.topic
        # A broker would create the topic unless it is told not to.
        answer = await connection.send(MetadataRequest([topic], allow_auto_topic_creation=False))
        for code, name, *rest in answer.topics:
            if name == topic and code:
                raise errors.for_code(code)
            if name == topic:
                partitions = len(rest[-1])
                advertised = tuple(peer_name(host, port) for _, host, port, *_ in answer.brokers)
                limit = await self._max_message_bytes(connection)
                return TopicFacts(str(broker), partitions, advertised, limit, answer)
        raise errors.UnknownTopicOrPartitionError

    async def _max_message_bytes(self, connection: AIOKafkaConnection) -> int | None:
        request = DescribeConfigsRequest([(_TOPIC, self._settings.topic, [_MAX_MESSAGE_BYTES])])
        try:
            answer = await connection.send(request)
        except (errors.IncompatibleBrokerVersion, NotImplementedError):
            return None
        for code, _, _, _, entries in answer.resources:
            if code:
                return None
            for name, value, *_ in entries:
                if name == _MAX_MESSAGE_BYTES and value and value.isdecimal():
                    return int(value)
        return None

    def _failure(self, broker: Broker, error: BaseException) -> DeliveryError:
        if self.tokens is not None and self.tokens.failure is not None:
            return self.tokens.failure
        settings = self._settings
        if isinstance(error, errors.KafkaError) and not isinstance(error, errors.KafkaConnectionError):
            is_about_topic = isinstance(
                error,
                errors.UnknownTopicOrPartitionError
                | errors.InvalidTopicError
                | errors.TopicAuthorizationFailedError,
            )
            return delivery_error(
                f"{broker}, topic {settings.topic}" if is_about_topic else str(broker), error
            )
        if isinstance(error, TimeoutError) and not error.args:
            return Retryable(f"{broker}: no answer; {self._hint()}")
        if isinstance(error, AssertionError | ValueError) and not isinstance(error, OSError):
            # What the client raises when a broker's part of the SASL exchange makes no sense.
            return Retryable(f"{broker}: the SASL exchange failed")
        found = classify_error(
            str(broker), error, connecting=not isinstance(error, errors.KafkaError | EOFError)
        )
        if type(found) is TransportError and "connection closed" in found.reason:
            return Retryable(f"{broker}: the broker closed the connection; {self._hint()}")
        return http_client.delivery_error(found)

    def _hint(self) -> str:
        """What may be wrong with the listener; a broker that is spoken to in the wrong way just hangs up."""
        expected = "with TLS" if self.secure else "without TLS"
        sasl = "and SASL" if self._settings.sasl else "and without SASL"
        return f"it was spoken to {expected} {sasl}: check that this is what its listener expects"

    @property
    def secure(self) -> bool:
        """Whether connections use TLS."""
        return self._tls is not None
