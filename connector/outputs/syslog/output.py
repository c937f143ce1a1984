"""Output ``syslog``: settings and class; one message per event over UDP, TCP or TLS."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from connector.errors import ConfigurationError
from connector.formats.framing import FRAMINGS, Framing
from connector.formats.syslog import FACILITIES, Origin, rfc3164, rfc5424
from connector.interfaces import Observe
from connector.model import Event, LateFailures, Limits, Receipt
from connector.net.tls import TlsOptions
from connector.net.transport import TransportError
from connector.outputs.common import TOO_LARGE, OutputSettings
from connector.outputs.shared.http_client import delivery_error
from connector.outputs.syslog.address import Addresses, is_udp
from connector.outputs.syslog.profiles import PROFILES, ProfileName
from connector.outputs.syslog.stream import MessageTransport, StreamTransport, TransportOptions
from connector.outputs.syslog.udp import UdpTransport
from connector.quantity_fields import Size

Header: TypeAlias = Callable[[Origin, int, datetime, str], bytes]

_HEADERS: Mapping[str, Header] = {"rfc5424": rfc5424, "rfc3164": rfc3164}
_LIMITS = Limits(events=500, bytes=1_000_000)
_DEFAULT_BYTES = {"udp": 2048, "tcp": 8192, "tls": 8192}
# Largest payload of one UDP datagram over IPv4: 65535 minus IP and UDP headers.
_LARGEST_DATAGRAM = 65_507
# The longest values that a header can hold, to compute the space left for the payload.
_LONGEST_CODE = "x" * 255
_LONGEST_TIME = datetime(2000, 12, 31, tzinfo=UTC)


class SyslogSettings(OutputSettings):
    """Sends events to syslog collectors."""

    type: Literal["syslog"] = "syslog"
    mapping: str = Field(default="cef", min_length=1, description="Name of the mapping that shapes events.")
    address: Addresses = Field(
        description="udp, tcp or tls://host:port, or a list of one transport: when one fails the next is "
        "used."
    )
    profile: ProfileName | None = Field(
        default=None,
        description="Presets for a known receiver: format, framing, tag, max_message_bytes and mapping. Keys "
        "set explicitly take precedence.",
    )
    format: Literal["rfc5424", "rfc3164"] = Field(default="rfc5424", description="Header format.")
    framing: Framing | None = Field(
        default=None,
        description="octet: octet counting; lf: a line feed ends a message. Default: octet with tls, lf "
        "with tcp.",
    )
    facility: str = Field(
        default="local0", description="Facility name.", json_schema_extra={"enum": list(FACILITIES)}
    )
    hostname: str | None = Field(
        default=None, min_length=1, description="HOSTNAME in the header; by default this machine's."
    )
    app_name: str = Field(default="cf-email-security", min_length=1, description="APP-NAME in the header.")
    tag: bool = Field(
        default=True,
        description="With rfc3164, put app_name before the text; without it some receivers take CEF or LEEF "
        "for the tag.",
    )
    max_message_bytes: Size | None = Field(
        default=None,
        ge=480,
        le=16 << 20,
        description="Maximum size of header and text together; 8KiB by default, 2KiB with udp.",
    )
    resend: Size = Field(
        default=256 << 10,
        ge=0,
        le=64 << 20,
        description="After a connection broke, resend at most this much of what was sent in the last minute.",
    )
    tls: TlsOptions | None = Field(default=None, description="TLS options for tls addresses.")

    @model_validator(mode="before")
    @classmethod
    def _presets(cls, settings: object) -> object:
        name = settings.get("profile") if isinstance(settings, dict) else None
        if not isinstance(settings, dict) or not isinstance(name, str) or name not in PROFILES:
            return settings
        return {**settings, **PROFILES[name].preset(settings, udp=is_udp(settings.get("address")))}

    @field_validator("facility")
    @classmethod
    def _known_facility(cls, value: str) -> str:
        if value not in FACILITIES:
            raise ValueError(f"unknown facility; expected one of {', '.join(FACILITIES)}")
        return value

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> SyslogSettings:
        transport = self.address[0].transport
        if transport != "tls" and self.tls is not None:
            raise ValueError(f"tls has no effect with {transport} addresses; use tls://host:port")
        if transport == "udp" and not {"framing", "resend"}.isdisjoint(self.model_fields_set):
            raise ValueError("framing and resend have no effect with udp addresses")
        if self.format != "rfc3164" and not self.tag:
            raise ValueError("tag requires format: rfc3164")
        if transport == "udp" and (self.max_message_bytes or 0) > _LARGEST_DATAGRAM:
            raise ValueError(f"max_message_bytes: one datagram carries at most {_LARGEST_DATAGRAM} bytes")
        return self

    def build(self, name: str, observe: Observe) -> SyslogOutput:
        """Build the output."""
        scheme = self.address[0].transport
        options = TransportOptions(name, self.address, self.timeout.total_seconds(), self.tls, self.resend)
        framing: Framing = self.framing or ("octet" if scheme == "tls" else "lf")
        transport: MessageTransport = (
            UdpTransport(options, observe)
            if scheme == "udp"
            else StreamTransport(options, FRAMINGS[framing], observe)
        )
        origin = Origin(
            FACILITIES[self.facility], self.hostname or socket.gethostname(), self.app_name, self.tag
        )
        longest = self.max_message_bytes or _DEFAULT_BYTES[scheme]
        return SyslogOutput(transport, _HEADERS[self.format], origin, longest, self.batch.applied(_LIMITS))


class SyslogOutput:
    """Accepted means, with TCP and TLS: the peer's kernel acknowledged the bytes and stayed connected.

    With UDP it means that the datagram was sent.

    Args:
        transport: sends messages over the network.
        header: encodes the header of one message.
        origin: header fields that all messages share.
        longest: most bytes of header and payload together.
        limits: of one send.
    """

    def __init__(
        self, transport: MessageTransport, header: Header, origin: Origin, longest: int, limits: Limits
    ) -> None:
        self._transport = transport
        self._header = header
        self._origin = origin
        widest = header(replace(origin, facility=max(FACILITIES.values())), 0, _LONGEST_TIME, _LONGEST_CODE)
        self._room = max(1, longest - len(widest))
        self._limits = replace(limits, event_bytes=self._room)

    @property
    def limits(self) -> Limits:
        """Limits of one ``send``; ``event_bytes`` is the space that the header leaves in a message."""
        return self._limits

    async def open(self) -> None:
        """Connect to the first collector that accepts."""
        await self._connect()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Send one message per event; one that is too long is rejected, never cut."""
        fitting = [index for index, event in enumerate(events) if len(event.payload) <= self._room]
        rejected = dict.fromkeys(set(range(len(events))).difference(fitting), TOO_LARGE)
        if fitting:
            messages = [self._message(events[index]) for index in fitting]
            try:
                refused = await self._transport.send(messages, [events[index] for index in fitting])
            except (TransportError, ConfigurationError) as error:
                raise delivery_error(error) from None
            rejected.update({fitting[place]: TOO_LARGE for place in refused})
        return Receipt(rejected=rejected)

    def late_failures(self) -> LateFailures:
        """Events whose connection broke after they were accepted; see ``LateReporting``."""
        return self._transport.late_failures()

    async def close(self) -> None:
        """Close the connection gracefully."""
        await self._transport.close()

    async def check(self) -> str:
        """Connect and describe the peer; no event is sent."""
        return f"reached {await self._connect()}"

    def _message(self, event: Event) -> bytes:
        return self._header(self._origin, event.severity, event.time, event.code) + event.payload

    async def _connect(self) -> str:
        try:
            return await self._transport.open()
        except (TransportError, ConfigurationError) as error:
            raise delivery_error(error) from None
