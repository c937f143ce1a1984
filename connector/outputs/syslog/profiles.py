"""Presets for known syslog receivers. Keys set in the configuration take precedence.

Each row holds the receiver's defaults: framing, the header that its CEF or LEEF parser expects, and the
longest message that it neither cuts nor splits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from connector.formats.framing import Framing
from connector.model import JsonObject

ProfileName: TypeAlias = Literal[
    "rsyslog", "syslog_ng", "qradar", "arcsight", "sc4s", "sentinel_ama", "elastic_agent"
]


@dataclass(frozen=True, slots=True)
class Profile:
    """One receiver. *framing* and *stream_bytes* are for TCP and TLS, *datagram_bytes* for UDP."""

    format: Literal["rfc5424", "rfc3164"]
    framing: Framing
    tag: bool
    stream_bytes: int
    datagram_bytes: int
    mapping: str

    def preset(self, configured: Mapping[str, object], *, udp: bool) -> JsonObject:
        """Values for the keys that are not *configured*."""
        preset: JsonObject = {"mapping": self.mapping, "format": self.format}
        preset["max_message_bytes"] = self.datagram_bytes if udp else self.stream_bytes
        if not udp:
            preset["framing"] = self.framing
        if configured.get("format", self.format) == "rfc3164":
            preset["tag"] = self.tag
        return {key: value for key, value in preset.items() if key not in configured}


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        # maxMessageSize is 8k; the rest of a longer message becomes a second one.
        "rsyslog": Profile("rfc5424", "octet", True, 8 << 10, 2 << 10, "cef"),
        # The source syslog(), port 601; log-msg-size is 64 KiB.
        "syslog_ng": Profile("rfc5424", "octet", True, 64 << 10, 2 << 10, "cef"),
        # TCP payloads are cut at 4096 bytes; LEEF is expected right after the host name.
        "qradar": Profile("rfc3164", "lf", False, 4 << 10, 2 << 10, "leef"),
        # The SmartConnector reads lines, with CEF right after the host name.
        "arcsight": Profile("rfc3164", "lf", False, 8 << 10, 2 << 10, "cef"),
        # Ports 601 and 5425; the parser takes "CEF" as the program name, so no tag may precede it.
        "sc4s": Profile("rfc3164", "octet", False, 8 << 10, 2 << 10, "cef"),
        # Behind rsyslog or syslog-ng; the agent recognizes CEF by the program name too.
        "sentinel_ama": Profile("rfc3164", "lf", False, 8 << 10, 2 << 10, "cef"),
        # Lines; 20 MiB over TCP, 10 KiB over UDP.
        "elastic_agent": Profile("rfc5424", "lf", True, 64 << 10, 8 << 10, "cef"),
    }
)
