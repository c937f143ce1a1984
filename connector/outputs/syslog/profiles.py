"""What known receivers of syslog want to be sent, as presets. Keys that a person gives win.

Each row says what is certain of the receiver as it comes: how it finds the end of a message, which header its
parser of CEF or LEEF expects, and how long a message may be before it is cut or split.
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

    def preset(self, given: Mapping[str, object], *, udp: bool) -> JsonObject:
        """What stands for the keys that *given* does not have."""
        preset: JsonObject = {"mapping": self.mapping, "format": self.format}
        preset["max_message_bytes"] = self.datagram_bytes if udp else self.stream_bytes
        if not udp:
            preset["framing"] = self.framing
        if given.get("format", self.format) == "rfc3164":
            preset["tag"] = self.tag
        return {key: value for key, value in preset.items() if key not in given}


PROFILES: Mapping[str, Profile] = MappingProxyType(
    {
        # maxMessageSize is 8k; what is longer becomes a second message.
        "rsyslog": Profile("rfc5424", "octet", True, 8 << 10, 2 << 10, "cef"),
        # The source syslog(), port 601; log-msg-size is 64 KiB.
        "syslog_ng": Profile("rfc5424", "octet", True, 64 << 10, 2 << 10, "cef"),
        # A payload over TCP ends at 4096 bytes; LEEF stands right after the host.
        "qradar": Profile("rfc3164", "lf", False, 4 << 10, 2 << 10, "leef"),
        # The SmartConnector reads lines, and CEF right after the host.
        "arcsight": Profile("rfc3164", "lf", False, 8 << 10, 2 << 10, "cef"),
        # Ports 601 and 5425; the parser takes "CEF" for the program, so nothing may stand before it.
        "sc4s": Profile("rfc3164", "octet", False, 8 << 10, 2 << 10, "cef"),
        # rsyslog or syslog-ng in front; the agent recognises CEF by the program too.
        "sentinel_ama": Profile("rfc3164", "lf", False, 8 << 10, 2 << 10, "cef"),
        # Lines; 20 MiB over TCP, 10 KiB over UDP.
        "elastic_agent": Profile("rfc5424", "lf", True, 64 << 10, 8 << 10, "cef"),
    }
)
