"""Settings of the output ``kafka``. Nothing here needs the Kafka client, which is an optional dependency."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from connector.interfaces import Observe
from connector.model import Limits
from connector.net.host_names import is_host_name
from connector.net.tls import TlsOptions
from connector.outputs.common import OutputSettings
from connector.outputs.http.oauth import OAuth2Settings
from connector.outputs.shared.sockets import peer_name
from connector.quantity_fields import Size
from connector.secret import Secret

if TYPE_CHECKING:
    from connector.outputs.kafka.output import KafkaOutput

_EXPECTED = "expected a broker as host:port, such as kafka1.example:9092 or [2001:db8::1]:9092"

EVENT_HUBS_REQUEST = 1_000_000
"""Bytes of one request to Event Hubs: it closes the connection beyond 1,046,528.

https://learn.microsoft.com/azure/event-hubs/apache-kafka-configurations
"""
_EVENT_HUBS_BATCH = 500_000
_EVENT_HUBS_EVENTS = 1000
_EVENT_HUBS_USER = "$ConnectionString"

_LIMITS = Limits(events=500, bytes=1_000_000)


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker that tells of the others. *host* is a name or an IP address without brackets."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this host."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return peer_name(self.host, self.port)


def _to_brokers(value: object) -> tuple[Broker, ...]:
    items = value if isinstance(value, (list, tuple)) else [value]
    if not items:
        raise ValueError(_EXPECTED)
    return tuple(item if isinstance(item, Broker) else _to_broker(item) for item in items)


def _to_broker(item: object) -> Broker:
    if not isinstance(item, str):
        raise ValueError(_EXPECTED)  # noqa: TRY004, pydantic reports ValueError
    text = item.strip()
    try:
        parts = urlsplit(f"//{text}")
        port = parts.port
    except ValueError:
        raise ValueError(_EXPECTED) from None
    host, extra = parts.hostname or "", parts.path or parts.query or parts.fragment
    if not host or not port or "@" in text or extra or not is_host_name(host):
        raise ValueError(_EXPECTED)
    return Broker(host, port)


def _to_plain(brokers: tuple[Broker, ...]) -> str | list[str]:
    texts = [str(broker) for broker in brokers]
    return texts[0] if len(texts) == 1 else texts


_SCHEMA = {"type": "string", "pattern": "^.+:[0-9]+$", "examples": ["kafka1.example:9092"]}

Brokers = Annotated[
    tuple[Broker, ...],
    BeforeValidator(_to_brokers),
    PlainSerializer(_to_plain),
    WithJsonSchema({"anyOf": [_SCHEMA, {"type": "array", "items": _SCHEMA, "minItems": 1}]}),
]
"""A field of a settings model: one broker or several."""


class PasswordSettings(BaseModel):
    """User name and password."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    username: str = Field(
        default="",
        max_length=256,
        description="User name; with profile event_hubs $ConnectionString by default.",
    )
    password: Secret


class SaslSettings(BaseModel):
    """How to authenticate; exactly one of these."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid")

    plain: PasswordSettings | None = Field(default=None, description="Mechanism PLAIN; requires tls.")
    scram_sha_256: PasswordSettings | None = Field(default=None, description="Mechanism SCRAM-SHA-256.")
    scram_sha_512: PasswordSettings | None = Field(default=None, description="Mechanism SCRAM-SHA-512.")
    oauth2: OAuth2Settings | None = Field(
        default=None, description="Mechanism OAUTHBEARER, with tokens by client credentials; requires tls."
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> SaslSettings:
        given = [one for one in (self.plain, self.scram_sha_256, self.scram_sha_512, self.oauth2) if one]
        if len(given) != 1:
            raise ValueError("expected exactly one of plain, scram_sha_256, scram_sha_512 and oauth2")
        return self

    @property
    def mechanism(self) -> str:
        """The mechanism's registered name."""
        if self.plain:
            return "PLAIN"
        if self.scram_sha_256:
            return "SCRAM-SHA-256"
        return "SCRAM-SHA-512" if self.scram_sha_512 else "OAUTHBEARER"

    @property
    def login(self) -> PasswordSettings | None:
        """User name and password, for mechanisms that have them."""
        return self.plain or self.scram_sha_256 or self.scram_sha_512

    def secrets(self) -> Iterator[Secret]:
        """Every credential."""
        if self.login is not None:
            yield self.login.password
        if self.oauth2 is not None:
            yield self.oauth2.client_secret


class KafkaSettings(OutputSettings):
    """Produces events to a topic of Apache Kafka."""

    type: Literal["kafka"] = "kafka"
    brokers: Brokers = Field(
        description="Brokers to ask for the cluster, host:port; two or three are enough for any cluster."
    )
    topic: str = Field(
        pattern=r"^[A-Za-z0-9._-]{1,249}$", description="The topic. It must exist: none is created."
    )
    profile: Literal["standard", "event_hubs"] = Field(
        default="standard",
        description="event_hubs keeps the limits of Azure Event Hubs and always uses TLS.",
    )
    key: Literal["record", "account"] = Field(
        default="record",
        description="What events of one partition have in common: record keeps the revisions of a record in "
        "order, account all events of an account.",
    )
    compression: Literal["none", "gzip"] = Field(default="none", description="Compression of record batches.")
    max_message_bytes: Size | None = Field(
        default=None,
        ge=1024,
        le=100 << 20,
        description="Maximum record before compression; by default max.message.bytes of the topic, or 1 MB "
        "where it cannot be read.",
    )
    client_id: str = Field(
        default="email-connector",
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        description="Name of this client in the brokers' logs and quotas.",
    )
    sasl: SaslSettings | None = Field(default=None, description="SASL authentication.")
    tls: TlsOptions | None = Field(default=None, description="TLS options; {} for TLS with the defaults.")
    proxy: Secret | None = Field(
        default=None,
        description="URL of an HTTP proxy for the token endpoint of sasl.oauth2; brokers take no proxy.",
    )

    @model_validator(mode="after")
    def _client_is_installed(self) -> KafkaSettings:
        if find_spec("aiokafka") is None:
            raise ValueError(
                "the Kafka client is not installed: pip install 'cloudflare-email-connector[kafka]'"
            )
        return self

    @model_validator(mode="after")
    def _credentials_are_protected(self) -> KafkaSettings:
        sasl = self.sasl
        if sasl is None:
            return self
        local = all(broker.is_loopback for broker in self.brokers)
        if (sasl.plain or sasl.oauth2) and not self.secure and not local:
            raise ValueError(
                f"sasl {sasl.mechanism} would send the credentials in the clear; set tls: {{}}, or use SCRAM"
            )
        if sasl.login is not None and not self.username:
            raise ValueError("sasl requires a username")
        return self

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> KafkaSettings:
        if self.proxy is not None and (self.sasl is None or self.sasl.oauth2 is None):
            raise ValueError("proxy has no effect without sasl.oauth2: brokers are reached directly")
        return self

    @model_validator(mode="after")
    def _limits_of_event_hubs(self) -> KafkaSettings:
        if self.profile != "event_hubs":
            return self
        if self.sasl is None or not (self.sasl.plain or self.sasl.oauth2):
            raise ValueError("profile event_hubs requires sasl.plain or sasl.oauth2")
        limits = self.limits
        if limits.bytes > _EVENT_HUBS_BATCH or limits.events > _EVENT_HUBS_EVENTS:
            raise ValueError(
                f"profile event_hubs allows batch.bytes up to {_EVENT_HUBS_BATCH} and batch.events up to "
                f"{_EVENT_HUBS_EVENTS}: Event Hubs closes the connection on requests of more than 1 MB"
            )
        if (self.max_message_bytes or 0) > EVENT_HUBS_REQUEST:
            raise ValueError(f"profile event_hubs allows max_message_bytes up to {EVENT_HUBS_REQUEST}")
        return self

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``. One at a time: order within a partition is that of the journal."""
        profile = _LIMITS if self.profile == "standard" else Limits(events=500, bytes=_EVENT_HUBS_BATCH)
        return self.batch.applied(profile)

    @property
    def secure(self) -> bool:
        """Whether brokers are reached with TLS."""
        return self.tls is not None or self.profile == "event_hubs"

    @property
    def username(self) -> str:
        """The user name, or nothing."""
        login = self.sasl.login if self.sasl else None
        if login is None:
            return ""
        return login.username or (_EVENT_HUBS_USER if self.profile == "event_hubs" else "")

    @property
    def request_timeout(self) -> timedelta:
        """How long a broker may take to answer; Event Hubs asks for a minute."""
        return max(self.timeout, timedelta(minutes=1)) if self.profile == "event_hubs" else self.timeout

    def secrets(self) -> Iterator[Secret]:
        """Every credential that is read again after a rotation."""
        if self.sasl is not None:
            yield from self.sasl.secrets()
        if self.tls is not None and self.tls.key_password is not None:
            yield self.tls.key_password

    def build(self, name: str, observe: Observe) -> KafkaOutput:  # noqa: ARG002, it has no facts of its own
        """Build the output."""
        from connector.outputs.kafka.output import KafkaOutput  # noqa: PLC0415, its library is optional

        return KafkaOutput(self)
