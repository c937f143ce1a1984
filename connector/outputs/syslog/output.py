"""Output ``syslog``: one message per event over UDP, TCP or TLS."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from connector.errors import ConfigurationError
from connector.formats.framing import FRAMINGS, Framing, one_line
from connector.formats.syslog import FACILITIES, Origin, rfc3164, rfc5424
from connector.interfaces import Observe
from connector.model import Event, Limits, Receipt
from connector.net.tls import TlsOptions
from connector.net.transport import TransportError
from connector.outputs.common import TOO_LARGE, OutputSettings
from connector.outputs.shared.http_client import delivery_error
from connector.outputs.syslog.address import Addresses, is_udp
from connector.outputs.syslog.profiles import PROFILES, ProfileName
from connector.outputs.syslog.stream import MessageTransport, StreamTransport, TransportOptions
from connector.outputs.syslog.udp import UdpTransport
from connector.quantities import Size

Header: TypeAlias = Callable[[Origin, int, datetime, str], bytes]

_HEADERS: Mapping[str, Header] = {"rfc5424": rfc5424, "rfc3164": rfc3164}
_LIMITS = Limits(events=500, bytes=1_000_000)
_DEFAULT_BYTES = {"udp": 2048, "tcp": 8192, "tls": 8192}
# The most that one UDP datagram can carry over IPv4.
_LARGEST_DATAGRAM = 65_507
# The longest values that a header can show, for the room that is left to the payload.
_LONGEST_CODE = "x" * 255
_LONGEST_TIME = datetime(2000, 12, 31, tzinfo=UTC)


class SyslogSettings(OutputSettings):
    """Sends events to syslog collectors."""

    type: Literal["syslog"] = "syslog"
    mapping: str = Field(default="cef", min_length=1, description="Name of the mapping that shapes events.")
    address: Addresses = Field(
        description="udp, tcp or tls://host:port; several of one transport are tried in turn."
    )
    profile: ProfileName | None = Field(
        default=None,
        description="What is known of a receiver: presets for format, framing, tag, max_message_bytes and "
        "mapping. Keys that are given win.",
    )
    format: Literal["rfc5424", "rfc3164"] = Field(default="rfc5424", description="The header.")
    framing: Framing | None = Field(
        default=None,
        description="octet counts bytes, lf ends lines; octet by default with tls, lf with tcp.",
    )
    facility: str = Field(
        default="local0", description="By name.", json_schema_extra={"enum": list(FACILITIES)}
    )
    hostname: str | None = Field(
        default=None, min_length=1, description="In the header; by default this machine's name."
    )
    app_name: str = Field(default="cf-email-security", min_length=1, description="In the header.")
    tag: bool = Field(
        default=True,
        description="With rfc3164, put app_name before the text; else CEF or LEEF is taken for it.",
    )
    max_message_bytes: Size | None = Field(
        default=None,
        ge=480,
        le=16 << 20,
        description="Header and text together; 8KiB by default, 2KiB with udp.",
    )
    resend: Size = Field(
        default=256 << 10,
        ge=0,
        le=64 << 20,
        description="After a broken connection, send at most this much of the last minute again.",
    )
    tls: TlsOptions | None = Field(default=None, description="For tls addresses.")

    @model_validator(mode="before")
    @classmethod
    def _presets(cls, given: object) -> object:
        name = given.get("profile") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(name, str) or name not in PROFILES:
            return given
        return {**given, **PROFILES[name].preset(given, udp=is_udp(given.get("address")))}

    @field_validator("facility")
    @classmethod
    def _known_facility(cls, value: str) -> str:
        if value not in FACILITIES:
            raise ValueError(f"no such facility; known: {', '.join(FACILITIES)}")
        return value

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> SyslogSettings:
        transport = self.address[0].transport
        if transport != "tls" and self.tls is not None:
            raise ValueError(f"tls has no effect with {transport} addresses; write them as tls://host:port")
        if transport == "udp" and not {"framing", "resend"}.isdisjoint(self.model_fields_set):
            raise ValueError("framing and resend have no effect with udp addresses")
        if self.format != "rfc3164" and not self.tag:
            raise ValueError("tag has an effect with format: rfc3164 only")
        if transport == "udp" and (self.max_message_bytes or 0) > _LARGEST_DATAGRAM:
            raise ValueError(f"max_message_bytes: one datagram carries {_LARGEST_DATAGRAM} bytes at most")
        return self

    def build(self, name: str, observe: Observe) -> SyslogOutput:
        """Make the output."""
        transport = self.address[0].transport
        link = TransportOptions(name, self.address, self.timeout.total_seconds(), self.tls, self.resend)
        framing: Framing = self.framing or ("octet" if transport == "tls" else "lf")
        carrier: MessageTransport = (
            UdpTransport(link, observe)
            if transport == "udp"
            else StreamTransport(link, FRAMINGS[framing], observe)
        )
        origin = Origin(
            FACILITIES[self.facility], self.hostname or socket.gethostname(), self.app_name, self.tag
        )
        longest = self.max_message_bytes or _DEFAULT_BYTES[transport]
        return SyslogOutput(carrier, _HEADERS[self.format], origin, longest, self.batch.applied(_LIMITS))


class SyslogOutput:
    """Accepted means with TCP and TLS: the other system confirmed the bytes, and the connection lives.

    With UDP it means that the datagram left.

    Args:
        carrier: what takes messages over the network.
        header: writes the header of one message.
        origin: what all headers share.
        longest: bytes that header and payload may have together.
        limits: what one send may hold.
    """

    def __init__(
        self, carrier: MessageTransport, header: Header, origin: Origin, longest: int, limits: Limits
    ) -> None:
        self._carrier = carrier
        self._header = header
        self._origin = origin
        widest = header(replace(origin, facility=max(FACILITIES.values())), 0, _LONGEST_TIME, _LONGEST_CODE)
        self._room = max(1, longest - len(widest))
        self._limits = replace(limits, event_bytes=self._room)

    @property
    def limits(self) -> Limits:
        """What one ``send`` may hold; ``event_bytes`` is what the header leaves of a message."""
        return self._limits

    async def open(self) -> None:
        """Connect to the first collector that answers."""
        await self._reach()

    async def send(self, events: Sequence[Event]) -> Receipt:
        """Send one message per event; one that is too long is named, never cut."""
        fitting = [index for index, event in enumerate(events) if len(event.payload) <= self._room]
        rejected = dict.fromkeys(set(range(len(events))).difference(fitting), TOO_LARGE)
        if fitting:
            messages = [self._message(events[index]) for index in fitting]
            try:
                refused = await self._carrier.send(messages)
            except (TransportError, ConfigurationError) as error:
                raise delivery_error(error) from None
            rejected.update({fitting[place]: TOO_LARGE for place in refused})
        return Receipt(rejected=rejected)

    async def close(self) -> None:
        """End the connection in good order."""
        await self._carrier.close()

    async def check(self) -> str:
        """Connect and say what was reached; no event is sent."""
        return f"reached {await self._reach()}"

    def _message(self, event: Event) -> bytes:
        return self._header(self._origin, event.severity, event.time, event.code) + one_line(event.payload)

    async def _reach(self) -> str:
        try:
            return await self._carrier.open()
        except (TransportError, ConfigurationError) as error:
            raise delivery_error(error) from None
